from __future__ import annotations

import json
from pathlib import Path

import pytest
from dataset_helpers import errors, read, texts, write

from embstore.data.values import BadValueError, check_text
from embstore.records import Rejected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "the text is null"),
        (float("nan"), "the text is null"),
        ("", "the text is empty"),
        (" \t\n\u00a0\u3000", "the text has only white space"),
        (3, "the text is a number, not a string"),
        (["one"], "the text is a list, not a string"),
        (b"one", "the text is bytes, not a string"),
        ("x" * 1_000_001, "the text has 1,000,001 characters, at most 1,000,000 are stored"),
        ("ab\ud800c", "the text has a lone surrogate (U+D800) at character 3, which UTF-8 cannot store"),
    ],
    ids=["null", "nan", "empty", "white-space", "number", "list", "bytes", "too-long", "surrogate"],
)
def test_a_text_that_cannot_be_stored_says_why(text: object, error: str) -> None:
    with pytest.raises(BadValueError) as caught:
        check_text(text)
    assert str(caught.value) == error


@pytest.mark.parametrize("text", ["x", "x" * 1_000_000, "a\0b", "\U0001f600", "\u200b"])
def test_an_unusual_text_is_stored_as_it_is(text: str) -> None:
    assert check_text(text) == text


@pytest.mark.parametrize("column", ["text", "label", "id", "other"])
def test_a_lone_surrogate_in_any_column_is_set_aside(tmp_path: Path, column: str) -> None:
    row = {"text": "one", "label": "joy", "id": "1", "other": "x"} | {column: "\udfff"}
    (rejected,) = read(write(tmp_path / "a.jsonl", json.dumps(row)))
    assert "lone surrogate (U+DFFF)" in rejected.error


@pytest.mark.parametrize("late", [False, True], ids=["first line", "second line"])
def test_a_lone_surrogate_in_the_name_of_a_column_is_set_aside(tmp_path: Path, late: bool) -> None:
    lines = ['{"text": "one"}', '{"text": "two", "\\ud800": 1}']
    result = read(write(tmp_path / "a.jsonl", "\n".join(lines if late else lines[::-1])))
    assert texts(result) == ["one"]
    (error,) = errors(result)
    assert error.startswith("the name of the column '\\ud800' has a lone surrogate (U+D800)")
    assert error.isascii()


def test_other_names_of_columns_are_kept(tmp_path: Path) -> None:
    (record,) = read(write(tmp_path / "a.jsonl", '{"text": "one", "größe": 1, "": 2}'))
    assert record.extra == {"größe": 1, "": 2}


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")], ids=["lists", "objects"])
def test_a_value_that_is_nested_too_deeply_is_set_aside(tmp_path: Path, opening: str, closing: str) -> None:
    lines = [
        f'{{"text": "{depth}", "x": {opening * depth}1{closing * depth}}}' for depth in (100, 101, 450, 900)
    ]
    result = read(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert texts(result) == ["100"]
    assert errors(result)[:2] == ["the column 'x' has more than 100 lists and objects within each other"] * 2
    assert len(errors(result)) == 3


def test_a_label_as_long_as_a_text_is_set_aside(tmp_path: Path) -> None:
    rows = [{"text": str(size), "label": "x" * size} for size in (1_000, 1_001)]
    result = read(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))))
    assert texts(result) == ["1000"]
    assert errors(result) == ["the label has 1,001 characters, at most 1,000 are stored"]


def test_positions_count_good_and_bad_records_over_all_splits(tmp_path: Path) -> None:
    write(tmp_path / "test.csv", "text\n \nfour\n")
    write(tmp_path / "train.csv", "text\none\nragged,row\ntwo\n")
    bad = [one for one in read(tmp_path) if isinstance(one, Rejected)]
    assert [(one.position, one.split) for one in bad] == [(1, "train"), (3, "test")]


def test_an_error_does_not_repeat_the_text(tmp_path: Path) -> None:
    secret = "secret " * 20
    rows = [{"text": [secret]}, {"text": secret, "label": [secret]}, {"text": secret, "label": {"a": secret}}]
    content = "\n".join(
        [json.dumps({"text": "one", "label": ""}), *map(json.dumps, rows), f'{{"text": "{secret}']
    )
    result = read(write(tmp_path / "a.jsonl", content))
    assert texts(result) == ["one"]
    assert len(errors(result)) == 4
    assert not any("secret" in error for error in errors(result))
