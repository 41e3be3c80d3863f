"""Options are settled from the model's files, refused where they do not fit, and come back from JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from encoder_helpers import declare, edit_json

from embstore.encode import EncoderOptions
from embstore.encode.config import EncoderConfig, resolve
from embstore.errors import InvalidInput, InvalidModel


def settle(folder: Path, **options: Any) -> EncoderConfig:
    return resolve(EncoderOptions(model=str(folder), **options))[1]


def test_silent_files_give_the_first_token_as_it_is(tiny_distilbert: Path) -> None:
    config = settle(tiny_distilbert)
    assert (config.pooling, config.normalize, config.prompt, config.dtype) == ("cls", False, "", "auto")


def test_what_the_files_declare_is_taken(tiny_bert: Path) -> None:
    config = settle(tiny_bert)
    assert (config.pooling, config.normalize, config.max_length) == ("mean", True, 32)


@pytest.mark.parametrize(
    ("option", "value"),
    [("pooling", "cls"), ("normalize", False), ("max_length", 64), ("prompt", "why "), ("dtype", "bfloat16")],
)
def test_an_option_overrules_what_the_files_declare(tiny_bert: Path, option: str, value: object) -> None:
    assert getattr(settle(tiny_bert, **{option: value}), option) == value


def test_an_empty_prompt_overrules_a_declared_one(bert: Path) -> None:
    edit_json(bert / "config_sentence_transformers.json", prompts={"q": "why "}, default_prompt_name="q")
    assert settle(bert).prompt == "why "
    assert settle(bert, prompt="").prompt == ""


def test_a_declared_length_never_exceeds_what_the_model_reads(bert: Path) -> None:
    edit_json(bert / "sentence_bert_config.json", max_seq_length=4096)
    assert settle(bert).max_length == 64


@pytest.mark.parametrize(
    ("option", "value", "fix"),
    [
        ("pooling", "max", "--pooling auto|cls|mean"),
        ("dtype", "int4", "--dtype auto|float32|bfloat16|float16|int8"),
        ("max_length", 65, "--max-length 64"),
        ("max_length", 2, "--max-length 64"),
        ("max_length", 0, "--max-length 64"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_with_one_that_does(
    tiny_bert: Path, option: str, value: object, fix: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        settle(tiny_bert, **{option: value})
    assert caught.value.fix == fix
    assert str(value) in caught.value.what


@pytest.mark.parametrize("prompt", [None, "why "], ids=["declared", "asked for"])
def test_a_prompt_that_pooling_must_leave_out_is_refused(bert: Path, prompt: str | None) -> None:
    declare(bert, "x.Transformer", "x.Pooling", pooling={"pooling_mode": "mean", "include_prompt": False})
    edit_json(bert / "config_sentence_transformers.json", prompts={"q": "why "}, default_prompt_name="q")
    with pytest.raises(InvalidModel, match="leaves its prompt out"):
        settle(bert, prompt=prompt)


def test_the_fix_for_such_a_prompt_helps(bert: Path) -> None:
    declare(bert, "x.Transformer", "x.Pooling", pooling={"pooling_mode": "mean", "include_prompt": False})
    assert settle(bert, prompt="").pooling == "mean"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="nothing asked for"),
        pytest.param({"pooling": "cls", "normalize": False, "max_length": 9}, id="pooling and length"),
        pytest.param({"prompt": "why ", "dtype": "bfloat16"}, id="prompt and dtype"),
        pytest.param({"trust_remote_code": True}, id="remote code"),
    ],
)
def test_a_config_asks_for_the_same_encoder_again(tiny_bert: Path, options: dict[str, Any]) -> None:
    config = settle(tiny_bert, **options)
    again = EncoderOptions.from_json(json.loads(json.dumps(config.as_json())))
    assert resolve(again)[1] == config


def test_a_config_stays_what_it_was_where_the_files_declare_something_else_later(bert: Path) -> None:
    config = settle(bert)
    declare(bert, "x.Transformer", "x.Pooling", pooling={"pooling_mode": "cls"})
    assert resolve(EncoderOptions.from_json(config.as_json()))[1] == config


def test_names_that_are_no_options_are_passed_over() -> None:
    assert EncoderOptions.from_json({"model": "x", "lower_case": True, "later": 1}) == EncoderOptions("x")


def test_a_relative_folder_is_kept_as_an_absolute_one(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_bert.parent)
    assert settle(Path(tiny_bert.name)).model == str(tiny_bert.resolve())
