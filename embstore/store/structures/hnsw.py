"""Links: from each row to near ones, on several levels."""

from __future__ import annotations

from typing import IO, Any

import faiss
import numpy as np
import numpy.typing as npt

from embstore.records import Embeddings, Rows
from embstore.store.allowed import Allowed
from embstore.store.index import FEW
from embstore.store.structures.faiss_index import selector, storage_name, wide, write_checked
from embstore.store.structures.flat import FlatIndex


class HnswIndex:
    """Walks links from row to row; the length of its list of open rows is ``effort``.

    Parameters
    ----------
    index : faiss.IndexHNSW
        Squared L2 over unit embeddings, the same order as cosine: with inner product it builds 30 times
        slower.
    """

    exact = False
    few = FEW
    most_effort = 1024

    def __init__(self, index: Any) -> None:
        self._index = index
        self._flat = FlatIndex(faiss.downcast_index(index.storage))
        self.factory = f"HNSW32,{storage_name(faiss.downcast_index(index.storage))}"

    @property
    def ntotal(self) -> int:
        """Rows covered: 0 to ntotal - 1."""
        return int(self._index.ntotal)

    @property
    def effort(self) -> int:
        """Length of the list of open rows (efSearch); kept in the file."""
        return int(self._index.hnsw.efSearch)

    @effort.setter
    def effort(self, length: int) -> None:
        self._index.hnsw.efSearch = length

    def near(self, queries: Embeddings, k: int, allowed: Allowed) -> npt.NDArray[np.int64]:
        """Propose rows that links lead to; see `SimilarityIndex`."""
        fetch = wide(k, self.ntotal)
        effort = max(fetch, self.effort)
        parameters = faiss.SearchParametersHNSW(efSearch=effort, sel=selector(allowed))  # type: ignore[attr-defined]
        rows: npt.NDArray[np.int64] = self._index.search(queries, fetch, params=parameters)[1]
        return rows

    def candidates(self, query: Embeddings, k: int, allowed: Allowed) -> Rows:
        """Return rows that certainly hold the nearest, by comparing all; see `FlatIndex.candidates`."""
        return self._flat.candidates(query, k, allowed)

    def write(self, file: IO[bytes]) -> tuple[int, str]:
        """Write the structure; see `write_checked`."""
        return write_checked(self._index, file)
