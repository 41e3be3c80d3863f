"""A dataset of labelled texts: the rows of its tables in, records out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from embstore.data.columns import check_agreement, find_columns, match
from embstore.data.maker import RecordMaker
from embstore.data.options import ReadOptions
from embstore.data.parts import Part, count_splits
from embstore.data.splits import DEFAULT_SPLIT, choose_splits, order_splits
from embstore.data.tables import Table, digest_of
from embstore.records import Record, Rejected

# Raise it when the same source and options would come out as other records.
_READER = 1


@dataclass(frozen=True)
class TextDataset:
    """Records that can be read again and again, always in the same order.

    Parameters
    ----------
    name : str
        What a person calls it: "sample", a hub id, the name of a file or a folder.
    origin : str
        Where it comes from, which tells two datasets of one name apart:

        - the absolute path of a lone file or of a folder, such as ``/data/reviews``;
        - ``train=/data/a.csv test=/data/b.csv`` for files by split, in the order in which they are read;
        - ``owner/name@config (revision REV)`` for the hub, the last two only where the caller gave them;
        - ``sample`` for the one that embstore brings along;

        and after a space ``[train, test]`` where the caller asked for these splits only.
    fingerprint : str
        SHA-256, 64 hex digits, of all that decides which records come out and in which order: bytes of the
        files or commit on the hub, format, delimiter, encoding, columns, splits.
    splits : tuple of str
        Train, validation, test, then the others by name. Records come in this order; those of a single file
        with a column ``split`` come in the file's own order.
    total : int or None
        Records to expect, for a progress bar only: may be an estimate, None when unknown.
    parts : tuple of Part
        Where the records are read from, in order.
    """

    name: str
    origin: str
    fingerprint: str
    splits: tuple[str, ...]
    total: int | None
    parts: tuple[Part, ...] = field(repr=False)

    def __iter__(self) -> Iterator[Record | Rejected]:
        maker = RecordMaker(self.splits)
        position = 0
        for part in self.parts:
            for split, row in part.rows(self.splits):
                yield maker.make(row, part.columns, split, position)
                position += 1


def bind_tables(
    name: str, origin: str, tables: Sequence[tuple[str, Table]], options: ReadOptions
) -> TextDataset:
    """Make a dataset of tables, each of which is one split or a part of one.

    Parameters
    ----------
    name, origin : str
        Name of the dataset, and where all its splits come from.
    tables : sequence of (str, Table)
        Split and rows, in reading order.
    options : ReadOptions
        Names of the columns, and the splits that were asked for.

    Raises
    ------
    NotFound
        A table lacks a named column, or a column that can be told to be the text.
    InvalidData
        The tables name their columns differently.
    """
    parts = tuple(Part(table, find_columns(table, options), split) for split, table in tables)
    check_agreement([part.table for part in parts], [part.columns for part in parts])
    totals = [table.total for _, table in tables]
    total = None if None in totals else sum(count for count in totals if count is not None)
    splits = tuple(dict.fromkeys(split for split, _ in tables))
    return TextDataset(name, _restricted(origin, options), _fingerprint(parts, splits), splits, total, parts)


def bind_lone_table(name: str, origin: str, table: Table, options: ReadOptions) -> TextDataset:
    """Make a dataset of one table that was given without a split: a column ``split`` may name it row by row.

    Parameters
    ----------
    name, origin : str
        Name of the dataset, and where all its splits come from.
    table : Table
        All rows. With a column ``split`` they are read once now, to know the splits.
    options : ReadOptions
        Names of the columns, and the splits that are wanted.

    Raises
    ------
    NotFound
        No such column, or no such split.
    """
    columns = find_columns(table, options)
    named = (columns.text, columns.label, columns.id)
    column = match([column for column in table.columns if column not in named], ("split",))
    counts = count_splits(table, column) if column else None
    splits = choose_splits(counts or (DEFAULT_SPLIT,), options.splits, name)
    if not counts:
        # No such column, or one that holds something else under that name.
        return bind_tables(name, origin, [(DEFAULT_SPLIT, table)], options)
    parts = (Part(table, columns, splits[0], column),)
    total = sum(counts[split] for split in splits)
    return TextDataset(name, _restricted(origin, options), _fingerprint(parts, splits), splits, total, parts)


def _restricted(origin: str, options: ReadOptions) -> str:
    wanted = order_splits(options.splits or ())
    return f"{origin} [{', '.join(wanted)}]" if wanted else origin


def _fingerprint(parts: Sequence[Part], splits: Sequence[str]) -> str:
    sources = [[part.split, part.split_column, asdict(part.columns), part.table.digest] for part in parts]
    return digest_of(_READER, list(splits), sources)
