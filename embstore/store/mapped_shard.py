"""A shard in memory: rows of a file as one array, and whether the file still holds them."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from embstore.records import Embeddings


class MappedShard:
    """The rows that a shard had when it was mapped.

    Parameters
    ----------
    path : Path
        Holds float32 rows behind a header.
    header_size : int
        Bytes before the first row.
    dim : int
        Floats a row.

    Raises
    ------
    ValueError
        The file ends in its header.

    Attributes
    ----------
    rows : ndarray of shape (n, dim), float32
        Read-only view of the file.
    """

    def __init__(self, path: Path, header_size: int, dim: int) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._header_size, self._row_bytes = header_size, 4 * dim
        # By what is mapped: a writer may have made the file longer since.
        n_rows = max(len(self._map) - header_size, 0) // self._row_bytes
        floats = np.frombuffer(self._map, "<f4", n_rows * dim, header_size)
        self.rows: Embeddings = floats.reshape(-1, dim)

    def n_now(self) -> int:
        """Return how many rows the file has now.

        One that was cut must not be touched behind its end: the system kills the process that does.
        """
        return max(self._map.size() - self._header_size, 0) // self._row_bytes
