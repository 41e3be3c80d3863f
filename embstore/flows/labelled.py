"""The labelled records of a store as arrays: what a head learns from, is tuned on and is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

import numpy as np

from embstore.errors import InvalidData, NotFound
from embstore.records import Codes, Embeddings, Mask, Rows
from embstore.store import Store
from embstore.wording import counted, nearest_name


@dataclass(frozen=True)
class LabelledSplit:
    """The records of one split that have a label.

    Parameters
    ----------
    name : str
        Name of the split.
    rows : ndarray of shape (n,), int64
        Rows in the store, ascending.
    ids, texts, labels : list of str
        Entry i of each is the same record.
    embeddings : ndarray of shape (n, dim), float32
        As the store holds them; not necessarily of unit length.
    unlabelled : int
        Records of the split that were left out because they have no label.
    """

    name: str
    rows: Rows
    ids: list[str]
    texts: list[str]
    labels: list[str]
    embeddings: Embeddings
    unlabelled: int

    def __len__(self) -> int:
        return len(self.rows)

    def codes(self, names: Sequence[str]) -> Codes:
        """Return the position of each label in ``names``; all of them must be there."""
        place = {name: code for code, name in enumerate(names)}
        return np.fromiter((place[label] for label in self.labels), np.int64, len(self.labels))

    def only(self, chosen: Rows | Mask) -> LabelledSplit:
        """Return the chosen records, by positions or flags."""
        positions = np.arange(len(self))[chosen]
        ids, texts, labels = (
            [column[position] for position in positions] for column in (self.ids, self.texts, self.labels)
        )
        rows, embeddings = self.rows[positions], self.embeddings[positions]
        return LabelledSplit(self.name, rows, ids, texts, labels, embeddings, self.unlabelled)


def check_split(store: Store, name: str, option: str) -> None:
    """Refuse a split that the store does not have.

    Raises
    ------
    NotFound
        With the splits that there are, and ``option`` with the one spelled most like it, else the first.
    """
    known = [str(one) for one in store.reader.counts("split")]
    if name not in known:
        near = nearest_name(name, known) or next(iter(known), "")
        raise NotFound(
            f"The store {store.name} has no split {name!r}.",
            why=f"It has: {', '.join(known) or 'none'}.",
            fix=f"{option} {quote(near)}" if known else "embstore build DATASET",
        )


def labelled_split(store: Store, name: str) -> LabelledSplit:
    """Return the labelled records of a split.

    Raises
    ------
    NotFound
        The store has no such split.
    InvalidData
        None of its records has a label.
    """
    _check_labels(store)
    split = store.split(name)
    kept = np.array([label is not None for label in split.labels], dtype=np.bool_)
    if not kept.any():
        raise InvalidData(
            f"No record of the split {name} of {store.name} has a label.",
            why=f"Labels stand in: {', '.join(store.reader.labelled_splits())}.",
            fix="choose one of those splits, or build again with --label-column NAME",
        )
    embeddings = split.embeddings if kept.all() else split.embeddings[kept]
    ids, texts = (
        [value for value, keep in zip(column, kept, strict=True) if keep]
        for column in (split.ids, split.texts)
    )
    labels = [label for label in split.labels if label is not None]
    return LabelledSplit(name, split.rows[kept], ids, texts, labels, embeddings, int((~kept).sum()))


def training_split(store: Store, name: str) -> LabelledSplit:
    """Return the split to learn from; raises as `labelled_split` does, and where it has one label only."""
    _check_labels(store)
    check_split(store, name, "--train")
    split = labelled_split(store, name)
    if len(set(split.labels)) < 2:
        raise InvalidData(
            f"The split {name} of {store.name} has one label only: {split.labels[0]!r}.",
            why=f"A classifier chooses between at least 2; {counted(len(split), 'record')} with this one.",
            fix="build the store again with records of other labels, or check --label-column",
        )
    return split


def validation_split(store: Store, *, but: Sequence[str]) -> LabelledSplit | None:
    """Return the split ``validation`` where the store has one with labels and it is not among ``but``."""
    if "validation" in but or "validation" not in store.reader.labelled_splits():
        return None
    return labelled_split(store, "validation")


def evaluated_name(store: Store, train: str) -> str | None:
    """Return the split that heads are judged on unless one is named: test, else validation, else none."""
    found = [
        name for name in ("test", "validation") if name != train and name in store.reader.labelled_splits()
    ]
    return found[0] if found else None


def _check_labels(store: Store) -> None:
    if not store.reader.labelled_splits():
        raise InvalidData(
            f"The store {store.name} has no labels to learn from.",
            why=f"None of its {len(store):,} records has one; neighbors, verify and info work without.",
            fix="embstore build DATASET --label-column NAME   # texts are not encoded again",
        )
