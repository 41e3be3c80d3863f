"""A text on which the model fails is named alone; everything else still comes out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoder_helpers import FLOAT32_TOLERANCE, make_texts
from transformers import AutoTokenizer

import embstore.encode.torch_encoder as module
from embstore.encode import TorchEncoder, load_encoder
from embstore.encode.forward import PaddedForward

TEXTS = [*make_texts(30, longest=20), "a cat", "angry cat", "a mat", "the train was late"]
BAD = [i for i, text in enumerate(TEXTS) if "angry" in text.split()]
OUT_OF_MEMORY = [
    pytest.param(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), id="torch"),
    pytest.param(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), id="CPU"),
    pytest.param(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), id="cuBLAS"),
    pytest.param(RuntimeError("MPS backend out of memory"), id="MPS"),
    pytest.param(MemoryError(), id="Python"),
]

Forward = Callable[..., Any]
Break = Callable[[Forward], None]


@pytest.fixture
def encoder(tiny_bert: Path) -> TorchEncoder:
    """Return an encoder that runs transformers' own model, which the tests break."""
    found = load_encoder(str(tiny_bert), device="cpu", token_budget=1024)
    found.forward = PaddedForward(found.model, "mean", normalize=True)
    return found


@pytest.fixture
def good(tiny_bert: Path) -> np.ndarray:
    """Return the embeddings of an encoder that never fails."""
    return load_encoder(str(tiny_bert), device="cpu").encode(TEXTS).embeddings


@pytest.fixture
def angry(tiny_bert: Path) -> int:
    """Return the token on which the broken models below fail."""
    return int(AutoTokenizer.from_pretrained(tiny_bert).convert_tokens_to_ids("angry"))


@pytest.fixture
def break_model(encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch) -> Break:
    """Put a function between the encoder and its model."""
    forward = encoder.model.forward

    def replace(broken: Forward) -> None:
        monkeypatch.setattr(encoder.model, "forward", lambda **named: broken(forward, **named))

    return replace


def fail_on(token: int, error: BaseException) -> Forward:
    """Return a forward pass that raises where a token is in the batch."""

    def broken(forward: Forward, **named: Any) -> Any:
        if (named["input_ids"] == token).any():
            raise error
        return forward(**named)

    return broken


def fail_above(n_tokens: int, error: BaseException) -> Forward:
    """Return a forward pass that raises where a batch has more tokens."""

    def broken(forward: Forward, **named: Any) -> Any:
        if named["input_ids"].numel() > n_tokens:
            raise error
        return forward(**named)

    return broken


def set_states(token: int, value: float) -> Forward:
    """Return a forward pass whose states have one value for each text that holds a token."""

    def broken(forward: Forward, **named: Any) -> Any:
        output = forward(**named)
        output.last_hidden_state[(named["input_ids"] == token).any(dim=1)] = value
        return output

    return broken


def check_the_rest(encoder: TorchEncoder, good: np.ndarray, message: str) -> None:
    """Expect exactly the bad texts in ``errors`` and all others as a sound encoder embeds them."""
    encoded = encoder.encode(TEXTS)
    assert sorted(encoded.errors) == BAD
    assert all(re.search(message, error) for error in encoded.errors.values())
    rest = np.setdiff1d(np.arange(len(TEXTS)), BAD)
    np.testing.assert_allclose(encoded.embeddings[rest], good[rest], rtol=0, atol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["NaN", "infinity"])
def test_a_text_whose_states_are_not_finite_is_named_alone(
    encoder: TorchEncoder, good: np.ndarray, angry: int, break_model: Break, value: float
) -> None:
    break_model(set_states(angry, value))
    check_the_rest(encoder, good, "NaN or infinity")


def test_a_text_whose_embedding_is_all_zeros_is_named_alone(
    encoder: TorchEncoder, good: np.ndarray, angry: int, break_model: Break
) -> None:
    break_model(set_states(angry, 0.0))
    check_the_rest(encoder, good, "all zeros")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(
            RuntimeError("no kernel\nsecond line"), "^the model failed: no kernel$", id="RuntimeError"
        ),
        pytest.param(IndexError("index out of range in self"), "index out of range", id="IndexError"),
        pytest.param(ValueError(""), "^the model failed: ValueError$", id="no message"),
        pytest.param(MemoryError(), "^the model failed: MemoryError$", id="MemoryError"),
    ],
)
def test_a_text_on_which_the_model_raises_is_named_alone(
    encoder: TorchEncoder,
    good: np.ndarray,
    angry: int,
    break_model: Break,
    error: Exception,
    message: str,
) -> None:
    break_model(fail_on(angry, error))
    check_the_rest(encoder, good, message)


def test_positions_of_failures_count_over_all_slices(
    encoder: TorchEncoder,
    good: np.ndarray,
    angry: int,
    break_model: Break,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_model(fail_on(angry, RuntimeError("no kernel")))
    monkeypatch.setattr(module, "SLICE_SIZE", 5)
    check_the_rest(encoder, good, "no kernel")


def test_a_failure_that_is_not_about_memory_keeps_the_budget(
    encoder: TorchEncoder, angry: int, break_model: Break
) -> None:
    break_model(fail_on(angry, RuntimeError("no kernel")))
    encoder.encode(TEXTS)
    assert encoder._token_budget == 1024


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_loses_no_text(
    encoder: TorchEncoder, good: np.ndarray, break_model: Break, error: Exception
) -> None:
    break_model(fail_above(100, error))
    encoded = encoder.encode(TEXTS)
    assert encoded.errors == {}
    np.testing.assert_allclose(encoded.embeddings, good, rtol=0, atol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_halves_the_budget_once_and_not_for_every_batch_of_the_plan(
    encoder: TorchEncoder, break_model: Break, error: Exception
) -> None:
    break_model(fail_above(600, error))
    encoder.encode(["cat " * 30] * 128)  # planned as four batches of 32 x 32 tokens
    assert encoder._token_budget == 512


def test_out_of_memory_is_logged_with_the_new_budget(
    encoder: TorchEncoder, break_model: Break, caplog: pytest.LogCaptureFixture
) -> None:
    break_model(fail_above(600, MemoryError()))
    encoder.encode(["cat " * 30] * 32)
    assert "Out of memory with 32 texts; going on with batches of 512 tokens." in caplog.text


@pytest.mark.parametrize("error", [TypeError("bug"), KeyError("bug"), KeyboardInterrupt()], ids=repr)
def test_an_error_of_an_unexpected_type_is_not_swallowed(
    encoder: TorchEncoder, break_model: Break, error: BaseException
) -> None:
    break_model(fail_above(0, error))
    with pytest.raises(type(error)):
        encoder.encode(TEXTS)
