from __future__ import annotations

from pathlib import Path

import pytest
from dataset_helpers import write

from embstore.data import ReadOptions, open_dataset

CONTENT = "text,label,id,other\none,joy,1,x\n"


def fingerprint(path: Path, **options: object) -> str:
    return open_dataset(path, ReadOptions(**options)).fingerprint


def test_equal_bytes_under_another_name_have_one_fingerprint(tmp_path: Path) -> None:
    first = fingerprint(write(tmp_path / "a.csv", CONTENT))
    assert first == fingerprint(write(tmp_path / "b.csv", CONTENT))
    assert len(first) == 64


def test_options_that_say_what_is_found_anyway_change_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", CONTENT)
    said = fingerprint(path, text_column="text", label_column="label", delimiter=",", encoding="UTF8")
    assert said == fingerprint(path)


@pytest.mark.parametrize(
    "options",
    [
        {"text_column": "other"},
        {"label_column": "other"},
        {"id_column": "other"},
        {"encoding": "latin-1"},
        {"delimiter": "x", "text_column": "te", "label_column": "t,label,id,other"},
    ],
    ids=["text", "label", "id", "encoding", "delimiter"],
)
def test_each_option_that_changes_records_changes_the_fingerprint(
    tmp_path: Path, options: dict[str, str]
) -> None:
    path = write(tmp_path / "a.csv", CONTENT)
    assert fingerprint(path, **options) != fingerprint(path)


def test_each_byte_and_each_split_changes_the_fingerprint(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.csv", CONTENT), write(tmp_path / "b.csv", CONTENT.replace("one", "two"))
    named = [[f"train={one}"], [f"test={one}"], [f"train={two}"], [f"train={one}", f"train={two}"]]
    named += [[f"train={two}", f"train={one}"], [f"train={one}", f"test={two}"]]
    assert len({open_dataset(sources).fingerprint for sources in named}) == len(named)


def test_the_wanted_splits_change_the_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "split,text\ntrain,one\ntest,two\n")
    assert fingerprint(path) != fingerprint(path, splits=["test"])
    assert fingerprint(path) == fingerprint(path, splits=["test", "train"])


def test_the_format_changes_the_fingerprint(tmp_path: Path) -> None:
    csv, txt = write(tmp_path / "a.csv", "text\none\n"), write(tmp_path / "a.txt", "text\none\n")
    assert fingerprint(csv) != fingerprint(txt)
