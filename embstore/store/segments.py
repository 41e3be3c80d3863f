"""Segments: rows that were committed together, and the chain that they form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows that were committed together, and where their embeddings are.

    Parameters
    ----------
    first_row, n : int
        The rows ``first_row`` to ``first_row + n - 1``.
    shard : int
        Number of the file.
    offset : int
        Byte of the first row in that file.
    crc32 : int
        Of the embeddings' bytes.
    """

    first_row: int
    n: int
    shard: int
    offset: int
    crc32: int


def chain_length(segments: Sequence[Segment]) -> int:
    """Return how many rows segments have together; -1 where they do not follow one another."""
    end = 0
    for segment in segments:
        numbers = (segment.first_row, segment.n, segment.shard, segment.offset, segment.crc32)
        if (
            not all(isinstance(number, int) for number in numbers)
            or segment.first_row != end
            or segment.n < 1
        ):
            return -1
        end += segment.n
    return end


def ends_by_shard(segments: Sequence[Segment], row_bytes: int) -> dict[int, int]:
    """Return by shard the byte behind its last committed row."""
    ends: dict[int, int] = {}
    for segment in segments:
        end = segment.offset + segment.n * row_bytes
        ends[segment.shard] = max(end, ends.get(segment.shard, 0))
    return ends


def joined(segments: Sequence[Segment], row_bytes: int) -> Iterator[Segment]:
    """Yield segments with neighbors in one file joined into one."""
    run: Segment | None = None
    for segment in segments:
        if run and run.shard == segment.shard and run.offset + run.n * row_bytes == segment.offset:
            run = Segment(run.first_row, run.n + segment.n, run.shard, run.offset, 0)
            continue
        if run:
            yield run
        run = segment
    if run:
        yield run
