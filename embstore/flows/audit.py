"""Audit: which labels are likely wrong, which texts stand twice, what leaks, what lies far from all else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

import embstore
from embstore.errors import InvalidInput
from embstore.flows.audited import AuditedRecords, audited_records
from embstore.flows.label_errors import Suspects, find_suspects
from embstore.learn.audit import outliers
from embstore.learn.duplicates import folded
from embstore.learn.groups import Group, near_groups
from embstore.records import check_seed, check_sequence
from embstore.store import Store

# Neighbors whose mean similarity tells an outlier, and robust deviations below the median that make one.
_FAR_NEIGHBORS, _FAR_DEVIATIONS = 10, 3.5
_REVIEW_COLUMNS = (
    *("id", "split", "reason", "label", "suggested", "suggested_probability", "label_probability"),
    *("neighbors", "text", "new_label"),
)


@dataclass(frozen=True)
class AuditOptions:
    """What is looked for, and how strictly.

    Parameters
    ----------
    splits : sequence of str
        All by default.
    near : float
        Cosine in (0, 1] from which two texts count as nearly the same.
    most : int
        Rows of each kind that are listed; counts are of all.
    seed : int
        Shuffles the folds of the out-of-fold probabilities.
    """

    splits: Sequence[str] = ()
    near: float = 0.95
    most: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        check_sequence("splits", self.splits)
        if not 0 < self.near <= 1:
            raise InvalidInput(
                f"--near {self.near} cannot be.",
                why="It is a cosine, above 0 and at most 1.",
                fix="--near 0.95",
            )
        if self.most < 1:
            raise InvalidInput(f"--most {self.most} cannot be.", why="It is at least 1.", fix="--most 100")
        check_seed(self.seed)


@dataclass(frozen=True)
class Audit:
    """What was found.

    Parameters
    ----------
    content : dict
        JSON values: counts, rows and how each number was computed.
    review : list of dict
        One row for each record that a person should look at, most suspicious label first; the column
        ``new_label`` is empty and waits for an answer that `relabel_store` takes.
    label_probabilities : dict of str to float
        By id, the out-of-fold probability of the label of each record that was judged, in [0, 1].
    """

    content: dict[str, Any]
    review: list[dict[str, Any]]
    label_probabilities: dict[str, float]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of ``review``, of one without rows too."""
        return _REVIEW_COLUMNS

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return self.content


def audit_store(
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    options: AuditOptions | None = None,
) -> Audit:
    """Audit the records of a store; nothing is encoded and nothing changed.

    Parameters
    ----------
    store, home
        See `Store.open`.
    options : AuditOptions, optional
        What is looked for.

    Raises
    ------
    NotFound
        No such store or split.
    InvalidData
        Fewer than two records.
    """
    chosen = options or AuditOptions()
    begun = time.perf_counter()
    with Store.open(store, home=home) as opened:
        records = audited_records(opened, chosen.splits)
        suspects = find_suspects(records, chosen.seed)
        groups = near_groups(records.texts, records.similarities, records.neighbors, chosen.near)
        far, means = outliers(records.similarities[:, :_FAR_NEIGHBORS], deviations=_FAR_DEVIATIONS)
        content = {
            "store": str(opened.path),
            "model": str(opened.manifest.encoder.get("model", "")),
            "records": len(records),
            "near": chosen.near,
            "listed": chosen.most,
            "splits": [_split(records, name) for name in records.split_names],
            "balance": _balance(records),
            "label_errors": suspects.as_json(records, chosen.most),
            "conflicts": _listed(_conflicts(groups, records), records, chosen.most),
            "duplicates": _listed(groups, records, chosen.most),
            "leakage": _leakage(records, chosen.near, chosen.most),
            "outliers": _outliers(records, far, means, chosen.most),
            "truncated": int(records.truncated.sum()),
            "how": how(chosen),
            "version": embstore.__version__,
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        content["seconds"] = round(time.perf_counter() - begun, 2)
        return Audit(content, _review(records, suspects, groups), suspects.label_probabilities(records))


def how(options: AuditOptions) -> dict[str, str]:
    """Return how each number is computed, in a sentence each."""
    near = f"{options.near:g}"
    return {
        "label_errors": "Estimated by confident learning (Northcutt et al., 2021) on out-of-fold "
        "probabilities: the geometric mean of a logistic head (3 folds) and a kNN head (leave-one-out); "
        "ranked by the loss of the given label.",
        "conflicts": "Groups of texts that are equal after folding case and white space, or joined by a "
        f"cosine of {near} or more, whose records have different labels.",
        "duplicates": "Groups of texts that are equal after folding case and white space (exact), or joined "
        f"by a chain of cosines of {near} or more (near).",
        "leakage": "Records of a split whose text also stands in another: equal after folding (exact), else "
        f"with a cosine of {near} or more to their nearest record there (near).",
        "outliers": f"Records whose mean cosine to their {_FAR_NEIGHBORS} nearest others lies "
        f"{_FAR_DEVIATIONS:g} robust standard deviations (1.4826 times the median absolute deviation) below "
        "the median.",
        "truncated": "Records longer than the encoder reads: their end has no part in the embedding.",
    }


def _split(records: AuditedRecords, name: str) -> dict[str, Any]:
    places = records.places(name)
    texts = [records.texts[place] for place in places]
    return {
        "split": name,
        "records": len(places),
        "labelled": sum(records.labels[place] is not None for place in places),
        "distinct": len(set(texts)),
        "distinct_folded": len(set(map(folded, texts))),
        "truncated": int(records.truncated[places].sum()),
    }


def _balance(records: AuditedRecords) -> list[dict[str, Any]]:
    names = records.split_names
    counts: dict[str, dict[str, int]] = {}
    for split, label in zip(records.splits, records.labels, strict=True):
        if label is not None:
            found = counts.setdefault(label, dict.fromkeys(names, 0))
            found[split] += 1
    total = max(1, len(records.labelled))
    rows = [
        {
            "label": label,
            "records": sum(found.values()),
            "share": sum(found.values()) / total,
            "splits": found,
        }
        for label, found in counts.items()
    ]
    return sorted(rows, key=lambda row: (-int(str(row["records"])), str(row["label"])))


def _conflicts(groups: list[Group], records: AuditedRecords) -> list[Group]:
    return [group for group in groups if len(group.values(records.labels)) > 1]


def _listed(groups: list[Group], records: AuditedRecords, most: int) -> dict[str, Any]:
    exact = [group for group in groups if group.exact]
    return {
        "groups": len(groups),
        # A record of an exact group may stand in a chain of near ones too.
        "records": len({place for group in groups for place in group.positions}),
        "exact_groups": len(exact),
        "exact_records": sum(len(group.positions) for group in exact),
        "rows": [_group(group, records) for group in groups[:most]],
    }


def _group(group: Group, records: AuditedRecords) -> dict[str, Any]:
    return {
        "exact": group.exact,
        "similarity": round(group.similarity, 4),
        "labels": group.values(records.labels),
        "splits": group.values(records.splits),
        # A chain may join hundreds; the first of them show what it is about.
        "size": len(group.positions),
        "records": [_record(records, place) for place in group.positions[:10]],
    }


def _record(records: AuditedRecords, place: int) -> dict[str, Any]:
    return {
        "id": records.ids[place],
        "split": records.splits[place],
        "label": records.labels[place],
        "text": records.texts[place],
    }


def _leakage(records: AuditedRecords, near: float, most: int) -> list[dict[str, Any]]:
    """Return, for each pair of splits, how many records of the second stand in the first already."""
    names = records.split_names
    texts = {name: {folded(records.texts[place]) for place in records.places(name)} for name in names}
    found = []
    for later, name in enumerate(names):
        places = records.places(name)
        for before in names[:later]:
            exact = np.array([folded(records.texts[place]) in texts[before] for place in places])
            alike = records.nearest_in(before, places) >= near
            nearly = alike & ~exact
            listed = np.concatenate([np.flatnonzero(exact), np.flatnonzero(nearly)])[:most]
            rows = [{**_record(records, places[one]), "exact": bool(exact[one])} for one in listed]
            counts = {"exact": int(exact.sum()), "near": int(nearly.sum())}
            pair = {"split": name, "stands_in": before, **counts}
            found.append({**pair, "records": len(places), "rows": rows})
    return found


def _outliers(records: AuditedRecords, far: Any, means: Any, most: int) -> dict[str, Any]:
    places = np.flatnonzero(far)
    places = places[np.argsort(means[places], kind="stable")]
    rows = [
        {**_record(records, int(place)), "mean_similarity": round(float(means[place]), 4)}
        for place in places[:most]
    ]
    return {"records": len(places), "median": round(float(np.median(means)), 4), "rows": rows}


def _review(records: AuditedRecords, suspects: Suspects, groups: list[Group]) -> list[dict[str, Any]]:
    """Return the rows to review: likely label errors by their rank, then what is in conflict."""
    reasons: dict[int, str] = {int(place): "label error" for place in suspects.places}
    for group in _conflicts(groups, records):
        for place in group.positions:
            if records.labels[place] is not None:
                reasons[place] = f"{reasons[place]}, conflict" if place in reasons else "conflict"
    return [
        {
            "id": records.ids[place],
            "split": records.splits[place],
            "reason": reason,
            **_flat(suspects.evidence(records, place)),
            "text": records.texts[place],
            "new_label": "",
        }
        for place, reason in reasons.items()
    ]


def _flat(evidence: dict[str, Any]) -> dict[str, Any]:
    """Return evidence whose neighbors are one cell that a person can read."""
    shown = [f"{one['similarity']:.2f} {one['label']}: {one['text'][:160]}" for one in evidence["neighbors"]]
    return {**evidence, "neighbors": " | ".join(shown)}
