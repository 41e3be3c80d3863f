"""Which labels are wrong: confident learning over probabilities of models that did not see the record.

Counting follows Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels"
(Journal of Artificial Intelligence Research 70, 2021); ranking is by the out-of-fold loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embstore.errors import InvalidData, InvalidInput
from embstore.records import Codes, Mask, Probabilities, Similarities

# Keeps the logarithm of a probability of 0 finite.
_LEAST = 1e-12
# Scaled to this, the median absolute deviation of a normal distribution is its standard deviation.
_MAD_TO_DEVIATION = 1.4826


@dataclass(frozen=True)
class ConfidentJoint:
    """How often records of each label look confidently like each class.

    Parameters
    ----------
    thresholds : ndarray of shape (n_classes,), float64
        Of class j: the mean probability of j over the records labelled j; NaN where no record is.
    counts : ndarray of shape (n_classes, n_classes), int64
        ``counts[i, j]`` records labelled i whose largest probability among the classes at or above their
        threshold is j's. A record that reaches no threshold is not counted.
    scaled : ndarray of the same shape, float64
        Rows of ``counts`` scaled to sum to the number of records of each label.
    """

    thresholds: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    scaled: npt.NDArray[np.float64]

    @property
    def n_errors(self) -> int:
        """Estimated number of wrong labels: what of ``scaled`` lies off its diagonal, rounded."""
        return round(float(self.scaled.sum() - np.trace(self.scaled)))


def confident_joint(codes: Codes, probabilities: Probabilities) -> ConfidentJoint:
    """Count label errors by confident learning.

    Parameters
    ----------
    codes : ndarray of shape (n,), int64
        Column of each record's label.
    probabilities : ndarray of shape (n, n_classes), float64
        Of models that did not learn from the record.

    Raises
    ------
    InvalidInput
        Shapes that do not fit, codes that are no columns, or probabilities that are not finite.
    """
    _check(codes, probabilities)
    n_classes = probabilities.shape[1]
    own = probabilities[np.arange(len(codes)), codes]
    sizes = np.bincount(codes, minlength=n_classes)
    sums = np.bincount(codes, weights=own, minlength=n_classes)
    thresholds = np.divide(sums, sizes, out=np.full(n_classes, np.nan), where=sizes > 0)
    # A rounding error must not keep a probability that is the threshold below it.
    reached = probabilities >= thresholds - 1e-6
    confident = reached.any(axis=1)
    looks = np.where(reached, probabilities, -1.0).argmax(axis=1)
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (codes[confident], looks[confident]), 1)
    totals = counts.sum(axis=1, keepdims=True)
    scaled = np.divide(
        counts * sizes[:, np.newaxis], totals, out=np.diag(sizes).astype(float), where=totals > 0
    )
    return ConfidentJoint(thresholds, counts, scaled)


def rank_by_loss(
    codes: Codes, probabilities: Probabilities
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return positions, most suspicious first, and the out-of-fold loss of each record, in nats.

    The loss is minus the logarithm of the probability of the record's label; equal losses by position.
    """
    _check(codes, probabilities)
    losses = -np.log(np.maximum(probabilities[np.arange(len(codes)), codes], _LEAST))
    return np.argsort(-losses, kind="stable"), losses


def suspects(codes: Codes, probabilities: Probabilities) -> npt.NDArray[np.int64]:
    """Return positions of the likely label errors, most suspicious first.

    They are as many as `confident_joint` counts, in the order of `rank_by_loss`, of the records whose most
    probable class is not their label.
    """
    n_errors = confident_joint(codes, probabilities).n_errors
    order, _ = rank_by_loss(codes, probabilities)
    other = probabilities.argmax(axis=1)[order] != codes[order]
    found: npt.NDArray[np.int64] = order[other][:n_errors]
    return found


def blend(parts: Sequence[Probabilities]) -> Probabilities:
    """Return the normalized geometric mean of several models' probabilities, each (n, n_classes)."""
    logs = np.mean([np.log(np.maximum(part, _LEAST)) for part in parts], axis=0)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def outliers(similarities: Similarities, *, deviations: float) -> tuple[Mask, npt.NDArray[np.float64]]:
    """Tell which records are far from all others.

    Parameters
    ----------
    similarities : ndarray of shape (n, k), float32
        Cosines of each record's nearest others.
    deviations : float
        A record is an outlier where the mean of its row is so many robust standard deviations (1.4826 times
        the median absolute deviation) below the median of all.

    Returns
    -------
    flags : ndarray of shape (n,), bool
    means : ndarray of shape (n,), float64
        Mean similarity of each record to its neighbors.
    """
    if not similarities.size:
        raise InvalidData("There are no neighbors to tell outliers by.", why="The store has one record.")
    means = similarities.mean(axis=1, dtype=np.float64)
    middle = float(np.median(means))
    spread = _MAD_TO_DEVIATION * float(np.median(np.abs(means - middle)))
    return means < middle - deviations * max(spread, 1e-6), means


def _check(codes: Codes, probabilities: Probabilities) -> None:
    if probabilities.ndim != 2 or codes.shape != probabilities.shape[:1] or not len(codes):
        raise InvalidInput(
            f"Labels of shape {codes.shape} and probabilities of shape {probabilities.shape} do not fit.",
            why="They are (n,) and (n, n_classes) of the same n of at least 1.",
        )
    if not 0 <= codes.min() <= codes.max() < probabilities.shape[1]:
        raise InvalidInput(
            f"Labels are {codes.min()} to {codes.max()}.", why=f"There are {probabilities.shape[1]} columns."
        )
    if not np.isfinite(probabilities).all():
        bad = int(np.flatnonzero(~np.isfinite(probabilities).all(axis=1))[0])
        raise InvalidInput(f"The probabilities of record {bad} are NaN or infinite.")
