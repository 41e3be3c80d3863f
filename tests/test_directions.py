"""Directions: length one, whatever the length before."""

from __future__ import annotations

import numpy as np
import pytest

from embstore.directions import unit


@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1e-20, 1.0, 1e20, 3e38])
def test_unit_makes_length_one_at_every_scale(scale: float) -> None:
    embeddings = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]], dtype=np.float64) * scale
    lengths = np.linalg.norm(unit(embeddings.astype(np.float32)).astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=0, atol=2e-7)


def test_unit_leaves_its_argument_as_it_is() -> None:
    embeddings = np.full((2, 3), 5, dtype=np.float32)
    unit(embeddings)
    assert (embeddings == 5).all()
