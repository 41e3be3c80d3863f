"""The logistic head against scikit-learn on the same problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info

from embstore.errors import InvalidInput
from embstore.learn import logistic
from embstore.learn.logistic import PATH, LogisticHead


def problem(n: int = 300, n_classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    X, codes = make_classification(
        n, 20, n_informative=8, n_classes=n_classes, class_sep=0.8, random_state=seed, shift=3.0, scale=5.0
    )
    return X.astype(np.float32), np.array(list("abcdefgh"))[codes]


@parametrize_with_checks([LogisticHead()])
def test_the_head_is_a_scikit_learn_estimator(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("C", [0.01, 1.0])
def test_probabilities_are_scikit_learns(n_classes: int, class_weight: str | None, C: float) -> None:
    X, y = problem(n_classes=n_classes)
    head = LogisticHead(C=C, class_weight=class_weight, tol=1e-8).fit(X, y)
    oracle = make_pipeline(
        StandardScaler(), LogisticRegression(C=C, class_weight=class_weight, tol=1e-8, max_iter=5000)
    )
    oracle.fit(X.astype(np.float64), y)
    logits = np.log(oracle.predict_proba(X))
    scaled = np.exp(logits / head.scorer_.temperature)
    # 1e-4: weights are folded and kept in float32.
    np.testing.assert_allclose(head.predict_proba(X), scaled / scaled.sum(axis=1, keepdims=True), atol=1e-4)
    assert np.array_equal(head.predict(X), oracle.predict(X))


def test_the_strength_is_the_best_on_validation_data() -> None:
    X, y = problem(600)
    validation = (X[400:], y[400:])
    head = LogisticHead().fit(X[:400], y[:400], validation=validation)
    scores = [LogisticHead(C=C).fit(X[:400], y[:400], validation=validation).held_out_.accuracy for C in PATH]
    # The path begins each fit where the one before ended, so a text on the border may fall either way.
    assert head.held_out_.accuracy >= max(scores) - 0.011


def test_cross_validation_holds_every_text_out_once() -> None:
    X, y = problem()
    head = LogisticHead().fit(X, y)
    assert head.C_ in PATH
    assert len(head.held_out_.codes) == len(y)
    assert head.held_out_.accuracy < head.score(X, y)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_and_the_names_of_labels_do_not_matter(seed: int) -> None:
    X, y = problem(200, seed=seed % 1000)
    validation = (X[150:], y[150:])
    order = np.random.default_rng(seed).permutation(150)
    one = LogisticHead(C=0.1, tol=1e-8).fit(X[:150], y[:150], validation=validation)
    other = LogisticHead(C=0.1, tol=1e-8).fit(
        X[:150][order], np.char.add("z", y[:150][order]), validation=(X[150:], np.char.add("z", y[150:]))
    )
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-4)


def test_features_that_do_not_vary_change_nothing() -> None:
    X, y = problem()
    # all-MiniLM-L6-v2 has such features: around 1e-33, a deviation of zero in float32.
    constant = np.full((len(X), 2), 1e-33, dtype=np.float32)
    constant[::2] *= 3
    plain = LogisticHead(C=0.1).fit(X, y).predict_proba(X)
    with_them = LogisticHead(C=0.1).fit(np.hstack([X, constant]), y)
    np.testing.assert_allclose(with_them.predict_proba(np.hstack([X, constant])), plain, atol=1e-5)


def test_a_class_with_one_member_is_learned() -> None:
    X, y = problem(100)
    y = y.astype("<U4")
    y[0] = "rare"
    head = LogisticHead().fit(X, y)
    assert "rare" in head.classes_
    assert np.isfinite(head.predict_proba(X)).all()


def test_two_texts_of_two_classes_are_enough_to_fit_and_none_is_held_out() -> None:
    head = LogisticHead().fit(np.eye(2, dtype=np.float32), ["a", "b"])
    assert head.held_out_.probabilities.shape == (0, 2)
    assert head.held_out_.accuracy is None
    assert head.predict(np.eye(2)).tolist() == ["a", "b"]


def test_a_validation_class_that_was_never_learned_counts_as_wrong() -> None:
    X, y = problem(100)
    head = LogisticHead(C=0.1).fit(X, y, validation=(X[:10], np.array(["new"] * 10)))
    assert head.held_out_.accuracy == 0.0
    assert head.scorer_.temperature == 1.0


@pytest.mark.parametrize("options", [{"C": 0.0}, {"class_weight": "fair"}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        LogisticHead(**options).fit(*problem(50))


def test_a_small_fit_keeps_to_one_thread_and_gives_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    seen = []
    fit = logistic._fit_quietly
    monkeypatch.setattr(logistic, "_fit_quietly", lambda *given: seen.append(threads()) or fit(*given))
    before = threads()
    LogisticHead().fit(*problem())
    assert seen
    assert all(one == {1} for one in seen)
    assert threads() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda X, y: (X[:0], y[:0]), "0 sample"),
        (lambda X, y: (X * np.nan, y), "NaN"),
        (lambda X, y: (X[:, :1], y), "1 features"),
        (lambda X, y: (X[1:], y), "inconsistent numbers"),
    ],
    ids=["no rows", "NaN", "another dim", "other lengths"],
)
def test_validation_data_is_checked_as_training_data_is(change: Any, said: str) -> None:
    X, y = problem(40)
    with pytest.raises(ValueError, match=said):
        LogisticHead().fit(X, y, validation=change(X, y))
