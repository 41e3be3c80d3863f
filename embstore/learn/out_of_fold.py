"""What heads say of records that they did not learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from embstore.learn.audit import blend
from embstore.learn.knn import KNNHead
from embstore.learn.logistic import LogisticHead, folds
from embstore.records import Embeddings, Mask, Probabilities, Rows, Similarities


def out_of_fold(
    embeddings: Embeddings,
    labels: npt.NDArray[Any],
    *,
    neighbors: tuple[Similarities, Rows] | None = None,
    seed: int = 0,
) -> tuple[Probabilities, Mask]:
    """Return the probabilities of two heads, blended, that did not learn from the record.

    The logistic head answers each fold by a fit of the others; its strength is chosen on the first. The kNN
    head answers by leave-one-out. Their geometric mean finds more wrong labels than either alone.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim), float32
        Of labelled records.
    labels : ndarray of shape (n,) of str
        Two classes at least.
    neighbors : (similarities, positions), optional
        Nearest others of each record, where they are known already; see `KNNHead.fit`.
    seed : int
        Shuffles the folds.

    Returns
    -------
    probabilities : ndarray of shape (n, n_classes), float64
        Columns are the classes, ascending. Meaningless where ``known`` is False.
    known : ndarray of shape (n,), bool
        False for the only record of a class, which nothing can be held out of.
    """
    classes, codes = np.unique(labels, return_inverse=True)
    knn = KNNHead().fit(embeddings, labels, neighbors=neighbors).held_out_.probabilities
    linear = np.full((len(labels), len(classes)), 1 / len(classes))
    known = np.zeros(len(labels), dtype=np.bool_)
    strength: float | None = None
    for held in folds(codes, seed):
        head = LogisticHead(C=strength, random_state=seed)
        head.fit(embeddings[~held], labels[~held], validation=(embeddings[held], labels[held]))
        columns = np.searchsorted(classes, head.classes_)
        linear[np.ix_(held, columns)] = head.held_out_.probabilities
        known |= held
        strength = head.C_
    return blend([linear, knn]), known
