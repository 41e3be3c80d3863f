"""A model that cannot be found or used is refused with what is wrong and what mends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_helpers import edit_json
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, T5Config, T5Model

from embstore.encode import EncoderOptions, load_encoder
from embstore.encode.model_files import find_model
from embstore.errors import HubUnreachable, InvalidInput, InvalidModel, NotFound


def load(folder: Path | str, **options: Any) -> None:
    load_encoder(EncoderOptions(model=str(folder), **options), device="cpu")


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~nobody-of-this-name/x", "a/b/c"])
def test_a_folder_that_does_not_exist_is_not_found(name: str) -> None:
    with pytest.raises(NotFound, match="no model folder"):
        find_model(name)


@pytest.mark.parametrize(
    "name", ["-bad-/x..y", "two words", "x" * 300, "a\0b"], ids=["dots", "space", "long", "NUL"]
)
def test_a_name_that_no_hub_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="neither a folder nor a hub id"):
        find_model(name)


def test_an_unknown_hub_id_offline_says_that_a_folder_helps() -> None:
    with pytest.raises(HubUnreachable) as caught:
        find_model("nobody/nothing")
    assert "nobody/nothing" in caught.value.what
    assert caught.value.fix.startswith("--model FOLDER")


@pytest.mark.parametrize(
    "revision", [None, "main", "0" * 39, "0" * 41, "G" * 40, "A" * 40, "0" * 40 + "\n"], ids=repr
)
@pytest.mark.parametrize("name", ["org/name", "all-MiniLM-L6-v2"])
def test_remote_code_is_run_only_at_a_commit(name: str, revision: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        find_model(name, revision, trust_remote_code=True)
    assert "--model-revision COMMIT" in caught.value.fix


def test_code_of_a_folder_needs_no_commit(tiny_bert: Path) -> None:
    assert find_model(str(tiny_bert), trust_remote_code=True).folder == tiny_bert.resolve()


@pytest.mark.parametrize("trust_remote_code", [False, True])
def test_a_revision_of_a_folder_is_refused(tiny_bert: Path, trust_remote_code: bool) -> None:
    with pytest.raises(InvalidInput, match="is a folder and has no revisions") as caught:
        find_model(str(tiny_bert), "0" * 40, trust_remote_code=trust_remote_code)
    assert caught.value.fix == "leave out --model-revision"


def test_code_of_a_model_is_not_run_unasked(bert: Path) -> None:
    edit_json(bert / "config.json", model_type="own", auto_map={"AutoConfig": "own.C", "AutoModel": "own.M"})
    (bert / "own.py").write_text("raise SystemExit('this code was run')")
    with pytest.raises(InvalidModel, match="cannot be loaded"):
        load(bert)


def remove_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def pickle_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def remove_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        pytest.param(remove_config, "no config.json", id="no config.json"),
        pytest.param(pickle_weights, "pytorch_model.bin", id="pickled weights"),
        pytest.param(remove_weights, "no weights", id="no weights"),
        pytest.param(remove_tokenizer, "no tokenizer", id="no tokenizer"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused_with_its_name(
    bert: Path, damage: Callable[[Path], None], named: str
) -> None:
    damage(bert)
    with pytest.raises(InvalidModel, match=named):
        find_model(str(bert))


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]"], ids=["cut", "not UTF-8", "a list"])
def test_a_broken_configuration_is_named(bert: Path, name: str, content: bytes) -> None:
    (bert / name).write_bytes(content)
    with pytest.raises(InvalidModel) as caught:
        load(bert)
    assert name in caught.value.what


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"model_type": "no-such-type"}, id="unknown type"),
        pytest.param({"model_type": None}, id="no type"),
        pytest.param({"hidden_size": "wide"}, id="a word for a number"),
        pytest.param({"num_attention_heads": 5}, id="heads that do not divide"),
        pytest.param({"vocab_size": 5}, id="another vocabulary"),
        pytest.param({"quantization_config": {"quant_method": "gptq", "bits": 4}}, id="another library"),
    ],
)
def test_a_configuration_that_transformers_cannot_use_is_refused(bert: Path, changes: dict[str, Any]) -> None:
    edit_json(bert / "config.json", **changes)
    with pytest.raises(InvalidModel) as caught:
        load(bert)
    assert caught.value.why


def cut(content: bytes) -> bytes:
    return content[:-100]


@pytest.mark.parametrize(
    "damage",
    [cut, lambda content: b"", lambda content: content[:50], lambda content: b"x" * 4096],
    ids=["cut", "empty", "half a header", "noise"],
)
def test_corrupt_weights_are_refused(bert: Path, damage: Callable[[bytes], bytes]) -> None:
    path = bert / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InvalidModel, match="cannot be loaded"):
        load(bert)


def drop_tensors(folder: Path, prefix: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def test_weights_that_would_leave_random_numbers_are_refused(bert: Path) -> None:
    drop_tensors(bert, "encoder.layer.1.output.dense")
    with pytest.raises(InvalidModel, match=r"2 tensors are missing, encoder\.layer\.1\.output"):
        load(bert)


def test_a_missing_pooler_is_no_loss(bert: Path) -> None:
    drop_tensors(bert, "pooler.")
    load(bert)


TOKENIZERS = {
    "cut": "{",
    "empty object": "{}",
    "list": "[]",
    "format of a later release": json.dumps({"version": "9", "added_tokens": [], "model": {"type": "Later"}}),
}


@pytest.mark.parametrize("content", TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_tokenizer_that_cannot_be_read_is_refused(bert: Path, content: str) -> None:
    (bert / "tokenizer.json").write_text(content)
    with pytest.raises(InvalidModel, match="tokenizer of"):
        load(bert)


def test_an_encoder_decoder_is_refused(bert: Path) -> None:
    sizes = {"d_model": 16, "d_ff": 16, "d_kv": 8, "num_layers": 1, "num_heads": 2}
    T5Model(T5Config(vocab_size=200, **sizes)).save_pretrained(bert)
    with pytest.raises(InvalidModel, match="encoder-decoder"):
        load(bert)


def test_a_model_of_texts_and_images_is_refused(distilbert: Path) -> None:
    part = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    CLIPModel(CLIPConfig(text_config=part, vision_config=part)).save_pretrained(distilbert)
    with pytest.raises(InvalidModel, match="no text encoder"):
        load(distilbert)


@pytest.mark.parametrize("device", ["nonsense", "", "cpu:x", "xla", "cuda:99"])
def test_a_device_that_this_machine_lacks_is_refused(tiny_bert: Path, device: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_encoder(str(tiny_bert), device=device)
    assert caught.value.fix == "--device auto"


@pytest.mark.parametrize("token_budget", [0, -1])
def test_a_token_budget_that_holds_no_text_is_refused(tiny_bert: Path, token_budget: int) -> None:
    with pytest.raises(InvalidInput, match="holds no text") as caught:
        load_encoder(str(tiny_bert), token_budget=token_budget)
    assert caught.value.fix == "token_budget=1024"
