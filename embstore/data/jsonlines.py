"""JSON Lines files: one object a line, and one bad line costs one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from embstore.data.lines import LineFile, Lines
from embstore.data.options import ReadOptions, codec_of
from embstore.data.paths import quoted, spoken
from embstore.data.tables import BadRow, Row
from embstore.data.values import kind
from embstore.errors import InvalidData

# Objects need not have the same keys; this many tell which columns there are.
_HEAD = 1_000


@dataclass(frozen=True)
class JsonLinesFile(LineFile):
    """A JSON Lines file; values keep the types that JSON gives them.

    Parameters
    ----------
    lines : Lines
        The file.
    columns : tuple of str
        Keys of the first thousand objects, in the order in which they come.
    """

    @classmethod
    def open(cls, path: Path, options: ReadOptions) -> JsonLinesFile:
        """Check the file and read the keys of its first objects.

        Raises
        ------
        InvalidData
            It is empty, has no object among its first thousand lines, or cannot be decoded.
        """
        lines = Lines.scan(path, codec_of(options))
        head = list(islice(cls(lines, ()).rows(), _HEAD))
        columns = dict.fromkeys(key for row in head if not isinstance(row, BadRow) for key in row)
        if not columns:
            where = spoken(path.name)
            raise InvalidData(
                f"{where} has no JSON object a line.",
                why=next(
                    (row.error for row in head if isinstance(row, BadRow)),
                    "It has only empty lines or objects.",
                ),
                fix=f"jq -c '.[]' {quoted(path)} > rows.jsonl   # where the file is one list of objects",
            )
        return cls(lines, tuple(columns))

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the objects; a line that is none is a BadRow, an empty line is nothing."""
        for number, line in enumerate(self.lines, start=1):
            if line.isspace():
                continue
            try:
                row = json.loads(line.removesuffix("\n"))
            except (ValueError, RecursionError) as error:
                yield BadRow(f"{self.where} line {number} is not JSON: {_reason(error)}")
                continue
            yield (
                row
                if isinstance(row, dict)
                else BadRow(f"{self.where} line {number} is {kind(row)}, not an object")
            )


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
