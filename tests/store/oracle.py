"""What a search must answer: NumPy in float64, every row compared, ties by ascending row."""

from __future__ import annotations

import numpy as np

# float32 similarities of float32 embeddings: a few units in the last place of 1.0 (6e-8 each).
TOLERANCE = 5e-7


def brute_force(
    queries: np.ndarray, embeddings: np.ndarray, k: int, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return similarities and rows of shape (n_queries, min(k, allowed rows)).

    Similarities are rounded to float32 before they are compared, as the store's are.
    """
    wide, asked = embeddings.astype(np.float64), queries.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    # Not a matrix product: that may round the same sum differently from column to column.
    similarities = np.array([(wide * one).sum(axis=1) for one in asked]).clip(-1, 1).astype(np.float32)
    rows = np.flatnonzero(allowed)
    best = np.array([rows[np.lexsort((rows, -values[rows]))][:k] for values in similarities], dtype=np.int64)
    return np.take_along_axis(similarities, best, axis=1), best
