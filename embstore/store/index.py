"""The similarity index: what search asks of one, whatever its structure."""

from __future__ import annotations

from typing import IO, Protocol

import numpy as np
import numpy.typing as npt

from embstore.records import Embeddings, Rows
from embstore.store.allowed import Allowed

#: `SimilarityIndex.few` where nothing else was measured.
FEW = 6


class SimilarityIndex(Protocol):
    """A structure over unit embeddings that proposes the rows most similar to a query."""

    @property
    def factory(self) -> str:
        """Structure, cells and storage, as faiss writes them: ``Flat``, ``SQfp16``, ``IVF2048,SQ8``."""
        ...

    @property
    def exact(self) -> bool:
        """Whether `near` is as exact as `candidates`."""
        ...

    @property
    def few(self) -> int:
        """Queries at once from which a product with all embeddings answers exactly in less time than this."""
        ...

    @property
    def ntotal(self) -> int:
        """Rows covered: 0 to ntotal - 1."""
        ...

    def near(self, queries: Embeddings, k: int, allowed: Allowed) -> npt.NDArray[np.int64]:
        """Propose, quickly, rows for unit queries (n_queries, dim); -1 fills a place that stays empty."""
        ...

    def candidates(self, query: Embeddings, k: int, allowed: Allowed) -> Rows:
        """Return rows that certainly hold the k most similar allowed ones to one unit query (dim,)."""
        ...

    def write(self, file: IO[bytes]) -> tuple[int, str]:
        """Write the structure; return its bytes and their SHA-256."""
        ...
