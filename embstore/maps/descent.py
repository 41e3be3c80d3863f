"""The descent that lays points out: UMAP's loss and steps, in an order that threads cannot change.

UMAP's own descent moves both ends of an edge at once: on one thread it is slow, on several each run ends
elsewhere. Here each point moves itself alone and sees the others where they stood an epoch before, so that
points are independent within an epoch: all threads work, and the same seed gives the same bytes. The loss is
that of McInnes, Healy and Melville (arXiv:1802.03426), section 3.2, sampled as they do.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from embstore.errors import EmbstoreError
from embstore.outputs import check_writable

Coordinates = npt.NDArray[np.float32]

# The longest step along an axis.
_LONGEST = np.float32(4)
_NEARLY_ZERO = np.float32(0.001)
# A linear congruential generator of 64 bits (Knuth, MMIX), one for each point.
_FACTOR, _TERM = np.uint64(6364136223846793005), np.uint64(1442695040888963407)


def descend(
    graph: Any, start: Coordinates, *, curve: tuple[float, float], n_epochs: int, seed: int, n_pushes: int = 5
) -> Coordinates:
    """Lay points out so that those joined in a graph lie close.

    Parameters
    ----------
    graph : scipy sparse array of shape (n, n)
        Symmetric; the weight of an edge in (0, 1] is how often it attracts.
    start : ndarray of shape (n, dim), float32
        Where the points are at first.
    curve : (float, float)
        a and b of UMAP's similarity 1 / (1 + a d^2b) of two points at distance d.
    n_epochs : int
        Passes; the step shrinks linearly to nothing.
    seed : int
        Of the points that push.
    n_pushes : int
        Points drawn to push, each time that an edge attracts.

    Returns
    -------
    ndarray of shape (n, dim), float32
        The same for any number of threads.
    """
    edges = graph.tocsr().copy()
    # What would attract less than once is left out.
    edges.data[edges.data < edges.data.max(initial=0) / n_epochs] = 0
    edges.eliminate_zeros()
    starts, ends = edges.indptr.astype(np.int64), edges.indices.astype(np.int64)
    every = edges.data.max(initial=1) / edges.data.astype(np.float64)
    due = every.copy()
    generator = np.random.default_rng(seed)
    states = generator.integers(0, 2**63, len(start), dtype=np.int64).astype(np.uint64)
    now = np.array(start, dtype=np.float32, order="C")
    following = now.copy()
    a, b = (np.float32(value) for value in curve)
    for epoch in range(n_epochs):
        step = np.float32(1 - epoch / n_epochs)
        _move(following, now, starts, ends, every, due, states, epoch, step, a, b, n_pushes)
        now, following = following, now
    return now


def _give_cache() -> tempfile.TemporaryDirectory[str] | None:
    """Give numba a folder of this process where it may write to none: to find none is an error to it."""
    if numba.config.CACHE_DIR:  # type: ignore[attr-defined]
        return None
    users = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (raises nothing)
    # Beside the code, UMAP's and this, or else the user's.
    for folders in ((Path(numba.__file__).parent, Path(__file__).parent), (Path(users),)):
        with suppress(EmbstoreError):
            for folder in folders:
                check_writable(folder)
            return None
    own = tempfile.TemporaryDirectory()
    numba.config.CACHE_DIR = own.name  # type: ignore[attr-defined]
    return own


# Kept, for it is removed with the object.
_CACHE = _give_cache()


@numba.njit(cache=True, parallel=True, fastmath=True)
def _move(  # noqa: C901, PLR0913, PLR0917  # pragma: no cover (runs as machine code)
    following: Any,
    now: Any,
    starts: Any,
    ends: Any,
    every: Any,
    due: Any,
    states: Any,
    epoch: Any,
    step: Any,
    a: Any,
    b: Any,
    n_pushes: Any,
) -> None:
    """Move each point along the edges that are due, into ``following``."""
    n, dim = now.shape
    one, two, four = np.float32(1), np.float32(2), np.float32(4)
    for point in numba.prange(n):
        place = now[point].copy()
        state = states[point]
        for edge in range(starts[point], starts[point + 1]):
            if due[edge] > epoch:
                continue
            due[edge] += every[edge]
            other = ends[edge]
            apart = np.float32(0)
            for axis in range(dim):
                apart += (place[axis] - now[other, axis]) ** 2
            if apart > 0:
                # Twice UMAP's pull: there the edge's other direction pulls this end once more.
                power = apart ** (b - one)
                pull = -four * a * b * power / (a * power * apart + one)
                for axis in range(dim):
                    move = pull * (place[axis] - now[other, axis])
                    place[axis] += step * min(max(move, -_LONGEST), _LONGEST)
            for _ in range(n_pushes):
                state = state * _FACTOR + _TERM
                other = np.int64((state >> np.uint64(33)) % np.uint64(n))
                apart = np.float32(0)
                for axis in range(dim):
                    apart += (place[axis] - now[other, axis]) ** 2
                if other != point and apart > 0:
                    push = two * b / ((_NEARLY_ZERO + apart) * (a * apart**b + one))
                    for axis in range(dim):
                        move = push * (place[axis] - now[other, axis])
                        place[axis] += step * min(max(move, -_LONGEST), _LONGEST)
        states[point] = state
        following[point] = place
