"""Likely label errors among audited records, each with what speaks against its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from embstore.flows.audited import AuditedRecords
from embstore.learn.audit import ConfidentJoint, confident_joint, suspects
from embstore.learn.out_of_fold import out_of_fold
from embstore.records import Codes, Probabilities, Rows

# Neighbors that are shown as evidence.
_SHOWN = 3
# Out-of-fold accuracy from which the count of label errors is taken at its word.
_SURE = 0.85


@dataclass(frozen=True)
class Suspects:
    """Records whose label is likely wrong, most suspicious first.

    Parameters
    ----------
    places : ndarray of shape (n_suspects,), int64
        Positions among the audited records.
    classes : list of str
        Class names, ascending; empty where there were no two of them.
    judged : ndarray of shape (n_judged,), int64
        Positions of the records that have out-of-fold probabilities, ascending.
    codes : ndarray of shape (n_judged,), int64
        Their classes.
    probabilities : ndarray of shape (n_judged, n_classes), float64
        Out of fold.
    joint : ConfidentJoint or None
        What the count comes from; None where nothing could be judged.
    """

    places: Rows
    classes: list[str]
    judged: Rows
    codes: Codes
    probabilities: Probabilities
    joint: ConfidentJoint | None

    @property
    def accuracy(self) -> float:
        """Share of the judged records whose most probable class is their label, in [0, 1]."""
        return float((self.probabilities.argmax(axis=1) == self.codes).mean()) if len(self.codes) else 0.0

    @property
    def note(self) -> str:
        """What a person should know of the count, or the empty string."""
        if self.joint is None or self.accuracy >= _SURE:
            return ""
        return (
            f"The heads agree with {100 * self.accuracy:.0f} % of the labels: much of the count is what this "
            "encoder cannot tell apart. Trust the order more than the number."
        )

    def label_probabilities(self, records: AuditedRecords) -> dict[str, float]:
        """Return, by id, the out-of-fold probability of each judged record's own label, in [0, 1]."""
        own = self.probabilities[np.arange(len(self.codes)), self.codes]
        return {
            records.ids[place]: round(value, 4)
            for place, value in zip(self.judged.tolist(), own.tolist(), strict=True)
        }

    def evidence(self, records: AuditedRecords, place: int) -> dict[str, Any]:
        """Return label, suggestion, their probabilities and neighbors of a record, as JSON values."""
        where = int(np.searchsorted(self.judged, place))
        judged = where < len(self.judged) and self.judged[where] == place
        said = self.probabilities[where] if judged else None
        suggested = None if said is None else self.classes[int(said.argmax())]
        near = records.neighbors[place, :_SHOWN].tolist()
        return {
            "label": records.labels[place],
            "suggested": suggested,
            "suggested_probability": None if said is None else round(float(said.max()), 4),
            "label_probability": None if said is None else round(float(said[self.codes[where]]), 4),
            "neighbors": [
                {
                    "similarity": round(float(similarity), 4),
                    "label": records.labels[other],
                    "id": records.ids[other],
                    "text": records.texts[other],
                }
                for similarity, other in zip(records.similarities[place, :_SHOWN], near, strict=True)
            ],
        }

    def as_json(self, records: AuditedRecords, most: int) -> dict[str, Any]:
        """Return counts and the first ``most`` rows, as JSON values."""
        joint = self.joint
        rows = [
            {
                "id": records.ids[place],
                "split": records.splits[place],
                "text": records.texts[place],
                **self.evidence(records, place),
            }
            for place in self.places[:most].tolist()
        ]
        return {
            "estimate": None if joint is None else joint.n_errors,
            "share": None if joint is None else joint.n_errors / len(self.judged),
            "accuracy": None if joint is None else self.accuracy,
            "note": self.note,
            "judged": len(self.judged),
            "not_judged": len(records.labelled) - len(self.judged),
            "unlabelled": len(records) - len(records.labelled),
            "classes": self.classes,
            "confident_joint": None if joint is None else joint.counts.tolist(),
            "rows": rows,
        }


def find_suspects(records: AuditedRecords, seed: int = 0) -> Suspects:
    """Find likely label errors; without two labels there are none to find."""
    labelled = records.labelled
    labels = np.array([records.labels[place] for place in labelled], dtype=np.str_)
    none = np.empty(0, dtype=np.int64)
    if len(np.unique(labels)) < 2:
        return Suspects(none, sorted(set(labels.tolist())), none, none, np.empty((0, 0)), None)
    # Records without a label are neighbors too; where there are some, the head compares the others anew.
    all_labelled = len(labelled) == len(records)
    neighbors = (records.similarities, records.neighbors) if all_labelled else None
    probabilities, known = out_of_fold(records.embeddings[labelled], labels, neighbors=neighbors, seed=seed)
    classes, codes = np.unique(labels, return_inverse=True)
    judged = labelled[known]
    if not len(judged):
        return Suspects(none, classes.tolist(), none, none, np.empty((0, len(classes))), None)
    said, own = probabilities[known], codes[known]
    found = suspects(own, said)
    return Suspects(judged[found], classes.tolist(), judged, own, said, confident_joint(own, said))
