"""A few labelled texts of each class, chosen as published evaluations choose them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.model_selection import train_test_split

from embstore.errors import InvalidInput
from embstore.records import Rows

PROTOCOLS = ("mteb", "setfit")


def few_shots(labels: Sequence[str], shots: int, seeds: int, protocol: str = "mteb") -> Iterator[Rows]:
    """Yield, one experiment after another, positions of training texts.

    Parameters
    ----------
    labels : sequence of str
        Of all training texts.
    shots : int
        Texts of each class, at least 1; a class that has fewer gives all.
    seeds : int
        Experiments, at least 1.
    protocol : {'mteb', 'setfit'}
        ``mteb`` shuffles the list that the experiment before left, each time with seed 42, and takes the
        first of each class; ``setfit`` draws from each class without replacement, with the number of the
        experiment as seed.

    Raises
    ------
    InvalidInput
        There is no such protocol, or a number is below 1.

    References
    ----------
    Muennighoff et al., "MTEB: Massive Text Embedding Benchmark", 2023. Tunstall et al., "Efficient Few-Shot
    Learning Without Prompts", 2022, whose code samples each class of a data frame with ``random_state``.
    """
    check_sampling(shots, seeds, protocol)
    return _mteb(labels, shots, seeds) if protocol == "mteb" else _setfit(labels, shots, seeds)


def check_sampling(shots: int, seeds: int, protocol: str) -> None:
    """Refuse samples that cannot be drawn; see `few_shots`."""
    if protocol not in PROTOCOLS:
        raise InvalidInput(
            f"There is no protocol {protocol!r}.",
            why=f"Known: {', '.join(PROTOCOLS)}.",
            fix="--protocol mteb",
        )
    for option, value, usual in (("--shots", shots, 8), ("--seeds", seeds, 5)):
        if value < 1:
            raise InvalidInput(
                f"{option} {value} cannot be.", why="It is 1 or more.", fix=f"{option} {usual}"
            )


def hold_out(labels: Sequence[str], share: float, seed: int) -> tuple[Rows, Rows]:
    """Return positions to keep and to hold out, ascending; of each label its share where there is room.

    A label that stands once is kept, where there are others to hold out: it could not be learned.

    Parameters
    ----------
    labels : sequence of str
        Of all texts, at least 2.
    share : float
        Of texts to hold out, in (0, 1).
    seed : int
        Of the drawing.
    """
    every = np.arange(len(labels))
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    several = every[counts[codes] > 1]
    candidates = several if len(several) else every
    even = len(several) > 0 and (counts > 1).sum() <= share * len(several)
    _, held = train_test_split(
        candidates, test_size=share, random_state=seed, stratify=codes[candidates] if even else None
    )
    return np.setdiff1d(every, held), np.sort(held)


def _mteb(labels: Sequence[str], shots: int, seeds: int) -> Iterator[Rows]:
    order = list(range(len(labels)))
    for _ in range(seeds):
        np.random.RandomState(42).shuffle(order)
        taken: dict[str, int] = {}
        chosen = []
        for position in order:
            label = labels[position]
            if taken.get(label, 0) < shots:
                taken[label] = taken.get(label, 0) + 1
                chosen.append(position)
        yield np.array(chosen, dtype=np.int64)


def _setfit(labels: Sequence[str], shots: int, seeds: int) -> Iterator[Rows]:
    names = np.array(labels)
    groups = [np.flatnonzero(names == label) for label in np.unique(names)]
    for seed in range(seeds):
        yield np.concatenate(
            [
                group[np.random.RandomState(seed).choice(len(group), min(shots, len(group)), replace=False)]
                for group in groups
            ]
        )
