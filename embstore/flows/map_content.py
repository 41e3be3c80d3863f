"""What the interactive page shows of each record: where it lies, what it says, who is near."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from embstore.flows.projection import Projection
from embstore.records import Rows, Similarities
from embstore.store import Store
from embstore.store.graph import graph_of

# Neighbors that are listed, and those whose labels vote.
_SHOWN, _VOTING = 8, 30
# Similarities weigh exp(similarity / this), which does well on what the benchmarks measure.
_SHARPNESS = 0.1


def map_content(projection: Projection) -> dict[str, Any]:
    """Return JSON values for the page of a projection of two dimensions.

    Returns
    -------
    dict
        ``title``, ``subtitle``, ``parameters``; lists of n by point: ``x``, ``y``, ``ids``, ``texts``,
        ``labels``, ``splits``, ``predicted`` (the label that the nearest others vote for,
        None where none has one), ``agreement``
        (share of the nearest others of the same label), ``neighbors`` (positions) and ``similarities``.
    """
    # As a path: a name alone would be looked up in the usual home.
    with Store.open(Path(projection.store)) as store:
        graph = graph_of(store)
        splits = list(dict.fromkeys(projection.splits))
        similarities, rows = graph.within(projection.rows, splits=splits, k=_VOTING)
    neighbors = np.searchsorted(projection.rows, rows)
    predicted, agreement = _votes(projection.labels, similarities, neighbors)
    title, subtitle = projection.title()
    shown = neighbors[:, :_SHOWN].tolist()
    return {
        "title": title,
        "subtitle": subtitle,
        "parameters": [
            ["store", projection.store],
            ["encoder", projection.model],
            ["records", f"{len(projection):,}"],
            ["projection", subtitle],
            ["predicted", f"the label that the {_VOTING} nearest others vote for, weighted by similarity"],
            ["agreement", f"share of the {_SHOWN} nearest others with the same label"],
        ],
        "x": _rounded(projection.coordinates[:, 0], 4),
        "y": _rounded(projection.coordinates[:, 1], 4),
        "ids": projection.ids,
        "texts": projection.texts,
        "labels": projection.labels,
        "splits": projection.splits,
        "predicted": predicted,
        "agreement": agreement,
        "neighbors": shown,
        "similarities": [_rounded(one, 3) for one in similarities[:, :_SHOWN]],
    }


def _votes(
    labels: list[str | None], similarities: Similarities, neighbors: Rows
) -> tuple[list[str | None] | None, list[float] | None]:
    """Return the label that the neighbors of each record vote for, and the share that has its own.

    The label is None where no neighbor has one.
    """
    names = sorted({label for label in labels if label is not None})
    if not names or not neighbors.size:
        return None, None
    place = {name: code for code, name in enumerate(names)}
    codes = np.array([-1 if label is None else place[label] for label in labels])
    near = codes[neighbors]
    weights = np.exp((similarities - 1) / _SHARPNESS)
    votes = np.zeros((len(labels), len(names)))
    for column in range(near.shape[1]):
        known = np.flatnonzero(near[:, column] >= 0)
        votes[known, near[known, column]] += weights[known, column]
    same = (near[:, :_SHOWN] == codes[:, np.newaxis]) & (codes[:, np.newaxis] >= 0)
    said = zip(votes.argmax(axis=1), votes.max(axis=1) > 0, strict=True)
    return [names[code] if voted else None for code, voted in said], _rounded(same.mean(axis=1), 3)


def _rounded(values: Any, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
