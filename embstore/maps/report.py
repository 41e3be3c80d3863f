"""A comparison as one page that whoever decides can read: no script, no network, texts never markup."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embstore.maps import words
from embstore.maps.figures import (
    PALETTE,
    Curve,
    Estimate,
    accuracy_figure,
    confusion_figure,
    curve_figure,
)
from embstore.maps.pages import Presented, template, write_page

CONTENT = "comparison.json"
_SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "calibration_error": "calibration error",
}
_HUES = {"dummy": 0, "knn": 1, "logistic": 2, "fine-tuned": 3}
# Pairs of labels that are named.
_MOST_CONFUSED = 8


def write_report(
    comparison: Mapping[str, Any] | Presented, folder: str | Path, *, overwrite: bool = False
) -> Path:
    """Write a comparison as ``index.html``, and its numbers as ``comparison.json`` beside it.

    Parameters
    ----------
    comparison : Comparison, or mapping
        Itself, or the JSON values that its ``as_json`` gives.
    folder : str or Path
        Made where it is missing.
    overwrite : bool
        Replace a report that is there.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InvalidInput
        The folder is a file, or holds something.
    DiskFailure
        It cannot be written.
    """
    return write_page(comparison, render, folder, CONTENT, overwrite=overwrite)


def render(comparison: Mapping[str, Any]) -> str:
    """Return the page of a comparison; the same values give the same page."""
    content = words.presentable(comparison)
    for method in content["methods"]:
        method["settings_line"] = ", ".join(f"{name} {value}" for name, value in method["settings"].items())
        method["confused"] = _confused(method["confusion"], content["labels"])
    return template("compare.html").render(
        c=content,
        palette=PALETTE,
        pictures=_pictures(content),
        titles={one["name"]: one["title"] for one in content["methods"]},
        score_names=list(_SCORES),
        score_titles=_SCORES,
        clean=all(one["clean_scores"] for one in content["methods"]),
        classes=_classes(content["methods"]),
        answering=list(content["changed"][0]["predictions"]) if content["changed"] else [],
    )


def _pictures(content: Mapping[str, Any]) -> dict[str, Any]:
    methods = content["methods"]
    estimates = [
        Estimate(one["title"], **one["scores"]["accuracy"], hue=_HUES.get(one["name"], 4)) for one in methods
    ]
    confusion = {
        one["name"]: confusion_figure(one["confusion"], content["labels"], key=f"confusion-{one['name']}")
        for one in methods
        if one["name"] != "dummy"
    }
    return {"accuracy": accuracy_figure(estimates), "confusion": confusion, "curve": _curve(content)}


def _curve(content: Mapping[str, Any]) -> str:
    if not content["curve"]:
        return ""
    titles = {one["name"]: one["title"] for one in content["methods"]}
    curves = []
    for name in dict.fromkeys(one["method"] for one in content["curve"]["points"]):
        points = [one for one in content["curve"]["points"] if one["method"] == name]
        shots, means, lows, highs = ([one[key] for one in points] for key in ("shots", "mean", "low", "high"))
        curves.append(Curve(titles.get(name, name), shots, means, lows, highs, _HUES.get(name, 4)))
    return curve_figure(curves)


def _classes(methods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [
        {"label": row[0]["label"], "support": row[0]["support"], "f1": [one["f1"] for one in row]}
        for row in zip(*(one["per_class"] for one in methods), strict=True)
    ]
    return sorted(rows, key=lambda row: -row["support"])


def _confused(counts: list[list[int]], labels: list[str]) -> list[dict[str, Any]]:
    matrix = np.array(counts)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:_MOST_CONFUSED]
    places = [divmod(int(place), len(labels)) for place in order]
    return [
        {"n": int(matrix[i, j]), "label": labels[i], "predicted": labels[j]}
        for i, j in places
        if matrix[i, j]
    ]
