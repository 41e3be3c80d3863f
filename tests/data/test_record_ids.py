from __future__ import annotations

import json
import random
import tracemalloc
from hashlib import sha256
from pathlib import Path

from dataset_helpers import csv_of, errors, read, write

from embstore.data.ids import ContentIds


def test_an_id_is_the_split_and_the_start_of_the_hash_of_the_text(tmp_path: Path) -> None:
    write(tmp_path / "test.csv", "text,label\ncafé,joy\n")
    assert [r.id for r in read(tmp_path)] == [f"test-{sha256('café'.encode()).hexdigest()[:16]}"]


def test_repeated_texts_are_numbered_within_their_split(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "text\none\ntwo\none\none\n")
    write(tmp_path / "test.csv", "text\none\n")
    one, two = (sha256(text).hexdigest()[:16] for text in (b"one", b"two"))
    expected = [f"train-{one}", f"train-{two}", f"train-{one}-2", f"train-{one}-3", f"test-{one}"]
    assert [r.id for r in read(tmp_path)] == expected


def test_ids_outlive_shuffling_and_relabelling(tmp_path: Path) -> None:
    rows = [[f"text {number % 40}", "joy"] for number in range(60)]
    before = {r.id for r in read(write(tmp_path / "a.csv", csv_of([["text", "label"], *rows])))}
    random.Random(0).shuffle(rows)
    rows = [[text, "fear"] for text, _ in rows]
    after = {r.id for r in read(write(tmp_path / "b.csv", csv_of([["text", "label"], *rows])))}
    assert before == after
    assert len(before) == 60


def test_ids_repeat_when_a_dataset_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text\none\none\n")
    assert read(path) == read(path)


def test_an_id_column_gives_the_ids(tmp_path: Path) -> None:
    rows = [{"text": "one", "id": 7}, {"text": "two", "id": "b"}, {"text": "three", "id": 3.0}]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [r.id for r in read(path)] == ["7", "b", "3"]


def test_a_null_or_empty_id_is_set_aside(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,text\n1,one\n,two\n")
    assert errors(read(path)) == ["the id is null or empty"]


def test_a_set_aside_record_keeps_the_id_that_could_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,text\n7,\n")
    assert [(r.id, r.error) for r in read(path)] == [("7", "the text is empty")]


def test_the_memory_of_a_million_ids_is_below_120_megabytes() -> None:
    ids, count = ContentIds("train"), 100_000
    tracemalloc.start()
    for number in range(count):
        ids.give(f"text {number}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / count * 1_000_000 < 120e6
