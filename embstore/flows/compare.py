"""Compare: is a frozen encoder with a cheap head good enough, or must it be fine-tuned."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import embstore
import embstore.flows.opening  # (a store opened here can load its encoder)
from embstore.errors import InvalidData
from embstore.flows.curve import check_shots, default_shots, learning_curve
from embstore.flows.heads import HEADS, HeadOptions
from embstore.flows.labelled import (
    check_split,
    evaluated_name,
    labelled_split,
    training_split,
    validation_split,
)
from embstore.flows.outcomes import (
    Outcome,
    Task,
    changed_sides,
    dummy,
    head_outcome,
    judged,
    latency,
    notes_on,
    paired,
)
from embstore.learn.duplicates import leaked, repeated
from embstore.learn.metrics import Score, compare_pair
from embstore.learn.sampling import check_sampling, hold_out
from embstore.learn.verdict import WORTH, Verdict, check_worth, judge
from embstore.records import Progress, check_seed
from embstore.store import Store
from embstore.wording import counted

if TYPE_CHECKING:
    from embstore.learn.epochs import EpochScore
    from embstore.learn.finetuning import FinetuneOptions

# Share of train that is held out where there is no other split to judge by.
_HELD_OUT = 0.2
# Texts that latency and encoding are timed on.
_TIMED = 64


@dataclass(frozen=True)
class CompareOptions:
    """What is compared, and how.

    Parameters
    ----------
    train : str
        Split to learn from.
    on : str, optional
        Split to judge by; ``test`` by default, else ``validation``, else a fifth of train.
    heads : HeadOptions
        Settings of the heads.
    shots : sequence of int
        Labels a class of a learning curve; empty for none.
    curve : bool
        Draw the curve at 8, 16, 32... labels a class.
    seeds : int
        Samples of each size of the curve.
    protocol : {'mteb', 'setfit'}
        How the few labels are drawn.
    worth : float
        Least gain in accuracy that is worth fine-tuning.
    seed : int
        Of folds, held-out texts and intervals.
    finetune : FinetuneOptions, optional
        Fine-tune the encoder on the same splits too; None does not.
    """

    train: str = "train"
    on: str | None = None
    heads: HeadOptions = field(default_factory=HeadOptions)
    shots: Sequence[int] = ()
    curve: bool = False
    seeds: int = 5
    protocol: str = "mteb"
    worth: float = WORTH
    seed: int = 0
    finetune: FinetuneOptions | None = None

    def __post_init__(self) -> None:
        # Now: after an hour of fine-tuning it would be too late.
        check_worth(self.worth)
        check_seed(self.seed)
        for shots in self.shots or (1,):
            check_sampling(shots, self.seeds, self.protocol)


@dataclass(frozen=True)
class Comparison:
    """Methods side by side on the same texts.

    Parameters
    ----------
    content : dict
        JSON values: splits, methods with scores and intervals, pairs, curve, costs, verdict.
    verdict : Verdict
        The last sentence.
    notes : list of str
        What a person should know about the data.
    """

    content: dict[str, Any]
    verdict: Verdict
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**self.content, "notes": self.notes, "verdict": self.verdict.as_json()}


def compare_methods(
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    options: CompareOptions | None = None,
    progress: Progress | None = None,
    on_epoch: Callable[[EpochScore], None] | None = None,
) -> Comparison:
    """Compare the most frequent label, a kNN and a logistic head, and fine-tuning, on the same splits.

    Parameters
    ----------
    store, home
        See `Store.open`.
    options : CompareOptions, optional
        What is compared, and how.
    progress : callable, optional
        Called with the fits of the learning curve, or the steps of fine-tuning, that are done, and their
        total.
    on_epoch : callable, optional
        Called with the score of each epoch of fine-tuning.

    Raises
    ------
    NotFound
        No such store or split.
    InvalidData
        A split has no labels, or train one only.
    InvalidInput
        A setting that cannot be, or more ``shots`` than a class has.
    """
    chosen = options or CompareOptions()
    with Store.open(store, home=home) as opened:
        begun = time.perf_counter()
        task, judged_by = _task(opened, chosen)
        check_shots(task.train.labels, chosen.shots)
        outcomes = [dummy(task), *(head_outcome(opened, name, task, chosen.heads) for name in HEADS)]
        fitted = time.perf_counter() - begun
        encode_seconds, latencies = _timed(opened, task, outcomes)
        # By what it was not fitted on, and not by the texts that judge it.
        best = max(outcomes[1:], key=lambda outcome: outcome.held_out)
        tuned: Outcome | None = None
        if chosen.finetune:
            # Only now: torch and transformers take their time.
            finetuned = import_module("embstore.flows.finetune").finetuned_outcome
            tuned = finetuned(opened, task, chosen.finetune, progress, on_epoch)
        if tuned:
            outcomes.append(tuned)
        methods = [
            judged(task, one, latencies.get(one.name, one.latency_ms), chosen.seed) for one in outcomes
        ]
        shots = list(chosen.shots) or (default_shots(task.train.labels) if chosen.curve else [])
        curve = None
        if shots:
            curve = learning_curve(task, shots, chosen.seeds, chosen.protocol, chosen.heads, progress)
        content = {
            **_about(opened, task, judged_by, chosen),
            "methods": methods,
            "pairs": paired(task, outcomes, chosen.seed),
            "curve": curve,
            "changed": changed_sides(task, outcomes[1:]),
            "best": best.name,
            "cost": {
                "encode_seconds": round(encode_seconds, 2),
                "frozen_seconds": round(fitted, 2),
                "finetune_seconds": round(tuned.fit_seconds, 2) if tuned else None,
            },
        }
        scores = next(one["clean_scores"] or one["scores"] for one in methods if one["name"] == best.name)
        accuracy = Score(**scores["accuracy"])
        verdict = _verdict(task, accuracy, best, tuned, encode_seconds + fitted, chosen)
        return Comparison(content, verdict, notes_on(task))


def _verdict(
    task: Task,
    accuracy: Score,
    best: Outcome,
    tuned: Outcome | None,
    frozen_seconds: float,
    options: CompareOptions,
) -> Verdict:
    """Judge by the texts that are new: by others, whoever remembers train would win."""
    new = task.clean
    gain = None
    if tuned is not None and new.any():
        frozen, trained = ((one.codes == task.true)[new] for one in (best, tuned))
        gain = compare_pair(best.name, tuned.name, frozen, trained, options.seed)
    return judge(
        accuracy,
        gain,
        n=int(new.sum()),
        frozen_seconds=frozen_seconds,
        finetune_seconds=tuned.fit_seconds if tuned else None,
        worth=options.worth,
    )


def _task(store: Store, options: CompareOptions) -> tuple[Task, str]:
    """Return the task, and in words what it is judged by."""
    train = training_split(store, options.train)
    name = evaluated_name(store, options.train) if options.on is None else options.on
    if name == options.train:
        raise InvalidData(
            f"The split {name} cannot judge what learned from it.",
            why="A head has seen its texts.",
            fix="--on test, or leave --on out to hold a fifth of train out",
        )
    if name is not None:
        check_split(store, name, "--on")
        evaluated = labelled_split(store, name)
        return Task(train, validation_split(store, but=[options.train, name]), evaluated), name
    kept, held = hold_out(train.labels, _HELD_OUT, options.seed)
    task = Task(train.only(kept), None, train.only(held))
    if len(set(task.train.labels)) < 2:
        raise InvalidData(
            f"{counted(len(train), 'record')}: too few to hold some out.",
            fix="build a store with a split test",
        )
    return task, f"a fifth of {train.name}, held out"


def _timed(store: Store, task: Task, outcomes: list[Outcome]) -> tuple[float, dict[str, float]]:
    """Return the seconds that encoding the training texts takes, and each head's milliseconds for a text."""
    texts = task.train.texts[:: max(1, len(task.train) // _TIMED)][:_TIMED]
    store.embed(texts[:1])
    begun = time.perf_counter()
    store.embed(texts)
    encode_seconds = (time.perf_counter() - begun) / len(texts) * len(task.train)
    one_text = latency(lambda text: store.embed([text]), texts[:20])
    share = {one.name: 1000 * one.predict_seconds / len(task.evaluated) for one in outcomes}
    return encode_seconds, {name: one_text + taken for name, taken in share.items() if name != "dummy"}


def _about(store: Store, task: Task, judged_by: str, options: CompareOptions) -> dict[str, Any]:
    encoder = store.manifest.encoder
    tuned = (
        task.validation.name if task.validation else f"leave-one-out and cross-validation of {options.train}"
    )
    return {
        "store": str(store.path),
        "dataset": str((store.reader.last_build() or {}).get("dataset", "")),
        "model": str(encoder.get("model", "")),
        "pooling": str(encoder.get("pooling", "")),
        "seed": options.seed,
        "version": embstore.__version__,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "splits": {
            "train": {"name": task.train.name, "n": len(task.train)},
            "tuned_on": tuned,
            "evaluated": {"name": judged_by, "n": len(task.evaluated)},
        },
        "labels": task.labels,
        "duplicates": {
            "train": int(repeated(task.train.texts).sum()),
            "evaluated": int(repeated(task.evaluated.texts).sum()),
            "leaked": int(leaked(task.evaluated.texts, task.train.texts).sum()),
        },
    }
