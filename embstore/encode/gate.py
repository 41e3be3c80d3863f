"""The parity gate: faster arithmetic may stand in for float32 only where it gives the same neighbors.

int8 does not, and never stands in unasked. Its own gate asks for what heads need: the same direction of most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embstore.directions import unit
from embstore.records import Embeddings

#: What a path must reach on the texts at hand.
LEAST_COSINE = 0.9995
LEAST_OVERLAP = 0.98
#: What int8 must reach there.
LEAST_MEAN_COSINE = 0.998
_K = 10


@dataclass(frozen=True)
class Parity:
    """How close embeddings are to those of the reference.

    Parameters
    ----------
    least_cosine, mean_cosine : float
        Of a text's two embeddings, over all texts; no unit, at most 1.
    overlap : float
        Share of the 10 nearest other texts that both name, averaged; 0 to 1.
    """

    least_cosine: float
    mean_cosine: float
    overlap: float

    @property
    def passes(self) -> bool:
        """Tell whether the gate opens; never where something is NaN."""
        return self.least_cosine >= LEAST_COSINE and self.overlap >= LEAST_OVERLAP

    @property
    def reason(self) -> str:
        """What was measured beside what is asked."""
        return (
            f"least cosine {self.least_cosine:.5f} of {LEAST_COSINE}, "
            f"overlap of the {_K} nearest {self.overlap:.3f} of {LEAST_OVERLAP}"
        )

    @property
    def passes_for_heads(self) -> bool:
        """Tell whether the gate of int8 opens; never where something is NaN."""
        return self.mean_cosine >= LEAST_MEAN_COSINE

    @property
    def reason_for_heads(self) -> str:
        """What was measured beside what is asked of int8, and what it costs."""
        return (
            f"mean cosine {self.mean_cosine:.5f} of {LEAST_MEAN_COSINE}, "
            f"{self.overlap:.3f} of the {_K} nearest are the same"
        )


def parity(reference: Embeddings, found: Embeddings) -> Parity:
    """Compare the embeddings of the same texts, both of shape (n, dim), float32, by brute force.

    Equally near texts at the tenth place count as named by both.
    """
    one, other = unit(reference), unit(found)
    cosines = (one * other).sum(axis=1)
    shared = []
    k = min(_K, len(one) - 1)
    for row in range(len(one) if k > 0 else 0):
        known, new = one @ one[row], other @ other[row]
        known[row] = new[row] = -np.inf
        nearest = np.argpartition(-new, k - 1)[:k]
        # Ties and what rounding of float32 makes of them are no difference.
        shared.append(np.count_nonzero(known[nearest] >= np.sort(known)[-k] - 1e-6) / k)
    overlap = float(np.mean(shared)) if shared else 1.0
    return Parity(float(cosines.min(initial=1.0)), float(cosines.mean()) if len(cosines) else 1.0, overlap)
