"""The kNN head: the nearest training texts vote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from embstore.directions import unit
from embstore.errors import InvalidInput
from embstore.learn.calibration import HeldOut, fit_temperature
from embstore.learn.scorers import VoteScorer, smoothed, softmax, vote_weights
from embstore.records import Codes, Embeddings, Probabilities, Rows, Similarities

#: Neighbors that the head looks at while it chooses k.
MOST_NEIGHBORS = 50
#: Sharpness of the weighted vote that it tries, softest first; None is the unweighted vote.
SHARPNESSES = (None, 0.2, 0.1, 0.05, 0.02)
# Queries compared together: the block of cosines stays at some tens of MB.
_BLOCK = 512
# What a cosine may be off by in a product of float32.
_ROUNDING = np.float32(2e-6)


class KNNHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classify by the vote of the k training embeddings of largest cosine.

    Parameters
    ----------
    k : int, optional
        Neighbors that vote. None chooses by leave-one-out among 1 to 50.
    weighting : {'auto', 'uniform', 'similarity'}
        ``similarity`` weighs a vote by exp(similarity / sharpness); ``auto`` chooses by leave-one-out.
    sharpness : float, optional
        Of the weighted vote, positive. None chooses by leave-one-out.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class names, ascending.
    scorer_ : VoteScorer
        What serving needs; its ``classes`` are str.
    held_out_ : HeldOut
        What leave-one-out said of each training text. Texts that stand twice make it optimistic.

    Notes
    -----
    All k are tried at once: the votes of the nearest k + 1 are those of the nearest k and one more. Equal
    accuracies are settled for the larger k, then for the softer weighting, which vary less. Shares of votes
    are smoothed by one vote over all classes, then calibrated by temperature on the leave-one-out shares.
    """

    def __init__(self, k: int | None = None, weighting: str = "auto", sharpness: float | None = None) -> None:
        self.k = k
        self.weighting = weighting
        self.sharpness = sharpness

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        neighbors: tuple[Similarities, Rows] | None = None,
    ) -> KNNHead:
        """Keep the training embeddings and choose how they vote.

        Parameters
        ----------
        X : array of shape (n, dim)
            Training embeddings, of any length.
        y : array of shape (n,)
            Their classes.
        neighbors : (similarities, positions), optional
            Both of shape (n, w), where they are known already: the nearest other training embeddings of each,
            most similar first. By default every pair is compared.

        Raises
        ------
        InvalidInput
            An option that cannot be, or more neighbors than there are training embeddings.
        ValueError
            Arrays that scikit-learn refuses: NaN, other lengths, no rows.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("A classifier needs 2 classes; the data has one class only.")
        self._check_options(len(X))
        self._directions = directions(X)
        wanted = min(self.k or MOST_NEIGHBORS, len(X) - 1)
        if neighbors is None:
            neighbors = nearest(self._directions, self._directions, wanted, leave_one_out=True)
        similarities, positions = neighbors[0][:, :wanted], neighbors[1][:, :wanted]
        k, sharpness = self._choose(similarities, codes[positions], codes)
        names = tuple(map(str, self.classes_))
        scorer = VoteScorer(names, codes.astype(np.int32), k, sharpness)
        shares = scorer.shares(similarities, positions)
        logits = np.log(smoothed(shares, k))
        self.scorer_ = replace(scorer, temperature=fit_temperature(logits, codes))
        self.held_out_ = HeldOut(softmax(logits / self.scorer_.temperature), codes)
        return self

    def predict_proba(self, X: Any) -> Probabilities:
        """Return calibrated probabilities, (n, n_classes), of embeddings of shape (n, dim)."""
        check_is_fitted(self, "scorer_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        k = min(self.scorer_.k, len(self._directions))
        return self.scorer_.probabilities(*nearest(directions(X), self._directions, k))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable class of each embedding; ties go to the first class."""
        probabilities = self.predict_proba(X)
        chosen: npt.NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return chosen

    def _check_options(self, n: int) -> None:
        if self.weighting not in ("auto", "uniform", "similarity"):
            raise InvalidInput(
                f"There is no weighting {self.weighting!r}.", fix="weighting='auto|uniform|similarity'"
            )
        if self.sharpness is not None and not self.sharpness > 0:
            raise InvalidInput(f"A sharpness of {self.sharpness} cannot be.", why="It is above 0.", fix="0.1")
        if self.k is not None and not 1 <= self.k < n:
            raise InvalidInput(
                f"{self.k} neighbors cannot vote.",
                why=f"Of {n:,} training texts each has {n - 1:,} others; k is 1 to {n - 1:,}.",
                fix=f"-k {min(10, n - 1)}",
            )

    def _choose(self, similarities: Similarities, near: Codes, codes: Codes) -> tuple[int, float | None]:
        """Return k and sharpness of the best leave-one-out accuracy."""
        if self.weighting == "uniform":
            tried: tuple[float | None, ...] = (None,)
        elif self.sharpness is not None:
            tried = (self.sharpness,)
        else:
            tried = tuple(one for one in SHARPNESSES if one or self.weighting == "auto")
        width = near.shape[1]
        first = self.k or 1
        scores = np.stack([leave_one_out(similarities, near, codes, sharpness) for sharpness in tried])
        scores = scores[:, first - 1 : self.k or width]
        best = np.argwhere(scores == scores.max())
        soft, k = max(best.tolist(), key=lambda place: (place[1], -place[0]))
        return first + int(k), tried[int(soft)]


def leave_one_out(
    similarities: Similarities, near: Codes, codes: Codes, sharpness: float | None
) -> npt.NDArray[np.float64]:
    """Return the accuracy of the vote of the nearest 1, 2, ... w others.

    Parameters
    ----------
    similarities, near : ndarrays of shape (n, w), float32 and int64
        Cosines and classes of the nearest others of each training text, most similar first.
    codes : ndarray of shape (n,), int64
        True classes.
    sharpness : float or None
        See `VoteScorer`.

    Returns
    -------
    ndarray of shape (w,), float64
        Entry k - 1 is the accuracy with k neighbors, in [0, 1]; equal votes go to the first class.
    """
    weights = vote_weights(similarities, sharpness)
    votes = np.zeros((len(near), int(codes.max()) + 1))
    every = np.arange(len(near))
    accuracies = np.empty(near.shape[1])
    for place in range(near.shape[1]):
        votes[every, near[:, place]] += weights[:, place]
        accuracies[place] = (votes.argmax(axis=1) == codes).mean()
    return accuracies


def nearest(
    queries: Embeddings, training: Embeddings, k: int, *, leave_one_out: bool = False
) -> tuple[Similarities, Rows]:
    """Return cosines and positions of the k nearest, all pairs compared; equal ones by ascending position.

    Parameters
    ----------
    queries, training : ndarrays of shape (n, dim) and (m, dim), float32
        Of unit length.
    k : int
        At most m, or m - 1 with ``leave_one_out``, where query i is training embedding i.
    """
    similarities = np.empty((len(queries), k), dtype=np.float32)
    positions = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), _BLOCK):
        asked = queries[start : start + _BLOCK]
        block = asked @ training.T
        if leave_one_out:
            block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        # What is as near as the k-th is kept too, so that the cut does not depend on the order of ties.
        bound = -np.partition(-block, k - 1, axis=1)[:, k - 1 : k] - _ROUNDING
        for place, (query, values, least) in enumerate(zip(asked, block, bound, strict=True), start):
            found = np.flatnonzero(values >= least)
            # The last bits of a product depend on how many queries are asked together, by processor; these
            # on the two embeddings alone.
            exact = np.vecdot(training[found].astype(np.float64), query.astype(np.float64))
            cosines = np.minimum(exact.astype(np.float32), np.float32(1.0))
            order = np.argsort(-cosines, kind="stable")[:k]
            similarities[place], positions[place] = cosines[order], found[order]
    return similarities, positions


def directions(embeddings: Embeddings) -> Embeddings:
    """Return embeddings (n, dim) scaled to unit length, float32; a zero one stays zero."""
    return np.nan_to_num(unit(embeddings))
