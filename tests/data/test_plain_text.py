from __future__ import annotations

from pathlib import Path

from dataset_helpers import errors, read, texts, write


def test_each_line_is_a_text_without_a_label(tmp_path: Path) -> None:
    result = read(write(tmp_path / "a.txt", "one, two\n  three\u2028four\nfive"))
    assert [(r.text, r.label) for r in result] == [
        ("one, two", None),
        ("  three\u2028four", None),
        ("five", None),
    ]


def test_an_empty_line_is_set_aside(tmp_path: Path) -> None:
    result = read(write(tmp_path / "a.txt", "one\n\ntwo\n"))
    assert texts(result) == ["one", "two"]
    assert errors(result) == ["the text is empty"]
