"""Pictures as SVG for reports.

A picture has no background and takes its font and, through CSS variables with fallbacks, its colors from the
page that it stands in: readable in a light and in a dark scheme. The same arguments give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from embstore.maps.drawing import drawing
from embstore.maps.geometry import MOST_NUMBERED, Axis, Grid
from embstore.maps.svg import HiddenTexts, tidy
from embstore.maps.words import percent, shorten

#: Colors of a light page by CSS variable; the hues are Okabe and Ito's (Color Universal Design, 2008,
#: https://jfly.uni-koeln.de/color/), some darkened, which stay apart in all kinds of color vision.
PALETTE: Mapping[str, str] = MappingProxyType(
    {
        "ink": "#1b1f24",
        "muted": "#59626d",
        "line": "#d5dae0",
        "hue-0": "#6b7480",
        "hue-1": "#d55e00",
        "hue-2": "#0072b2",
        "hue-3": "#00875f",
        "hue-4": "#b0568f",
    }
)
# One mark a hue, so that no method is told by its color alone.
_MARKS = ("s", "o", "^", "D", "v")
_WRONG, _RIGHT = PALETTE["hue-1"], PALETTE["hue-2"]
_TEXT = 12.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """A method's score ``value`` in its interval ``low`` to ``high``, all in [0, 1]; ``hue`` is 0 to 4."""

    title: str
    value: float
    low: float
    high: float
    hue: int = 0


@dataclass(frozen=True, slots=True)
class Curve:
    """A method's mean scores at ascending ``shots`` (labels a class), with a band; ``hue`` is 0 to 4."""

    title: str
    shots: Sequence[int]
    means: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    hue: int = 0


def accuracy_figure(estimates: Sequence[Estimate], *, key: str = "accuracy", width: int = 640) -> str:
    """Draw a dot and its interval for each method, one below the other.

    Parameters
    ----------
    estimates : sequence of Estimate
        At least one, drawn from top to bottom.
    key : str
        Keeps the ids in the picture apart from those of other pictures of the page.
    width : int
        CSS pixels.

    Returns
    -------
    str
        One ``svg`` element. The axis is cut to what the intervals need, and spans 10 points or more.
    """
    axis = Axis.around([one.low for one in estimates], [one.high for one in estimates])
    place = axis.to_pixels(14, width - 24)
    height = 46 * len(estimates) + 28
    with drawing(_settings(key)):
        texts = HiddenTexts()
        figure, sheet = _sheet(width, height)
        for tick in axis.ticks:
            sheet.plot([place(tick)] * 2, [2, height - 24], color=PALETTE["line"], linewidth=1)
            _write(sheet, place(tick), height - 7, f"{100 * tick:.0f} %", ha="center")
        for number, one in enumerate(estimates):
            color, y = PALETTE[f"hue-{one.hue}"], 46 * number + 33
            _write(sheet, 4, y - 16, texts.hide(shorten(one.title, 30)), color=PALETTE["ink"])
            shown = f"{percent(one.value)} ({100 * one.low:.1f} to {100 * one.high:.1f})"
            _write(sheet, width - 4, y - 16, texts.hide(shown), color=PALETTE["ink"], ha="right")
            sheet.plot([place(one.low), place(one.high)], [y, y], color=color, linewidth=4, alpha=0.45)
            sheet.plot([place(one.value)], [y], color=color, marker=_MARKS[one.hue], markersize=10)
        return _svg(figure, texts, "Accuracy of each method with its 95 % interval")


def confusion_figure(
    counts: Sequence[Sequence[int]] | npt.NDArray[np.int64], labels: Sequence[str], *, key: str = "confusion"
) -> str:
    """Draw a confusion matrix: a row for each label, a column for each predicted label.

    What is right and what is wrong have different colors, and the shade is the square root of the share of
    the label's texts, so that rare confusions are seen too. Up to 20 labels each cell shows its count.

    Parameters
    ----------
    counts : (n, n) of int
        ``counts[i][j]`` texts of ``labels[i]`` were predicted ``labels[j]``.
    labels : sequence of n str
        Any texts; long ones are cut.
    key : str
        Keeps the ids in the picture apart from those of other pictures of the page.

    Returns
    -------
    str
        One ``svg`` element, about 200 to 1,100 CSS pixels a side.
    """
    matrix = np.asarray(counts, dtype=np.int64)
    shades = np.sqrt(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))
    grid = Grid.of([len(shorten(label, 30)) for label in labels])
    with drawing(_settings(key)):
        texts = HiddenTexts()
        figure, sheet = _sheet(*grid.size)
        if grid.n <= MOST_NUMBERED:
            _draw_cells(sheet, grid, matrix, shades)
        else:
            _draw_raster(sheet, grid, shades)
        _write(sheet, 14, grid.top + grid.side / 2, "label", ha="center", rotation=90, rotation_mode="anchor")
        _write(sheet, grid.left + grid.side / 2, 14, "predicted", ha="center")
        if grid.text:
            _draw_labels(sheet, grid, [shorten(label, grid.letters) for label in labels], texts)
        return _svg(figure, texts, f"Confusion matrix of {grid.n} labels")


def curve_figure(curves: Sequence[Curve], *, key: str = "curve", width: int = 640, height: int = 380) -> str:
    """Draw learning curves: a line and a band for each method over labels a class, on a logarithmic axis.

    Parameters
    ----------
    curves : sequence of Curve
        At least one, each with at least one point.
    key : str
        Keeps the ids in the picture apart from those of other pictures of the page.
    width, height : int
        CSS pixels.

    Returns
    -------
    str
        One ``svg`` element.
    """
    axis = Axis.around(
        [low for one in curves for low in one.lows], [top for one in curves for top in one.highs]
    )
    columns = max(1, min(len(curves), width // 200))
    legend = 22 * -(-len(curves) // columns) + 14
    box = (48 / width, 46 / height, 1 - 66 / width, 1 - (46 + legend) / height)
    with drawing(_settings(key)):
        texts = HiddenTexts()
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        axes = figure.add_axes(box, xscale="log", ylim=(axis.low, axis.high), xlabel="labels a class")
        for one in curves:
            color, mark, title = PALETTE[f"hue-{one.hue}"], _MARKS[one.hue], texts.hide(one.title)
            axes.fill_between(one.shots, one.lows, one.highs, color=color, alpha=0.18, linewidth=0)
            if len(one.shots) == 1:
                # A band of one size has no width to be seen by.
                axes.vlines(one.shots, one.lows, one.highs, color=color, alpha=0.45, linewidth=4)
            axes.plot(one.shots, one.means, color=color, marker=mark, markersize=6, linewidth=2, label=title)
        _style(axes, sorted({number for one in curves for number in one.shots}), axis.ticks)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), borderaxespad=0, ncols=columns, frameon=False,
                    columnspacing=1.2, labelcolor=PALETTE["ink"])  # fmt: skip
        return _svg(figure, texts, "Accuracy by labels a class, with bands over the repeats")


def _style(axes: Axes, shots: Sequence[int], heights: Sequence[float]) -> None:
    """Mark the shots and heights that are there, and keep lines and frame in the background."""
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shots, [str(number) for number in shots])
    axes.set_yticks(heights, [f"{100 * height:.0f} %" for height in heights])
    axes.grid(color=PALETTE["line"], linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=PALETTE["muted"], pad=6)
    axes.xaxis.label.set_color(PALETTE["muted"])
    axes.spines[:].set_visible(False)


def _draw_cells(
    sheet: Axes, grid: Grid, matrix: npt.NDArray[np.int64], shades: npt.NDArray[np.float64]
) -> None:
    """Draw each cell as a shaded square with its count."""
    half = grid.cell / 2
    size = grid.text if matrix.max() < 1000 else grid.text - 2.5
    for (row, column), number in np.ndenumerate(matrix):
        x, y = grid.left + column * grid.cell, grid.top + row * grid.cell
        color = to_rgba(_RIGHT if row == column else _WRONG, 0.62 * float(shades[row, column]))
        shape = Rectangle(
            (x, y), grid.cell, grid.cell, facecolor=color, edgecolor=PALETTE["line"], linewidth=0.6
        )
        sheet.add_patch(shape)
        ink = PALETTE["ink" if number else "muted"]
        _write(sheet, x + half, y + half + 0.35 * size, str(number), ha="center", fontsize=size, color=ink)


def _draw_raster(sheet: Axes, grid: Grid, shades: npt.NDArray[np.float64]) -> None:
    """Draw the cells as one small image, whose bytes hardly grow with what is in them, and a frame."""
    right = np.eye(grid.n, dtype=bool)[:, :, None]
    # Tones that stand out from a white and from a black page; transparency makes them faint on either.
    colors = np.where(right, to_rgba("#2b8fd0"), to_rgba("#e0661a"))
    colors[:, :, 3] = np.where(shades > 0, 0.15 + 0.85 * shades, 0)
    box = (grid.left, grid.left + grid.side, grid.top + grid.side, grid.top)
    sheet.imshow(colors, extent=box, interpolation="none", aspect="auto")
    corner, line = (grid.left, grid.top), PALETTE["muted"]
    sheet.add_patch(Rectangle(corner, grid.side, grid.side, facecolor="none", edgecolor=line, linewidth=0.8))


def _draw_labels(sheet: Axes, grid: Grid, names: Sequence[str], texts: HiddenTexts) -> None:
    """Write the labels left of the rows and above the columns."""
    style = {"fontsize": grid.text, "color": PALETTE["ink"], "rotation_mode": "anchor"}
    for number, name in enumerate(names):
        middle = (number + 0.5) * grid.cell
        _write(
            sheet, grid.left - 5, grid.top + middle + 0.35 * grid.text, texts.hide(name), ha="right", **style
        )
        across = grid.left + middle + 0.35 * grid.text * grid.upright
        angle = 90 if grid.upright else 45
        _write(sheet, across, grid.top - 5, texts.hide(name), rotation=angle, **style)


def _sheet(width: int, height: int) -> tuple[Figure, Axes]:
    """Return an empty figure whose axes are its pixels, y downwards."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    sheet = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    sheet.set_axis_off()
    return figure, sheet


def _write(sheet: Axes, x: float, y: float, text: str, **style: Any) -> None:
    sheet.text(x, y, text, **{"color": PALETTE["muted"], **style})


def _settings(key: str) -> dict[str, Any]:
    return {"svg.fonttype": "none", "svg.hashsalt": key, "image.resample": False, "font.size": _TEXT}


def _svg(figure: Figure, texts: HiddenTexts, description: str) -> str:
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    return tidy(file.getvalue(), texts, description, PALETTE)
