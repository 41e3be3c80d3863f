"""Cells: the rows that are nearest to the same centroid, searched a few cells at a time."""

from __future__ import annotations

from typing import IO, Any

import faiss
import numpy as np
import numpy.typing as npt

from embstore.records import Embeddings, Rows, Similarities
from embstore.store.allowed import Allowed
from embstore.store.index import FEW
from embstore.store.structures.faiss_index import (
    searched,
    selector,
    settled,
    storage_error,
    storage_name,
    wide,
    write_checked,
)


class IvfIndex:
    """Compares a query with the rows of the nearest cells; the number of cells is ``effort``.

    Parameters
    ----------
    index : faiss.IndexIVF
        Inner product over unit embeddings; ids are rows.
    """

    exact = False
    few = FEW

    def __init__(self, index: Any) -> None:
        self._index = index
        self._error = storage_error(index)
        self.factory = f"IVF{index.nlist},{storage_name(index)}"

    @property
    def ntotal(self) -> int:
        """Rows covered: 0 to ntotal - 1."""
        return int(self._index.ntotal)

    @property
    def effort(self) -> int:
        """Cells that are searched; kept in the file."""
        return int(self._index.nprobe)

    @effort.setter
    def effort(self, cells: int) -> None:
        self._index.nprobe = cells

    @property
    def most_effort(self) -> int:
        """All cells."""
        return int(self._index.nlist)

    def near(self, queries: Embeddings, k: int, allowed: Allowed) -> npt.NDArray[np.int64]:
        """Propose rows of the nearest cells; see `SimilarityIndex`."""
        parameters = self._parameters(self.effort, allowed)
        rows: npt.NDArray[np.int64] = self._index.search(queries, wide(k, self.ntotal), params=parameters)[1]
        return rows

    def candidates(self, query: Embeddings, k: int, allowed: Allowed) -> Rows:
        """Return, from all cells, rows that certainly hold the nearest; see `FlatIndex.candidates`."""
        parameters = self._parameters(self.most_effort, allowed)

        def scan(places: Rows, fetch: int) -> tuple[Similarities, Rows]:
            return searched(self._index, query[np.newaxis][places], fetch, parameters)

        return settled(scan, 1, k, allowed.between(0, self.ntotal), self._error)[0]

    def write(self, file: IO[bytes]) -> tuple[int, str]:
        """Write the structure; see `write_checked`."""
        return write_checked(self._index, file)

    def _parameters(self, cells: int, allowed: Allowed) -> Any:
        return faiss.SearchParametersIVF(nprobe=cells, sel=selector(allowed))  # type: ignore[call-arg]
