"""Where a dataset comes from: told apart by its origin, and in words that can be stored and printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dataset_helpers import write

from embstore.data import ReadOptions, open_dataset
from embstore.data.paths import spoken
from embstore.errors import EmbstoreError

ONE = "text,label\none,joy\n"


def origin(*sources: str, splits: list[str] | None = None) -> str:
    return open_dataset(list(sources), ReadOptions(splits=splits)).origin


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two splits, which is the current one and the user's home."""
    for split in ("train", "test"):
        write(tmp_path / "reviews" / f"{split}.csv", ONE)
    monkeypatch.chdir(tmp_path / "reviews")
    monkeypatch.setenv("HOME", str(tmp_path / "reviews"))
    return tmp_path / "reviews"


@pytest.mark.parametrize("source", ["train.csv", "./train.csv", "~/train.csv", "../reviews/train.csv"])
def test_the_origin_of_a_file_is_its_absolute_path(folder: Path, source: str) -> None:
    assert origin(source) == open_dataset(folder / "train.csv").origin == f"{folder}/train.csv"
    assert open_dataset(Path(source).expanduser()).origin == f"{folder}/train.csv"


@pytest.mark.parametrize("source", [".", "~", "../reviews", "../reviews/"])
def test_the_origin_of_a_folder_is_its_absolute_path(folder: Path, source: str) -> None:
    assert origin(source) == str(folder)


def test_the_origin_of_files_by_split_names_each_in_reading_order(folder: Path) -> None:
    expected = f"train={folder}/train.csv test={folder}/test.csv"
    assert origin("train=~/train.csv", "test=test.csv") == expected
    assert origin("test=test.csv", "train=train.csv") == expected
    assert origin("dev=train.csv", "dev=test.csv") == f"dev={folder}/train.csv dev={folder}/test.csv"


def test_the_origin_names_the_splits_that_were_asked_for(folder: Path) -> None:
    assert origin(".", splits=["test"]) == f"{folder} [test]"
    assert origin(".", splits=["test", "train"]) == f"{folder} [train, test]"
    assert origin("train.csv", splits=["train"]) == f"{folder}/train.csv [train]"
    assert origin("sample", splits=["test"]) == "sample [test]"
    pairs = f"train={folder}/train.csv test={folder}/test.csv"
    assert origin("train=train.csv", "test=test.csv", splits=["test"]) == f"{pairs} [test]"


def test_a_link_keeps_its_own_name(folder: Path) -> None:
    (folder / "latest.csv").symlink_to("train.csv")
    assert origin("latest.csv") == f"{folder}/latest.csv"


def test_files_of_one_name_have_different_origins(folder: Path) -> None:
    other = open_dataset(write(folder / "other" / "train.csv", ONE))
    here = open_dataset(folder / "train.csv")
    assert other.name == here.name
    assert other.origin != here.origin


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (Path("ä.csv"), "ä.csv"),
        (Path(os.fsdecode(b"a\xff\xe4.csv")), "a\\xff\\xe4.csv"),
        ("\ud800.csv", "\\ud800.csv"),
    ],
    ids=["UTF-8", "bytes", "half a character"],
)
def test_a_path_is_said_in_words_that_utf8_has(path: Path | str, words: str) -> None:
    assert spoken(path) == words


NAMES = {
    "data.csv": ONE,
    "empty.csv": "",
    "header.csv": "text\n",
    "twice.csv": "text,text\na,b\n",
    "latin.csv": b"text\n\xe4\n",
    "none.jsonl": "[]\n",
    "bad.parquet": "x",
    "odd.json": "{}",
}


@pytest.mark.parametrize("name", [*NAMES, "absent.csv", "absent"])
@pytest.mark.parametrize("prefix", ["", "train="])
def test_bytes_of_a_path_that_are_not_utf8_reach_no_name_and_no_message(
    tmp_path: Path, name: str, prefix: str
) -> None:
    path = tmp_path / os.fsdecode(b"f\xff") / os.fsdecode(b"\xfe-" + name.encode())
    if name in NAMES:
        write(path, NAMES[name])
    try:
        dataset = open_dataset(f"{prefix}{path}")
    except EmbstoreError as error:
        said = str(error)
    else:
        said = f"{dataset.name} {dataset.origin}"
    said.encode()


def test_a_folder_whose_name_is_not_utf8_has_a_name_in_words(tmp_path: Path) -> None:
    path = write(tmp_path / os.fsdecode(b"f\xff") / "train.csv", ONE)
    dataset = open_dataset(path.parent)
    assert (dataset.name, dataset.origin) == ("f\\xff", f"{tmp_path}/f\\xff")
