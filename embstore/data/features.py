"""Class labels of ``datasets``: integers in the data, names for a user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import pyarrow as pa

from embstore.data.tables import Row


@dataclass(frozen=True)
class ClassLabels:
    """The columns of a table that hold class labels.

    Parameters
    ----------
    names : mapping of str to sequence of str
        Column to the names of its classes, by their integer.
    """

    names: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, features: Mapping[str, Any] | None) -> ClassLabels:
        """Find them in the features of a dataset, which may be unknown."""
        labels = {
            column: tuple(feature.names)
            for column, feature in (features or {}).items()
            if isinstance(feature, datasets.ClassLabel) and feature.names
        }
        return cls(labels)

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns."""
        return frozenset(self.names)

    def rows(self, table: pa.Table) -> Iterator[Row]:
        """Yield the rows of an Arrow table, class labels by name; -1, which means unlabelled, as None."""
        for row in table.to_pylist():
            for column, names in self.names.items():
                row[column] = _name(row[column], names)
            yield row


def _name(value: int | None, names: Sequence[str]) -> str | int | None:
    if value is None or value == -1:
        return None
    # An integer beyond the declared names is not ours to hide: it stays what it is.
    return names[value] if 0 <= value < len(names) else value
