"""How embeddings are projected: options and known neighbors, without the seconds that UMAP takes to load."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embstore.errors import InvalidData, InvalidInput
from embstore.records import Embeddings, Similarities, check_seed
from embstore.wording import counted

Coordinates = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]

METRICS = ("cosine", "euclidean", "manhattan", "correlation")
SCALES = ("none", "minmax")


@dataclass(frozen=True)
class ProjectionOptions:
    """How embeddings are projected.

    Parameters
    ----------
    dim : int
        Coordinates of a point, 2 or 3.
    neighbors : int
        Points whose distances are kept, the point itself among them, at least 2: few show detail, many the
        whole. UMAP's ``n_neighbors``.
    min_dist : float
        In [0, 1]: how close points may lie.
    metric : {'cosine', 'euclidean', 'manhattan', 'correlation'}
        Of the embeddings. For cosine the exact neighbors of the graph are used.
    seed : int
        The same seed gives the same coordinates on the same machine.
    scale : {'none', 'minmax'}
        ``minmax`` scales each feature to [0, 1] first.
    supervised : bool
        Pull records of the same label together; records without one are placed by their embedding alone.
    fit_on : str, optional
        Lay out this split and place the others into its picture; None lays out all together.
    """

    dim: int = 2
    neighbors: int = 15
    min_dist: float = 0.1
    metric: str = "cosine"
    seed: int = 42
    scale: str = "none"
    supervised: bool = False
    fit_on: str | None = None

    def __post_init__(self) -> None:
        _check_choice("metric", self.metric, METRICS)
        _check_choice("scale", self.scale, SCALES)
        if self.dim not in (2, 3):
            raise InvalidInput(f"A projection to {self.dim} dimensions cannot be looked at.", fix="--dim 2")
        if self.neighbors < 2:
            raise InvalidInput(
                f"--neighbors {self.neighbors} cannot be.", why="It is at least 2.", fix="--neighbors 15"
            )
        if not 0 <= self.min_dist <= 1:
            raise InvalidInput(
                f"--min-dist {self.min_dist} cannot be.", why="It is 0 to 1.", fix="--min-dist 0.1"
            )
        check_seed(self.seed)


@dataclass(frozen=True)
class Nearest:
    """Neighbors among the points that are laid out, nearest first; a point itself is not listed.

    Parameters
    ----------
    similarities : ndarray of shape (n, k), float32
        Cosine in [-1, 1].
    positions : ndarray of shape (n, k), int64
        Of the points that are laid out.
    """

    similarities: Similarities
    positions: Positions


def check_size(n: int, options: ProjectionOptions) -> None:
    """Refuse fewer points than neighbors, or than UMAP's first layout takes; raises `InvalidData`."""
    what, least = f"{counted(n, 'record')}: too few for a projection.", options.dim + 2
    if n < least:
        why = f"A layout of {options.dim} dimensions takes {least} at least."
        raise InvalidData(what, why=why, fix="project a store of more records")
    if n <= options.neighbors:
        why = f"Each record is laid out by {options.neighbors}, itself among them."
        raise InvalidData(what, why=why, fix=f"--neighbors {n - 1}")


def minmax(embeddings: Embeddings, reference: Embeddings) -> Embeddings:
    """Return embeddings with each feature scaled so that ``reference`` spans [0, 1]; constant ones are 0."""
    low = reference.min(axis=0)
    span = reference.max(axis=0) - low
    return np.asarray((embeddings - low) / np.where(span > 0, span, 1), dtype=np.float32)


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidInput(
            f"There is no {name} {value!r}.", why=f"Known: {', '.join(known)}.", fix=f"--{name} {known[0]}"
        )
