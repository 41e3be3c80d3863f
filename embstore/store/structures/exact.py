"""Exact search without an index: blocks of embeddings against many queries at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import faiss
import numpy as np
import numpy.typing as npt

from embstore.records import Embeddings, Rows, Similarities
from embstore.store.structures.faiss_index import ROUNDING

#: Yields rows and their embeddings at unit length.
Blocks = Callable[[], Iterator[tuple[Rows, Embeddings]]]
# Neighbors beyond k that are fetched at first, to see where the ties of the k-th place end.
_MARGIN = 3
# From so many queries times floats on faiss multiplies at all, here 6 queries of 384. By itself it compares
# fewer than 334 of these one by one, which takes up to four times as long.
faiss.cvar.distance_compute_blas_threshold = 6 * 384


def exact_pairs(queries: Embeddings, k: int, total: int, blocks: Blocks) -> tuple[Rows, Rows]:
    """Return pairs of query and row that hold the k nearest rows of each query.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, dim), float32
        Of unit length.
    k : int
        At least 1.
    total : int
        Rows that the blocks have together.
    blocks : callable
        Called once for each pass; two passes are rare.

    Returns
    -------
    places, rows : ndarrays of shape (n_pairs,), int64
        Position of the query, and a row. All rows that may tie with the k-th are there, none whose embedding
        is not finite.
    """
    pending = np.arange(len(queries))
    fetch = min(k + _MARGIN, total)
    found: list[tuple[Rows, Rows]] = []
    while len(pending) and fetch:
        similarities, rows = nearest_of(queries[pending], fetch, blocks())
        floor = similarities[:, min(k, fetch) - 1] - ROUNDING
        settled = (similarities[:, -1] < floor) | (fetch == total)
        places, columns = np.nonzero(
            settled[:, np.newaxis] & (rows >= 0) & (similarities >= floor[:, np.newaxis])
        )
        found.append((pending[places], rows[places, columns]))
        pending = pending[~settled]
        fetch = min(4 * fetch, total)
    if not found:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])


def nearest_of(
    queries: Embeddings, k: int, blocks: Iterator[tuple[Rows, Embeddings]]
) -> tuple[Similarities, npt.NDArray[np.int64]]:
    """Return similarities and rows, (n_queries, k), of the nearest in all blocks; ties are in no order.

    Row -1 fills a place where there are fewer, or an embedding is not finite.
    """
    heap = faiss.ResultHeap(len(queries), k, keep_max=True)
    for rows, block in blocks:
        width = min(k, len(block))
        found, places = faiss.knn(queries, block, width, metric=faiss.METRIC_INNER_PRODUCT)
        heap.add_result(found, np.where(places < 0, -1, rows[places]))
    heap.finalize()
    return heap.D, heap.I


def n_threads() -> int:
    """Return how many threads faiss would use."""
    return int(faiss.omp_get_max_threads())


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let faiss use n threads in calls of this thread while the block runs.

    One query is answered by one: two need longer to meet than they save.
    """
    before = n_threads()
    faiss.omp_set_num_threads(n)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
