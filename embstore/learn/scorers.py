"""What a fitted head leaves for serving: a few arrays and one formula, with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embstore.errors import InvalidData
from embstore.records import Embeddings, Probabilities, Rows, Similarities

Tensors: TypeAlias = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class LinearScorer:
    """A fitted logistic head: one matrix product.

    Parameters
    ----------
    classes : tuple of str
        Class names, ascending.
    weights : ndarray of shape (n_classes, dim), float32
        Scaling of the features folded in.
    bias : ndarray of shape (n_classes,), float32
        Likewise.
    temperature : float
        Divides the logits; above 1 it makes the head less sure. Source: Guo et al., "On Calibration of Modern
        Neural Networks", 2017.
    threshold : float
        The head abstains below this probability.
    """

    classes: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    temperature: float = 1.0
    threshold: float = 0.0

    def logits(self, embeddings: Embeddings) -> npt.NDArray[np.float64]:
        """Return what softmax takes, before the temperature: shape (n, n_classes), float64."""
        return np.asarray(embeddings @ self.weights.T + self.bias, dtype=np.float64)

    def probabilities(self, embeddings: Embeddings) -> Probabilities:
        """Return the calibrated probabilities, (n, n_classes), of embeddings of shape (n, dim), float32."""
        return softmax(self.logits(embeddings) / self.temperature)

    def saved(self) -> tuple[Tensors, dict[str, Any]]:
        """Return arrays and JSON values from which `scorer_from` makes the same scorer."""
        tensors = {"weights": self.weights, "bias": self.bias}
        return tensors, {"kind": "logistic", **_calibration(self)}


@dataclass(frozen=True)
class VoteScorer:
    """A fitted k-nearest-neighbors head: how its neighbors vote.

    Parameters
    ----------
    classes : tuple of str
        Class names, ascending.
    codes : ndarray of shape (n_training,), int32
        Class of each training record, by its position.
    k : int
        Neighbors that vote.
    sharpness : float or None
        A neighbor's vote weighs exp(similarity / sharpness); None gives each the same weight.
    temperature : float
        Divides the logarithms of the smoothed shares of the votes.
    threshold : float
        The head abstains below this probability.
    rows : ndarray of shape (n_training,), int64
        Row in the store of each training record, ascending; empty outside a store.
    """

    classes: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    k: int
    sharpness: float | None = None
    temperature: float = 1.0
    threshold: float = 0.0
    rows: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def shares(self, similarities: Similarities, positions: Rows) -> npt.NDArray[np.float64]:
        """Return each class's share of the votes, (n, n_classes).

        Parameters
        ----------
        similarities : ndarray of shape (n, w), float32
            Cosines of the nearest training records, largest first; the first k are used.
        positions : ndarray of the same shape, int64
            Their positions among the training records.
        """
        near, k = self.codes[positions[:, : self.k]], min(self.k, positions.shape[1])
        votes = vote_weights(similarities[:, :k], self.sharpness)
        shares = np.zeros((len(near), len(self.classes)))
        every = np.arange(len(near))
        for place in range(k):
            shares[every, near[:, place]] += votes[:, place]
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def probabilities(self, similarities: Similarities, positions: Rows) -> Probabilities:
        """Return the calibrated probabilities, (n, n_classes); the parameters are those of `shares`."""
        return softmax(np.log(smoothed(self.shares(similarities, positions), self.k)) / self.temperature)

    def saved(self) -> tuple[Tensors, dict[str, Any]]:
        """Return arrays and JSON values from which `scorer_from` makes the same scorer."""
        facts = {"kind": "knn", "k": self.k, "sharpness": self.sharpness, **_calibration(self)}
        return {"codes": self.codes, "rows": self.rows}, facts


Scorer: TypeAlias = LinearScorer | VoteScorer


def scorer_from(tensors: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> Scorer:
    """Make a scorer of what its ``saved`` returned.

    Raises
    ------
    InvalidData
        A part is missing, or parts do not fit together.
    """
    try:
        classes = tuple(facts["classes"])
        common = {"temperature": float(facts["temperature"]), "threshold": float(facts["threshold"])}
        if facts["kind"] == "logistic":
            weights, bias = tensors["weights"], tensors["bias"]
            fits = weights.ndim == 2 and len(weights) == len(bias) == len(classes)
            fits = fits and bool(np.isfinite(weights).all() and np.isfinite(bias).all())
            scorer: Scorer = LinearScorer(classes, weights, bias, **common)
        else:
            codes, rows, k = tensors["codes"], tensors["rows"], int(facts["k"])
            fits = len(codes) > 0 and int(codes.min()) >= 0 and int(codes.max()) < len(classes)
            fits = fits and len(rows) in (0, len(codes)) and 1 <= k <= len(codes)
            scorer = VoteScorer(classes, codes, k, facts["sharpness"], **common, rows=rows)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidData("This is no saved head.", why=f"{type(error).__name__}: {error}.") from error
    if not fits or common["temperature"] <= 0:
        raise InvalidData("The parts of this saved head do not fit together.")
    return scorer


def softmax(logits: npt.NDArray[np.float64]) -> Probabilities:
    """Return probabilities whose rows sum to 1, of logits of shape (n, n_classes)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def smoothed(shares: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.float64]:
    """Return shares with one vote of k + 1 spread over all classes, so that none is impossible.

    The order of the classes stays as it is. Source: additive smoothing with a pseudo-count of one vote.
    """
    smooth: npt.NDArray[np.float64] = (k * shares + 1 / shares.shape[1]) / (k + 1)
    return smooth


def vote_weights(similarities: Similarities, sharpness: float | None) -> npt.NDArray[np.float64]:
    """Return the weight of each neighbor's vote, largest 1 in each row, of cosines with the nearest first."""
    if sharpness is None:
        return np.ones(similarities.shape)
    wide = similarities.astype(np.float64)
    return np.exp((wide - wide[:, :1]) / sharpness)


def _calibration(scorer: Scorer) -> dict[str, Any]:
    return {
        "classes": list(scorer.classes),
        "temperature": scorer.temperature,
        "threshold": scorer.threshold,
    }
