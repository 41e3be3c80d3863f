"""Clustered embeddings and stores of them, so that any number of rows can be had offline.

Unit directions around random centers, the spectrum falling as those of language models do.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from common import note
from embstore.records import Encoded, Record
from embstore.store import Store
from embstore.store.index_options import IndexOptions
from embstore.store.writer import open_writer

DIM, CLUSTERS, SEED = 384, 2000, 0
WINDOW = 16_384


class Clustered:
    """Directions around random centers; also the encoder of the texts ``"0"``, ``"1"``..."""

    dim = DIM
    fingerprint = "clustered"

    def __init__(self) -> None:
        self.config = {"model": "clustered"}
        random = np.random.default_rng(SEED)
        self._spectrum = (np.arange(1, DIM + 1) ** -0.5).astype(np.float32)
        self._turn = np.linalg.qr(random.standard_normal((DIM, DIM)))[0].astype(np.float32)
        self._centers = random.standard_normal((CLUSTERS, DIM), dtype=np.float32) * self._spectrum
        self._weights = random.dirichlet(np.ones(CLUSTERS))

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return n new directions, (n, dim), float32."""
        random = np.random.default_rng([SEED, seed])
        which = random.choice(CLUSTERS, n, p=self._weights)
        noise = random.standard_normal((n, DIM), dtype=np.float32)
        found = (self._centers[which] + 0.7 * self._spectrum * noise) @ self._turn
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Embed a window of consecutive numbers."""
        return Encoded(self.draw(len(texts), 1 + int(texts[0])), np.zeros(len(texts), dtype=np.bool_))


def made(home: Path, source: Clustered, n: int, options: IndexOptions | None) -> Path:
    """Return a store of n rows, built where it is not there yet; labels and splits are for filters."""
    path = home / f"clustered-{n}-{options.kind if options else 'auto'}"
    if (path / "store.json").exists():
        return path
    begun = time.perf_counter()
    with open_writer(path, source) as writer:
        build = writer.begin_build(path.name, path.name, keep_others=False)
        for first in range(0, n, WINDOW):
            rows = range(first, min(first + WINDOW, n))
            records = [Record(f"r{i}", split_of(i), label_of(i), str(i)) for i in rows]
            window = writer.plan(records, first, build)
            writer.commit(window, source.encode(list(window.to_encode.values())), build)
        writer.finish_build(build)
        written = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        writer.write_index(options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = f"rows {written - begun:.1f} s, index {time.perf_counter() - written:.1f} s"
    note(f"made {path.name}: {seconds}, {before // 1024} MiB before the index, {peak // 1024} MiB at peak")
    return path


def split_of(row: int) -> str:
    """Return a split that half of the rows have."""
    return "half" if row % 2 else "other"


def label_of(row: int) -> str:
    """Return a label that 0.1 %, 1 %, 10 % or the rest of the rows have."""
    place = row % 1000
    return "0.001" if place == 0 else "0.01" if place <= 10 else "0.1" if place <= 110 else "rest"


def nearest(path: Path, queries: np.ndarray) -> np.ndarray:
    """Return the similarities of the 10 nearest, (n, 10), from raw faiss over all embeddings."""
    heap = faiss.ResultHeap(len(queries), 10, keep_max=True)
    with Store.open(path) as store:
        for start, block in store.shards.blocks(0, store.snapshot.segments):
            found, rows = faiss.knn(queries, block, 10, metric=faiss.METRIC_INNER_PRODUCT)
            heap.add_result(found, rows + start)
    heap.finalize()
    return heap.D
