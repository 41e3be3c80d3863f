"""The torch encoder equals a loop over single texts, however it cuts and orders its batches."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_helpers import FLOAT32_TOLERANCE, edit_json, loop_embeddings, make_texts
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2Model,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
)

import embstore.encode.torch_encoder as module
from embstore.encode import EncoderOptions, TorchEncoder, forward, load_encoder
from embstore.errors import InvalidInput
from embstore.records import TextEncoder
from tiny_models import make_tokenizer

TEXTS = [*make_texts(40), "", "a", "cat " * 90]


def load(folder: Path, token_budget: int | None = None, **options: object) -> TorchEncoder:
    chosen = EncoderOptions(model=str(folder), **options)  # type: ignore[arg-type]
    return load_encoder(chosen, device="cpu", token_budget=token_budget)


def load_padded(folder: Path, token_budget: int | None = None) -> TorchEncoder:
    """Load the encoder that runs transformers' own model, whatever this machine has besides."""
    encoder = load(folder, token_budget)
    encoder.forward = forward.PaddedForward(encoder.model, "mean", normalize=True)
    return encoder


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note of each batch whether a mask was passed."""
    seen: list[bool] = []

    def pool(states: torch.Tensor, mask: torch.Tensor | None, *args: str, **named: bool) -> torch.Tensor:
        seen.append(mask is not None)
        return original(states, mask, *args, **named)

    original = forward.pool
    monkeypatch.setattr(forward, "pool", pool)
    return seen


@pytest.mark.parametrize("token_budget", [1, 64, 1024])
@pytest.mark.parametrize("normalize", [False, True], ids=["raw", "unit"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_embeddings_equal_a_loop_over_single_texts(
    tiny_distilbert: Path, pooling: str, normalize: bool, token_budget: int
) -> None:
    encoder = load(tiny_distilbert, token_budget, pooling=pooling, normalize=normalize)
    expected = loop_embeddings(tiny_distilbert, TEXTS, pooling=pooling, normalize=normalize)
    np.testing.assert_allclose(encoder.encode(TEXTS).embeddings, expected, rtol=0, atol=FLOAT32_TOLERANCE)


def test_mixed_lengths_are_masked_and_equal_the_loop(tiny_bert: Path, masks: list[bool]) -> None:
    texts = ["a", "a cat", "a cat sat", "a cat sat on"]
    expected = loop_embeddings(tiny_bert, texts, pooling="mean", normalize=True)
    encoder = load_padded(tiny_bert, 1024)
    masks.clear()
    found = encoder.encode(texts).embeddings
    assert masks == [True]
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32_TOLERANCE)


def test_one_exact_length_is_not_masked_and_equals_the_loop(tiny_bert: Path, masks: list[bool]) -> None:
    texts = ["a cat", "the mat", "why it", "i feel"]
    expected = loop_embeddings(tiny_bert, texts, pooling="mean", normalize=True)
    encoder = load_padded(tiny_bert, 1024)
    masks.clear()
    found = encoder.encode(texts).embeddings
    assert masks == [False]
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32_TOLERANCE)


def test_the_order_of_the_texts_is_the_order_of_the_embeddings(tiny_bert: Path) -> None:
    encoder, texts = load(tiny_bert, 64), make_texts(30, seed=1)
    order = random.Random(2).sample(range(30), 30)
    shuffled = encoder.encode([texts[i] for i in order]).embeddings
    expected = encoder.encode(texts).embeddings[order]
    np.testing.assert_allclose(shuffled, expected, rtol=0, atol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("slice_size", [1, 7, 20, 21, 64])
def test_slices_change_neither_order_nor_flags(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, slice_size: int
) -> None:
    texts = [*make_texts(20), "cat " * 90]
    whole = load(tiny_bert).encode(texts)
    monkeypatch.setattr(module, "SLICE_SIZE", slice_size)
    sliced = load(tiny_bert).encode(texts)
    np.testing.assert_allclose(sliced.embeddings, whole.embeddings, rtol=0, atol=FLOAT32_TOLERANCE)
    assert sliced.truncated.tolist() == whole.truncated.tolist()


@pytest.mark.parametrize("max_length", [3, 9, 64])
def test_truncation_is_flagged_exactly_where_the_tokenizer_cut(tiny_bert: Path, max_length: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    cut = [len(tokenizer(text)["input_ids"]) > max_length for text in TEXTS]
    assert load(tiny_bert, max_length=max_length).encode(TEXTS).truncated.tolist() == cut


def test_a_truncated_text_equals_the_loop_over_its_first_tokens(tiny_bert: Path) -> None:
    expected = loop_embeddings(tiny_bert, TEXTS, pooling="mean", normalize=True, max_length=9)
    found = load(tiny_bert, max_length=9).encode(TEXTS).embeddings
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32_TOLERANCE)


def test_no_texts_give_an_empty_matrix(tiny_bert: Path) -> None:
    encoded = load(tiny_bert).encode([])
    assert (encoded.embeddings.shape, encoded.truncated.shape, encoded.errors) == ((0, 32), (0,), {})


def test_one_bare_text_is_refused(tiny_bert: Path) -> None:
    with pytest.raises(InvalidInput, match="one str"):
        load(tiny_bert).encode("a cat sat")


@pytest.mark.parametrize("kind", [list, tuple, np.array], ids=["list", "tuple", "array"])
def test_any_sequence_of_texts_is_embedded(tiny_bert: Path, kind: type) -> None:
    assert load(tiny_bert).encode(kind(["a cat", "a"])).embeddings.shape == (2, 32)


def test_a_prompt_is_put_before_each_text(tiny_bert: Path) -> None:
    prompted = load(tiny_bert, prompt="why is ").encode(["it", "this"]).embeddings
    plain = load(tiny_bert).encode(["why is it", "why is this"]).embeddings
    np.testing.assert_array_equal(prompted, plain)


def test_a_declared_lower_case_is_applied(distilbert: Path) -> None:
    path = distilbert / "tokenizer.json"
    path.write_text(path.read_text().replace('"lowercase": true', '"lowercase": false'))
    edit_json(distilbert / "sentence_bert_config.json", do_lower_case=True)
    upper, lower = load(distilbert).encode(["WHY Is", "why is"]).embeddings
    np.testing.assert_array_equal(upper, lower)


def test_a_torch_encoder_is_a_text_encoder(tiny_bert: Path) -> None:
    encoder: TextEncoder = load(tiny_bert)
    assert (encoder.dim, len(encoder.fingerprint)) == (32, 64)
    assert encoder.encode(["a"]).embeddings.dtype == np.float32


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_low_precision_stays_within_a_cosine_of_0_999(tiny_bert: Path, dtype: str) -> None:
    # bfloat16 keeps 8 bits of a number; the tiny model measures 0.9999.
    reference = load(tiny_bert).encode(TEXTS).embeddings
    fast = load(tiny_bert, dtype=dtype).encode(TEXTS).embeddings
    assert fast.dtype == np.float32
    assert (reference * fast).sum(axis=1).min() > 0.999


def make_architecture(folder: Path, kind: str) -> None:
    """Save a tiny model that pads or counts positions in its own way."""
    make_tokenizer(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    if kind == "gpt2":
        GPT2Model(GPT2Config(vocab_size=200, n_positions=32, n_embd=32, n_layer=2, n_head=2)).save_pretrained(
            folder
        )
    elif kind == "roberta":
        RobertaModel(RobertaConfig(vocab_size=200, max_position_embeddings=34, **sizes)).save_pretrained(
            folder
        )
    else:
        MPNetModel(MPNetConfig(vocab_size=200, max_position_embeddings=34, **sizes)).save_pretrained(folder)


@pytest.mark.parametrize("kind", ["gpt2", "roberta", "mpnet"])
def test_other_architectures_equal_the_loop_up_to_their_last_position(tmp_path: Path, kind: str) -> None:
    make_architecture(tmp_path, kind)
    encoder = load(tmp_path, 512, pooling="mean")
    assert encoder.config["max_length"] == 32
    encoded = encoder.encode(TEXTS)
    expected = loop_embeddings(tmp_path, TEXTS, pooling="mean", max_length=32)
    assert encoded.errors == {}
    np.testing.assert_allclose(encoded.embeddings, expected, rtol=0, atol=FLOAT32_TOLERANCE)


class NoPadding:
    """A configuration that lacks the padding token, as some models' own classes do."""

    def __init__(self, config: object) -> None:
        self._config = config

    def __getattr__(self, name: str) -> object:
        if name == "pad_token_id":
            raise AttributeError(name)
        return getattr(self._config, name)


def test_a_model_without_a_padding_token_is_padded_with_zeros(tiny_bert: Path) -> None:
    encoder, texts = load_padded(tiny_bert), ["a cat", "a cat sat on a mat"]
    expected = encoder.encode(texts).embeddings
    encoder.model.config = NoPadding(encoder.model.config)
    np.testing.assert_array_equal(encoder.encode(texts).embeddings, expected)
