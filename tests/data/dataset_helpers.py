"""What the tests of datasets share: files to read, and what came out of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from embstore.data import ReadOptions, TextDataset, open_dataset
from embstore.records import Record, Rejected


def write(path: Path, content: str | bytes) -> Path:
    """Write a file as it is, line breaks included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def csv_of(rows: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    """Return rows as the standard library writes them."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


def read(source: str | Path | Sequence[str], **options: object) -> list[Record | Rejected]:
    """Return all that a source yields."""
    return list(open_dataset(source, ReadOptions(**options)))


def texts(read_out: Iterable[Record | Rejected]) -> list[str]:
    """Return the texts of the records."""
    return [one.text for one in read_out if isinstance(one, Record)]


def errors(read_out: Iterable[Record | Rejected]) -> list[str]:
    """Return the reasons of what was set aside."""
    return [one.error for one in read_out if isinstance(one, Rejected)]


def splits_of(dataset: TextDataset) -> list[str]:
    """Return the split of each record, once where it repeats."""
    return list(dict.fromkeys(one.split for one in dataset))
