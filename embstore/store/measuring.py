"""Measuring an index: effort tuned on some queries, recall and latency certified on others."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from embstore.directions import is_unit, unit
from embstore.records import Embeddings, Rows, Similarities
from embstore.store.allowed import Allowed
from embstore.store.certificate import LEVELS, Recall, recall_of
from embstore.store.index import SimilarityIndex
from embstore.store.search import search, without
from embstore.store.segments import Segment
from embstore.store.shards import Shards
from embstore.store.structures.exact import nearest_of

#: Records whose embeddings are the queries: for the effort, and for the certificate.
N_TUNING, N_CERTIFIED = 250, 750
#: Of their drawing.
SEED = 0
# Queries that are timed one by one.
_TIMED = 100
# float32 sums of the truth beside float64 cosines of the answer.
_ROUNDING = 1e-5


class Tunable(SimilarityIndex, Protocol):
    """An index that finds more the more it may search."""

    effort: int

    @property
    def most_effort(self) -> int:
        """The effort beyond which none goes."""
        ...


@dataclass(frozen=True)
class Queries:
    """Stored records as queries, each with what a search must find once the record itself is left out.

    Parameters
    ----------
    rows : ndarray of shape (n,), int64
        Of the records.
    embeddings : ndarray of shape (n, dim), float32
        Theirs, of unit length.
    truth : ndarray of shape (n, m), float32
        Similarities of the m nearest others, largest first, from comparing all rows.
    """

    rows: Rows
    embeddings: Embeddings
    truth: Similarities

    def part(self, start: int, end: int) -> Queries:
        """Return the queries from start to end - 1."""
        return Queries(self.rows[start:end], self.embeddings[start:end], self.truth[start:end])


@dataclass(frozen=True)
class Ground:
    """The rows that are searched: the store as the one who builds its index sees it."""

    shards: Shards
    segments: Sequence[Segment]
    allowed: Allowed

    def search(self, queries: Embeddings, k: int, index: SimilarityIndex) -> tuple[Similarities, Rows]:
        """Return what `search` does with the index."""
        return search(
            queries, k, index=index, shards=self.shards, segments=self.segments, allowed=self.allowed
        )

    def blocks(self) -> Iterator[tuple[Rows, Embeddings]]:
        """Yield all rows that may be found, and these at unit length, a block at a time."""
        for start, block in self.shards.blocks(0, self.segments):
            flags = self.allowed.mask[start : start + len(block)]
            chosen = block if flags.all() else block[flags]
            yield start + np.flatnonzero(flags), chosen if is_unit(chosen) else unit(chosen)


def draw(ground: Ground) -> Rows:
    """Return the rows of the queries, in the order in which they are used: first those to tune on."""
    random = np.random.default_rng(SEED)
    n = min(N_TUNING + N_CERTIFIED, ground.allowed.count)
    return random.choice(ground.allowed.rows, n, replace=False)


def tuning_part(queries: Queries) -> tuple[Queries, Queries]:
    """Return the queries to tune on, and the others, to measure with."""
    n = min(N_TUNING, len(queries.rows) // 4)
    return queries.part(0, n), queries.part(n, len(queries.rows))


def levels(ground: Ground) -> list[int]:
    """Return the numbers of neighbors that the store has enough records for."""
    return [k for k in LEVELS if k < ground.allowed.count]


def with_truth(queries: Queries, ground: Ground) -> Queries:
    """Return queries with their truth, from one pass over the shards."""
    k = min(LEVELS[-1], ground.allowed.count - 1)
    similarities, found = nearest_of(queries.embeddings, k + 1, ground.blocks())
    itself = found == queries.rows[:, np.newaxis]
    # Where many are equal to the record it may not be among what was found: then the last is too many.
    itself[~itself.any(axis=1), -1] = True
    return replace(queries, truth=similarities[~itself].reshape(len(queries.rows), k))


def shares_found(index: SimilarityIndex, queries: Queries, k: int, ground: Ground) -> npt.NDArray[np.float64]:
    """Return for each query which share of its k nearest a search finds, itself left out.

    A row counts where it is as similar as the k-th of the truth: which of several equal rows is found makes
    no difference.
    """
    similarities, rows = ground.search(queries.embeddings, k + 1, index)
    shares = []
    for place, row in enumerate(queries.rows.tolist()):
        found, _ = without(row, similarities[place : place + 1], rows[place : place + 1])
        shares.append(float((found >= queries.truth[place, k - 1] - _ROUNDING).mean()))
    return np.array(shares)


def tune(index: Tunable, queries: Queries, target: float, ground: Ground) -> Recall | None:
    """Set the least effort at which recall at 10 is certain to reach the target on these queries.

    Certain: the lower end of the interval reaches it, or nothing at all was missed.

    Returns
    -------
    Recall or None
        What is reached with all effort, where that is not enough.
    """
    k = min(LEVELS[1], queries.truth.shape[1])
    if not k or not len(queries.rows):
        return None

    def recall(effort: int) -> Recall:
        index.effort = effort
        return recall_of(k, shares_found(index, queries, k, ground))

    def enough(found: Recall) -> bool:
        return found.low >= target or found.value == 1.0

    low, high = 0, 1
    while not enough(found := recall(high)):
        if high == index.most_effort:
            return found
        low, high = high, min(2 * high, index.most_effort)
    # An eighth more than needed is not worth another round.
    while high - low > max(1, high // 8):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(recall(middle)) else (middle, high)
    index.effort = high
    return None


def certified(index: SimilarityIndex, queries: Queries, ground: Ground) -> tuple[Recall, ...]:
    """Return recall with its interval at each of the `levels`."""
    return tuple(recall_of(k, shares_found(index, queries, k, ground)) for k in levels(ground))


def median_milliseconds(index: SimilarityIndex, embeddings: Embeddings, ground: Ground) -> float:
    """Return the median wall time of one query for 10 neighbors, over at most 100 of these (n, dim)."""
    seconds = []
    for query in embeddings[:_TIMED]:
        begun = time.perf_counter()
        ground.search(query[np.newaxis], 10, index)
        seconds.append(time.perf_counter() - begun)
    return round(1000 * statistics.median(seconds), 4) if seconds else 0.0
