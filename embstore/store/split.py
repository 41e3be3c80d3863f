"""The records of one split as columns, for a notebook or a head."""

from __future__ import annotations

from dataclasses import dataclass

from embstore.records import Embeddings, Rows


@dataclass(frozen=True)
class Split:
    """The records of one split, aligned with their embeddings.

    Parameters
    ----------
    rows : ndarray of shape (n,), int64
        Rows in the store, ascending.
    ids, texts : list of str
        Row i of each is the same record.
    labels : list of str or None
        Class names; None where the dataset gives none.
    embeddings : ndarray of shape (n, dim), float32
        Read-only; a memory-mapped view of the store where its rows are consecutive, else a copy.
    """

    rows: Rows
    ids: list[str]
    texts: list[str]
    labels: list[str | None]
    embeddings: Embeddings

    def __len__(self) -> int:
        return len(self.rows)
