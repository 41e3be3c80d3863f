"""Which rows a search may return."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from embstore.records import Mask, Rows


@dataclass(frozen=True)
class Allowed:
    """Rows that a search may return; what follows from them is computed once and kept.

    Parameters
    ----------
    mask : ndarray of shape (n_rows,), bool
        One flag a row of the snapshot.
    filtered : bool
        Whether live rows are left out too. An approximate index was measured without a filter, so what it
        would miss under one is not known: filtered searches are exact.
    """

    mask: Mask
    filtered: bool = True

    @cached_property
    def rows(self) -> Rows:
        """The rows, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def count(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def bits(self) -> npt.NDArray[np.uint8] | None:
        """One bit a row, the lowest first, as faiss takes them; None where every row may be returned."""
        return None if self.count == len(self.mask) else np.packbits(self.mask, bitorder="little")

    def between(self, first: int, end: int) -> int:
        """Return how many there are among the rows ``first`` to ``end - 1``."""
        if self.count == len(self.mask):
            return max(0, min(end, len(self.mask)) - first)
        return int(np.count_nonzero(self.mask[first:end]))
