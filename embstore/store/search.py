"""Answers from an index and the shards: candidates first, then one similarity for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from embstore.directions import unit
from embstore.errors import InvalidInput, StoreDamaged
from embstore.records import Embeddings, Neighbor, Record, Rows, Similarities
from embstore.store.allowed import Allowed
from embstore.store.certificate import FEW_ROWS, LEVELS
from embstore.store.faults import verify_line
from embstore.store.index import SimilarityIndex
from embstore.store.segments import Segment
from embstore.store.shards import Shards
from embstore.store.structures.exact import exact_pairs, n_threads, threads

# Queries that are worth a thread of their own: with fewer, laying out the rows for each thread costs more
# than waiting for each other does.
_SLICE = 600
# Where the index holds so many times the rows that are allowed, those are read from the shards alone.
_SELECTIVE = 256
# Pairs compared together: as float64 they stay in the cache, and threads seldom wait for Python's lock.
_PAIRS = 512


def search(
    queries: Embeddings,
    k: int,
    *,
    index: SimilarityIndex | None,
    shards: Shards,
    segments: Sequence[Segment],
    allowed: Allowed,
) -> tuple[Similarities, Rows]:
    """Return the k allowed rows most similar to each query: exactly, unless `approximates` says otherwise.

    Rows that the index does not cover, all of them where there is none, are compared exactly.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, dim), float32
        Finite, not zero; need not be of unit length.
    k : int
        Neighbors per query, at least 1. More than there are allowed rows gives all of those.
    index : SimilarityIndex or None
        Covers rows 0 to ``index.ntotal - 1``.
    shards, segments
        Where all embeddings are.
    allowed : Allowed
        Rows that may be returned.

    Returns
    -------
    similarities : ndarray of shape (n_queries, min(k, allowed rows)), float32
        Cosine, no unit, in [-1, 1], largest first. Row i answers ``queries[i]``.
    rows : ndarray of the same shape, int64
        Never -1. Equal similarities are listed by ascending row.

    Raises
    ------
    StoreDamaged
        Stored embeddings are not finite any more.
    """
    # A NumPy integer means nothing to faiss.
    width = min(int(k), allowed.count)
    if not width or not len(queries):
        shape = (len(queries), width)
        return np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)

    n_parts = min(n_threads(), len(queries) // _SLICE)
    n_each = n_threads() if n_parts < 2 and len(queries) > 1 else 1

    def answer(part: Embeddings) -> tuple[Similarities, Rows]:
        with threads(n_each):
            pairs = _candidates(unit(part), width, index, shards, segments, allowed)
            return _best(part, width, *pairs, shards, segments)

    if n_parts < 2:
        return answer(queries)
    # Threads that have queries of their own need not wait for each other at each step, as faiss's do.
    with ThreadPoolExecutor(n_parts) as pool:
        parts = list(pool.map(answer, np.array_split(queries, n_parts)))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def approximates(index: SimilarityIndex | None, k: int, allowed: Allowed) -> bool:
    """Tell whether a search for k rows may miss some: only where that was measured.

    Removed rows stay in an index and take the place of others. With half of 200,000 removed its recall was
    still within the certificate's interval; with 99 of 100 removed it was 0.92 instead of 0.97.
    """
    if index is None or index.exact or min(index.ntotal, allowed.count) < FEW_ROWS:
        return False
    if 2 * allowed.count < index.ntotal:
        return False
    return not allowed.filtered and k <= LEVELS[-1]


def ranked(similarities: Similarities, rows: Rows, records: Sequence[Record]) -> list[list[Neighbor]]:
    """Return what `search` found as neighbors; the records are those of all its rows, one after another."""
    found = dict(zip(rows.ravel().tolist(), records, strict=True))
    return [
        [
            Neighbor(rank, float(similarity), found[row])
            for rank, (similarity, row) in enumerate(zip(values, nearest, strict=True), 1)
        ]
        for values, nearest in zip(similarities.tolist(), rows.tolist(), strict=True)
    ]


def without(row: int, similarities: Similarities, rows: Rows) -> tuple[Similarities, Rows]:
    """Return the answer to one query, (1, k), without a row; without its last where it does not hold that."""
    kept = rows[0] != row
    if kept.all():
        kept[-1:] = False
    return similarities[:, kept], rows[:, kept]


def check_queries(queries: Embeddings, dim: int, k: int) -> Embeddings:
    """Return queries as float32 of shape (n_queries, dim) once they are fit to be searched for.

    Raises
    ------
    InvalidInput
        Wrong rank, dtype or dim; NaN; a zero row; or ``k < 1``.
    """
    if not isinstance(k, int | np.integer) or k < 1:
        raise InvalidInput(f"k is {k}.", why="It is a whole number, at least 1.", fix="-k 10")
    array = np.asarray(queries)
    if array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] != dim:
        raise InvalidInput(
            f"The queries have shape {array.shape} and dtype {array.dtype}.",
            why=f"This store is searched with numbers of shape (n_queries, {dim}).",
            fix="query.reshape(1, -1) for a single one, from the encoder that built the store",
        )
    with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite, and refused below
        array = array.astype(np.float32, copy=False)
    unusable = np.flatnonzero(~(np.isfinite(array).all(axis=1) & array.any(axis=1)))
    if len(unusable):
        raise InvalidInput(
            f"Query {unusable[0]} is zero, NaN or infinite.", why="It has no direction to be similar to."
        )
    return array


def _candidates(
    directions: Embeddings,
    width: int,
    index: SimilarityIndex | None,
    shards: Shards,
    segments: Sequence[Segment],
    allowed: Allowed,
) -> tuple[Rows, Rows]:
    """Return pairs of query and row that hold the nearest of each, from the index and from behind it."""
    places, rows, covered = _from_index(directions, width, index, allowed)
    behind = allowed.between(covered, len(allowed.mask))
    if not behind:
        return places, rows
    more, tail = exact_pairs(directions, width, behind, lambda: _blocks(shards, segments, allowed, covered))
    return np.concatenate([places, more]), np.concatenate([rows, tail])


def _from_index(
    directions: Embeddings, width: int, index: SimilarityIndex | None, allowed: Allowed
) -> tuple[Rows, Rows, int]:
    """Return pairs of query and row, and up to which row they speak for the store."""
    nothing = np.empty(0, dtype=np.int64)
    if index is None or not index.ntotal:
        return nothing, nothing, 0
    covered = min(index.ntotal, len(allowed.mask))
    if approximates(index, width, allowed):
        near = index.near(directions, width, allowed)
        needed = min(width, allowed.between(0, covered))
        short = np.flatnonzero((near >= 0).sum(axis=1) < needed)
        # A query whose cells hold too few is answered exactly, whatever is asked beside it.
        with threads(1):
            exact = [index.candidates(directions[place], width, allowed) for place in short]
        near[short] = -1
        places, columns = np.nonzero(near >= 0)
        return (
            np.concatenate([places, np.repeat(short, [len(rows) for rows in exact])]),
            np.concatenate([near[places, columns], *exact]),
            covered,
        )
    if len(directions) >= index.few or allowed.count * _SELECTIVE < index.ntotal:
        return nothing, nothing, 0
    if index.exact:
        near = index.near(directions, width, allowed)
        places, columns = np.nonzero(near >= 0)
        return places, near[places, columns], covered
    # One query is answered by one thread: two need longer to meet than they save.
    with threads(1):
        found = [index.candidates(direction, width, allowed) for direction in directions]
    return np.repeat(np.arange(len(found)), [len(rows) for rows in found]), np.concatenate(found), covered


def _blocks(
    shards: Shards, segments: Sequence[Segment], allowed: Allowed, first_row: int
) -> Iterator[tuple[Rows, Embeddings]]:
    """Yield the allowed rows from ``first_row`` on, and these at unit length, uncopied where possible."""
    for start, block, scaled in shards.views(first_row, segments):
        flags = allowed.mask[start : start + len(block)]
        rows = np.flatnonzero(flags)
        if len(rows):
            chosen = block if len(rows) == len(block) else block[rows]
            yield start + rows, chosen if scaled else unit(chosen)


def _best(
    queries: Embeddings, width: int, places: Rows, rows: Rows, shards: Shards, segments: Sequence[Segment]
) -> tuple[Similarities, Rows]:
    """Return the best of the candidate pairs of each query, by similarity and then by row."""
    values = _cosines(queries, places, rows, shards, segments)
    finite = np.isfinite(values)
    if not finite.all():
        places, rows, values = places[finite], rows[finite], values[finite]
    counts = np.bincount(places, minlength=len(queries))
    if counts.min() < width:
        raise StoreDamaged(
            f"Only {counts.min()} of {width} neighbors have a finite embedding.",
            fix=verify_line(shards.folder.parent),
        )
    order = np.lexsort((rows, -values, places))
    best = order[(np.cumsum(counts) - counts)[:, np.newaxis] + np.arange(width)]
    return values[best], rows[best]


def _cosines(
    queries: Embeddings, places: Rows, rows: Rows, shards: Shards, segments: Sequence[Segment]
) -> Similarities:
    """Return the cosine of each pair of a query and a row; it depends on these two alone."""
    asked = queries.astype(np.float64)
    lengths = np.sqrt(np.vecdot(asked, asked))
    values = np.empty(len(rows), dtype=np.float32)
    # Filled anew for each part: to get memory and give it back took longer than all of the arithmetic.
    shape = min(_PAIRS, len(rows)), queries.shape[1]
    found, wide, theirs = np.empty(shape, dtype=np.float32), np.empty(shape), np.empty(shape)
    for start in range(0, len(rows), _PAIRS):
        chosen = slice(start, start + _PAIRS)
        n = len(rows[chosen])
        wide[:n] = shards.read(rows[chosen], segments, found)
        # `take` lets other threads run meanwhile; indexing by an array does not.
        asked.take(places[chosen], 0, out=theirs[:n], mode="clip")
        values[chosen] = cosines(theirs[:n], wide[:n], lengths[places[chosen]])
    return values


def cosines(
    queries: npt.NDArray[np.float64], embeddings: npt.NDArray[np.float64], lengths: npt.NDArray[np.float64]
) -> Similarities:
    """Return the cosine of each row of two matrices (n, dim); the queries' lengths, (n,), are known."""
    with np.errstate(invalid="ignore"):  # an embedding that is zero or not finite has no cosine
        values = np.vecdot(embeddings, queries) / (np.sqrt(np.vecdot(embeddings, embeddings)) * lengths)
    clipped: Similarities = np.clip(values, -1.0, 1.0).astype(np.float32)
    return clipped
