"""Rows with their splits: a table that is one split, or a file whose column ``split`` names it row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from embstore.data.columns import Columns
from embstore.data.splits import is_split
from embstore.data.tables import BadRow, Row, Table
from embstore.data.values import BadValueError, as_name


@dataclass(frozen=True)
class Part:
    """One table of a dataset.

    Parameters
    ----------
    table : Table
        Where the rows are.
    columns : Columns
        Which of its columns make a record.
    split : str
        Split of all rows; with ``split_column``, the one under which unreadable rows are counted.
    split_column : str or None
        Column that names the split of each row.
    """

    table: Table
    columns: Columns
    split: str
    split_column: str | None = None

    def rows(self, splits: Sequence[str]) -> Iterator[tuple[str, Row | BadRow]]:
        """Return the rows of these splits in order, each after the name of its split."""
        if self.split_column is None:
            return zip(repeat(self.split), self.table.rows(), strict=False)
        return self._rows_by_split(splits, self.split_column)

    def _rows_by_split(self, splits: Sequence[str], column: str) -> Iterator[tuple[str, Row | BadRow]]:
        for row in self.table.rows():
            if isinstance(row, BadRow):
                yield self.split, row
                continue
            try:
                split = read_split(row, column)
            except BadValueError as error:
                yield self.split, BadRow(str(error))
                continue
            if split in splits:
                yield split, row


def read_split(row: Row, column: str) -> str:
    """Take the split out of a row.

    Raises
    ------
    BadValueError
        It is null or cannot be the name of a split.
    """
    name = as_name(row.pop(column, None), "the split")
    if name is None:
        raise BadValueError("the split is null or empty")
    if not is_split(name):
        raise BadValueError(
            f"the split {name[:40]!r} has other characters than letters, digits, '.', '_' and '-'"
        )
    return name


def count_splits(table: Table, column: str) -> Counter[str]:
    """Read the whole table and return how many rows each split has, unusable names left out."""
    counts: Counter[str] = Counter()
    for row in table.rows():
        if isinstance(row, BadRow):
            continue
        try:
            counts[read_split(row, column)] += 1
        except BadValueError:
            continue
    return counts
