"""Which arithmetic a long build takes: the fastest that passes the gate, remembered for this machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_helpers import FLOAT32_TOLERANCE, make_texts

from embstore.encode import EncoderOptions, TorchEncoder, load_encoder, paths
from embstore.encode.batches import plan_packed
from embstore.encode.forward import PaddedForward
from embstore.records import AdaptiveEncoder, Embeddings, Rows

pytestmark = pytest.mark.usefixtures("has_bfloat16")

TEXTS = make_texts(300, seed=3)
IDS = [[one] * (1 + one % 5) for one in range(60)]


class Stub:
    """Embeds by a table, in a chosen time."""

    def __init__(self, name: str, seconds: float, noise: float = 0.0) -> None:
        self.name, self._seconds = name, seconds
        generator = np.random.default_rng(0)
        self._table = generator.normal(size=(60, 16)) + noise * generator.normal(size=(60, 16))

    def plan(self, lengths: Sequence[int], token_budget: int) -> list[Rows]:
        return plan_packed(lengths, token_budget)

    def embed(self, ids: list[list[int]]) -> Embeddings:
        time.sleep(self._seconds * len(ids) / 60)
        return self._table[[one[0] for one in ids]].astype(np.float32)


@pytest.mark.parametrize(
    ("others", "wanted", "why"),
    [
        ([], "exact", "nothing else"),
        ([Stub("fast", 0.001)], "fast", "times as fast"),
        ([Stub("slow", 0.2)], "exact", "nothing else"),
        ([Stub("wrong", 0.001, noise=0.5)], "exact", "wrong failed the gate"),
        ([Stub("wrong", 0.001, noise=0.5), Stub("fast", 0.01)], "fast", "times as fast"),
    ],
    ids=["alone", "faster", "slower", "wrong", "wrong and faster"],
)
def test_the_fastest_path_that_passes_the_gate_is_taken(others: list[Stub], wanted: str, why: str) -> None:
    found = paths.choose([Stub("exact", 0.05), *others], IDS, 64, "cpu")
    assert found.name == wanted
    assert why in found.why
    assert [one.name for one in found.trials] == ["exact", *(one.name for one in others)]


def test_running_a_path_keeps_the_order_of_the_texts() -> None:
    found, _ = paths.run(Stub("exact", 0.0), IDS, 16)
    np.testing.assert_array_equal(found, Stub("exact", 0.0).embed(IDS))


def test_paths_race_in_turns_and_disturbed_rounds_decide_nothing() -> None:
    order: list[str] = []
    spent = {"one": [70.0, 90.0, 1.0], "two": [2.0, 80.0, 2.5]}

    def turn(name: str) -> tuple[Embeddings, float]:
        order.append(name)
        return np.empty((0, 0), dtype=np.float32), spent[name][(len(order) - 1) // 2]

    assert paths.race([lambda: turn("one"), lambda: turn("two")]) == [1.0, 2.0]
    assert order == ["one", "two"] * 3


def test_a_choice_is_remembered_for_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = paths.choose([Stub("exact", 0.001)], IDS, 64, "cpu")
    paths.write_choice("f" * 64, "cpu", choice)
    assert paths.read_choice("f" * 64, "cpu") == choice
    assert paths.read_choice("e" * 64, "cpu") is None
    monkeypatch.setattr(paths, "_processor", lambda: "another")
    assert paths.read_choice("f" * 64, "cpu") is None


def test_a_damaged_memory_is_no_memory() -> None:
    paths.write_choice("f" * 64, "cpu", paths.choose([Stub("exact", 0.001)], IDS, 64, "cpu"))
    paths._file("f" * 64, "cpu").write_text("{")
    assert paths.read_choice("f" * 64, "cpu") is None


def test_a_cache_that_cannot_be_written_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EMBSTORE_CACHE", str(tmp_path / "file"))
    paths.write_choice("f" * 64, "cpu", paths.choose([Stub("exact", 0.001)], IDS, 64, "cpu"))


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let bfloat16 win every trial; return how many texts each trial had."""
    trials: list[int] = []

    def choose(forwards: Sequence[paths.Forward], ids: list[list[int]], *_: object) -> paths.Choice:
        trials.append(len(ids))
        return paths.Choice(forwards[-1].name, 777, "it was told so", ())

    monkeypatch.setattr("embstore.encode.torch_encoder.choose", choose)
    return trials


def load(folder: Path, **options: object) -> TorchEncoder:
    return load_encoder(EncoderOptions(model=str(folder), **options), device="cpu")  # type: ignore[arg-type]


def test_long_work_settles_once_and_the_next_encoder_remembers(tiny_bert: Path, chosen: list[int]) -> None:
    encoder = load(tiny_bert)
    assert isinstance(encoder, AdaptiveEncoder)
    encoder.settle(TEXTS, None)
    encoder.settle(TEXTS, None)
    assert chosen == [300]
    assert encoder.forward.name == "fused bfloat16"
    few = load(tiny_bert)
    few.settle(TEXTS[:3], 3)
    assert few.forward.name == "fused bfloat16"
    assert chosen == [300]


@pytest.mark.parametrize(
    ("n", "expected", "dtype"), [(300, 300, "auto"), (10, None, "auto"), (300, None, "float32")]
)
def test_short_work_and_an_explicit_dtype_are_not_settled(
    tiny_bert: Path, chosen: list[int], n: int, expected: int | None, dtype: str
) -> None:
    encoder = load(tiny_bert, dtype=dtype)
    encoder.settle(TEXTS[:n], expected)
    assert chosen == []
    assert encoder.forward.name == "fused float32"


def test_auto_and_float32_have_one_fingerprint_and_bfloat16_another(tiny_bert: Path) -> None:
    auto, exact, low = (load(tiny_bert, dtype=dtype) for dtype in ("auto", "float32", "bfloat16"))
    assert auto.fingerprint == exact.fingerprint != low.fingerprint
    assert auto.config["dtype"] == "auto"


def test_a_model_that_is_no_bert_is_tried_in_bfloat16_as_it_is(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "read_weights", lambda _: None)
    encoder = load(tiny_bert)
    choice = encoder.try_paths(TEXTS)
    assert [one.name for one in choice.trials] == ["torch float32", "torch bfloat16"]
    assert encoder.model.dtype == torch.float32


def test_a_processor_without_bfloat16_is_not_asked_to_imitate_it(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "low_dtype", lambda: torch.float32)
    choice = load(tiny_bert).try_paths(TEXTS)
    assert [one.name for one in choice.trials] == ["fused float32"]
    assert choice.why == "nothing else is faster here"


class Lost(PaddedForward):
    """A GPU that is gone, or too small, from the third batch on."""

    error = "CUDA error: unspecified launch failure"
    calls = 0

    def embed(self, ids: list[list[int]]) -> Embeddings:
        self.calls += 1
        if self.calls > 2:
            raise RuntimeError(self.error)
        return super().embed(ids)


@pytest.mark.parametrize("error", [Lost.error, "CUDA out of memory. Tried to allocate 2 GiB."])
def test_a_gpu_that_fails_in_the_middle_is_left_for_the_cpu_and_no_text_is_lost(
    tiny_bert: Path, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    sound = load(tiny_bert)
    encoder = TorchEncoder(sound.model, sound._tokenizer, sound._settled, 256, lambda: sound.model)
    encoder.forward = Lost(sound.model, "mean", normalize=True)
    encoder.forward.error = error
    with caplog.at_level(logging.WARNING):
        found = encoder.encode(TEXTS)
    assert found.errors == {}
    assert "going on on the CPU" in caplog.text
    np.testing.assert_allclose(
        found.embeddings, sound.encode(TEXTS).embeddings, rtol=0, atol=FLOAT32_TOLERANCE
    )
