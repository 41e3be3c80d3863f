"""A row becomes a record, or is set aside with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from embstore.data.columns import Columns
from embstore.data.ids import ContentIds
from embstore.data.tables import BadRow, Row
from embstore.data.values import BadValueError, as_json, as_label, as_name, check_text, check_unicode
from embstore.records import Record, Rejected


class RecordMaker:
    """Makes the records of one reading of a dataset; it remembers which texts it saw, for their ids.

    Parameters
    ----------
    splits : sequence of str
        All splits that rows will come from.
    """

    def __init__(self, splits: Sequence[str]) -> None:
        self._ids = {split: ContentIds(split) for split in splits}

    def make(self, row: Row | BadRow, columns: Columns, split: str, position: int) -> Record | Rejected:
        """Return the record of a row, or why there is none; the row is used up.

        Parameters
        ----------
        row : dict or BadRow
            What a table yielded.
        columns : Columns
            Which columns make the record; the others become its extra values.
        split : str
            Split of the row.
        position : int
            Rows of the dataset before this one.
        """
        if isinstance(row, BadRow):
            return Rejected(position, split, None, row.error)
        own_id = None
        try:
            if columns.id is not None:
                own_id = _read_id(row.pop(columns.id, None))
            text = check_text(row.pop(columns.text, None))
            label = None if columns.label is None else as_label(row.pop(columns.label, None))
            extra = {
                _check_name(name): as_json(value, f"the column {name[:40]!r}") for name, value in row.items()
            }
        except BadValueError as error:
            return Rejected(position, split, own_id, str(error))
        return Record(own_id or self._ids[split].give(text), split, label, text, extra)


def _check_name(column: str) -> str:
    # Nearly all names are plain, and this is asked for each value.
    return column if column.isascii() else check_unicode(column, f"the name of the column {column[:40]!r}")


def _read_id(value: object) -> str:
    name = as_name(value, "the id")
    if name is None:
        raise BadValueError("the id is null or empty")
    return name
