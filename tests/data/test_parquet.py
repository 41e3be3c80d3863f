from __future__ import annotations

import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_helpers import errors, read, texts, write
from hypothesis import given, settings
from hypothesis import strategies as st

from embstore.data import open_dataset
from embstore.errors import InvalidData

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


def write_parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def write_labelled(path: Path, names: list[str], **columns: list[Any]) -> Path:
    features = {
        name: datasets.Value("string") if name != "label" else datasets.ClassLabel(names=names)
        for name in columns
    }
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features)).data.table
    pq.write_table(table, path)
    return path


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=5))
def test_any_text_and_label_survive_a_parquet_file(rows: list[tuple[str, str]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "train.parquet"
        write_parquet(path, text=[text for text, _ in rows], label=[label for _, label in rows])
        assert [(r.text, r.label) for r in read(path)] == rows


def test_class_labels_become_names_and_minus_one_becomes_null(tmp_path: Path) -> None:
    path = write_labelled(
        tmp_path / "a.parquet", ["sad", "joy"], text=["a", "b", "c", "d"], label=[1, 0, -1, None]
    )
    assert [r.label for r in read(path)] == ["joy", "sad", None, None]


def test_a_declared_label_wins_over_label_text(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", ["sad", "joy"], text=["a"], label_text=["copy"], label=[1])
    assert [(r.label, r.extra) for r in read(path)] == [("joy", {"label_text": "copy"})]


def test_label_text_wins_over_a_bare_number(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=["a"], label=[1], label_text=["joy"])
    assert [(r.label, r.extra) for r in read(path)] == [("joy", {"label": 1})]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (pa.array([3, None]), ["3", None]),
        (pa.array([3.0, float("nan")]), ["3", None]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
    ],
    ids=["int", "float", "bool", "dictionary", "large-string"],
)
def test_a_label_of_any_type_becomes_a_name(tmp_path: Path, values: pa.Array, names: list[str]) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=["one", "two"], label=values)
    assert [r.label for r in read(path)] == names


def test_lists_and_objects_are_no_labels_and_no_texts(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=["one"], label=[["joy", "love"]])
    assert errors(read(path)) == ["the label is a list, not a single value"]
    path = write_parquet(tmp_path / "b.parquet", text=[{"de": "eins"}], label=["joy"])
    assert errors(read(path)) == ["the text is an object, not a string"]


def test_other_values_are_kept_as_json(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet",
        text=["one"],
        day=[datetime.date(2024, 2, 29)],
        raw=[b"a\xff"],
        gone=[float("nan")],
        many=[[1, None]],
        inner=[{"x": b"y"}],
    )
    expected = {"day": "2024-02-29", "raw": "a\\xff", "gone": None, "many": [1, None], "inner": {"x": "y"}}
    assert [r.extra for r in read(path)] == [expected]


def test_the_total_is_exact_and_row_groups_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [str(number) for number in range(7_001)]}), path, row_group_size=1_000)
    assert open_dataset(path).total == 7_001
    assert texts(read(path)) == [str(number) for number in range(7_001)]


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1 not parquet at all PAR1"], ids=["empty", "cut", "noise"]
)
def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidData, match=r"^a\.parquet cannot be read"):
        open_dataset(write(tmp_path / "a.parquet", content))


def test_damaged_pages_are_an_error_of_ours(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=[f"{number} text" for number in range(5_000)])
    content = bytearray(path.read_bytes())
    content[4:2_000] = b"\xff" * 1_996
    path.write_bytes(content)
    with pytest.raises(InvalidData, match=r"^a\.parquet cannot be read"):
        read(path)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"^a\.parquet is empty"):
        open_dataset(write_parquet(tmp_path / "a.parquet", text=pa.array([], pa.string())))
