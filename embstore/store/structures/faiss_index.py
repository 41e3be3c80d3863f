"""What all structures need of faiss, and its traps."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import IO, Any

import faiss
import numpy as np

from embstore.records import Embeddings, Rows, Similarities
from embstore.store.allowed import Allowed

# Candidates beyond k that are fetched at first, so that ties at the k-th place can be settled by row.
_MARGIN = 16
#: Similarities closer than this may be equal but for rounding of float32 sums.
ROUNDING = 1e-5

_Scan = Callable[[Rows, int], tuple[Similarities, Rows]]


def write_checked(index: Any, file: IO[bytes]) -> tuple[int, str]:
    """Write a faiss index through a writer that checks and hashes each block; return bytes and SHA-256.

    faiss's own file writer leaves a silently truncated file on a full disk.
    """
    digest = hashlib.sha256()
    size = 0

    def write_block(block: bytes) -> None:
        nonlocal size
        digest.update(block)
        size += file.write(block)

    writer = faiss.PyCallbackIOWriter(write_block, 1 << 20)  # type: ignore[attr-defined]
    faiss.write_index(index, writer)
    return size, digest.hexdigest()


def storage_name(index: Any) -> str:
    """Return how rows are stored, as faiss writes it: ``Flat``, ``SQfp16`` or ``SQ8``."""
    quantizer = getattr(index, "sq", None)
    if quantizer is None:
        return "Flat"
    return "SQfp16" if quantizer.qtype == faiss.ScalarQuantizer.QT_fp16 else "SQ8"


def storage_error(index: Any) -> float:
    """Return how far a similarity from stored rows can be from the true one, no unit; never less.

    Half a step a component, then Cauchy and Schwarz: both the query and the rows have unit length.
    """
    quantizer = getattr(index, "sq", None)
    if quantizer is None:
        return 0.0
    if quantizer.qtype == faiss.ScalarQuantizer.QT_fp16:
        error = 2.0**-11
    elif quantizer.qtype == faiss.ScalarQuantizer.QT_8bit_uniform:
        span = float(faiss.vector_to_array(quantizer.trained)[1])
        error = span / 510 * math.sqrt(index.d)
    else:
        return math.inf
    # A squared distance also errs by how far the stored row's length is from 1.
    return error if index.metric_type == faiss.METRIC_INNER_PRODUCT else 2 * error + error * error


def selector(allowed: Allowed) -> Any:
    """Return what makes faiss pass over rows; None where every row may be returned."""
    bits = allowed.bits
    # The stubs that faiss ships lack what its wrappers add: keyword arguments, callback writers.
    return None if bits is None else faiss.IDSelectorBitmap(bits)  # type: ignore[arg-type, call-arg]


def wide(k: int, ntotal: int) -> int:
    """Return twice k and some more: the order in few bits is not quite that of the embeddings."""
    return min(2 * k + _MARGIN, ntotal)


def searched(index: Any, queries: Embeddings, fetch: int, parameters: Any) -> tuple[Similarities, Rows]:
    """Return similarities and rows of the ``fetch`` nearest to each query; row -1 in an empty place."""
    found, rows = index.search(queries, fetch, params=parameters)
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        found = 1 - found / 2
    return found, rows


def settled(scan: _Scan, n_queries: int, k: int, available: int, error: float) -> list[Rows]:
    """Fetch more and more until what was not fetched cannot be among the k nearest, query by query.

    Parameters
    ----------
    scan : callable
        Takes places of queries and how many rows to fetch for each; returns what `searched` does.
    n_queries, k, available : int
        Queries, rows that are wanted and rows that may be returned.
    error : float
        See `storage_error`.

    Returns
    -------
    list of ndarray, int64
        For each query the min(k, available) nearest rows and all that may tie with the last, in no order.
    """
    doubt = 2 * error + ROUNDING
    fetch = min(k + _MARGIN if error < 1e-3 else 4 * k + 64 * _MARGIN, available)
    found: list[Rows] = [np.empty(0, dtype=np.int64)] * n_queries
    pending = np.arange(n_queries)
    while fetch and len(pending):
        similarities, rows = scan(pending, fetch)
        floor = similarities[:, min(k, fetch) - 1, np.newaxis] - doubt
        # Row -1 fills the place of an embedding that is not finite.
        near = (rows >= 0) & (similarities >= floor)
        # faiss returns ties in arbitrary order, so the k-th place is settled only below the last tie.
        done = (similarities[:, -1:] < floor)[:, 0] | (fetch == available)
        for place in np.flatnonzero(done):
            found[pending[place]] = rows[place][near[place]]
        pending = pending[~done]
        fetch = min(4 * fetch, available)
    return found
