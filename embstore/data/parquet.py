"""Parquet files: columns with types, and class labels where ``datasets`` wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets.packaged_modules.parquet.parquet import Parquet

from embstore.data.columns import check_distinct
from embstore.data.features import ClassLabels
from embstore.data.options import ReadOptions
from embstore.data.paths import spoken
from embstore.data.reading import reading
from embstore.data.stream import open_stream, reading_tables, tables
from embstore.data.tables import Row
from embstore.errors import InvalidData

# The builder's own default is a whole row group, often a million rows.
_ROWS = 2_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file; a class label arrives as its name, everything else as the type that it has.

    Parameters
    ----------
    path : Path
        The file.
    stream : datasets.IterableDataset
        Its rows.
    columns : tuple of str
        Names from its schema.
    labels : ClassLabels
        Columns that are class labels.
    total : int
        Rows, exactly.
    digest : str
        SHA-256 of the file's bytes, hex digits.
    """

    path: Path
    stream: Any
    columns: tuple[str, ...]
    labels: ClassLabels
    total: int
    digest: str

    @classmethod
    def open(cls, path: Path, options: ReadOptions) -> ParquetFile:  # noqa: ARG003  (all formats are given it)
        """Read the file's schema and hash it.

        Raises
        ------
        InvalidData
            It is not Parquet, is damaged, has no rows, or names a column twice.
        """
        where = spoken(path.name)
        with reading_tables(where):
            total = pq.read_metadata(path).num_rows
            columns = check_distinct(pq.read_schema(path).names, where)
        if not total:
            raise InvalidData(f"{where} is empty.", why="It has a schema and no rows.")
        stream = open_stream(Parquet, path, batch_size=_ROWS)
        return cls(path, stream, columns, ClassLabels.of(stream.features), total, _digest(path))

    @property
    def where(self) -> str:
        """The file's name."""
        return spoken(self.path.name)

    @property
    def class_labels(self) -> frozenset[str]:
        """Columns that are class labels."""
        return self.labels.columns

    def rows(self) -> Iterator[Row]:
        """Yield the rows."""
        for table in tables(self.stream, _ROWS, partial(reading_tables, self.where)):
            yield from self.labels.rows(table)


def _digest(path: Path) -> str:
    digest = sha256()
    with reading(spoken(path.name)), path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
