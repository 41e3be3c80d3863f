"""Pictures of a projection as PNG or SVG: all labels in one, or one density panel a label."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embstore.errors import InvalidData, InvalidInput
from embstore.maps.drawing import drawing
from embstore.maps.layout import Coordinates
from embstore.maps.words import presentable, shorten

# Okabe and Ito's colors (Color Universal Design, 2008, https://jfly.uni-koeln.de/color/) in an order that
# keeps neighbors apart; the yellow is darker than theirs, to be seen on white paper.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#9a8700")
# Each round of colors has a mark of its own, so that no two labels look alike.
_MARKS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "*", "p", "h")
_NO_LABEL = "no label"
_GRAY, _INK, _MUTED = "#a0a7af", "#1b1f24", "#59626d"
# Labels of a legend's column, panels of a density picture at most, and characters of a label.
_LEGEND_ROWS = 32
_MOST_PANELS = 100
_LONGEST = 32
_DOTS_AN_INCH = 200


@dataclass(frozen=True)
class LabelledPoints:
    """Points of a plane with their labels.

    Parameters
    ----------
    coordinates : ndarray of shape (n, 2), float32
        Finite.
    labels : sequence of n (str or None)
        Any texts.
    title, subtitle : str
        What is shown, and how it was made.
    """

    coordinates: Coordinates
    labels: Sequence[str | None]
    title: str
    subtitle: str

    def groups(self) -> list[tuple[str, Any]]:
        """Return name and flags of each label, most frequent first, and of what has none, last."""
        names, codes = np.unique(
            np.array(["" if label is None else f"={label}" for label in self.labels]), return_inverse=True
        )
        counts = np.bincount(codes, minlength=len(names))
        order = sorted(range(len(names)), key=lambda code: (names[code] == "", -counts[code], names[code]))
        return [(str(names[code])[1:] or _NO_LABEL, codes == code) for code in order]


def scatter_picture(points: LabelledPoints, suffix: str) -> bytes:
    """Draw all points in the colors of their labels, the legend beside them.

    Parameters
    ----------
    points : LabelledPoints
        Of two dimensions.
    suffix : {'.png', '.svg'}
        Format. The points of an SVG are an image within it: tens of thousands of shapes would choke a viewer.

    Returns
    -------
    bytes
        The same points give the same bytes.
    """
    _check(points)
    groups = points.groups()
    columns = math.ceil(len(groups) / _LEGEND_ROWS)
    longest = max(len(_legend_name(name, flags)) for name, flags in groups)
    legend = columns * (0.45 + 0.078 * min(longest, _LONGEST + 9))
    width, height = 6.6 + legend, 7.0
    with _drawing():
        figure = Figure(figsize=(width, height), dpi=_DOTS_AN_INCH)
        axes = figure.add_axes((0.2 / width, 0.2 / height, 6.2 / width, 6.2 / height))
        size = float(np.clip(12_000 / len(points.labels), 1.5, 24))
        for place, (name, flags) in enumerate(groups):
            color = _GRAY if name == _NO_LABEL else COLORS[place % len(COLORS)]
            chosen = points.coordinates[flags]
            axes.scatter(
                chosen[:, 0],
                chosen[:, 1],
                s=size,
                c=color,
                marker=_MARKS[place // len(COLORS) % len(_MARKS)],
                linewidths=0,
                alpha=0.65,
                rasterized=True,
                label=_legend_name(name, flags),
            )
        _frame(axes)
        shown = axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            borderaxespad=0,
            frameon=False,
            ncols=columns,
            fontsize=9 if columns == 1 else 8,
            labelcolor=_INK,
            handletextpad=0.4,
        )
        for handle in shown.legend_handles:
            if handle is not None:
                handle.set_alpha(1)
                handle.set_sizes([32])  # type: ignore[attr-defined]
        _titles(figure, points, width, height)
        return _saved(figure, suffix)


def density_picture(points: LabelledPoints, suffix: str) -> bytes:
    """Draw a panel for each label: where its points are dense, before the gray shape of all points.

    Each panel has the same axes; its shade is the logarithm of the points in a hexagon, from none to the
    panel's most. The parameters are those of `scatter_picture`.
    """
    _check(points)
    groups = points.groups()
    if len(groups) > _MOST_PANELS:
        raise InvalidInput(
            f"{len(groups):,} labels are too many for panels.",
            why=f"A page has {_MOST_PANELS} at most.",
            fix="leave --density out, and look at --html",
        )
    columns = math.ceil(math.sqrt(1.5 * len(groups)))
    rows = math.ceil(len(groups) / columns)
    side = 2.6 if columns <= 4 else 1.7
    width, height = columns * side + 0.4, rows * (side + 0.3) + 0.85
    low, high = points.coordinates.min(axis=0), points.coordinates.max(axis=0)
    spare = 0.03 * np.maximum(high - low, 1e-6)
    extent = (low[0] - spare[0], high[0] + spare[0], low[1] - spare[1], high[1] + spare[1])
    # Hexagons as wide as the data is dense: of few points in many nothing but specks would be seen.
    grid = int(np.clip(0.5 * math.sqrt(len(points.labels)), 16, 48 if side > 2 else 32))
    with _drawing():
        figure = Figure(figsize=(width, height), dpi=_DOTS_AN_INCH)
        for place, (name, flags) in enumerate(groups):
            row, column = divmod(place, columns)
            left, bottom = 0.2 + column * side, height - 0.85 - row * (side + 0.3) - side
            axes = figure.add_axes(
                ((left + 0.05) / width, bottom / height, (side - 0.1) / width, (side - 0.1) / height)
            )
            style: dict[str, Any] = {"gridsize": grid, "extent": extent, "mincnt": 1, "linewidths": 0.1}
            axes.hexbin(*points.coordinates.T, cmap=_flat("#e6e9ed"), **style)
            axes.hexbin(*points.coordinates[flags].T, cmap=_shades(), bins="log", **style)
            axes.set_xlim(extent[0], extent[1])
            axes.set_ylim(extent[2], extent[3])
            _frame(axes)
            title = _legend_name(name, flags, 26 if side > 2 else 16)
            axes.set_title(title, fontsize=10 if side > 2 else 7.5, color=_INK, pad=4)
        _titles(figure, points, width, height)
        return _saved(figure, suffix)


def _check(points: LabelledPoints) -> None:
    if points.coordinates.shape[1] != 2:
        raise InvalidInput(
            "A picture is of 2 dimensions.",
            why=f"The projection has {points.coordinates.shape[1]}.",
            fix="--dim 2",
        )
    if not np.isfinite(points.coordinates).all():
        raise InvalidData("Coordinates that are NaN or infinite cannot be drawn.")


def _legend_name(name: str, flags: Any, longest: int = _LONGEST) -> str:
    # A dollar sign would begin a formula, an underscore at the beginning would hide the label.
    shown = shorten(presentable(name), longest).replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{shown} ({int(flags.sum()):,})"


def _titles(figure: Figure, points: LabelledPoints, width: float, height: float) -> None:
    for text, down, size, color in (
        (points.title, 0.3, 13, _INK),
        (points.subtitle, 0.52, 9, _MUTED),
    ):
        shown = shorten(presentable(text), int(11.5 * width * 11 / size)).replace("$", r"\$")
        figure.text(0.25 / width, 1 - down / height, shown, fontsize=size, color=color, va="baseline")


def _frame(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#d5dae0")
        spine.set_linewidth(0.8)


def _flat(color: str) -> Any:
    return matplotlib.colors.ListedColormap([color])


def _shades() -> Any:
    # From a blue that is seen on the gray shape to nearly black: even in lightness, so it prints in gray too.
    return matplotlib.colors.LinearSegmentedColormap.from_list("density", ["#9ecae1", "#2171b5", "#08204d"])


@contextmanager
def _drawing() -> Iterator[None]:
    with drawing({"svg.hashsalt": "embstore"}), warnings.catch_warnings():
        # A glyph that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def _saved(figure: Figure, suffix: str) -> bytes:
    file = io.BytesIO()
    nothing = {"Software": None} if suffix == ".png" else dict.fromkeys(("Date", "Creator"))
    figure.savefig(file, format=suffix[1:], metadata=nothing, facecolor="white")
    return file.getvalue()
