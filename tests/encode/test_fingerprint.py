"""The fingerprint changes with all that changes an embedding, and with nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from encoder_helpers import copy_model, declare, edit_json
from transformers import AutoModel

from embstore.encode import EncoderOptions
from embstore.encode.config import resolve


def fingerprint(folder: Path, **options: Any) -> str:
    return resolve(EncoderOptions(model=str(folder), **options))[1].fingerprint


def change_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_fingerprint_is_64_hex_digits(tiny_bert: Path) -> None:
    assert len(bytes.fromhex(fingerprint(tiny_bert))) == 32


def test_a_copy_in_another_folder_has_the_same_fingerprint(tiny_bert: Path, tmp_path: Path) -> None:
    assert fingerprint(copy_model(tiny_bert, tmp_path / "other name")) == fingerprint(tiny_bert)


SILENT: dict[str, Callable[[Path], object]] = {
    "_name_or_path": lambda folder: edit_json(folder / "config.json", _name_or_path="elsewhere"),
    "transformers_version": lambda folder: edit_json(folder / "config.json", transformers_version="9"),
    "architectures": lambda folder: edit_json(folder / "config.json", architectures=["BertForMaskedLM"]),
    "layout of config.json": lambda folder: (folder / "config.json").write_text(
        json.dumps(json.loads((folder / "config.json").read_text()), indent=7)
    ),
    "name of the tokenizer": lambda folder: edit_json(folder / "tokenizer_config.json", name_or_path="x"),
    "README.md": lambda folder: (folder / "README.md").write_text("words"),
    "code that is not run": lambda folder: (folder / "modeling.py").write_text("pass"),
    "pickled weights": lambda folder: (folder / "pytorch_model.bin").write_bytes(b"x"),
    "pooling config that says the same": lambda folder: declare(
        folder, "x.Transformer", "x.Pooling", "x.Normalize", pooling={"pooling_mode": "mean"}
    ),
}
SPOKEN: dict[str, Callable[[Path], object]] = {
    "one byte of the weights": lambda folder: change_last_byte(folder / "model.safetensors"),
    "config.json": lambda folder: edit_json(folder / "config.json", layer_norm_eps=1e-5),
    "tokenizer.json": lambda folder: edit_json(folder / "tokenizer.json", version="1.1"),
    "case of the tokenizer": lambda folder: edit_json(folder / "tokenizer_config.json", do_lower_case=False),
    "special token": lambda folder: edit_json(folder / "special_tokens_map.json", cls_token="[MASK]"),
    "declared pooling": lambda folder: declare(
        folder, "x.Transformer", "x.Pooling", "x.Normalize", pooling={"pooling_mode": "cls"}
    ),
    "declared Normalize": lambda folder: declare(
        folder, "x.Transformer", "x.Pooling", pooling={"pooling_mode": "mean"}
    ),
    "declared length": lambda folder: edit_json(folder / "sentence_bert_config.json", max_seq_length=16),
    "declared case": lambda folder: edit_json(folder / "sentence_bert_config.json", do_lower_case=True),
    "declared prompt": lambda folder: edit_json(
        folder / "config_sentence_transformers.json", prompts={"q": "why "}, default_prompt_name="q"
    ),
}


@pytest.mark.parametrize("change", SILENT.values(), ids=SILENT)
def test_what_changes_no_embedding_keeps_the_fingerprint(
    bert: Path, change: Callable[[Path], object]
) -> None:
    before = fingerprint(bert)
    change(bert)
    assert fingerprint(bert) == before


@pytest.mark.parametrize("change", SPOKEN.values(), ids=SPOKEN)
def test_a_change_in_the_files_changes_the_fingerprint(bert: Path, change: Callable[[Path], object]) -> None:
    before = fingerprint(bert)
    change(bert)
    assert fingerprint(bert) != before


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "cls"},
        {"normalize": False},
        {"max_length": 31},
        {"prompt": "why "},
        {"dtype": "bfloat16"},
        {"dtype": "int8"},
        {"trust_remote_code": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_an_option_changes_the_fingerprint(tiny_bert: Path, options: dict[str, Any]) -> None:
    assert fingerprint(tiny_bert, **options) != fingerprint(tiny_bert)


def test_code_that_is_run_counts(bert: Path) -> None:
    before = fingerprint(bert, trust_remote_code=True)
    (bert / "modeling.py").write_text("pass")
    assert fingerprint(bert, trust_remote_code=True) != before


def test_options_that_ask_for_what_is_declared_keep_the_fingerprint(tiny_bert: Path) -> None:
    asked = {"pooling": "mean", "normalize": True, "max_length": 32, "prompt": "", "dtype": "float32"}
    assert fingerprint(tiny_bert, **asked) == fingerprint(tiny_bert)


def test_every_shard_of_the_weights_counts(tiny_bert: Path, bert: Path) -> None:
    (bert / "model.safetensors").unlink()
    AutoModel.from_pretrained(tiny_bert).save_pretrained(bert, max_shard_size="30KB")
    shards = sorted(bert.glob("model-*.safetensors"))
    assert len(shards) > 1
    before = fingerprint(bert)
    change_last_byte(shards[-1])
    assert fingerprint(bert) != before


def test_vocabularies_count_where_there_is_no_tokenizer_json(bert: Path) -> None:
    (bert / "tokenizer.json").unlink()
    (bert / "vocab.txt").write_text("a\nb\n")
    before = fingerprint(bert)
    (bert / "vocab.txt").write_text("b\na\n")
    assert fingerprint(bert) != before
