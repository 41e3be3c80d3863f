"""The picture of RESULTS.md: one bar a peer, as long as embstore is times as fast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from results import Speed

# Okabe and Ito's colors, which every kind of color vision tells apart, as do their shades of gray.
FASTER, SLOWER, WANTED = "#0072B2", "#E69F00", "#000000"


def draw(speeds: Sequence[Speed], path: Path) -> None:
    """Draw the bars, range and wanted ratio of each, on a logarithmic scale whose middle is "as fast"."""
    figure = Figure(figsize=(12, 1 + 0.3 * len(speeds)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(speeds))
    for place, one in zip(places, speeds, strict=True):
        color = FASTER if one.median >= 1 else SLOWER
        axes.barh(place, one.median - 1, left=1, height=0.6, color=color)
        axes.plot([one.least, one.most], [place, place], color="#555555", linewidth=1.5)
        axes.annotate(
            f"{one.median:g}", (max(one.most, 1), place), (6, 0), textcoords="offset points", va="center"
        )
        if one.wanted:
            axes.plot([one.wanted] * 2, [place - 0.4, place + 0.4], color=WANTED, linewidth=2)
    axes.axvline(1, color=WANTED, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(places, [f"{one.section}: {one.peer}".replace("`", "") for one in speeds])
    axes.set_ylim(len(speeds) - 0.4, -0.6)
    ticks = [one for one in (0.5, 1, 2, 5, 10, 20, 50, 100) if one <= 2 * max(one.most for one in speeds)]
    axes.set_xticks(ticks, [f"{one:g} x" for one in ticks])
    axes.minorticks_off()
    axes.set_xlim(right=1.35 * max(one.most for one in speeds))
    # Above the whole figure: the labels leave too little room above the bars.
    title = "times as fast as the peer (line: range; thick mark: wanted)"
    figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
