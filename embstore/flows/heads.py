"""Heads on a store: its splits and its graph, led into what learns from arrays."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embstore.errors import InvalidInput
from embstore.flows.labelled import LabelledSplit
from embstore.learn.knn import MOST_NEIGHBORS, KNNHead
from embstore.learn.logistic import LogisticHead
from embstore.records import Rows, Similarities, check_seed
from embstore.store import Store
from embstore.store.graph import graph_of

HEADS = ("knn", "logistic")


@dataclass(frozen=True)
class HeadOptions:
    """How heads are fitted; None chooses on held-out data.

    Parameters
    ----------
    k : int, optional
        Neighbors that vote.
    weighting : {'auto', 'uniform', 'similarity'}
        Of the votes.
    balanced : bool
        Weigh each class of the logistic head by the inverse of its frequency.
    seed : int
        Shuffles the folds where there is no validation split.
    """

    k: int | None = None
    weighting: str = "auto"
    balanced: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def asked(self) -> dict[str, Any]:
        """Return what is not left to choose, by the option of ``embstore fit`` that says it."""
        given = (
            ("-k", self.k, None),
            ("--weighting", self.weighting, "auto"),
            ("--balanced", self.balanced, False),
        )
        return {option: value for option, value, unasked in given if value != unasked}


def check_options(name: str, options: HeadOptions) -> None:
    """Refuse a head that there is not, and an option that only another takes; raises `InvalidInput`."""
    if name not in HEADS:
        raise _no_head(name)
    for option, value in options.asked().items():
        taker = "logistic" if option == "--balanced" else "knn"
        if name != taker:
            said = option if value is True else f"{option} {value}"
            raise InvalidInput(
                f"{said} is for the head {taker}.",
                why=f"The head to fit is {name}.",
                fix=f"--head {taker} {said}   # or leave out {option}",
            )


@dataclass(frozen=True)
class FittedHead:
    """A head that was fitted on a split of a store.

    Parameters
    ----------
    name : {'knn', 'logistic'}
        Kind of the head.
    head : KNNHead or LogisticHead
        The estimator.
    tuned_on : str
        What its settings were chosen on and its probabilities calibrated on.
    seconds : float
        Wall time of the fit, choice of settings included.
    """

    name: str
    head: KNNHead | LogisticHead
    tuned_on: str
    seconds: float


def knn_head(options: HeadOptions) -> KNNHead:
    """Return a kNN head that nothing was fitted to."""
    return KNNHead(k=options.k, weighting=options.weighting)


def logistic_head(options: HeadOptions) -> LogisticHead:
    """Return a logistic head that nothing was fitted to."""
    weights = "balanced" if options.balanced else None
    return LogisticHead(class_weight=weights, random_state=options.seed)


def fit_on(
    store: Store,
    name: str,
    train: LabelledSplit,
    validation: LabelledSplit | None,
    options: HeadOptions,
) -> FittedHead:
    """Fit a head on the training records.

    Raises
    ------
    InvalidInput
        There is no such head, or an option that cannot be.
    """
    begun = time.perf_counter()
    labels = np.array(train.labels)
    head: KNNHead | LogisticHead
    if name == "knn":
        knn = knn_head(options)
        knn.fit(train.embeddings, labels, neighbors=_neighbors(store, train, options.k))
        knn.scorer_ = replace(knn.scorer_, rows=train.rows)
        head, tuned_on = knn, f"leave-one-out of {train.name}"
    elif name == "logistic":
        logistic = logistic_head(options)
        held = None if validation is None else (validation.embeddings, np.array(validation.labels))
        head = logistic.fit(train.embeddings, labels, validation=held)
        tuned_on = validation.name if validation else f"cross-validation of {train.name}"
        # No label has two records: nothing could be held out.
        tuned_on = tuned_on if len(head.held_out_.codes) else "nothing"
    else:
        raise _no_head(name)
    return FittedHead(name, head, tuned_on, time.perf_counter() - begun)


def _no_head(name: str) -> InvalidInput:
    return InvalidInput(f"There is no head {name!r}.", why=f"Known: {', '.join(HEADS)}.", fix="--head knn")


def _neighbors(store: Store, train: LabelledSplit, k: int | None) -> tuple[Similarities, Rows] | None:
    """Return the nearest others of each training record from the graph, where that has them and no more."""
    split = store.rows(split=train.name)
    wanted = min(k or MOST_NEIGHBORS, len(train) - 1)
    if len(split) != len(train) or not 1 <= wanted <= MOST_NEIGHBORS:
        # Records without a label, or held out, are in the graph too.
        return None
    similarities, rows = graph_of(store).within(train.rows, splits=[train.name], k=wanted)
    return similarities, np.searchsorted(train.rows, rows)
