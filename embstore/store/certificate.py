"""The certificate: how much of the truth an index finds, measured, with what it is not certain of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Neighbors at which recall is measured; beyond the last one, search is exact.
LEVELS = (1, 10, 100)
#: An index over fewer rows leaves none out: comparing all of them costs nothing.
FEW_ROWS = 1000
# 97.5 % point of the normal distribution.
_Z = 1.959964


@dataclass(frozen=True)
class Recall:
    """Share of the k nearest that searches find.

    Parameters
    ----------
    k : int
        Neighbors asked for.
    value : float
        Mean over the queries, in [0, 1].
    low, high : float
        95 % interval of that mean over all queries that might have been drawn.
    """

    k: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Certificate:
    """What was measured of one generation of the index.

    Parameters
    ----------
    exact : bool
        Nothing is missed, by construction; recalls are 1.
    recalls : tuple of Recall
        At 1, 10 and 100 neighbors, as far as the store has so many records.
    p50_ms : float
        Median wall time of one query for 10 neighbors, one thread, milliseconds; without embedding a text.
    n_queries, n_tuning : int
        Queries that recall was measured on; others that the effort was tuned on before.
    queries : str
        Which queries these are.
    effort : int
        Cells or list length that a search uses; 0 where there is nothing to set.
    kind, target, memory
        What had been asked for: see `IndexOptions`.
    seconds : float
        Building, tuning and measuring.
    measured : str
        UTC, ISO 8601.
    """

    exact: bool
    recalls: tuple[Recall, ...]
    p50_ms: float
    n_queries: int
    n_tuning: int
    queries: str
    effort: int
    kind: str
    target: float
    memory: int | None
    seconds: float
    measured: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Certificate:
        """Return a certificate from what `as_json` made of one."""
        return cls(**{**values, "recalls": tuple(Recall(**one) for one in values["recalls"])})

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def recall_at(self, k: int) -> Recall | None:
        """Return the recall that was measured at k or the next larger number; None beyond the last one."""
        return next((one for one in self.recalls if one.k >= k), None)


def recall_of(k: int, shares: npt.NDArray[np.float64]) -> Recall:
    """Return mean and 95 % interval of the shares, in [0, 1], that queries found of their k nearest.

    The interval is Wilson's, for as many independent yes-or-no answers as have the variance that was seen:
    the k answers of one query depend on one another. It has a width also where all is found.

    Source: Wilson (1927), Probable inference; Kish (1965), Survey Sampling, effective sample size.
    """
    n, mean, variance = len(shares), float(shares.mean()), float(shares.var())
    spread = mean * (1 - mean)
    effective = min(max(n * spread / variance, n), n * k) if variance > 0 else n
    center = (mean + _Z**2 / (2 * effective)) / (1 + _Z**2 / effective)
    inner = spread / effective + _Z**2 / (4 * effective**2)
    half = _Z / (1 + _Z**2 / effective) * math.sqrt(inner)
    low, high = max(0.0, center - half), min(1.0, center + half)
    return Recall(k, round(mean, 6), round(low, 6), round(high, 6))
