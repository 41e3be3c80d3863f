"""How good answers are: scores of class codes and probabilities, with their intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from embstore.records import Codes, Mask, Probabilities

#: Equal-width bins of the calibration error.
BINS = 15
RESAMPLES = 2000
# Resampled matrices are summed up so many at a time, and fewer where they have many classes: 32 MB.
_TOGETHER = 100
_MOST_NUMBERS = 4_000_000
# Quantiles of a 95 % interval.
_TAILS = (0.025, 0.975)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A figure and the interval that a resampling of the texts gives it.

    Parameters
    ----------
    value, low, high : float
        The score, and its 95 % bootstrap interval; no unit, in [0, 1].
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Pair:
    """Two methods on the same texts.

    Parameters
    ----------
    first, second : str
        Names of the methods.
    first_only, second_only : int
        Texts that only the one, only the other has right.
    p_value : float
        Of McNemar's exact test: how likely so uneven a split is between equally good methods.
    difference, low, high : float
        Accuracy of the second less that of the first, and its 95 % bootstrap interval.
    """

    first: str
    second: str
    first_only: int
    second_only: int
    p_value: float
    difference: float
    low: float
    high: float

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def confusion_matrix(true: Codes, predicted: Codes, n_classes: int) -> npt.NDArray[np.int64]:
    """Return counts of shape (n_classes, n_classes): entry [i, j] are texts of class i predicted j."""
    counts = np.bincount(true * n_classes + predicted, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def per_class(matrices: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Return precision, recall and F1, each of shape (..., n_classes); 0 where a class does not occur.

    Parameters
    ----------
    matrices : ndarray of shape (..., n_classes, n_classes)
        Confusion matrices.
    """
    right = np.diagonal(matrices, axis1=-2, axis2=-1).astype(np.float64)
    support, answers = matrices.sum(axis=-1), matrices.sum(axis=-2)
    precision = right / np.maximum(answers, 1)
    recall = right / np.maximum(support, 1)
    return precision, recall, 2 * right / np.maximum(support + answers, 1)


def summary(matrices: npt.NDArray[Any]) -> dict[str, Floats]:
    """Return accuracy, macro-F1 and weighted F1 of confusion matrices, each of shape (...).

    The mean of macro-F1 is over the classes that occur among truths or answers, as scikit-learn's.
    """
    support, answers = matrices.sum(axis=-1), matrices.sum(axis=-2)
    n = support.sum(axis=-1)
    f1 = per_class(matrices)[2]
    occurs = support + answers > 0
    return {
        "accuracy": np.diagonal(matrices, axis1=-2, axis2=-1).sum(axis=-1) / n,
        "macro_f1": f1.sum(axis=-1) / np.maximum(occurs.sum(axis=-1), 1),
        "weighted_f1": (f1 * support).sum(axis=-1) / n,
    }


def calibration_error(probabilities: Probabilities, correct: Mask) -> float:
    """Return the expected calibration error: how far confidence is from accuracy, in [0, 1].

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), float64
        Of each text.
    correct : ndarray of shape (n,), bool
        Whether the most probable class is right.

    References
    ----------
    Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015; with
    15 equal-width bins, each open to the left, as Guo et al., 2017.
    """
    sums = _bin_sums(probabilities, correct)
    return float(np.abs(sums[:, 0] - sums[:, 1]).sum() / len(correct))


def scores(
    true: Codes, predicted: Codes, probabilities: Probabilities, n_classes: int, seed: int = 0
) -> dict[str, Score]:
    """Return accuracy, macro-F1, weighted F1 and calibration error with 95 % intervals.

    Parameters
    ----------
    true, predicted : ndarrays of shape (n,), int64
        Class codes below ``n_classes``.
    probabilities : ndarray of shape (n, n_known), float64
        Of the classes that the method knows.
    n_classes : int
        Classes in all.
    seed : int
        Of the resampling.

    Notes
    -----
    Percentile bootstrap over texts (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993); the
    calibration error's is shifted by its bias (their chapter 10). All but that error depend on the
    confusion matrix alone, so its cells are drawn from a multinomial, which is the same as drawing texts.
    """
    generator = np.random.default_rng(seed)
    matrix = confusion_matrix(true, predicted, n_classes)
    cells = np.flatnonzero(matrix)
    drawn = generator.multinomial(len(true), matrix.ravel()[cells] / len(true), size=RESAMPLES)
    resampled: dict[str, list[Floats]] = {}
    together = min(_TOGETHER, max(1, _MOST_NUMBERS // n_classes**2))
    for start in range(0, RESAMPLES, together):
        part = drawn[start : start + together]
        block = np.zeros((len(part), n_classes * n_classes))
        block[:, cells] = part
        for name, values in summary(block.reshape(-1, n_classes, n_classes)).items():
            resampled.setdefault(name, []).append(values)
    found = {
        name: Score(float(value), *_interval(np.concatenate(resampled[name])))
        for name, value in summary(matrix).items()
    }
    correct = true == predicted
    found["calibration_error"] = Score(
        calibration_error(probabilities, correct), *_calibration_interval(probabilities, correct, generator)
    )
    return found


def compare_pair(first: str, second: str, first_right: Mask, second_right: Mask, seed: int = 0) -> Pair:
    """Compare two methods that answered the same n texts.

    Parameters
    ----------
    first, second : str
        Names.
    first_right, second_right : ndarrays of shape (n,), bool
        Which texts each has right.
    seed : int
        Of the resampling.

    References
    ----------
    McNemar, 1947; exact binomial form as recommended by Dietterich, "Approximate Statistical Tests for
    Comparing Supervised Classification Learning Algorithms", 1998.
    """
    n = len(first_right)
    gained, lost = int((second_right & ~first_right).sum()), int((first_right & ~second_right).sum())
    p_value = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    shares = np.array([gained, lost, n - gained - lost]) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES)
    low, high = _interval((drawn[:, 0] - drawn[:, 1]) / n)
    return Pair(first, second, lost, gained, p_value, (gained - lost) / n, low, high)


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, _TAILS)
    return float(low), float(high)


def _bins(probabilities: Probabilities) -> tuple[Codes, Floats]:
    confidences = probabilities.max(axis=1)
    return np.clip(np.ceil(confidences * BINS).astype(np.int64) - 1, 0, BINS - 1), confidences


def _bin_sums(probabilities: Probabilities, correct: Mask) -> Floats:
    """Return for each bin the sum of confidences and the number of right answers."""
    bins, confidences = _bins(probabilities)
    return np.stack(
        [np.bincount(bins, confidences, BINS), np.bincount(bins, correct.astype(float), BINS)], axis=1
    )


def _calibration_interval(
    probabilities: Probabilities, correct: Mask, generator: np.random.Generator
) -> tuple[float, float]:
    bins, confidences = _bins(probabilities)
    gaps = confidences - correct
    n = len(correct)
    values = np.empty(RESAMPLES // 4)
    for place in range(len(values)):
        chosen = generator.integers(0, n, n)
        values[place] = np.abs(np.bincount(bins[chosen], gaps[chosen], BINS)).sum() / n
    # A mean of absolute gaps: the noise that resampling adds makes it larger, and without this the interval
    # of a well calibrated head would lie above its error.
    bias = values.mean() - calibration_error(probabilities, correct)
    low, high = _interval(np.clip(values - bias, 0.0, 1.0))
    return low, high
