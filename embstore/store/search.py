"""Exact answers from an index and the shards: candidates first, then one similarity for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embstore.errors import InvalidInput, StoreDamaged
from embstore.records import Embeddings, Mask, Neighbor, Record, Rows, Similarities
from embstore.store.index import FlatIndex, SimilarityIndex, unit
from embstore.store.segments import Segment
from embstore.store.shards import Shards


def search(
    queries: Embeddings,
    k: int,
    *,
    index: SimilarityIndex | None,
    shards: Shards,
    segments: Sequence[Segment],
    allowed: Mask,
) -> tuple[Similarities, Rows]:
    """Return the k allowed rows most similar to each query.

    Rows that the index does not cover, all of them where there is none, are compared one by one.

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
    allowed : ndarray of shape (n_rows,), bool
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
    width = min(k, int(np.count_nonzero(allowed)))
    similarities = np.empty((len(queries), width), dtype=np.float32)
    rows = np.empty((len(queries), width), dtype=np.int64)
    if not width:
        return similarities, rows
    directions = unit(queries)
    found = _candidates(directions, k, index, shards, segments, allowed)
    for position, candidates in enumerate(found):
        if len(candidates) < width:
            raise StoreDamaged(
                f"Only {len(candidates)} of {width} neighbors have a finite embedding.", fix="embstore verify"
            )
        values = _cosines(queries[position], shards.read(candidates, segments))
        best = np.lexsort((candidates, -values))[:width]
        similarities[position], rows[position] = values[best], candidates[best]
    return similarities, rows


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
    k: int,
    index: SimilarityIndex | None,
    shards: Shards,
    segments: Sequence[Segment],
    allowed: Mask,
) -> list[Rows]:
    """Return for each query rows that hold its k nearest, from the index and from the rows behind it."""
    covered = min(index.ntotal, len(allowed)) if index else 0
    found: list[list[Rows]] = [[] for _ in directions]
    if index and covered:
        mask = _mask(allowed, 0, index.ntotal)
        for parts, rows in zip(found, index.candidates(directions, k, mask), strict=True):
            parts.append(rows)
    for start, block in shards.blocks(covered, segments):
        part = FlatIndex.build(block.shape[1], [block])
        mask = _mask(allowed, start, part.ntotal)
        for parts, rows in zip(found, part.candidates(directions, k, mask), strict=True):
            parts.append(start + rows)
    return [np.sort(np.concatenate(parts)) for parts in found]


def _mask(allowed: Mask, start: int, n: int) -> Mask | None:
    """Return the flags of n rows; None where all may be returned. Rows newer than the snapshot may not."""
    part = allowed[start : start + n]
    if len(part) == n and part.all():
        return None
    return np.pad(part, (0, n - len(part)))


def _cosines(query: Embeddings, embeddings: Embeddings) -> Similarities:
    """Return cosines that depend on the two embeddings alone, not on what else is searched beside them."""
    wide, asked = embeddings.astype(np.float64), query.astype(np.float64)
    lengths = np.sqrt((wide * wide).sum(axis=1)) * np.sqrt((asked * asked).sum())
    values = (wide * asked).sum(axis=1) / lengths
    clipped: Similarities = np.clip(values, -1.0, 1.0).astype(np.float32)
    return clipped
