"""Scorers are what their heads say, saved and read again; they are calibrated and know when to abstain."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load, save

from embstore.errors import InvalidData, InvalidInput
from embstore.learn.calibration import NEVER, HeldOut, find_threshold, fit_temperature
from embstore.learn.knn import KNNHead, directions, nearest
from embstore.learn.logistic import LogisticHead
from embstore.learn.scorers import LinearScorer, VoteScorer, scorer_from, smoothed, softmax
from learn.test_knn import clusters


def again(scorer: LinearScorer | VoteScorer) -> LinearScorer | VoteScorer:
    tensors, facts = scorer.saved()
    return scorer_from(load(save(tensors)), facts)


def test_a_saved_logistic_head_says_the_same() -> None:
    X, y = clusters()
    scorer = LogisticHead().fit(X, y).scorer_
    assert np.array_equal(again(scorer).probabilities(X), scorer.probabilities(X))


def test_a_saved_knn_head_says_the_same() -> None:
    X, y = clusters()
    scorer = KNNHead().fit(X, y).scorer_
    near = nearest(directions(X), directions(X), scorer.k)
    assert np.array_equal(again(scorer).probabilities(*near), scorer.probabilities(*near))


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, facts: tensors.pop("weights"),
        lambda tensors, facts: facts.pop("classes"),
        lambda tensors, facts: facts.update(classes=["a"]),
        lambda tensors, facts: facts.update(temperature=0.0),
        lambda tensors, facts: tensors.update(bias=tensors["bias"] * np.nan),
    ],
    ids=["no weights", "no classes", "other classes", "no temperature", "nan"],
)
def test_a_saved_head_that_is_not_whole_is_refused(change) -> None:
    tensors, facts = LogisticHead().fit(*clusters()).scorer_.saved()
    change(tensors, facts)
    with pytest.raises(InvalidData):
        scorer_from(tensors, facts)


def test_smoothing_keeps_shares_a_distribution_and_their_order() -> None:
    shares = np.array([[1.0, 0.0, 0.0], [0.5, 0.3, 0.2]])
    smooth = smoothed(shares, 5)
    np.testing.assert_allclose(smooth.sum(axis=1), 1.0)
    assert (smooth > 0).all()
    assert np.array_equal(np.argsort(-smooth[1]), np.argsort(-shares[1]))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_labels_is_found(temperature: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((20_000, 4)) * 3
    chances = softmax(logits / temperature).cumsum(axis=1)
    codes = (generator.random((len(logits), 1)) > chances).sum(axis=1)
    assert fit_temperature(logits, codes) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("n", [3, 30, 300])
def test_few_texts_that_are_all_answered_right_make_no_oracle(n: int) -> None:
    logits, codes = np.tile([2.0, 0.0, 0.0], (n, 1)), np.zeros(n, dtype=np.int64)
    grid = np.linspace(-4, 4, 80_001)
    # The log loss of n such texts, and the prior: 0 is the logarithm's mean, 1 its deviation.
    losses = n * np.log1p(2 * np.exp(-2 / np.exp(grid))) + grid**2 / 2
    assert fit_temperature(logits, codes) == pytest.approx(np.exp(grid[losses.argmin()]), rel=1e-3)


def held_out(confidences: list[float], right: list[int]) -> HeldOut:
    first = np.array(confidences)
    return HeldOut(np.stack([first, 1 - first], axis=1), 1 - np.array(right))


def test_a_threshold_answers_as_much_as_the_precision_allows() -> None:
    confidences = [0.99 - 0.01 * i for i in range(20)]
    found = find_threshold(held_out(confidences, [1] * 15 + [0] * 5), 0.9)
    assert found.precision == 15 / 16
    assert found.coverage == 16 / 20
    assert found.probability == pytest.approx(0.99 - 0.15)


def test_a_precision_that_cannot_be_reached_abstains_always() -> None:
    assert find_threshold(held_out([0.9] * 20, [0, 1] * 10), 0.9).probability == NEVER


def test_equal_probabilities_are_answered_together_or_not_at_all() -> None:
    assert find_threshold(held_out([0.9] * 20, [1] * 10 + [0] * 10), 0.9).coverage == 0.0


@pytest.mark.parametrize(("precision", "threshold"), [(0.0, 0.0), (0.8, NEVER)])
def test_without_held_out_texts_a_head_answers_all_or_nothing(precision: float, threshold: float) -> None:
    nothing = HeldOut(np.empty((0, 2)), np.empty(0, dtype=np.int64))
    assert find_threshold(nothing, precision).probability == threshold


def test_a_precision_of_zero_answers_everything() -> None:
    assert find_threshold(held_out([0.9, 0.6], [1, 0]), 0.0).probability == 0.0


def test_an_impossible_precision_is_refused() -> None:
    with pytest.raises(InvalidInput):
        find_threshold(held_out([0.9], [1]), 1.5)
