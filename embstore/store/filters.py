"""Filters by split and label: the rows that match, found once and kept while nothing is committed."""

from __future__ import annotations

import shlex

import numpy as np

from embstore.errors import NotFound
from embstore.records import Rows
from embstore.store.allowed import Allowed
from embstore.store.snapshot import RecordsReader, Snapshot
from embstore.wording import nearest_name

# Filters that are kept: a byte and eight for each row that matches.
_KEPT = 8


class Filters:
    """The rows of splits and labels in one snapshot.

    Parameters
    ----------
    name : str
        Of the store, for errors.
    reader, snapshot
        Where rows come from, and which of them count.
    """

    def __init__(self, name: str, reader: RecordsReader, snapshot: Snapshot) -> None:
        self._name = name
        self._reader = reader
        self._snapshot = snapshot
        self._live = Allowed(snapshot.live(), filtered=False)
        self._kept: dict[tuple[str | None, str | None], tuple[int, Allowed]] = {}

    def rows(self, split: str | None, label: str | None) -> Rows:
        """Return, ascending, the rows of a split, a label, both or all.

        Raises
        ------
        NotFound
            The store has no such split or label.
        """
        rows = self._reader.rows_where(self._snapshot, split=split, label=label)
        if not len(rows):
            self._check("split", split)
            self._check("label", label)
        return rows

    def allowed(self, split: str | None, label: str | None) -> Allowed:
        """Return which rows a search may return; raises as `rows` does."""
        if split is None and label is None:
            return self._live
        # A build may change splits and labels in place; each of its commits has a number of its own.
        sequence = self._reader.sequence()
        kept = self._kept.get((split, label))
        if kept and kept[0] == sequence:
            return kept[1]
        mask = np.zeros(self._snapshot.n_rows, dtype=np.bool_)
        mask[self.rows(split, label)] = True
        allowed = Allowed(mask & self._live.mask)
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[split, label] = (sequence, allowed)
        return allowed

    def _check(self, column: str, value: str | None) -> None:
        if value is None or len(self._reader.rows_where(self._snapshot, **{column: value})):
            return
        known = [name for name in self._reader.counts(column, self._snapshot) if name is not None]
        near = nearest_name(value, known) or next(iter(known), "")
        raise NotFound(
            f"The store {self._name} has no {column} {value!r}.",
            why=f"It has: {', '.join(known) or 'none'}.",
            fix=f"--{column} {shlex.quote(near)}" if known else f"leave --{column} out",
        )
