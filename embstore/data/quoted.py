"""Lines to fields: the standard library's CSV reader, made to survive a bad line."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Iterator

#: Characters of the longest field that is read; the standard library stops at 131,072.
MAX_FIELD = 16 << 20

_UNFINISHED = "unexpected end of data"


def read_fields(batches: Iterable[list[str]], delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Split lines into rows of fields.

    A quoted field may hold delimiters, doubled quotes and line breaks. After a line whose quotes do not fit,
    reading goes on with the next line, so that a quote that is never closed costs one line and not the rest
    of the file.

    Parameters
    ----------
    batches : iterable of list of str
        Lines, each with its line break; in lists because csv then runs without a Python call for each line.
    delimiter : str
        One character.

    Yields
    ------
    line : int
        Number of the row's first line, from 1.
    fields : list of str, or str
        The row, or the reason why it cannot be read. Empty lines are left out.
    """
    csv.field_size_limit(max(MAX_FIELD, csv.field_size_limit()))
    line, pending = 1, []
    for batch in batches:
        pending += batch
        used = yield from _read_batch(pending, delimiter, line, last=False)
        line, pending = line + used, pending[used:]
    yield from _read_batch(pending, delimiter, line, last=True)


def _read_batch(
    lines: list[str], delimiter: str, line: int, *, last: bool
) -> Generator[tuple[int, list[str] | str], None, int]:
    """Yield the rows that end within the lines, and return how many lines they took."""
    start = 0
    while start < len(lines):
        base = start
        reader = csv.reader(lines[base:], delimiter=delimiter, strict=True)
        try:
            for fields in reader:
                if fields:
                    yield line + start, fields
                start = base + reader.line_num
        except csv.Error as error:
            reason = str(error)
            if reason == _UNFINISHED and not last:
                return start
            yield line + start, "a quote is opened and never closed" if reason == _UNFINISHED else reason
            start += 1
    return start
