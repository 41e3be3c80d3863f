"""The logistic head: multinomial logistic regression on standardized embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from embstore.errors import InvalidInput
from embstore.learn.calibration import HeldOut, fit_temperature
from embstore.learn.scorers import LinearScorer, softmax
from embstore.records import Codes, Embeddings, Mask, Probabilities

#: Strengths that are tried, strongest regularization first: each fit begins where the one before ended.
PATH = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Folds of the cross-validation where there is no validation data.
FOLDS = 3
# The path ends once this many strengths in a row were no better than the best.
_PATIENCE = 2
# The logit of a class that the fit did not see.
_IMPOSSIBLE = -1e9
# A feature that varies less than this, beside the one that varies most, is a constant with rounding errors.
_CONSTANT = 1e-6
# Training embeddings of more floats than this, 64 MB, are multiplied by all threads.
_LARGE = 1 << 24


class LogisticHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multinomial logistic regression on standardized embeddings, its strength chosen on held-out data.

    Parameters
    ----------
    C : float, optional
        Inverse strength of the L2 penalty, positive, as in scikit-learn. None chooses from 0.003 to 1.
    class_weight : {'balanced'}, dict or None
        ``balanced`` weighs each class by the inverse of its frequency; a dict gives weights by class.
    tol : float
        Tolerance of the solver (L-BFGS), as in scikit-learn.
    random_state : int
        Shuffles the folds where there is no validation data.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class names, ascending.
    C_ : float
        The strength that was chosen.
    scorer_ : LinearScorer
        What serving needs: weights and bias with the scaling folded in. Its ``classes`` are str.
    held_out_ : HeldOut
        What was said of the validation data, or of each fold by a fit of the others.

    Notes
    -----
    The strength with the best held-out accuracy is taken; among equals the stronger penalty. The fit is on
    the training data alone, so the validation data stays held out for calibration. With 2 classes it is
    scikit-learn's binary problem.
    """

    def __init__(
        self,
        C: float | None = None,
        class_weight: str | dict[Any, float] | None = None,
        tol: float = 1e-4,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any, *, validation: tuple[Any, Any] | None = None) -> LogisticHead:
        """Fit, choosing C, and calibrate.

        Parameters
        ----------
        X : array of shape (n, dim)
            Training embeddings.
        y : array of shape (n,)
            Their classes.
        validation : (X, y), optional
            Held-out embeddings and classes that C is chosen on; a class that ``y`` lacks counts as wrong. By
            default stratified cross-validation of the training data.

        Raises
        ------
        InvalidInput
            ``C`` is not positive, or ``class_weight`` is unknown.
        ValueError
            Arrays that scikit-learn refuses, of ``validation`` too: NaN, other lengths, no rows, one class.
        """
        self._check_options()
        X, y = validate_data(self, X, y, dtype=np.float32, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("A classifier needs 2 classes; the data has one class only.")
        mean, scale = X.mean(axis=0, dtype=np.float64), _scale(X)
        Z = ((X - mean) / scale).astype(np.float32)
        names = tuple(map(str, self.classes_))
        with _threads(X.size):
            if validation is None:
                self.C_, logits, held_codes = self._cross_validate(Z, codes)
                model = self._polished(_fit_quietly(self._model(self.C_), Z, codes), Z, codes)
            else:
                given, held_labels = validate_data(self, *validation, dtype=np.float32, reset=False)
                held = ((given - mean) / scale).astype(np.float32)
                held_codes = _codes_of(held_labels, self.classes_)
                chosen, self.C_ = self._along_path(Z, codes, held, held_codes)
                model = self._polished(chosen, Z, codes)
                logits = _logits(model, held)
        weights, bias = _unscaled(model, mean, scale)
        temperature = fit_temperature(logits, held_codes)
        self.scorer_ = LinearScorer(names, weights, bias, temperature)
        self.held_out_ = HeldOut(softmax(logits / temperature), held_codes)
        self.n_iter_ = int(model.n_iter_.max())
        return self

    def predict_proba(self, X: Any) -> Probabilities:
        """Return calibrated probabilities, (n, n_classes), of embeddings of shape (n, dim)."""
        check_is_fitted(self, "scorer_")
        return self.scorer_.probabilities(validate_data(self, X, dtype=np.float32, reset=False))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable class of each embedding."""
        probabilities = self.predict_proba(X)
        chosen: npt.NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return chosen

    def _check_options(self) -> None:
        if self.C is not None and not self.C > 0:
            raise InvalidInput(f"C is {self.C}.", why="It is above 0.", fix="C=0.03")
        if not isinstance(self.class_weight, dict) and self.class_weight not in (None, "balanced"):
            raise InvalidInput(f"There are no class weights {self.class_weight!r}.", fix="balanced, or none")

    def _path(self) -> tuple[float, ...]:
        return PATH if self.C is None else (self.C,)

    def _along_path(
        self,
        Z: Embeddings,
        codes: Codes,
        held: Embeddings,
        held_codes: Codes,
    ) -> tuple[LogisticRegression, float]:
        """Return the model of the best held-out accuracy, and its C."""
        best: tuple[float, LogisticRegression | None, float] = (-1.0, None, 0.0)
        waited = 0
        for C, model in self._models(Z, codes):
            accuracy = float((_logits(model, held).argmax(axis=1) == held_codes).mean())
            waited = 0 if accuracy > best[0] else waited + 1
            if accuracy > best[0]:
                best = (accuracy, _copy(model), C)
            if waited == _PATIENCE:
                break
        return best[1], best[2]

    def _models(self, Z: Embeddings, codes: Codes) -> Iterator[tuple[float, LogisticRegression]]:
        """Yield each C with its fit; the same object each time, so that the next begins where it ended."""
        model = self._model(self._path()[0])
        for C in self._path():
            model.C = C
            yield C, _fit_quietly(model, Z, codes)

    def _cross_validate(self, Z: Embeddings, codes: Codes) -> tuple[float, npt.NDArray[np.float64], Codes]:
        """Return the best C, and the logits of the folds' texts by fits that did not see them."""
        parts = list(folds(codes, self.random_state))
        if not parts:
            # No class has two members: nothing can be held out, so the middle of the path and no calibration.
            return self.C or 0.03, np.empty((0, len(self.classes_))), np.empty(0, dtype=np.int64)
        held = np.flatnonzero(np.any(parts, axis=0))
        models = [self._models(Z[~chosen], codes[~chosen]) for chosen in parts]
        best, best_accuracy, best_logits, waited = 0.0, -1.0, np.empty(0), 0
        for C in self._path():
            logits = np.full((len(codes), len(self.classes_)), _IMPOSSIBLE)
            for chosen, fits in zip(parts, models, strict=True):
                _, model = next(fits)
                logits[np.ix_(chosen, model.classes_)] = _logits(model, Z[chosen])
            accuracy = float((logits[held].argmax(axis=1) == codes[held]).mean())
            waited = 0 if accuracy > best_accuracy else waited + 1
            if accuracy > best_accuracy:
                best, best_accuracy, best_logits = C, accuracy, logits[held]
            if waited == _PATIENCE:
                break
        return best, best_logits, codes[held]

    def _polished(self, model: LogisticRegression, Z: Embeddings, codes: Codes) -> LogisticRegression:
        """Go on from a fit in float32 in float64, whose gradients are exact enough to reach the optimum."""
        model.set_params(**self._model(model.C).get_params())
        return _fit_quietly(model, Z.astype(np.float64), codes)

    def _model(self, C: float) -> LogisticRegression:
        weights = self.class_weight
        if isinstance(weights, dict):
            # The model sees positions instead of names.
            weights = {code: weights.get(name, 1.0) for code, name in enumerate(self.classes_)}
        return LogisticRegression(C=C, class_weight=weights, max_iter=1000, tol=self.tol, warm_start=True)


def folds(codes: Codes, seed: int) -> Iterator[Mask]:
    """Yield flags, (n,), of the texts that each fold holds out; a class of one member is never held out."""
    counts = np.bincount(codes)
    several = np.flatnonzero(counts[codes] > 1)
    if not len(several):
        return
    n_folds = int(np.clip(counts[codes[several]].min(), 2, FOLDS))
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for _, held in splitter.split(several, codes[several]):
        chosen = np.zeros(len(codes), dtype=np.bool_)
        chosen[several[held]] = True
        yield chosen


def _threads(size: int) -> AbstractContextManager[Any]:
    """Return what keeps small matrix products on one thread.

    A fit is thousands of them. Where another process needs the processor too, threads wait for each other
    after each: 16,000 x 384 took 1.8 s on one thread and 19 to 88 s on two of a busy machine.
    """
    return nullcontext() if size > _LARGE else threadpool_limits(1, user_api="blas")


def _fit_quietly(model: LogisticRegression, Z: Embeddings, codes: Codes) -> LogisticRegression:
    with warnings.catch_warnings():
        # A fit that stops at its last iteration is good enough to be compared with others.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(Z, codes)


def _copy(model: LogisticRegression) -> LogisticRegression:
    copied = LogisticRegression(C=model.C)
    for name in ("classes_", "coef_", "intercept_", "n_iter_", "n_features_in_"):
        value = getattr(model, name)
        setattr(copied, name, value.copy() if isinstance(value, np.ndarray) else value)
    return copied


def _scale(X: Embeddings) -> npt.NDArray[np.float64]:
    """Return the standard deviation of each feature; 1 of one that is constant."""
    deviations: npt.NDArray[np.float64] = X.std(axis=0, dtype=np.float64)
    return np.where(deviations > _CONSTANT * deviations.max(initial=0.0), deviations, 1.0)


def _logits(model: LogisticRegression, Z: Embeddings) -> npt.NDArray[np.float64]:
    """Return one logit a class, also of a model of two classes, which scikit-learn gives one of."""
    values = np.asarray(Z @ model.coef_.T + model.intercept_, dtype=np.float64)
    return np.hstack([-values / 2, values / 2]) if values.shape[1] == 1 else values


def _unscaled(
    model: LogisticRegression, mean: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return weights and bias for embeddings that are not standardized."""
    weights = model.coef_.astype(np.float64) / scale
    bias = model.intercept_ - weights @ mean
    if len(weights) == 1:
        weights, bias = np.vstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    return np.ascontiguousarray(weights, dtype=np.float32), bias.astype(np.float32)


def _codes_of(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Codes:
    """Return the position of each label among ascending classes; -1 of one that is not there."""
    places = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    return np.where(classes[places] == labels, places, -1)
