"""Making the index that was asked for: the first kind that fits and reaches its recall, measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from embstore.directions import unit
from embstore.errors import InvalidInput
from embstore.records import Embeddings, Rows
from embstore.store.allowed import Allowed
from embstore.store.certificate import Certificate, Recall
from embstore.store.index import SimilarityIndex
from embstore.store.index_options import TRAINING_ROWS, IndexKind, IndexOptions, cells_for, kinds_for
from embstore.store.manifest import Manifest
from embstore.store.measuring import (
    SEED,
    Ground,
    Queries,
    certified,
    draw,
    levels,
    median_milliseconds,
    tune,
    tuning_part,
    with_truth,
)
from embstore.store.shards import Shards
from embstore.store.snapshot import Snapshot
from embstore.store.structures.flat import FlatIndex
from embstore.store.structures.making import make_index


@dataclass(frozen=True)
class Indexed:
    """An index, and what was measured of it."""

    index: SimilarityIndex
    certificate: Certificate


def make_indexed(path: Path, manifest: Manifest, snapshot: Snapshot, asked: IndexOptions) -> Indexed:
    """Make the first index of those that fit which reaches the recall.

    Raises
    ------
    InvalidInput
        None fits, or none reaches it.
    """
    begun = time.monotonic()
    ground = Ground(
        Shards(path / "embeddings", manifest.uuid, manifest.dim, mapped=False),
        snapshot.segments,
        Allowed(snapshot.live(), filtered=False),
    )
    kinds = kinds_for(asked, snapshot.n_rows, manifest.dim)
    drawn = draw(ground)
    trained = _training_rows(kinds, drawn, snapshot.n_rows)
    # Together, for each is a pass over all shards.
    gathered = _gather(ground, np.concatenate([drawn, trained]), manifest.dim)
    queries = Queries(drawn, unit(gathered[: len(drawn)]), np.empty((len(drawn), 0), dtype=np.float32))
    if not kinds[0].exact:
        queries = with_truth(queries, ground)
    index = _first_that_reaches(kinds, asked, queries, ground, unit(gathered[len(drawn) :]), manifest.dim)
    return Indexed(index, _certificate(index, queries, asked, ground, begun))


def _first_that_reaches(
    kinds: Sequence[IndexKind],
    asked: IndexOptions,
    queries: Queries,
    ground: Ground,
    sample: Embeddings,
    dim: int,
) -> SimilarityIndex:
    tuning = tuning_part(queries)[0]
    reached = Recall(10, 0.0, 0.0, 0.0)
    for kind in kinds:
        index = make_index(kind, dim, len(ground.allowed.mask), lambda: _embeddings(ground), sample)
        if isinstance(index, FlatIndex):
            return index
        short = tune(index, tuning, asked.recall, ground)
        if short is None:
            return index
        reached = short
    raise InvalidInput(
        f"No index {asked.kind} reaches recall {asked.recall:g} at 10.",
        why=f"With all effort it reaches {reached.value:.3f} ({reached.low:.3f} to {reached.high:.3f}). "
        "The records are in the store, its index is as it was.",
        fix=f"--recall {int(100 * reached.low) / 100:g}, or --index flat,fp16 (exact)",
    )


def _certificate(
    index: SimilarityIndex, queries: Queries, asked: IndexOptions, ground: Ground, begun: float
) -> Certificate:
    tuning, checked = tuning_part(queries)
    exact = index.exact
    known = [Recall(k, 1.0, 1.0, 1.0) for k in levels(ground)] if exact else certified(index, checked, ground)
    return Certificate(
        exact=exact,
        recalls=tuple(known),
        p50_ms=median_milliseconds(index, checked.embeddings, ground),
        n_queries=0 if exact else len(checked.rows),
        n_tuning=0 if exact else len(tuning.rows),
        queries="" if exact else f"live records drawn with seed {SEED}, each left out of its own answer",
        effort=getattr(index, "effort", 0),
        kind=asked.kind,
        target=asked.recall,
        memory=asked.memory,
        seconds=round(time.monotonic() - begun, 2),
        measured=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
    )


def _training_rows(kinds: Sequence[IndexKind], drawn: Rows, n: int) -> Rows:
    """Return, ascending, the rows that cells are fitted to: none of the queries where there are others."""
    if all(kind.structure != "ivf" for kind in kinds):
        return np.empty(0, dtype=np.int64)
    others = np.ones(n, dtype=np.bool_)
    others[drawn] = n <= 4 * len(drawn)
    rows = np.flatnonzero(others)
    wanted = min(len(rows), TRAINING_ROWS * cells_for(n))
    return np.sort(np.random.default_rng(SEED + 1).choice(rows, wanted, replace=False))


def _gather(ground: Ground, rows: Rows, dim: int) -> Embeddings:
    """Return the embeddings of rows, in their order, from one pass over the shards."""
    gathered: Embeddings = np.empty((len(rows), dim), dtype=np.float32)
    for start, block in ground.shards.blocks(0, ground.segments):
        inside = (rows >= start) & (rows < start + len(block))
        gathered[inside] = block[rows[inside] - start]
    return gathered


def _embeddings(ground: Ground) -> Iterator[Embeddings]:
    return (block for _, block in ground.shards.blocks(0, ground.segments))
