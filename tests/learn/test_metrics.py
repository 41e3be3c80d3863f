"""Scores against scikit-learn, intervals against plain resampling, tests against sums."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from sklearn import metrics as oracle

from embstore.learn.metrics import (
    BINS,
    calibration_error,
    compare_pair,
    confusion_matrix,
    per_class,
    scores,
    summary,
)


def answers(n: int = 500, n_classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    true = generator.integers(0, n_classes - 1, n)  # the last class is never true
    logits = generator.standard_normal((n, n_classes))
    logits[np.arange(n), true] += 1.5
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return true, chances.argmax(axis=1), chances


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_scikit_learns(seed: int) -> None:
    true, predicted, _ = answers(seed=seed)
    found = summary(confusion_matrix(true, predicted, 5))
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(true, predicted))
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(true, predicted, average="macro"))
    assert found["weighted_f1"] == pytest.approx(oracle.f1_score(true, predicted, average="weighted"))


def test_a_class_that_never_occurs_does_not_count() -> None:
    true, predicted = np.array([0, 0, 1]), np.array([0, 1, 1])
    found = summary(confusion_matrix(true, predicted, 9))
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(true, predicted, average="macro"))


def test_each_class_is_scikit_learns() -> None:
    true, predicted, _ = answers()
    wanted = oracle.precision_recall_fscore_support(true, predicted, labels=range(5), zero_division=0)
    for ours, theirs in zip(per_class(confusion_matrix(true, predicted, 5)), wanted, strict=False):
        np.testing.assert_allclose(ours, theirs)


def test_the_confusion_matrix_is_scikit_learns() -> None:
    true, predicted, _ = answers()
    wanted = oracle.confusion_matrix(true, predicted, labels=range(5))
    assert np.array_equal(confusion_matrix(true, predicted, 5), wanted)


def test_the_calibration_error_is_that_of_a_loop() -> None:
    true, predicted, chances = answers()
    confidences, correct = chances.max(axis=1), true == predicted
    wanted = 0.0
    for bin_ in range(BINS):
        chosen = (confidences > bin_ / BINS) & (confidences <= (bin_ + 1) / BINS)
        if chosen.any():
            wanted += chosen.mean() * abs(confidences[chosen].mean() - correct[chosen].mean())
    assert calibration_error(chances, correct) == pytest.approx(wanted)


def test_intervals_are_those_of_resampled_texts() -> None:
    true, predicted, chances = answers()
    found = scores(true, predicted, chances, 5)
    generator = np.random.default_rng(1)
    drawn = []
    for _ in range(20_000):
        chosen = generator.integers(0, len(true), len(true))
        drawn.append(summary(confusion_matrix(true[chosen], predicted[chosen], 5))["weighted_f1"])
    low, high = np.quantile(drawn, [0.025, 0.975])
    # A quantile of our 2,000 draws of deviation 0.02 is itself uncertain by 0.0012.
    assert found["weighted_f1"].low == pytest.approx(low, abs=0.004)
    assert found["weighted_f1"].high == pytest.approx(high, abs=0.004)


def test_intervals_hold_the_value_and_are_the_same_each_time() -> None:
    found = scores(*answers(), 5)
    assert found == scores(*answers(), 5)
    for one in found.values():
        assert one.low <= one.value <= one.high


def test_many_classes_are_resampled_in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def noted(matrices: np.ndarray) -> dict[str, np.ndarray]:
        sizes.append(matrices.size)
        return summary(matrices)

    monkeypatch.setattr("embstore.learn.metrics.summary", noted)
    generator = np.random.default_rng(6)
    true, predicted = generator.integers(0, 250, (2, 500))
    scores(true, predicted, generator.dirichlet(np.ones(3), 500), 250)
    assert max(sizes) <= 4_000_000


def test_the_size_of_blocks_changes_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(7)
    true, predicted = generator.integers(0, 20, (2, 300))
    chances = generator.dirichlet(np.ones(20), 300)
    wanted = scores(true, predicted, chances, 20)
    for most in (1, 400, 2_900):
        monkeypatch.setattr("embstore.learn.metrics._MOST_NUMBERS", most)
        assert scores(true, predicted, chances, 20) == wanted


def test_the_interval_of_a_well_calibrated_head_is_not_above_its_error() -> None:
    generator = np.random.default_rng(0)
    for _ in range(5):
        first = generator.uniform(0.5, 1, 800)
        chances = np.stack([first, 1 - first], axis=1)
        true = (generator.random(800) > first).astype(np.int64)
        found = scores(true, np.zeros(800, dtype=np.int64), chances, 2)["calibration_error"]
        assert 0 <= found.low <= found.value <= found.high


def test_an_interval_covers_the_truth_about_19_times_in_20() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        right = generator.random(300) < 0.8
        found = compare_pair("a", "b", np.zeros(300, dtype=bool), right, seed)
        covered += found.low <= 0.8 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (7, 3), (40, 60)])
def test_mcnemar_is_the_exact_binomial_sum(gained: int, lost: int) -> None:
    first = np.array([False] * gained + [True] * lost + [True] * 50)
    second = np.array([True] * gained + [False] * lost + [True] * 50)
    found = compare_pair("a", "b", first, second)
    n = gained + lost
    tail = sum(comb(n, i) for i in range(min(gained, lost) + 1)) / 2**n
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))
    assert (found.first_only, found.second_only) == (lost, gained)
    assert found.difference == pytest.approx((gained - lost) / (n + 50))
