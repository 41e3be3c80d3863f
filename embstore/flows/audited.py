"""The records that an audit looks at, with their neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embstore.data.splits import order_splits
from embstore.errors import InvalidData
from embstore.flows.labelled import check_split
from embstore.records import Embeddings, Mask, Rows, Similarities
from embstore.store import Store
from embstore.store.graph import Graph, graph_of
from embstore.wording import counted

# Neighbors of each record that an audit sees.
NEIGHBORS = 50


@dataclass(frozen=True)
class AuditedRecords:
    """Records of a store in the order of their rows.

    Parameters
    ----------
    rows : ndarray of shape (n,), int64
        Ascending.
    ids, splits, texts : list of n str
        Entry i of each is the same record.
    labels : list of n (str or None)
        Class names.
    truncated : ndarray of shape (n,), bool
        The encoder read the beginning of the text alone.
    embeddings : ndarray of shape (n, dim), float32
        As the store holds them.
    similarities, neighbors : ndarray of shape (n, k)
        Cosines and positions of the nearest others among these records.
    graph : Graph
        Where they come from.
    """

    rows: Rows
    ids: list[str]
    splits: list[str]
    texts: list[str]
    labels: list[str | None]
    truncated: Mask
    embeddings: Embeddings
    similarities: Similarities
    neighbors: Rows
    graph: Graph

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def labelled(self) -> Rows:
        """Positions of the records that have a label, ascending."""
        return np.array(
            [place for place, label in enumerate(self.labels) if label is not None], dtype=np.int64
        )

    @property
    def split_names(self) -> list[str]:
        """Names of the splits: train, validation, test, then the others by name."""
        return list(order_splits(self.splits))

    def places(self, split: str) -> list[int]:
        """Return the positions of a split's records, ascending."""
        return [place for place, name in enumerate(self.splits) if name == split]

    def nearest_in(self, split: str, places: Sequence[int]) -> Similarities:
        """Return the cosine of some records, none of them of the split, to their nearest there, (n,)."""
        return self.graph.within(self.rows[list(places)], splits=[split], k=1)[0][:, 0]


def audited_records(store: Store, splits: Sequence[str] = ()) -> AuditedRecords:
    """Return the records of some splits of a store, or of all.

    Raises
    ------
    NotFound
        No such split.
    InvalidData
        Fewer than two records.
    """
    known = [str(name) for name in store.reader.counts("split")]
    for name in splits:
        check_split(store, name, "--split")
    chosen = list(dict.fromkeys(splits)) or known
    parts = [store.rows(split=name) for name in chosen]
    rows = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
    if len(rows) < 2:
        raise InvalidData(
            f"{counted(len(rows), 'record')} of {store.name}: too few for an audit.",
            why="An audit compares each with others.",
            fix="embstore build DATASET",
        )
    ids, split_of, texts, labels, truncated = (
        store.reader.column(name, rows) for name in ("id", "split", "text", "label", "truncated")
    )
    graph = graph_of(store, NEIGHBORS)
    similarities, found = graph.within(rows, splits=chosen, k=NEIGHBORS)
    return AuditedRecords(
        rows,
        ids,
        split_of,
        texts,
        labels,
        truncated=np.array(truncated, dtype=np.bool_),
        embeddings=np.asarray(store.embeddings(rows)),
        similarities=similarities,
        neighbors=np.searchsorted(rows, found),
        graph=graph,
    )
