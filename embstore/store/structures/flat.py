"""Flat: every row compared, in as many bits as one likes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

import faiss
import numpy as np
import numpy.typing as npt

from embstore.directions import unit
from embstore.records import Embeddings, Rows, Similarities
from embstore.store.allowed import Allowed
from embstore.store.index import FEW
from embstore.store.structures.faiss_index import (
    searched,
    selector,
    settled,
    storage_error,
    storage_name,
    write_checked,
)


class FlatIndex:
    """Compares a query with every row; exact although the rows may be stored in fewer bits.

    Parameters
    ----------
    index : faiss.IndexFlat or faiss.IndexScalarQuantizer
        Over unit embeddings; position i is row i.
    """

    exact = True

    def __init__(self, index: Any) -> None:
        self._index = index
        self._error = storage_error(index)
        self.factory = storage_name(index)
        # Eight queries over 20,000 rows in float16 take half of the time of the product, which reads float32.
        self.few = 12 if self.factory == "SQfp16" else FEW

    @classmethod
    def build(cls, dim: int, blocks: Iterable[Embeddings]) -> FlatIndex:
        """Index blocks of embeddings, each of shape (n, dim), float32, of any length but zero."""
        index = faiss.IndexFlatIP(dim)
        for block in blocks:
            index.add(unit(block))
        return cls(index)

    @classmethod
    def with_ids(cls, dim: int, blocks: Iterable[tuple[Rows, Embeddings]]) -> Any:
        """Index blocks of rows and their embeddings; the rows are the ids that plain faiss answers with."""
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
        for rows, block in blocks:
            index.add_with_ids(unit(block), rows)
        return index

    @property
    def ntotal(self) -> int:
        """Rows covered: 0 to ntotal - 1."""
        return int(self._index.ntotal)

    def near(self, queries: Embeddings, k: int, allowed: Allowed) -> npt.NDArray[np.int64]:
        """Return candidates for each query, -1 where there are fewer; see `SimilarityIndex`."""
        found = self._candidates(queries, k, allowed)
        out = np.full((len(found), max(map(len, found), default=0)), -1, dtype=np.int64)
        for place, rows in enumerate(found):
            out[place, : len(rows)] = rows
        return out

    def candidates(self, query: Embeddings, k: int, allowed: Allowed) -> Rows:
        """Return the rows most similar to one query, and all that may tie with the last of them.

        Parameters
        ----------
        query : ndarray of shape (dim,), float32
            Of unit length.
        k : int
            At least 1.
        allowed : Allowed
            Rows that may be returned.

        Returns
        -------
        ndarray of shape (m,), int64
            In no order; holds the min(k, allowed rows) nearest, or all whose embedding is finite. Never -1.
        """
        return self._candidates(query[np.newaxis], k, allowed)[0]

    def _candidates(self, queries: Embeddings, k: int, allowed: Allowed) -> list[Rows]:
        parameters = faiss.SearchParameters(sel=selector(allowed))  # type: ignore[call-arg]

        def scan(places: Rows, fetch: int) -> tuple[Similarities, Rows]:
            return searched(self._index, queries[places], fetch, parameters)

        return settled(scan, len(queries), k, allowed.between(0, self.ntotal), self._error)

    def nearest(self, queries: Embeddings, k: int) -> tuple[Similarities, Rows]:
        """Return the positions most similar to each of many queries; ties are in no order.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, dim), float32
            Of unit length.
        k : int
            1 to ``ntotal``.

        Returns
        -------
        similarities, positions : ndarrays of shape (n_queries, k), float32 and int64
            Most similar first; position -1 fills the place of an embedding that is not finite.
        """
        similarities, positions = self._index.search(queries, k)
        return similarities, positions

    def write(self, file: IO[bytes]) -> tuple[int, str]:
        """Write the structure; see `write_checked`."""
        return write_checked(self._index, file)
