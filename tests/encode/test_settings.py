"""What a model's own files declare is read in every format that sentence-transformers has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from encoder_helpers import declare, edit_json

from embstore.encode.settings import Declared, declared_settings, longest_input
from embstore.errors import InvalidModel

OLD = "sentence_transformers.models."
NEW_TYPES = (
    "sentence_transformers.base.modules.transformer.Transformer",
    "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "sentence_transformers.base.modules.normalize.Normalize",
)
OLD_TYPES = (OLD + "Transformer", OLD + "Pooling", OLD + "Normalize")
FLAGS = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False}


def test_silent_files_declare_nothing(tmp_path: Path) -> None:
    assert declared_settings(tmp_path) == Declared()


@pytest.mark.parametrize("types", [OLD_TYPES, NEW_TYPES], ids=["old names", "new names"])
def test_module_types_of_old_and_new_releases_are_known(tmp_path: Path, types: tuple[str, ...]) -> None:
    declare(tmp_path, *types, pooling={"pooling_mode": "mean"})
    assert declared_settings(tmp_path) == Declared(pooling="mean", normalize=True)


def test_without_a_normalize_module_embeddings_are_not_normalized(tmp_path: Path) -> None:
    declare(tmp_path, *OLD_TYPES[:2], pooling={"pooling_mode": "mean"})
    assert not declared_settings(tmp_path).normalize


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        pytest.param(FLAGS | {"pooling_mode_cls_token": True}, "cls", id="flag cls"),
        pytest.param(FLAGS | {"pooling_mode_mean_tokens": True}, "mean", id="flag mean"),
        pytest.param({"pooling_mode": "cls"}, "cls", id="name cls"),
        pytest.param({"pooling_mode": "mean", "include_prompt": True}, "mean", id="name mean"),
        pytest.param({"pooling_mode": "cls", "pooling_mode_mean_tokens": True}, "cls", id="name before flag"),
    ],
)
def test_both_formats_of_the_pooling_config_are_read(
    tmp_path: Path, config: dict[str, Any], pooling: str
) -> None:
    declare(tmp_path, *OLD_TYPES, pooling=config)
    assert declared_settings(tmp_path).pooling == pooling


FOREIGN_POOLINGS = [
    pytest.param({"pooling_mode": "max"}, "max", id="name max"),
    pytest.param({"pooling_mode": ["cls", "mean"]}, "none", id="list of names"),
    pytest.param({"pooling_mode_lasttoken": True}, "pooling_mode_lasttoken", id="flag last token"),
    pytest.param(
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
        "pooling_mode_cls_token.pooling_mode_mean_tokens",
        id="two flags",
    ),
    pytest.param(FLAGS, "none", id="no flag"),
    pytest.param(None, "none", id="no file"),
]


@pytest.mark.parametrize(("config", "named"), FOREIGN_POOLINGS)
def test_a_declared_pooling_that_embstore_lacks_is_refused_by_name(
    tmp_path: Path, config: dict[str, Any] | None, named: str
) -> None:
    declare(tmp_path, *OLD_TYPES, pooling=config)
    with pytest.raises(InvalidModel, match=f"declares the pooling {named}"):
        declared_settings(tmp_path)


@pytest.mark.parametrize(("config", "named"), FOREIGN_POOLINGS)
def test_a_pooling_of_the_callers_choice_overrules_one_that_embstore_lacks(
    tmp_path: Path, config: dict[str, Any] | None, named: str
) -> None:
    declare(tmp_path, *OLD_TYPES, pooling=config)
    assert declared_settings(tmp_path, pooling_given=True).pooling is None


@pytest.mark.parametrize("kind", ["Dense", "LayerNorm", "WordEmbeddings"])
def test_a_module_that_embstore_lacks_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    declare(tmp_path, *OLD_TYPES[:2], OLD + kind, pooling={"pooling_mode": "mean"})
    with pytest.raises(InvalidModel, match=kind):
        declared_settings(tmp_path, pooling_given=True)


@pytest.mark.parametrize("name", ["sentence_bert_config.json", "sentence_roberta_config.json"])
def test_length_and_case_are_read_from_the_transformers_file(tmp_path: Path, name: str) -> None:
    edit_json(tmp_path / name, max_seq_length=24, do_lower_case=True)
    assert declared_settings(tmp_path) == Declared(max_length=24, lower_case=True)


@pytest.mark.parametrize(
    ("prompts", "prompt"),
    [
        pytest.param({"prompts": {"query": "find: "}, "default_prompt_name": "query"}, "find: ", id="named"),
        pytest.param({"prompts": {"query": "find: "}, "default_prompt_name": None}, "", id="none is default"),
        pytest.param({"prompts": {"query": "find: "}}, "", id="no default"),
        pytest.param({"prompts": None}, "", id="null"),
        pytest.param({}, "", id="silent"),
    ],
)
def test_the_default_prompt_is_the_one_that_is_named(
    tmp_path: Path, prompts: dict[str, Any], prompt: str
) -> None:
    edit_json(tmp_path / "config_sentence_transformers.json", **prompts)
    assert declared_settings(tmp_path).prompt == prompt


def test_a_prompt_that_is_left_out_of_pooling_is_declared(tmp_path: Path) -> None:
    declare(tmp_path, *OLD_TYPES, pooling={"pooling_mode": "mean", "include_prompt": False})
    assert not declared_settings(tmp_path).pool_prompt


FILES = [
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content", [b"{", b"", b"\xff\xfe", b"3"], ids=["cut", "empty", "not UTF-8", "a number"]
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    declare(tmp_path, *OLD_TYPES, pooling={"pooling_mode": "mean"})
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidModel) as caught:
        declared_settings(tmp_path)
    assert name in caught.value.what


@pytest.mark.parametrize(
    ("config", "tokenizer", "longest"),
    [
        pytest.param({"max_position_embeddings": 128}, {}, 128, id="positions"),
        pytest.param({"max_position_embeddings": 128}, {"model_max_length": 100}, 100, id="tokenizer"),
        pytest.param({"max_position_embeddings": 128}, {"model_max_length": int(1e30)}, 128, id="no limit"),
        pytest.param({"max_position_embeddings": 128}, {"model_max_length": None}, 128, id="null"),
        pytest.param({"n_positions": 1024}, {}, 1024, id="n_positions"),
        pytest.param({"max_position_embeddings": -1}, {}, 512, id="relative positions"),
        pytest.param({}, {}, 512, id="silent"),
    ],
)
def test_the_longest_input_is_what_both_configurations_allow(
    tmp_path: Path, config: dict[str, Any], tokenizer: dict[str, Any], longest: int
) -> None:
    edit_json(tmp_path / "config.json", **config)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    assert longest_input(tmp_path) == longest


@pytest.mark.parametrize(
    "kind", ["roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "data2vec-text"]
)
def test_roberta_like_models_have_two_positions_that_no_token_reaches(tmp_path: Path, kind: str) -> None:
    edit_json(tmp_path / "config.json", model_type=kind, max_position_embeddings=514)
    assert longest_input(tmp_path) == 512


@pytest.mark.parametrize("content", ['["x.Transformer"]', "[null]", "[[]]"], ids=["strings", "null", "lists"])
def test_modules_that_are_no_objects_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(InvalidModel, match=r"modules\.json lists something else than modules"):
        declared_settings(tmp_path)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sentence_bert_config.json", "max_seq_length"),
        ("config.json", "max_position_embeddings"),
        ("config.json", "n_positions"),
        ("tokenizer_config.json", "model_max_length"),
    ],
)
@pytest.mark.parametrize("value", ["256", "x", 1.5, True, [256]], ids=repr)
def test_a_number_of_the_wrong_type_is_refused_by_its_name(
    tmp_path: Path, name: str, key: str, value: object
) -> None:
    edit_json(tmp_path / name, **{key: value})
    asked = declared_settings if key == "max_seq_length" else longest_input
    with pytest.raises(InvalidModel, match=f"as its {key}, where a whole number is due") as caught:
        asked(tmp_path)
    assert name in caught.value.what


@pytest.mark.parametrize("prompts", [{"query": "find: "}, {"passage": 3}, {}, None, ["passage"]], ids=repr)
@pytest.mark.parametrize("name", ["passage", ["passage"]], ids=repr)
def test_a_default_prompt_that_does_not_exist_is_refused(
    tmp_path: Path, prompts: object, name: object
) -> None:
    edit_json(tmp_path / "config_sentence_transformers.json", prompts=prompts, default_prompt_name=name)
    with pytest.raises(InvalidModel, match=r"'passage'.*names no prompt"):
        declared_settings(tmp_path)
