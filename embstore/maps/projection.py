"""Projection: embeddings to two or three coordinates that keep neighbors together; the door to UMAP.

UMAP is McInnes, Healy and Melville, "UMAP: Uniform Manifold Approximation and Projection for Dimension
Reduction" (arXiv:1802.03426). It spends most of its time on finding neighbors and on compiling the code that
does; with exact neighbors at hand both fall away. Its descent is replaced by one that uses all threads and is
the same each time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from embstore.errors import InvalidData, InvalidInput
from embstore.maps.descent import descend
from embstore.maps.layout import Coordinates, Nearest, ProjectionOptions, check_size
from embstore.records import Codes, Embeddings

# isort: split
# UMAP looks for numba's cache while it is imported: the descent has given it one before.
import umap.layouts
import umap.umap_
from umap import UMAP
from umap.umap_ import find_ab_params

# Passes of the descent for large data and for small, where they cost little.
_LARGE, _EPOCHS, _MORE_EPOCHS = 10_000, 300, 500
_COMPILED = {
    umap.umap_: ("smooth_knn_dist", "compute_membership_strengths", "init_graph_transform"),
    umap.layouts: ("_nb_optimize_layout_euclidean_single_epoch",),
}


class Projector:
    """UMAP that is fitted once and may then place more points.

    Parameters
    ----------
    options : ProjectionOptions
        How; ``scale`` and ``fit_on`` are the business of whoever brings the embeddings.
    """

    def __init__(self, options: ProjectionOptions) -> None:
        _compile_once()
        self._options = options
        self._search = _KnownNeighbors()

    def fit(
        self, embeddings: Embeddings, nearest: Nearest | None = None, codes: Codes | None = None
    ) -> Coordinates:
        """Lay out embeddings.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dim), float32
            n is larger than ``options.neighbors``.
        nearest : Nearest, optional
            At least ``options.neighbors - 1`` neighbors of each by cosine; None lets UMAP find its own.
        codes : ndarray of shape (n,), int64, optional
            Labels, -1 for none, of a supervised projection.

        Returns
        -------
        ndarray of shape (n, options.dim), float32

        Raises
        ------
        InvalidData
            Too few records, or embeddings that are not finite.
        """
        options = self._options
        check_size(len(embeddings), options)
        if not np.isfinite(embeddings).all():
            raise InvalidData("Embeddings that are NaN or infinite cannot be projected.")
        known = (None, None, None) if nearest is None else self._known(nearest)
        self._umap = UMAP(
            n_components=options.dim,
            n_neighbors=options.neighbors,
            min_dist=options.min_dist,
            metric=options.metric,
            random_state=options.seed,
            transform_seed=options.seed,
            n_jobs=1,
            # The graph of the points and where they begin; the descent is ours.
            n_epochs=0,
            precomputed_knn=known,
        )
        with _quiet():
            self._umap.fit(embeddings, codes)
        coordinates = descend(
            self._umap.graph_,
            np.asarray(self._umap.embedding_, dtype=np.float32),
            curve=find_ab_params(1.0, options.min_dist),
            n_epochs=_EPOCHS if len(embeddings) > _LARGE else _MORE_EPOCHS,
            seed=options.seed,
        )
        # What it places later goes among these points, by its own number of passes.
        self._umap.set_params(n_epochs=None)
        self._umap.embedding_ = coordinates
        return coordinates

    def place(self, embeddings: Embeddings, nearest: Nearest | None = None) -> Coordinates:
        """Place more embeddings, (m, dim), among those that were laid out; see `fit`.

        ``nearest`` holds at least ``options.neighbors`` neighbors of each among the points of the fit.
        """
        self._search.answer = nearest
        with _quiet():
            placed = self._umap.transform(embeddings)
        return np.ascontiguousarray(placed, dtype=np.float32)

    def _known(self, nearest: Nearest) -> tuple[Any, Any, Any]:
        """Return the neighbors as UMAP takes them: int32 and float32, each point its own first neighbor."""
        others = self._options.neighbors - 1
        itself = np.arange(len(nearest.positions), dtype=np.int32)[:, np.newaxis]
        positions = np.hstack([itself, nearest.positions[:, :others].astype(np.int32)])
        distances = np.hstack([np.zeros((len(itself), 1), np.float32), _distances(nearest, others)])
        return positions, distances, self._search


class _KnownNeighbors:
    """Stands where UMAP has its own search structure, and answers with neighbors that are known already."""

    _angular_trees = True

    def __init__(self) -> None:
        self.answer: Nearest | None = None

    def query(self, points: Embeddings, k: int, epsilon: float) -> tuple[Any, Any]:  # noqa: ARG002
        """Return positions and distances, (len(points), k) each."""
        if self.answer is None or len(self.answer.positions) != len(points):
            raise InvalidInput("The neighbors of the points to place are not known.")
        return self.answer.positions[:, :k].astype(np.int32), _distances(self.answer, k)


def _compile_once() -> None:
    """Keep what UMAP compiles on the disk: compiling it takes as long as laying 16,000 points out."""
    for module, names in _COMPILED.items():
        for name in names:
            # Another version of UMAP may have other functions; then it compiles as it would without us.
            keep = getattr(getattr(module, name, None), "enable_caching", None)
            if keep:
                keep()


def _distances(nearest: Nearest, k: int) -> npt.NDArray[np.float32]:
    """Return cosine distances in [0, 2] of the k nearest."""
    return np.maximum(1 - nearest.similarities[:, :k], 0).astype(np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep UMAP's warnings to itself: each is about a choice that is made on purpose here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
