from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dataset_helpers import errors, read, texts, write
from hypothesis import given, settings
from hypothesis import strategies as st

from embstore.data import open_dataset
from embstore.errors import InvalidData

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=5), escaped=st.booleans())
def test_any_text_and_label_survive_a_jsonl_file(rows: list[tuple[str, str]], escaped: bool) -> None:
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=escaped) for text, label in rows]
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "train.jsonl", "\n".join(lines))
        assert [(r.text, r.label) for r in read(path)] == rows


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"text": "two"', "line 2 is not JSON: Expecting ',' delimiter at character 15"),
        ('["two"]', "line 2 is a list, not an object"),
        ("null", "line 2 is null, not an object"),
        ("[" * 100_000, "line 2 is not JSON: it is nested too deeply"),
    ],
    ids=["cut", "list", "null", "deep"],
)
def test_a_bad_line_costs_one_line(tmp_path: Path, line: str, error: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"text": "one"}}\n{line}\n{{"text": "three"}}\n')
    result = read(path)
    assert texts(result) == ["one", "three"]
    assert errors(result) == [f"a.jsonl {error}"]
    assert [one.position for one in result if one.split != "train" or hasattr(one, "error")] == [1]


def test_empty_lines_are_no_records(tmp_path: Path) -> None:
    assert len(read(write(tmp_path / "a.ndjson", '\n{"text": "one"}\n\n \n{"text": "two"}\n\n'))) == 2


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("3", "3"),
        ("3.0", "3"),
        ("0.5", "0.5"),
        ("true", "true"),
        ("false", "false"),
        ("null", None),
        ('""', None),
        ("NaN", None),
        ('"null"', "null"),
        ("-1", "-1"),
    ],
)
def test_a_label_becomes_a_name(tmp_path: Path, label: str, name: str | None) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"text": "one", "label": {label}}}\n')
    assert [r.label for r in read(path)] == [name]


def test_other_values_are_kept_as_json(tmp_path: Path) -> None:
    row = '{"text": "one", "a": 1, "b": [null, NaN, {"c": Infinity}], "d": true, "e": 0.5, "f": "x"}'
    path = write(tmp_path / "a.jsonl", row)
    expected = {"a": 1, "b": [None, None, {"c": "inf"}], "d": True, "e": 0.5, "f": "x"}
    assert [dict(r.extra) for r in read(path)] == [expected]


def test_keys_that_come_late_are_kept(tmp_path: Path) -> None:
    lines = ['{"text": "one"}'] * 2_000 + ['{"text": "two", "late": 1}']
    assert read(write(tmp_path / "a.jsonl", "\n".join(lines)))[-1].extra == {"late": 1}


def test_one_list_of_objects_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = write(tmp_path / "my data" / "a.jsonl", '[\n{"text": "one"},\n"two"]\n')
    with pytest.raises(InvalidData, match="has no JSON object a line") as caught:
        open_dataset(path)
    assert caught.value.fix.startswith(f"jq -c '.[]' '{path}' > ")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"^a\.jsonl is empty"):
        open_dataset(write(tmp_path / "a.jsonl", b""))
