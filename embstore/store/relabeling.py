"""Labels that a person changes: all of a file or none, remembered, and undone in the reverse order."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from embstore.errors import InvalidData, NotFound
from embstore.store.database import Known, RecordsWriter
from embstore.store.files import writer_lock
from embstore.wording import store_argument

# Ids asked for in one query.
_TOGETHER = 10_000


@dataclass(frozen=True)
class Relabelled:
    """What a change of labels did.

    Parameters
    ----------
    changed : int
        Records that have another label now.
    unchanged : int
        Records that had the label already, or, of an undo, were changed again or removed since.
    source : str
        Where the labels came from.
    """

    changed: int
    unchanged: int
    source: str


def relabel_records(
    path: Path, labels: Mapping[str, str], source: str, *, expected: Mapping[str, str | None] | None = None
) -> Relabelled:
    """Give records other labels in one transaction.

    Parameters
    ----------
    path : Path
        The store's folder.
    labels : mapping of str to str
        New label by id.
    source : str
        What is remembered as their origin.
    expected : mapping of str to (str or None), optional
        Label that a record had when it was reviewed.

    Raises
    ------
    NotFound
        The store has no such record; nothing was changed.
    InvalidData
        A record has another label than expected; nothing was changed.
    StoreLocked, DiskFailure
        Nothing was changed.
    """
    with _opened(path) as database:
        known = _by_id(database, list(labels))
        missing = [record_id for record_id in labels if record_id not in known]
        if missing:
            raise NotFound(
                f"The store {path.name} has no record {missing[0]!r}.",
                why=f"It lacks {len(missing):,} of {len(labels):,} ids; nothing was changed.",
                fix=review_line(path, source),
            )
        _check_expected(known, expected or {}, review_line(path, source))
        changes = [
            (known[record_id], label)
            for record_id, label in labels.items()
            if known[record_id].record.label != label
        ]
        if changes:
            with database.transaction():
                database.relabel(changes, source)
    return Relabelled(len(changes), len(labels) - len(changes), source)


def review_line(path: Path, source: str) -> str:
    """Return the command that writes a new file to review.

    Parameters
    ----------
    path : Path
        The store's folder.
    source : str
        The file that cannot be taken; the new one has another name, for that one may hold a person's answers.
    """
    again = f"{Path(source).stem or 'review'}-again.csv"
    return f"embstore audit {store_argument(path)} --output {shlex.quote(again)}"


def undo_relabel(path: Path) -> Relabelled:
    """Give the records of the last change their labels back.

    A record that has another label since, or is gone, stays as it is.

    Raises
    ------
    NotFound
        No change is left to undo.
    StoreLocked, DiskFailure
        Nothing was changed.
    """
    with _opened(path) as database:
        last = database.last_relabels()
        if not last:
            raise NotFound(f"No change of labels in {path.name} is left to undo.")
        known = database.known_rows([change["row"] for change in last])
        changes = [
            (known[change["row"]], change["before"])
            for change in last
            if change["row"] in known and known[change["row"]].record.label == change["after"]
        ]
        with database.transaction():
            database.undo_relabels(last[0]["batch"], changes)
    return Relabelled(len(changes), len(last) - len(changes), last[0]["source"])


@contextmanager
def _opened(path: Path) -> Iterator[RecordsWriter]:
    with writer_lock(path):
        database = RecordsWriter(path / "records.db")
        try:
            yield database
        finally:
            database.close()


def _by_id(database: RecordsWriter, ids: Sequence[str]) -> dict[str, Known]:
    found: dict[str, Known] = {}
    remaining = iter(ids)
    while part := list(islice(remaining, _TOGETHER)):
        found |= database.known_ids(part)
    return found


def _check_expected(known: Mapping[str, Known], expected: Mapping[str, str | None], fix: str) -> None:
    for record_id, label in expected.items():
        found = known[record_id].record.label
        if found != label:
            raise InvalidData(
                f"The record {record_id!r} is labelled {found!r} now.",
                why=f"It was {label!r} when it was reviewed; nothing was changed.",
                fix=fix,
            )
