"""Directions of embeddings, which cosine alone compares: one way to scale to unit length, at every length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def unit(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale embeddings to unit length.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim), float32
        Of any length; unchanged.

    Returns
    -------
    ndarray of shape (n, dim), float32
        A C-contiguous copy; a row that was zero is NaN.
    """
    # By the largest component first: the square of a very large or small one is no float32.
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled: npt.NDArray[np.float32] = embeddings / np.abs(embeddings).max(axis=1, keepdims=True)
        scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.ascontiguousarray(scaled, dtype=np.float32)


def is_unit(embeddings: npt.NDArray[np.float32]) -> bool:
    """Tell whether all embeddings, (n, dim), have unit length.

    An encoder that normalizes is off by some units in the last place: far less than what search allows for.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", embeddings, embeddings)
    return bool(len(squares)) and float(np.abs(squares - 1).max()) < 2e-6
