"""Answers written to a file, row by row: CSV or JSON Lines, complete or not there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from embstore.outputs import check_file, complete_bytes

# What a spreadsheet would run as a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
SUFFIXES = (".csv", ".jsonl")


def rows_of(columns: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of columns of equal length."""
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def check_output(path: str | Path, *, overwrite: bool) -> None:
    """Refuse a file of rows that cannot be written, before any work is done; see `embstore.outputs`."""
    check_file(path, SUFFIXES, overwrite=overwrite)


def write_rows(
    path: str | Path, rows: Iterable[Mapping[str, Any]], *, raw: bool = False, columns: Sequence[str] = ()
) -> int:
    """Write rows of the same keys to a CSV or JSON Lines file; return how many.

    Parameters
    ----------
    path : str or Path
        Suffix ``.csv`` or ``.jsonl``. Appears once all rows are written; an older file stays until then.
    rows : iterable of mappings
        JSON values; all with the keys of the first.
    raw : bool
        Leave CSV cells that a spreadsheet would run as a formula as they are, instead of putting an
        apostrophe before them.
    columns : sequence of str
        Header of a CSV file without rows.

    Raises
    ------
    DiskFailure
        The disk is full or refuses; ``path`` is as it was.
    """
    path = Path(path)
    with _complete(path) as file:
        if path.suffix.lower() == ".jsonl":
            return _write_lines(file, rows)
        return _write_csv(file, rows, raw=raw, columns=columns)


def _write_lines(file: IO[str], rows: Iterable[Mapping[str, Any]]) -> int:
    n = 0
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        n += 1
    return n


def _write_csv(file: IO[str], rows: Iterable[Mapping[str, Any]], *, raw: bool, columns: Sequence[str]) -> int:
    writer = None
    n = 0
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
        writer.writerow({key: _cell(value, raw=raw) for key, value in row.items()})
        n += 1
    if writer is None and columns:
        csv.DictWriter(file, columns).writeheader()
    return n


def _cell(value: Any, *, raw: bool) -> Any:
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return escaped(value) if isinstance(value, str) and not raw else value


def escaped(text: str) -> str:
    """Return a text with an apostrophe before it where a spreadsheet would run it as a formula.

    A formula that has apostrophes already gets one more, so that `unescaped` gives back every text.
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULAS) else text


def unescaped(cell: str) -> str:
    """Return the text that `escaped` made a cell of."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULAS) else cell


@contextmanager
def _complete(path: Path) -> Iterator[IO[str]]:
    # newline="" is what the csv module asks for; JSON escapes the line breaks of a text itself.
    with complete_bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        yield text
