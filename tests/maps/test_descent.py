"""The descent pulls what is joined together, pushes the rest apart, and is the same for any threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from scipy.sparse import block_diag, csr_array

from embstore.maps.descent import descend

CURVE = (1.577, 0.895)


def two_cliques(n: int = 40) -> csr_array:
    clique = np.ones((n, n)) - np.eye(n)
    return csr_array(block_diag([clique, clique]))


def start(n: int, dim: int = 2) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("dim", [2, 3])
def test_joined_points_end_close_and_others_apart(dim: int) -> None:
    found = descend(two_cliques(), start(80, dim), curve=CURVE, n_epochs=200, seed=0)
    assert found.shape == (80, dim)
    assert np.isfinite(found).all()
    one, other = found[:40], found[40:]
    within = max(np.linalg.norm(part - part.mean(axis=0), axis=1).mean() for part in (one, other))
    assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > 2 * within


def test_the_number_of_threads_does_not_matter() -> None:
    graph = two_cliques()
    before = numba.get_num_threads()
    found = []
    for threads in sorted({1, before}):
        numba.set_num_threads(threads)
        found.append(descend(graph, start(80), curve=CURVE, n_epochs=50, seed=1).tobytes())
    numba.set_num_threads(before)
    assert len(set(found)) == 1


def test_another_seed_ends_elsewhere_and_the_start_stays_as_it_was() -> None:
    begun = start(80)
    kept = begun.copy()
    one, other = (descend(two_cliques(), begun, curve=CURVE, n_epochs=20, seed=seed) for seed in (1, 2))
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(begun, kept)


def test_one_step_is_that_of_the_published_gradient() -> None:
    """Two joined points and no third to push: the pull is the derivative of log(1 / (1 + a d^2b))."""
    a, b = CURVE
    graph = csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    begun = np.array([[0.0, 0.0], [1.5, 0.0]], dtype=np.float32)
    # In the first epoch no edge is due yet: each is sampled once in as many epochs as its weight says.
    found = descend(graph, begun, curve=CURVE, n_epochs=1, seed=0, n_pushes=0)
    np.testing.assert_array_equal(found, begun)
    found = descend(graph, begun, curve=CURVE, n_epochs=2, seed=0, n_pushes=0)
    distance = 1.5
    # Twice, as the edge stands in the graph in both directions; the second of two epochs has half the step.
    pull = 2 * 2 * a * b * distance ** (2 * b - 1) / (1 + a * distance ** (2 * b))
    np.testing.assert_allclose(found, [[0.5 * pull, 0], [1.5 - 0.5 * pull, 0]], rtol=1e-5)


def test_a_graph_without_edges_leaves_the_points() -> None:
    found = descend(csr_array((5, 5)), start(5), curve=CURVE, n_epochs=3, seed=0)
    np.testing.assert_array_equal(found, start(5))


NOWHERE = """
import tempfile
from pathlib import Path
import numba

def refuse(folder):
    raise DiskFailure(f"{folder} is refused.")

import embstore.outputs
from embstore.errors import DiskFailure
from numba.core import caching

embstore.outputs.check_writable = refuse
caching.InTreeCacheLocator.from_function = caching.UserWideCacheLocator.from_function = lambda *_: None

import embstore.maps.projection
import numpy as np
from scipy.sparse import csr_array

descend = embstore.maps.projection.descend
print(descend(csr_array(np.ones((3, 3))), np.eye(3, 2), curve=(1.5, 0.9), n_epochs=9, seed=0).shape)
print(numba.config.CACHE_DIR)
"""


def test_numba_is_given_a_folder_where_it_may_write_to_none() -> None:
    unset = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", NOWHERE], capture_output=True, text=True, check=False, env=unset
    )
    shape, folder = done.stdout.splitlines() or ["", done.stderr]
    assert shape == "(3, 2)", done.stderr
    assert not Path(folder).exists()
