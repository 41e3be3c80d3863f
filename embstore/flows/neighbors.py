"""Neighbors: what is near a text, or near a stored record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embstore.flows.opening  # noqa: F401  (a store opened here can load its encoder)
from embstore.errors import InvalidInput
from embstore.records import Neighbor
from embstore.store import Store
from embstore.store.certificate import Recall


@dataclass(frozen=True)
class Neighborhood:
    """The answer to one query.

    Parameters
    ----------
    query : str
        The text, or the id of a stored record.
    store : str
        Path of the store.
    exact : bool
        Each stored record was compared, so no nearer one exists.
    recall : float
        Share of the k nearest that such searches find, as measured at the last build; 1 where exact.
    neighbors : list of Neighbor
        Most similar first.
    note : str
        What a person should know about the answer, or the empty string.
    """

    query: str
    store: str
    exact: bool
    recall: float
    neighbors: list[Neighbor]
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        said = {"query": self.query, "store": self.store, "exact": self.exact, "recall": self.recall}
        return {**said, "neighbors": [one.as_json() for one in self.neighbors]}

    @property
    def promise(self) -> str:
        """``exact``, or the recall: ``recall 0.97``."""
        return "exact" if self.exact else f"recall {self.recall:.2f}"


def find_neighbors(
    texts: Sequence[str],
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    k: int = 10,
    split: str | None = None,
    label: str | None = None,
) -> list[Neighborhood]:
    """Return the k records most similar to each text.

    Parameters
    ----------
    texts : sequence of str
        Queries.
    store, home
        See `Store.open`.
    k : int
        Neighbors per query, at least 1; fewer are returned only where fewer match.
    split, label : str, optional
        Only records of this split, this label.

    Raises
    ------
    NotFound
        No such store, split or label.
    InvalidInput
        ``k < 1``, an empty text, or one string where a sequence is due.
    EncoderMismatch
        The model is no longer the one that built the store.
    StoreDamaged
        The store's files contradict each other.
    """
    if isinstance(texts, str):
        raise InvalidInput("find_neighbors takes a sequence of texts, and got one str.", fix="[text]")
    with Store.open(store, home=home) as opened:
        found = opened.neighbors_of(opened.embed(list(texts)), k, split=split, label=label)
        recall = opened.recall(k, split=split, label=label)
        return [_answer(opened, text, near, recall) for text, near in zip(texts, found, strict=True)]


def find_neighbors_of_record(
    record_id: str,
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    k: int = 10,
    split: str | None = None,
    label: str | None = None,
) -> Neighborhood:
    """Return the k records most similar to a stored one, itself left out; no encoder is needed.

    The parameters are those of `find_neighbors`; an unknown id raises `NotFound`.
    """
    with Store.open(store, home=home) as opened:
        neighbors = opened.neighbors_of_record(record_id, k, split=split, label=label)
        return _answer(opened, record_id, neighbors, opened.recall(k, split=split, label=label))


def _answer(store: Store, query: str, neighbors: list[Neighbor], recall: Recall | None) -> Neighborhood:
    note = ""
    if store.index_problem:
        problem = store.index_problem.rstrip(".")
        note = f"The index of {store.name} is not used ({problem}); every record was compared."
    found = 1.0 if recall is None else recall.value
    return Neighborhood(query, str(store.path), recall is None, found, neighbors, note)
