from __future__ import annotations

from collections import Counter

from embstore.data import SAMPLE, open_dataset
from embstore.records import Record


def test_the_sample_needs_no_argument() -> None:
    assert open_dataset() == open_dataset(SAMPLE) == open_dataset([])


def test_the_sample_has_six_labels_of_equal_size_in_three_splits() -> None:
    dataset = open_dataset()
    records = list(dataset)
    assert all(isinstance(record, Record) for record in records)
    assert (dataset.name, dataset.total, len(records)) == ("sample", 900, 900)
    assert dataset.origin == "sample"
    assert dataset.splits == ("train", "validation", "test")
    assert sorted(Counter(record.label for record in records).values()) == [150] * 6
    assert [(split, n) for split, n in Counter(record.split for record in records).items()] == [
        ("train", 720),
        ("validation", 90),
        ("test", 90),
    ]


def test_the_sample_has_short_texts_and_no_duplicates() -> None:
    records = list(open_dataset())
    assert (
        len({record.text.casefold() for record in records}) == len({record.id for record in records}) == 900
    )
    words = [len(record.text.split()) for record in records]
    assert min(words) >= 5
    assert max(words) <= 40
