"""Making an index: one pass for the range of the floats, a sample for the cells, one pass to add the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import faiss
import numpy as np

from embstore.directions import unit
from embstore.records import Embeddings
from embstore.store.index_options import LINKS, TRAINING_ROWS, IndexKind, cells_for
from embstore.store.structures.flat import FlatIndex
from embstore.store.structures.hnsw import HnswIndex
from embstore.store.structures.ivf import IvfIndex

#: Embeddings block by block, the same at each call.
Blocks = Callable[[], Iterator[Embeddings]]
_QUANTIZERS = {"fp16": faiss.ScalarQuantizer.QT_fp16, "sq8": faiss.ScalarQuantizer.QT_8bit_uniform}
# Rounds of k-means: recall at equal work did not grow behind the sixth.
_ROUNDS = 6
_SEED = 1234


def make_index(
    kind: IndexKind, dim: int, n: int, blocks: Blocks, sample: Embeddings
) -> FlatIndex | IvfIndex | HnswIndex:
    """Make an index over all rows.

    Parameters
    ----------
    kind : IndexKind
        Structure and storage.
    dim, n : int
        Floats of an embedding, rows.
    blocks : callable
        Yields the embeddings by ascending row, of any length but zero.
    sample : ndarray of shape (m, dim), float32
        Of unit length; what cells are fitted to. May be empty where there are no cells.
    """
    makers: dict[str, Callable[[], Any]] = {
        "flat": lambda: _flat(kind, dim),
        "ivf": lambda: _cells(kind, dim, n, sample),
        "hnsw": lambda: _links(kind, dim),
    }
    index = makers[kind.structure]()
    if kind.storage:
        # The bound that keeps filtered answers exact holds only where no float lies outside of the range.
        index.train(_range(dim, blocks) if kind.storage == "sq8" else np.zeros((1, dim), dtype=np.float32))
    for block in blocks():
        index.add(unit(block))
    if kind.structure == "flat":
        return FlatIndex(index)
    return IvfIndex(index) if kind.structure == "ivf" else HnswIndex(index)


def _flat(kind: IndexKind, dim: int) -> Any:
    if not kind.storage:
        return faiss.IndexFlatIP(dim)
    return faiss.IndexScalarQuantizer(dim, _QUANTIZERS[kind.storage], faiss.METRIC_INNER_PRODUCT)


def _cells(kind: IndexKind, dim: int, n: int, sample: Embeddings) -> Any:
    n_cells = cells_for(n)
    centroids = faiss.IndexFlatIP(dim)
    clustering = faiss.Clustering(dim, n_cells)
    clustering.niter, clustering.seed, clustering.spherical = _ROUNDS, _SEED, True
    clustering.max_points_per_centroid, clustering.min_points_per_centroid = TRAINING_ROWS, 1
    clustering.train(sample, centroids)
    metric = faiss.METRIC_INNER_PRODUCT
    if kind.storage:
        # Not the difference to the centroid: the range of the floats themselves is known for certain.
        return faiss.IndexIVFScalarQuantizer(
            centroids, dim, n_cells, _QUANTIZERS[kind.storage], metric, False
        )
    return faiss.IndexIVFFlat(centroids, dim, n_cells, metric)


def _links(kind: IndexKind, dim: int) -> Any:
    # The stub of IndexHNSWSQ names a type for the number that it takes.
    quantizer: Any = _QUANTIZERS.get(kind.storage)
    index: Any = faiss.IndexHNSWSQ(dim, quantizer, LINKS) if quantizer else faiss.IndexHNSWFlat(dim, LINKS)
    index.hnsw.efConstruction = 80
    return index


def _range(dim: int, blocks: Blocks) -> Embeddings:
    """Return two rows that hold the least and the largest float of all unit embeddings."""
    least, most = np.float32(0), np.float32(0)
    for block in blocks():
        directions = unit(block)
        least, most = min(least, np.nanmin(directions)), max(most, np.nanmax(directions))
    return np.array([[least] * dim, [most] * dim], dtype=np.float32)
