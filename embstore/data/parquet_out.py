"""Columns written as Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq


def write_parquet(file: IO[bytes], columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of equal length, by name, as one Parquet file; types are those of the values."""
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), file)
