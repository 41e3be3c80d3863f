"""The kNN head against NumPy brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from embstore.errors import InvalidInput
from embstore.learn.knn import SHARPNESSES, KNNHead, directions, leave_one_out, nearest


def clusters(n: int = 120, dim: int = 8, n_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    centers = generator.standard_normal((n_classes, dim))
    codes = np.arange(n) % n_classes
    X = centers[codes] + generator.standard_normal((n, dim))
    return X.astype(np.float32), np.array(list("abcdefgh"))[codes]


def brute_force_vote(
    queries: np.ndarray, X: np.ndarray, y: np.ndarray, k: int, sharpness: float | None
) -> list[str]:
    """Vote one query at a time, in plain loops."""
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    answers = []
    for query in queries / np.linalg.norm(queries, axis=1, keepdims=True):
        cosines = (unit * query).sum(axis=1)
        votes: dict[str, float] = {}
        for place in np.argsort(-cosines, kind="stable")[:k]:
            weight = 1.0 if sharpness is None else np.exp(float(cosines[place]) / sharpness)
            votes[y[place]] = votes.get(y[place], 0.0) + weight
        answers.append(max(sorted(votes), key=votes.__getitem__))
    return answers


@parametrize_with_checks([KNNHead()])
def test_the_head_is_a_scikit_learn_estimator(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("sharpness", [None, 0.1])
@pytest.mark.parametrize("k", [1, 5, 17])
def test_predictions_are_those_of_brute_force(k: int, sharpness: float | None) -> None:
    X, y = clusters()
    queries, _ = clusters(40, seed=1)
    weighting = "uniform" if sharpness is None else "similarity"
    head = KNNHead(k=k, weighting=weighting, sharpness=sharpness).fit(X, y)
    assert head.predict(queries).tolist() == brute_force_vote(queries, X, y, k, sharpness)


def test_all_k_at_once_are_each_k_alone() -> None:
    X, y = clusters()
    codes = np.unique(y, return_inverse=True)[1]
    unit = directions(X)
    similarities, positions = nearest(unit, unit, 30, leave_one_out=True)
    found = leave_one_out(similarities, codes[positions], codes, 0.1)
    for k in (1, 7, 30):
        right = 0
        for i in range(len(X)):
            others = np.delete(np.arange(len(X)), i)
            right += brute_force_vote(X[i : i + 1], X[others], y[others], k, 0.1) == [y[i]]
        assert found[k - 1] == right / len(X)


def test_given_neighbors_choose_what_computed_ones_choose() -> None:
    X, y = clusters()
    unit = directions(X)
    neighbors = nearest(unit, unit, 50, leave_one_out=True)
    given_ones, own = KNNHead().fit(X, y, neighbors=neighbors), KNNHead().fit(X, y)
    assert given_ones.scorer_.k == own.scorer_.k
    assert given_ones.scorer_.sharpness == own.scorer_.sharpness
    assert np.array_equal(given_ones.held_out_.probabilities, own.held_out_.probabilities)


def test_the_choice_is_the_best_of_leave_one_out() -> None:
    X, y = clusters(seed=3)
    head = KNNHead().fit(X, y)
    codes = np.unique(y, return_inverse=True)[1]
    unit = directions(X)
    similarities, positions = nearest(unit, unit, 50, leave_one_out=True)
    best = max(leave_one_out(similarities, codes[positions], codes, one).max() for one in SHARPNESSES)
    assert head.held_out_.accuracy == best


def test_nearest_lists_equal_similarities_by_position() -> None:
    same = np.ones((6, 2), dtype=np.float32) / np.sqrt(np.float32(2))
    _, positions = nearest(same[:1], same, 4)
    assert positions.tolist() == [[0, 1, 2, 3]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_and_the_names_of_labels_do_not_matter(seed: int) -> None:
    X, y = clusters(60, seed=seed % 1000)
    queries, _ = clusters(20, seed=seed % 1000 + 1)
    order = np.random.default_rng(seed).permutation(len(X))
    renamed = np.char.add("z", y)
    one = KNNHead(weighting="similarity").fit(X, y).predict_proba(queries)
    other = KNNHead(weighting="similarity").fit(X[order], renamed[order]).predict_proba(queries)
    # float64 sums of the same votes; the cosines are float32.
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_calibration_keeps_the_order_of_classes() -> None:
    X, y = clusters()
    head = KNNHead(k=9).fit(X, y)
    shares = head.scorer_.shares(*nearest(directions(X), directions(X), 9))
    assert np.array_equal(shares.argmax(axis=1), head.predict_proba(X).argmax(axis=1))


@pytest.mark.parametrize("scale", [1e-40, 1e-25, 1e20, 1e37])
def test_the_length_of_embeddings_does_not_matter(scale: float) -> None:
    X, y = clusters()
    X /= 8  # (stays in float32 at the largest scale)
    scaled = X * np.float32(scale)
    said = KNNHead(k=5).fit(scaled, y).predict(scaled)
    assert (said == KNNHead(k=5).fit(X, y).predict(X)).mean() > 0.98


def test_an_embedding_without_a_direction_stays_without() -> None:
    assert directions(np.zeros((1, 3), dtype=np.float32)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 6}, {"weighting": "fair"}, {"sharpness": 0.0}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    X, y = clusters(6)
    with pytest.raises(InvalidInput):
        KNNHead(**options).fit(X, y)


def test_too_many_neighbors_are_told_with_both_numbers() -> None:
    X, y = clusters(6)
    with pytest.raises(InvalidInput, match=r"6 neighbors(.|\n)*1 to 5"):
        KNNHead(k=6).fit(X, y)


def test_a_class_with_one_member_is_learned_and_never_right_when_left_out() -> None:
    X, y = clusters(30)
    y = y.astype(object)
    y[0] = "rare"
    head = KNNHead(k=1).fit(X, y)
    assert head.predict(X[:1]).tolist() == ["rare"]
    assert not head.held_out_.correct[0]
