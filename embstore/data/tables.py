"""The one contract of everything that has rows: a file of any format, a split on the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, TypeAlias

#: One row: column name to value. Whoever gets it owns it and may take values out.
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read.

    Parameters
    ----------
    error : str
        One sentence for the user: file, line and reason.
    """

    error: str


class Table(Protocol):
    """Rows with named columns that can be read again and again."""

    @property
    def where(self) -> str:
        """What a message calls it: a file's name, a split of a hub dataset."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in their own order."""
        ...

    @property
    def class_labels(self) -> frozenset[str]:
        """Columns that are declared to hold labels; their values arrive as names."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256, hex digits, of all in the source that decides which rows come out."""
        ...

    @property
    def total(self) -> int | None:
        """Rows to expect, an estimate; None when unknown."""
        ...

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows in order, few of them in memory at a time."""
        ...


def digest_of(*values: Any) -> str:
    """Return the SHA-256, hex digits, of JSON values."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
