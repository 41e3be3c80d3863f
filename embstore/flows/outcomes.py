"""Methods on the same task: each fits, answers the same texts, and tells what that took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from embstore.flows.fit import settings_of
from embstore.flows.heads import FittedHead, HeadOptions, fit_on
from embstore.flows.labelled import LabelledSplit
from embstore.learn.duplicates import copied, leaked, repeated
from embstore.learn.metrics import Score, compare_pair, confusion_matrix, per_class, scores
from embstore.records import Codes, Mask, Probabilities, Rows
from embstore.store import Store
from embstore.wording import counted

TITLES = {
    "dummy": "most frequent label",
    "knn": "k nearest neighbors",
    "logistic": "logistic regression",
    "fine-tuned": "fine-tuned encoder",
}


@dataclass(frozen=True)
class Task:
    """What methods learn from, are tuned on, and are judged by.

    Parameters
    ----------
    train, evaluated : LabelledSplit
        Training records, and those that the scores are of.
    validation : LabelledSplit or None
        What the logistic head and fine-tuning are tuned on.
    """

    train: LabelledSplit
    validation: LabelledSplit | None
    evaluated: LabelledSplit

    @cached_property
    def labels(self) -> list[str]:
        """Class names of training and evaluated records, ascending."""
        return sorted({*self.train.labels, *self.evaluated.labels})

    @cached_property
    def known(self) -> Codes:
        """Codes of the labels that training has: what a method's columns of probabilities stand for."""
        names = set(self.train.labels)
        return np.array([code for code, label in enumerate(self.labels) if label in names], dtype=np.int64)

    @cached_property
    def true(self) -> Codes:
        """Class codes of the evaluated texts."""
        return self.evaluated.codes(self.labels)

    @cached_property
    def clean(self) -> Mask:
        """Which evaluated texts neither stand in train nor twice in what is evaluated."""
        texts = self.evaluated.texts
        return ~(leaked(texts, self.train.texts) | repeated(texts))


@dataclass(frozen=True)
class Outcome:
    """What a method said of the evaluated texts, and what that took.

    Parameters
    ----------
    name : str
        ``dummy``, ``knn``, ``logistic`` or ``fine-tuned``.
    settings : dict
        What was chosen, as JSON values.
    codes : ndarray of shape (n,), int64
        Predicted class of each evaluated text.
    probabilities : ndarray of shape (n, n_known), float64
        Columns are the labels that training has.
    tuned_on : str
        What its settings were chosen on.
    held_out : float
        Accuracy in [0, 1] on texts that it was not fitted on, the same for both heads: those of the
        validation split that are new, else those of train that stand there once.
    fit_seconds, predict_seconds : float
        Wall time of the fit, choice of settings included, and of all evaluated texts; of a head on embeddings
        that are there already.
    bytes : int
        What must be kept to serve it, beside the encoder.
    latency_ms : float, optional
        Median milliseconds of one text, of a method that reads texts itself.
    """

    name: str
    settings: dict[str, Any]
    codes: Codes
    probabilities: Probabilities
    tuned_on: str
    held_out: float
    fit_seconds: float
    predict_seconds: float
    bytes: int
    latency_ms: float | None = None


def dummy(task: Task) -> Outcome:
    """Answer everything with the most frequent training label."""
    names, counts = np.unique(task.train.labels, return_counts=True)
    shares = counts / counts.sum()
    probabilities = np.tile(shares, (len(task.evaluated), 1))
    codes = task.known[probabilities.argmax(axis=1)]
    settings = {"label": str(names[counts.argmax()])}
    return Outcome("dummy", settings, codes, probabilities, "nothing", float(shares.max()), 0.0, 0.0, 0)


def head_outcome(store: Store, name: str, task: Task, options: HeadOptions) -> Outcome:
    """Fit a head and let it answer from the stored embeddings."""
    fitted = fit_on(store, name, task.train, task.validation, options)
    begun = time.perf_counter()
    probabilities = fitted.head.predict_proba(np.asarray(task.evaluated.embeddings))
    seconds = time.perf_counter() - begun
    tensors, _ = fitted.head.scorer_.saved()
    size = sum(values.nbytes for values in tensors.values())
    if name == "knn":
        # Its neighbors are searched in the training embeddings.
        size += task.train.embeddings.nbytes
    return Outcome(
        name=name,
        settings=settings_of(fitted.head),
        codes=task.known[probabilities.argmax(axis=1)],
        probabilities=probabilities,
        tuned_on=fitted.tuned_on,
        held_out=_held_out(fitted, task),
        fit_seconds=fitted.seconds,
        predict_seconds=seconds,
        bytes=size,
    )


def _held_out(fitted: FittedHead, task: Task) -> float:
    """Return what the better head is chosen by; a copy, which a kNN head finds surely, tells nothing."""
    if task.validation is not None:
        labels = np.array(task.validation.labels)
        right = fitted.head.predict(np.asarray(task.validation.embeddings)) == labels
        new = ~leaked(task.validation.texts, task.train.texts)
    else:
        right = fitted.head.held_out_.correct
        new = ~copied(task.train.texts)
        if fitted.name == "logistic":
            # The only text of a label is in no fold.
            _, codes, counts = np.unique(task.train.labels, return_inverse=True, return_counts=True)
            new = new[counts[codes] > 1]
    if len(new) == len(right) and new.any():
        right = right[new]
    # Where no label has two records, nothing is held out.
    return float(right.mean()) if len(right) else 0.0


def judged(task: Task, outcome: Outcome, latency_ms: float | None, seed: int) -> dict[str, Any]:
    """Return what a comparison shows of a method, as JSON values."""
    n = len(task.labels)
    clean = task.clean
    matrix = confusion_matrix(task.true, outcome.codes, n)
    precision, recall, f1 = per_class(matrix)

    def scored(rows: Rows) -> dict[str, dict[str, float]]:
        return _as_json(scores(task.true[rows], outcome.codes[rows], outcome.probabilities[rows], n, seed))

    return {
        "name": outcome.name,
        "title": TITLES[outcome.name],
        "settings": outcome.settings,
        "tuned_on": outcome.tuned_on,
        "scores": scored(np.arange(len(clean))),
        "clean_scores": scored(np.flatnonzero(clean)) if 0 < clean.sum() < len(clean) else None,
        "per_class": [
            {
                "label": label,
                "precision": round(float(precision[i]), 4),
                "recall": round(float(recall[i]), 4),
                "f1": round(float(f1[i]), 4),
                "support": int(matrix[i].sum()),
            }
            for i, label in enumerate(task.labels)
        ],
        "confusion": matrix.tolist(),
        "fit_seconds": round(outcome.fit_seconds, 3),
        "predict_seconds": round(outcome.predict_seconds, 3),
        "latency_ms": None if latency_ms is None else round(latency_ms, 3),
        "bytes": outcome.bytes,
    }


def paired(task: Task, outcomes: Sequence[Outcome], seed: int) -> list[dict[str, Any]]:
    """Return each two methods on the evaluated texts, as JSON values."""
    right = {one.name: one.codes == task.true for one in outcomes}
    return [
        compare_pair(one, other, right[one], right[other], seed).as_json()
        for one, other in combinations(right, 2)
    ]


def changed_sides(task: Task, outcomes: list[Outcome], limit: int = 20) -> list[dict[str, Any]]:
    """Return the texts on which methods differ most: one surely right, another surely wrong."""
    column = {int(code): place for place, code in enumerate(task.known)}
    true_column = np.array([column.get(int(code), -1) for code in task.true])
    every = np.arange(len(task.true))
    known = true_column >= 0
    chances = np.stack(
        [np.where(known, outcome.probabilities[every, true_column], 0.0) for outcome in outcomes]
    )
    right = np.stack([outcome.codes == task.true for outcome in outcomes])
    swing = np.where(right.any(axis=0) & ~right.all(axis=0), chances.max(axis=0) - chances.min(axis=0), -1.0)
    order = [int(row) for row in np.argsort(-swing, kind="stable")[:limit] if swing[row] >= 0]
    return [
        {
            "id": task.evaluated.ids[row],
            "text": task.evaluated.texts[row],
            "label": task.evaluated.labels[row],
            "predictions": {
                outcome.name: {
                    "label": task.labels[int(outcome.codes[row])],
                    "probability": round(float(outcome.probabilities[row].max()), 4),
                }
                for outcome in outcomes
            },
        }
        for row in order
    ]


def notes_on(task: Task) -> list[str]:
    """Return what a person should know about the data of a task."""
    notes = []
    if old := int((~task.clean).sum()):
        notes.append(
            f"{counted(old, 'evaluated text')} of {len(task.clean):,} that also stand in train, or twice: "
            "the verdict leaves them out."
        )
    unseen = sorted(set(task.evaluated.labels) - set(task.train.labels))
    if unseen:
        n = sum(label in unseen for label in task.evaluated.labels)
        notes.append(
            f"{counted(n, 'evaluated text')} with a label that train lacks: counted as wrong "
            f"({', '.join(unseen)})."
        )
    labels, counts = np.unique(task.train.labels, return_counts=True)
    if single := labels[counts == 1].tolist():
        notes.append(f"Labels with one training text, which nothing can be held out of: {', '.join(single)}.")
    # What is held out of train has its name and its records without a label.
    for name, n in {one.name: one.unlabelled for one in (task.train, task.evaluated)}.items():
        if n:
            notes.append(f"{counted(n, 'record')} of {name} without a label: left out.")
    return notes


def latency(answer: Callable[[str], object], texts: list[str]) -> float:
    """Return the median milliseconds that one text takes, after a first one that warms up."""
    answer(texts[0])
    taken = []
    for text in texts:
        begun = time.perf_counter()
        answer(text)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken) * 1000)


def _as_json(found: dict[str, Score]) -> dict[str, dict[str, float]]:
    return {
        name: {part: round(getattr(one, part), 5) for part in ("value", "low", "high")}
        for name, one in found.items()
    }
