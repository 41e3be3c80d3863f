"""The parity gate measures what brute force measures, and opens where neighbors stay the same."""

from __future__ import annotations

import numpy as np
import pytest

from embstore.encode.gate import parity


def embeddings(n: int = 200, dim: int = 16) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)


def overlap_by_sorting(one: np.ndarray, other: np.ndarray) -> float:
    shared = []
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (one, other)]
    for row in range(len(one)):
        nearest = []
        for part in unit:
            similarities = part @ part[row]
            similarities[row] = -2
            nearest.append(set(np.argsort(-similarities)[:10].tolist()))
        shared.append(len(nearest[0] & nearest[1]) / 10)
    return float(np.mean(shared))


def test_equal_embeddings_pass_with_one_and_one() -> None:
    found = parity(embeddings(), 3 * embeddings())
    assert (found.least_cosine, found.overlap) == (pytest.approx(1), 1.0)
    assert found.passes


def test_cosines_and_overlap_equal_brute_force() -> None:
    one = embeddings()
    other = one + 0.1 * np.random.default_rng(1).normal(size=one.shape).astype(np.float32)
    found = parity(one, other)
    cosines = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert found.least_cosine == pytest.approx(cosines.min(), abs=1e-6)
    assert found.mean_cosine == pytest.approx(cosines.mean(), abs=1e-6)
    assert found.overlap == pytest.approx(overlap_by_sorting(one, other), abs=1e-9)
    assert not found.passes
    assert "0.9995" in found.reason


def test_equal_texts_at_the_tenth_place_count_for_both() -> None:
    one = np.repeat(embeddings(4), 20, axis=0)
    assert parity(one, one[:, ::-1].copy()[:, ::-1]).overlap == 1.0


def test_nan_does_not_pass() -> None:
    broken = embeddings()
    broken[3] = np.nan
    assert not parity(embeddings(), broken).passes
    assert not parity(embeddings(), broken).passes_for_heads


@pytest.mark.parametrize(("noise", "passes"), [(0.04, True), (0.1, False)])
def test_the_gate_of_int8_asks_for_the_mean_alone(noise: float, passes: bool) -> None:
    other = embeddings() + noise * np.random.default_rng(1).normal(size=(200, 16)).astype(np.float32)
    found = parity(embeddings(), other)
    assert (found.passes, found.passes_for_heads) == (False, passes)
    assert f"mean cosine {found.mean_cosine:.5f} of 0.998" in found.reason_for_heads
    assert f"{found.overlap:.3f} of the 10 nearest" in found.reason_for_heads


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_few_texts_are_compared_as_far_as_they_go(n: int) -> None:
    assert parity(embeddings(n), embeddings(n)).passes
