"""The real files that embstore is measured with; they are not part of the repository."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from embstore.data import open_dataset
from embstore.records import Record

_HOME = Path(
    os.environ.get("EMBSTORE_REFERENCE_DATA") or Path(__file__).parents[2].parent / "shared" / "data"
)


def reference(name: str) -> Path:
    folder = _HOME / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}; set EMBSTORE_REFERENCE_DATA to the folder that has {name}/")
    return folder


def test_emotion_is_read_whole() -> None:
    dataset = open_dataset(reference("emotion"))
    records = list(dataset)
    assert all(isinstance(record, Record) for record in records)
    assert dataset.total == len(records) == len({record.id for record in records}) == 20_000
    assert Counter(record.split for record in records) == {
        "train": 16_000,
        "validation": 2_000,
        "test": 2_000,
    }
    assert {record.label for record in records} == {"sadness", "joy", "love", "anger", "fear", "surprise"}
    assert records[0].text == "i didnt feel humiliated"


def test_banking77_is_read_whole() -> None:
    records = list(open_dataset(reference("banking77")))
    assert all(isinstance(record, Record) for record in records)
    assert Counter(record.split for record in records) == {"train": 10_003, "test": 3_080}
    assert len({record.label for record in records}) == 77
