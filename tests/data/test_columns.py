from __future__ import annotations

from pathlib import Path

import pytest
from dataset_helpers import read, write

from embstore.data import ReadOptions, open_dataset
from embstore.errors import InvalidData, InvalidInput, NotFound


@pytest.mark.parametrize(
    ("header", "text", "label", "own_id"),
    [
        ("text,label", 0, 1, None),
        ("label,text", 1, 0, None),
        ("Sentence,CATEGORY,ID", 0, 1, 2),
        ("title,text,topic,label", 1, 3, None),
        ("body,title,target", 0, 2, None),
        ("text,label,label_text", 0, 2, None),
        ("text,user_id,labels", 0, 2, None),
        ("review", 0, None, None),
    ],
)
def test_columns_are_found_by_their_names(
    tmp_path: Path, header: str, text: int, label: int | None, own_id: int | None
) -> None:
    values = [f"value {place}" for place in range(header.count(",") + 1)]
    (record,) = read(write(tmp_path / "a.csv", f"{header}\n{','.join(values)}\n"))
    assert record.text == values[text]
    assert record.label == (None if label is None else values[label])
    assert record.id == (record.id if own_id is None else values[own_id])
    assert len(record.extra) == len(values) - 1 - (label is not None) - (own_id is not None)


def test_named_columns_are_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label,id,words,kind,key\na,b,c,d,e,f\n")
    (record,) = read(path, text_column="words", label_column="kind", id_column="key")
    assert (record.text, record.label, record.id) == ("d", "e", "f")
    assert record.extra == {"text": "a", "label": "b", "id": "c"}


def test_no_text_column_names_the_columns_and_the_option(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Its columns are: words, label") as caught:
        open_dataset(write(tmp_path / "a.csv", "words,label\none,joy\n"))
    assert caught.value.fix == "--text-column NAME"


def test_a_named_column_that_is_absent_names_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,category\none,joy\n")
    with pytest.raises(NotFound, match=r"a\.csv has no column 'categroy'") as caught:
        open_dataset(path, ReadOptions(label_column="categroy"))
    assert caught.value.fix == "--label-column category"


def test_one_column_cannot_be_two_things(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\none,joy\n")
    with pytest.raises(InvalidInput, match="'text' is named twice"):
        open_dataset(path, ReadOptions(text_column="text", label_column="text"))


def test_a_header_that_is_data_is_shown_shortened(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        open_dataset(write(tmp_path / "a.csv", f"{'long ' * 100},joy\none,joy\n"))
    assert len(caught.value.why) < 80


def test_files_that_name_their_label_differently_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "text,label,intent\none,joy,x\n")
    write(tmp_path / "test.csv", "text,intent\none,x\n")
    with pytest.raises(InvalidData, match="has it in 'label'") as caught:
        open_dataset(tmp_path)
    assert "test.csv in 'intent'" in caught.value.why
    assert [r.label for r in read(tmp_path, label_column="intent")] == ["x", "x"]


def test_a_file_without_labels_beside_a_labelled_one_is_fine(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "text,label\none,joy\n")
    write(tmp_path / "test.csv", "text\none\n")
    assert [r.label for r in read(tmp_path)] == ["joy", None]
