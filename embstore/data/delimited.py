"""CSV and TSV files: a header, then a row a record, and one bad row costs one row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from embstore.data.columns import check_distinct, listing
from embstore.data.lines import LineFile, Lines
from embstore.data.options import ReadOptions, codec_of, delimiter_of
from embstore.data.paths import spoken
from embstore.data.quoted import read_fields
from embstore.data.tables import BadRow, Row, digest_of
from embstore.errors import InvalidData, InvalidInput

_USUAL_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class DelimitedFile(LineFile):
    """A CSV or TSV file; all its values are strings.

    Parameters
    ----------
    lines : Lines
        The file.
    columns : tuple of str
        Names from the header.
    delimiter : str
        One character.
    """

    delimiter: str

    @classmethod
    def open(cls, path: Path, options: ReadOptions) -> DelimitedFile:
        """Check the file and read its header.

        Raises
        ------
        InvalidData
            It is empty, has only a header, names a column twice, or cannot be decoded.
        InvalidInput
            Its header looks as if another delimiter were in use.
        """
        delimiter = delimiter_of(options, "\t" if path.suffix.lower() == ".tsv" else ",")
        where = spoken(path.name)
        lines = Lines.scan(path, codec_of(options))
        head = list(islice(read_fields(lines.batches(), delimiter), 2))
        columns = _header(head, where)
        if options.delimiter is None:
            _check_delimiter(columns, delimiter, where)
        if len(head) == 1:
            raise InvalidData(f"{where} is empty.", why=f"It has a header ({listing(columns)}) and no rows.")
        return cls(lines, columns, delimiter)

    @property
    def digest(self) -> str:
        """SHA-256, hex digits, of the bytes and of how they are read."""
        return digest_of(super().digest, self.delimiter)

    @property
    def total(self) -> int:
        """Lines below the header: too many where a field has line breaks."""
        return self.lines.count - 1

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows; a ragged or badly quoted one is a BadRow."""
        names, width, where = self.columns, len(self.columns), self.where
        rows = read_fields(self.lines.batches(), self.delimiter)
        next(rows)
        for line, fields in rows:
            if isinstance(fields, str):
                yield BadRow(f"{where} line {line}: {fields}")
            elif len(fields) != width:
                yield BadRow(f"{where} line {line} has {_count(len(fields))}, the header has {width}")
            else:
                yield dict(zip(names, fields))  # noqa: B905  (compared above; strict takes twice the time)


def _header(head: list[tuple[int, list[str] | str]], where: str) -> tuple[str, ...]:
    if not head:
        raise InvalidData(f"{where} is empty.", why="It has only empty lines.")
    _, fields = head[0]
    if isinstance(fields, str):
        raise InvalidData(f"The header of {where} cannot be read.", why=fields)
    # Spreadsheets write nameless columns, pandas one for its row numbers: each is called by its place.
    names = [name.strip() or f"column {place}" for place, name in enumerate(fields, start=1)]
    return check_distinct(names, where)


def _check_delimiter(columns: tuple[str, ...], delimiter: str, where: str) -> None:
    others = [other for other in _USUAL_DELIMITERS if other != delimiter and other in columns[0]]
    if len(columns) == 1 and others:
        raise InvalidInput(
            f"{where} does not seem to be delimited by {delimiter!r}.",
            why=f"Its header is one column: {listing(columns)!r}.",
            fix="--delimiter '{}'".format("\\t" if others[0] == "\t" else others[0]),
        )


def _count(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"
