from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dataset_helpers import csv_of, errors, read, texts, write
from hypothesis import given, settings
from hypothesis import strategies as st

from embstore.data import ReadOptions, open_dataset
from embstore.errors import InvalidData, InvalidInput
from embstore.records import Record

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1).filter(
    str.strip
)


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=5), delimiter=st.sampled_from(",;\t|"))
def test_any_text_and_label_survive_a_csv_file(pairs: list[tuple[str, str]], delimiter: str) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "train.csv", csv_of([("text", "label"), *pairs], delimiter))
        assert [(r.text, r.label) for r in read(path, delimiter=delimiter)] == pairs


def test_line_breaks_inside_quotes_belong_to_the_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"one\n\ntwo, ""three""\n",joy\nfour,fear\n')
    assert texts(read(path)) == ['one\n\ntwo, "three"\n', "four"]


def test_windows_line_ends_arrive_as_newlines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'text,label\r\n"one\r\ntwo",joy\r\nthree,fear\r\n')
    assert [(r.text, r.label) for r in read(path)] == [("one\ntwo", "joy"), ("three", "fear")]


def test_unicode_line_separators_do_not_end_a_row(tmp_path: Path) -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\0h"
    assert texts(read(write(tmp_path / "a.csv", f"text,label\n{text},joy\n"))) == [text]


@pytest.mark.parametrize("text", ["NA", "null", "None", "nan", "1e5", "007", "true", " padded "])
def test_values_that_look_like_others_stay_strings(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.csv", f"text,label\n{text},{text}\n")
    assert [(r.text, r.label) for r in read(path)] == [(text, text)]


def test_an_empty_label_is_null(tmp_path: Path) -> None:
    assert [r.label for r in read(write(tmp_path / "a.csv", "text,label\none,\n"))] == [None]


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "\ufefftext,label\none,joy\n")
    assert read(path) == [Record("train-7692c3ad3540bb80", "train", "joy", "one")]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("lonely", "line 3 has 1 column, the header has 2"),
        ("a,b,c", "line 3 has 3 columns, the header has 2"),
        ('"a" b,joy', "line 3: ',' expected after '\"'"),
        ('"never closed,joy', "line 3: "),
    ],
    ids=["too-few", "too-many", "after-a-quote", "unclosed-quote"],
)
def test_a_bad_row_costs_one_row(tmp_path: Path, row: str, error: str) -> None:
    path = write(tmp_path / "a.csv", f'text,label\none,joy\n{row}\ntwo,joy\n"three, and",fear\n')
    result = read(path)
    assert texts(result) == ["one", "two", "three, and"]
    assert [where.startswith(f"a.csv {error}") for where in errors(result)] == [True]


def test_a_quote_that_is_never_closed_does_not_swallow_a_long_file(tmp_path: Path) -> None:
    rows = "".join(f"text {number},joy\n" for number in range(50_000))
    result = read(write(tmp_path / "a.csv", f'text,label\n"never closed,joy\n{rows}'))
    assert len(texts(result)) == 50_000
    assert errors(result) == ["a.csv line 2: a quote is opened and never closed"]


def test_line_numbers_count_lines_and_not_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"one\ntwo",joy\n\nragged\n')
    assert errors(read(path)) == ["a.csv line 5 has 1 column, the header has 2"]


def test_a_row_longer_than_a_batch_is_read_whole(tmp_path: Path) -> None:
    text = "line of a long text\n" * 40_000
    path = write(tmp_path / "a.csv", csv_of([("text", "label"), ("short", "a"), (text, "b"), ("end", "c")]))
    assert texts(read(path)) == ["short", text, "end"]


def test_a_field_of_ten_megabytes_is_read(tmp_path: Path) -> None:
    rows = [("text", "notes"), ("one", "x" * 10_000_000), ("two", "y")]
    result = read(write(tmp_path / "a.csv", csv_of(rows)))
    assert [len(r.extra["notes"]) for r in result] == [10_000_000, 1]


def test_other_columns_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label,source,\none,joy,web,7\n")
    assert [r.extra for r in read(path)] == [{"source": "web", "column 4": "7"}]


@pytest.mark.parametrize("delimiter", [";", "|", "\t"], ids=["semicolon", "bar", "tab"])
def test_another_delimiter_is_told_and_its_option_works(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path / "a.csv", f"text{delimiter}label\none{delimiter}joy\n")
    with pytest.raises(InvalidInput, match=r"does not seem to be delimited by ','") as caught:
        open_dataset(path)
    option = caught.value.fix.removeprefix("--delimiter '").removesuffix("'")
    assert [(r.text, r.label) for r in read(path, delimiter=option)] == [("one", "joy")]


def test_tsv_is_delimited_by_tabs(tmp_path: Path) -> None:
    assert texts(read(write(tmp_path / "a.tsv", "text\tlabel\none, two\tjoy\n"))) == ["one, two"]


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"], ids=["none", "two", "quote", "newline"])
def test_an_impossible_delimiter_is_refused(delimiter: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a delimiter"):
        ReadOptions(delimiter=delimiter)


@pytest.mark.parametrize("content", ["", "\ufeff", "\n\n", "text,label\n", "text,label"])
def test_a_file_without_rows_is_empty(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidData, match=r"^a\.csv is empty"):
        open_dataset(write(tmp_path / "a.csv", content))


def test_a_header_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"The header of a\.csv cannot be read"):
        open_dataset(write(tmp_path / "a.csv", '"text" x,label\none,joy\n'))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="two columns named 'text'"):
        open_dataset(write(tmp_path / "a.csv", "text,label,text\na,b,c\n"))


def test_a_wrong_encoding_is_told_before_any_work_and_its_option_works(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\none,joy\ncafé,joy\n".encode("latin-1"))
    with pytest.raises(InvalidData, match=r"a\.csv is not UTF-8: line 3 has the byte 0xe9") as caught:
        open_dataset(path)
    assert caught.value.fix == "--encoding latin-1"
    assert texts(read(path, encoding="latin-1")) == ["one", "café"]


def test_the_line_of_a_wrong_byte_is_right_far_into_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"text,label\n" + b"some text,joy\n" * 200_000 + b"\xff,joy\n")
    with pytest.raises(InvalidData, match="line 200002 has the byte 0xff"):
        open_dataset(path)


def test_utf_16_is_recognized_and_its_option_works(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\ncafé,joy\n".encode("utf-16"))
    with pytest.raises(InvalidData) as caught:
        open_dataset(path)
    assert caught.value.fix == "--encoding utf-16"
    assert texts(read(path, encoding="utf-16")) == ["café"]


@pytest.mark.parametrize("encoding", ["latin-99", "base64", ""])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidInput, match="is not a text encoding"):
        ReadOptions(encoding=encoding)
