"""Fit: a head on the frozen embeddings of a store, kept in the store."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embstore.flows.classifier import HEAD
from embstore.flows.heads import HeadOptions, check_options, fit_on
from embstore.flows.labelled import training_split, validation_split
from embstore.learn.calibration import LEAST_ANSWERS, NEVER, check_precision, find_threshold
from embstore.learn.knn import KNNHead
from embstore.store import Store
from embstore.store.derived import check_name
from embstore.store.keeping import write_derived


@dataclass(frozen=True)
class FitReport:
    """What was fitted.

    Parameters
    ----------
    store, name, head : str
        Path of the store, name of the head in it, and its kind.
    settings : dict
        What was chosen: k, weighting and, where votes are weighed, their sharpness; or C.
    labels : list of str
        Class names, ascending.
    trained_on, tuned_on : str
        Split that it was fitted on, and what its settings and probabilities were tuned on.
    records, unlabelled : int
        Training records, and those left out because they have no label.
    held_out : int
        Texts that it was not fitted on and was judged by.
    accuracy : float or None
        On those, in [0, 1]; None where there is none.
    precision, threshold, coverage : float
        Wanted share of right answers; the probability below which the head abstains (2 where it always does);
        share of held-out texts that it answers.
    seconds : float
        Wall time.
    """

    store: str
    name: str
    head: str
    settings: dict[str, Any]
    labels: list[str]
    trained_on: str
    tuned_on: str
    records: int
    unlabelled: int
    held_out: int
    accuracy: float | None
    precision: float
    threshold: float
    coverage: float
    seconds: float

    @property
    def note(self) -> str:
        """What a person should know, or the empty string."""
        if self.threshold < NEVER:
            return ""
        if self.held_out < LEAST_ANSWERS:
            return (
                f"A threshold takes {LEAST_ANSWERS} held-out texts, and there are {self.held_out}, so every "
                "answer is marked abstain; fit again with --precision 0."
            )
        return (
            f"No threshold reaches a precision of {self.precision:g} on held-out texts, so every answer is "
            f"marked abstain; fit again with a lower --precision."
        )

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def fit_head(
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    head: str = "logistic",
    name: str | None = None,
    train: str = "train",
    precision: float = 0.8,
    options: HeadOptions | None = None,
) -> FitReport:
    """Fit a head on a split of a store and keep it there, in place of one of the same name.

    Parameters
    ----------
    store, home
        See `Store.open`.
    head : {'logistic', 'knn'}
        Kind of the head.
    name : str, optional
        Its name in the store; by default its kind.
    train : str
        Split to learn from. The split ``validation``, where there is one, tunes the logistic head.
    precision : float
        Share of right answers wanted of the head; it abstains where it is less sure. 0 answers everything.
    options : HeadOptions, optional
        Settings; by default all are chosen.

    Raises
    ------
    NotFound
        No such store or split.
    InvalidData
        The split has no label, or one only.
    InvalidInput
        A setting that cannot be or that the head does not take, or a name that is none.
    StoreLocked, DiskFailure
        The head could not be kept; the one before it is as it was.
    """
    begun = time.perf_counter()
    name = check_name(HEAD, head if name is None else name)
    # Now: after the fit it would be too late.
    check_precision(precision)
    options = options or HeadOptions()
    check_options(head, options)
    with Store.open(store, home=home) as opened:
        records = training_split(opened, train)
        validation = validation_split(opened, but=[train])
        fitted = fit_on(opened, head, records, validation, options)
        threshold = find_threshold(fitted.head.held_out_, precision)
        scorer = fitted.head.scorer_
        tensors, facts = scorer.saved()
        facts |= {
            "threshold": threshold.probability,
            "precision": precision,
            "split": train,
            "options": options.asked(),
            "tuned_on": fitted.tuned_on,
            "fingerprint": opened.manifest.fingerprint,
            "content": opened.reader.content_key(),
        }
        write_derived(opened.path, HEAD, name, tensors, facts)
        return FitReport(
            store=str(opened.path),
            name=name,
            head=head,
            settings=settings_of(fitted.head),
            labels=list(scorer.classes),
            trained_on=train,
            tuned_on=fitted.tuned_on,
            records=len(records),
            unlabelled=records.unlabelled,
            held_out=len(fitted.head.held_out_.codes),
            accuracy=fitted.head.held_out_.accuracy,
            precision=precision,
            threshold=threshold.probability,
            coverage=threshold.coverage,
            seconds=round(time.perf_counter() - begun, 3),
        )


def settings_of(head: Any) -> dict[str, Any]:
    """Return what a fitted head chose, as JSON values."""
    scorer = head.scorer_
    chosen = {"temperature": round(scorer.temperature, 4)}
    if isinstance(head, KNNHead):
        if scorer.sharpness is None:
            return {"k": scorer.k, "weighting": "uniform", **chosen}
        return {"k": scorer.k, "weighting": "similarity", "sharpness": scorer.sharpness, **chosen}
    return {"C": head.C_, **chosen}
