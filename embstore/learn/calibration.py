"""How sure a head may be: temperature scaling and the threshold below which it abstains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from embstore.errors import InvalidInput
from embstore.learn.scorers import softmax
from embstore.records import Codes, Mask, Probabilities

# exp(-4) to exp(4): beyond that a head is a coin or an oracle.
_RANGE = (-4.0, 4.0)
# Deviation of the temperature's logarithm around 0 before any text was seen. A few texts that are all
# answered right would make the head an oracle: on four classes of banking77 and 10 to 100 held-out texts the
# log loss of other texts was 1.5 to 6 times as high without. Where texts are many or hard it changes nothing.
_PRIOR = 1.0
#: Answers that a precision is measured on, at least: of fewer a share says nothing.
LEAST_ANSWERS = 10
#: A threshold that no probability reaches.
NEVER = 2.0


@dataclass(frozen=True)
class HeldOut:
    """What a head said of texts that it was not fitted on.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), float64
        Calibrated.
    codes : ndarray of shape (n,), int64
        True class of each text; a class that the head does not know is -1 and always counts as wrong.
    """

    probabilities: Probabilities
    codes: Codes

    @property
    def correct(self) -> Mask:
        """Whether the most probable class is the true one, shape (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.codes)

    @property
    def accuracy(self) -> float | None:
        """Share of texts that are correct, in [0, 1]; None where there is no text."""
        return float(self.correct.mean()) if len(self.codes) else None


@dataclass(frozen=True)
class Threshold:
    """Where a head begins to answer.

    Parameters
    ----------
    probability : float
        It abstains below; `NEVER` where the wanted precision cannot be reached.
    precision, coverage : float
        Share of its held-out answers that were right, and of held-out texts that it answered; in [0, 1].
    """

    probability: float
    precision: float
    coverage: float


def fit_temperature(logits: npt.NDArray[np.float64], codes: Codes) -> float:
    """Return the most probable temperature, given held-out texts.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes), float64
        Of held-out texts.
    codes : ndarray of shape (n,), int64
        True classes; texts with code -1 are left out.

    Returns
    -------
    float
        Positive, no unit; 1 where there is nothing to fit. Dividing by it never changes which class is first.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017; theirs has no prior.
    """
    known = codes >= 0
    if not known.any():
        return 1.0
    logits, codes = logits[known], codes[known]
    every = np.arange(len(codes))

    def loss(logarithm: float) -> float:
        chances = softmax(logits / np.exp(logarithm))[every, codes]
        prior = (logarithm / _PRIOR) ** 2 / 2
        return float((prior - np.log(np.maximum(chances, 1e-300)).sum()) / len(codes))

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded").x))


def find_threshold(held_out: HeldOut, precision: float) -> Threshold:
    """Return the least probability from which on answers are right often enough.

    Parameters
    ----------
    held_out : HeldOut
        Texts that the head was not fitted on.
    precision : float
        Wanted share of right answers, in [0, 1]; 0 answers everything.

    Returns
    -------
    Threshold
        Of all thresholds that reach the precision on at least ten held-out texts, the one that answers most.

    Raises
    ------
    InvalidInput
        ``precision`` is not in [0, 1].
    """
    check_precision(precision)
    if precision == 0:
        return Threshold(0.0, held_out.accuracy or 0.0, 1.0)
    if not len(held_out.codes):
        return Threshold(NEVER, 0.0, 0.0)
    confidences = held_out.probabilities.max(axis=1)
    order = np.argsort(-confidences, kind="stable")
    sorted_confidences = confidences[order]
    right = np.cumsum(held_out.correct[order]) / np.arange(1, len(order) + 1)
    # Answers of one probability are given together or not at all.
    ends = np.append(sorted_confidences[1:] < sorted_confidences[:-1], True)
    good = np.flatnonzero(ends & (right >= precision) & (np.arange(len(order)) + 1 >= LEAST_ANSWERS))
    if not len(good):
        return Threshold(NEVER, 0.0, 0.0)
    last = int(good[-1])
    return Threshold(float(sorted_confidences[last]), float(right[last]), (last + 1) / len(order))


def check_precision(precision: float) -> None:
    """Refuse a share that cannot be; raises `InvalidInput`."""
    if not 0 <= precision <= 1:
        raise InvalidInput(
            f"A precision of {precision} cannot be.", why="It is 0 to 1.", fix="--precision 0.9"
        )
