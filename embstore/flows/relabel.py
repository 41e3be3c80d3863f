"""Relabel: a reviewed file taken back into the store, at zero encodes, and undone if need be."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from embstore.data.quoted import MAX_FIELD
from embstore.data.values import MAX_LABEL, BadValueError, as_name
from embstore.errors import InvalidData, InvalidInput, NotFound
from embstore.flows.tables import unescaped
from embstore.store import Store
from embstore.store.relabeling import Relabelled, relabel_records, review_line, undo_relabel
from embstore.wording import nearest_name, store_argument

NEW_LABEL = "new_label"
SUFFIXES = (".csv", ".jsonl")


@dataclass(frozen=True)
class RelabelReport:
    """What was changed.

    Parameters
    ----------
    store : str
        Its path.
    changed, unchanged : int
        Records with another label now; and those that needed none, or could not be given theirs back.
    source : str
        Where the labels came from.
    undone : bool
        Labels were given back.
    """

    store: str
    changed: int
    unchanged: int
    source: str
    undone: bool = False

    @property
    def note(self) -> str:
        """What a person should know, or the empty string."""
        if self.changed and not self.undone:
            line = f"embstore fit {store_argument(Path(self.store))}"
            return f"Heads that were fitted before are of the old labels: {line}"
        if self.changed or self.unchanged:
            return ""
        return f"No {NEW_LABEL} of {self.source} is filled in: nothing was changed."

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def relabel_store(
    file: str | Path,
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    new_labels: bool = False,
    raw: bool = False,
) -> RelabelReport:
    """Give records the labels of a reviewed file; nothing is encoded.

    A later build of the same dataset keeps them, until the dataset itself has another label.

    Parameters
    ----------
    file : str or Path
        ``.csv`` or ``.jsonl`` with the columns ``id`` and ``new_label``; an empty ``new_label`` changes
        nothing. With a column ``label``, the record must still have that label.
    store, home
        See `Store.open`.
    new_labels : bool
        Allow labels that no record of the store has yet.
    raw : bool
        Cells of the CSV are as they stand, none with an apostrophe before a formula: the file was written so.

    Raises
    ------
    NotFound
        No such file, store or record.
    InvalidInput
        The file is no CSV or JSON Lines, is empty, or lacks a column.
    InvalidData
        A label that is new to the store or too long, an id with two answers, a record that was changed since
        the review. Nothing was changed, whatever is wrong.
    """
    path = Path(file)
    with Store.open(store, home=home) as opened:
        folder = opened.path
        known = {label for label in opened.reader.counts("label") if label is not None}
    labels, expected = _answers(path, review_line(folder, path.name), raw=raw)
    # Blanks around a typed label are none of it, unless the store has a label with them.
    labels = {one: label if label in known else label.strip() for one, label in labels.items()}
    unknown = sorted(set(labels.values()) - known)
    if unknown and not new_labels:
        near = nearest_name(unknown[0], sorted(known))
        raise InvalidData(
            f"No record of {folder.name} has the label {unknown[0]!r} yet.",
            why=f"It has: {', '.join(sorted(known)) or 'none'}.",
            fix=f"{f'write {near!r} instead' if near else 'correct the file'}, or allow it with --new-labels",
        )
    done = relabel_records(folder, labels, path.name, expected=expected)
    return _report(folder, done, undone=False)


def undo_relabelling(store: str | Path | None = None, *, home: str | Path | None = None) -> RelabelReport:
    """Undo the last change of labels that was not undone yet; see `relabel_store`.

    Raises
    ------
    NotFound
        Nothing is left to undo.
    """
    with Store.open(store, home=home) as opened:
        folder = opened.path
    return _report(folder, undo_relabel(folder), undone=True)


def _report(folder: Path, done: Relabelled, *, undone: bool) -> RelabelReport:
    return RelabelReport(str(folder), done.changed, done.unchanged, done.source, undone)


def _answers(path: Path, fix: str, *, raw: bool) -> tuple[dict[str, str], dict[str, str | None]]:
    """Return new labels by id, and the labels that they had at the review where the file says so."""
    labels: dict[str, str] = {}
    expected: dict[str, str | None] = {}
    for row in _rows(path, fix, raw=raw):
        record_id, label = _name(row, "id", path), _name(row, NEW_LABEL, path)
        if not label.strip():
            continue
        if labels.get(record_id, label) != label:
            raise InvalidData(
                f"{path} has two answers for {record_id!r}.", why=f"{labels[record_id]!r} and {label!r}."
            )
        if len(label.strip()) > MAX_LABEL:
            raise InvalidData(
                f"The label that {path} has for {record_id!r} is too long.",
                why=f"It has {len(label.strip()):,} characters; at most {MAX_LABEL:,} are stored.",
            )
        labels[record_id] = label
        if "label" in row:
            expected[record_id] = _name(row, "label", path) or None
    return labels, expected


def _rows(path: Path, fix: str, *, raw: bool) -> Iterator[dict[str, Any]]:
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidInput(
            f"{path} is no reviewed file.", why=f"Known are {' and '.join(SUFFIXES)}.", fix="review.csv"
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            as_csv = path.suffix.lower() == ".csv"
            yield from _csv_rows(path, file, fix, raw=raw) if as_csv else _json_rows(path, file, fix)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read.", why=str(error)) from error


def _csv_rows(path: Path, file: IO[str], fix: str, *, raw: bool) -> Iterator[dict[str, Any]]:
    # The text of a row may be longer than what csv takes unasked.
    csv.field_size_limit(max(MAX_FIELD, csv.field_size_limit()))
    reader = csv.DictReader(file)
    _check_columns(path, reader.fieldnames or (), "Its header", fix)
    for row in reader:
        # A row of more cells than the header has the others without a name.
        named = {name: cell or "" for name, cell in row.items() if name is not None}
        yield named if raw else {name: unescaped(cell) for name, cell in named.items()}


def _json_rows(path: Path, file: IO[str], fix: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(filter(str.strip, file), 1):
        row = json.loads(line)
        if not isinstance(row, dict):
            raise InvalidInput(
                f"Row {number} of {path} is no JSON object.",
                why=f"It is {row!r:.40}.",
                fix='{"id": "train-1", "new_label": "joy"}',
            )
        _check_columns(path, list(row), f"Row {number}", fix)
        yield row


def _check_columns(path: Path, columns: Sequence[str], where: str, fix: str) -> None:
    for column in ("id", NEW_LABEL):
        if column not in columns:
            raise InvalidInput(
                f"{path} has no column {column!r}.",
                why=f"{where} has: {', '.join(map(str, columns)) or 'nothing'}.",
                fix=fix,
            )


def _name(row: dict[str, Any], column: str, path: Path) -> str:
    """Return a label or an id as a dataset's would be read."""
    try:
        return as_name(row[column], f"the {column}") or ""
    except BadValueError as error:
        raise InvalidData(f"{path} has a row that cannot be read: {error}.") from error
