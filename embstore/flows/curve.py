"""Learning curves: what heads reach with a few labels of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from embstore.errors import InvalidInput
from embstore.flows.heads import HEADS, HeadOptions, knn_head, logistic_head
from embstore.flows.outcomes import Task
from embstore.learn.sampling import few_shots
from embstore.records import Progress

#: Labels a class of the curve, as far as the data has them.
SHOTS = (8, 16, 32, 64, 128, 256, 512)


def learning_curve(
    task: Task,
    shots: Sequence[int],
    seeds: int,
    protocol: str,
    heads: HeadOptions,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fit each head on a few labels of each class, several times, and score it on the evaluated texts.

    Parameters
    ----------
    task : Task
        Its validation data is not used: whoever has few labels has none to spare.
    shots : sequence of int
        Labels a class.
    seeds : int
        Samples of each size.
    protocol : {'mteb', 'setfit'}
        How texts are drawn; see `few_shots`.
    heads : HeadOptions
        How the heads are fitted; where a sample has fewer texts than ``k`` needs, all others vote.
    progress : callable, optional
        Called with the fits done and their total.

    Returns
    -------
    dict
        JSON values: ``protocol``, ``seeds`` and ``points``, one for each head and size, with the accuracy of
        each sample, their mean, their standard ``deviation``, and ``low`` and ``high``, one such deviation
        around the mean but within [0, 1].
    """
    labels = np.array(task.train.labels)
    truth = np.array(task.evaluated.labels)
    total = len(shots) * seeds
    points = []
    done = 0
    for size in shots:
        values: dict[str, list[float]] = {name: [] for name in HEADS}
        for chosen in few_shots(task.train.labels, size, seeds, protocol):
            X, y = np.asarray(task.train.embeddings)[chosen], labels[chosen]  # noqa: N806
            knn = knn_head(_for_few(heads, len(chosen)))
            for name, head in (("knn", knn), ("logistic", logistic_head(heads))):
                head.fit(X, y)
                values[name].append(float((head.predict(task.evaluated.embeddings) == truth).mean()))
            done += 1
            if progress:
                progress(done, total)
        points += [_point(name, size, found) for name, found in values.items()]
    return {"protocol": protocol, "seeds": seeds, "points": points}


def _for_few(heads: HeadOptions, n: int) -> HeadOptions:
    return heads if heads.k is None else replace(heads, k=min(heads.k, n - 1))


def default_shots(labels: Sequence[str]) -> list[int]:
    """Return the sizes of a curve: up to the size of the largest class, beyond which nothing is added."""
    most = _largest_class(labels)
    return [size for size in SHOTS if size <= most] or [most]


def check_shots(labels: Sequence[str], shots: Sequence[int]) -> None:
    """Refuse sizes that no class of the training texts has.

    Raises
    ------
    InvalidInput
        A size is above that of the largest class: the curve would name more labels than were learned from.
    """
    most = _largest_class(labels)
    if (size := max(shots, default=0)) > most:
        raise InvalidInput(
            f"No label has {size:,} texts to learn from.",
            why=f"The most frequent one has {most:,}; a label that has fewer than is asked for gives all.",
            fix=f"--shots {most}",
        )


def _largest_class(labels: Sequence[str]) -> int:
    return int(np.unique(labels, return_counts=True)[1].max())


def _point(name: str, size: int, values: list[float]) -> dict[str, Any]:
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {
        "method": name,
        "shots": size,
        "mean": round(mean, 5),
        "deviation": round(spread, 5),
        "low": round(max(0.0, mean - spread), 5),
        "high": round(min(1.0, mean + spread), 5),
        "values": [round(value, 5) for value in values],
    }
