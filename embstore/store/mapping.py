"""A shard in memory: rows of a file as one array, and whether the file still holds them."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from embstore.records import Embeddings


class Mapping:
    """The rows that a file of embeddings had when it was mapped.

    Parameters
    ----------
    path : Path
        Holds float32 rows behind a header, at least one.
    header_size : int
        Bytes before the first row.
    dim : int
        Floats a row.

    Attributes
    ----------
    rows : ndarray of shape (n, dim), float32
        Read-only view of the file.
    """

    def __init__(self, path: Path, header_size: int, dim: int) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._header_size, self._row_bytes = header_size, 4 * dim
        floats = np.frombuffer(self._map, "<f4", self.n_now() * dim, header_size)
        self.rows: Embeddings = floats.reshape(-1, dim)

    def n_now(self) -> int:
        """Return how many rows the file has now.

        One that was cut must not be touched behind its end: the system kills the process that does.
        """
        return max(self._map.size() - self._header_size, 0) // self._row_bytes
