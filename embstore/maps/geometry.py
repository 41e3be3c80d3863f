"""Where things stand in a picture: axes cut at round percents, and the cells of a confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: A confusion matrix of at most so many labels has its counts written into it.
MOST_NUMBERED = 20


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from ``low`` to ``high`` in steps of ``step``, all shares in [0, 1]."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, lows: Sequence[float], highs: Sequence[float]) -> Axis:
        """Return the axis that holds all intervals and spans 0.1: less would make noise look large."""
        low, high = min(lows), max(highs)
        spare = max(0.0, 0.1 - (high - low)) / 2
        span = high - low + 2 * spare
        step = next((step for step in (0.02, 0.05, 0.1) if span <= 6 * step), 0.2)
        first, last = math.floor((low - spare) / step + 1e-9), math.ceil((high + spare) / step - 1e-9)
        return cls(max(0.0, first * step), min(1.0, last * step), step)

    @property
    def ticks(self) -> list[float]:
        """The values to mark, both ends among them."""
        return [
            self.low + self.step * number for number in range(round((self.high - self.low) / self.step) + 1)
        ]

    def to_pixels(self, left: float, right: float) -> Callable[[float], float]:
        """Return what maps a value to its place between two pixels."""
        return lambda value: left + (right - left) * (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Grid:
    """The places of a confusion matrix of ``n`` labels in CSS pixels.

    Parameters
    ----------
    n : int
        Labels.
    cell : float
        Side of a cell.
    text : float
        Size of the labels; 0 where there are too many to be read.
    letters : int
        Length of the longest label that is shown.
    """

    n: int
    cell: float
    text: float
    letters: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Grid:
        """Return the grid for labels of such lengths."""
        n = len(lengths)
        cell, text, most = 46.0, 12.5, 20
        if n > 8:
            cell, text, most = 32.0, 11.0, 22
        if n > MOST_NUMBERED:
            cell, text, most = 11.0, 9.0, 30
        if n > 100:
            cell, text, most = max(1000 / n, 2.0), 0.0, 0
        return cls(n, cell, text, min(most, max(lengths)))

    @property
    def upright(self) -> bool:
        """Whether the labels of the columns are turned by 90 degrees rather than 45."""
        return self.n > MOST_NUMBERED

    @property
    def side(self) -> float:
        """Side of the matrix."""
        return self.n * self.cell

    @property
    def left(self) -> float:
        """Where the matrix begins, right of its labels."""
        return 28 + 0.6 * self.text * self.letters

    @property
    def top(self) -> float:
        """Where the matrix begins, below the labels of its columns."""
        return 28 + 0.6 * self.text * self.letters * (1 if self.upright else 0.75)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture; slanted labels reach over the matrix's right edge."""
        over = 4 if self.upright else 0.42 * self.text * self.letters
        return math.ceil(self.left + self.side + over), math.ceil(self.top + self.side + 2)
