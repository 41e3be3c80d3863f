"""What the commands say reads as a sentence of a person, whatever the numbers in it are."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from embstore.wording import restore_or_delete, store_argument
from embstore_cli import output
from embstore_cli.main import run
from stub_store import build


def test_fit_leaves_out_what_a_uniform_vote_has_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build(tmp_path, ["a", "b"] * 10)
    assert run(["fit", "-s", store, "--head", "knn", "--weighting", "uniform"]) == 0
    out = capsys.readouterr().out
    assert "weighting uniform" in out
    assert "None" not in out
    assert run(["fit", "-s", store, "--head", "knn", "--weighting", "similarity"]) == 0
    assert "sharpness" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("1", "no text: no threshold has 100 % of them right or more"),
        ("0", "every text"),
        ("0.001", "100.0 % of held-out texts, 0.1 % of them right or more"),
    ],
)
def test_fit_says_how_much_the_head_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], precision: str, said: str
) -> None:
    store = build(tmp_path, ["a", "b"] * 20)
    assert run(["fit", "-s", store, "--precision", precision]) == 0
    assert said in capsys.readouterr().out


def test_a_line_of_a_pipe_ends_with_its_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = build(tmp_path, ["a", "a much longer label"])
    assert run(["info", "-s", store]) == 0
    assert run(["neighbors", "--id", "0", "-k", "1", "-s", store]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert all(line == line.rstrip() for line in lines)


def wrong_plurals(said: str) -> list[str]:
    """Return where one thing is told in the plural, or a value of Python's is."""
    things = "texts|records|labels|groups|rows|answers|samples|segments"
    return re.findall(rf"(?<![\d,.])1 (?:[a-z]+ ){{0,2}}(?:{things})\b|\bNone\b|\bTrue\b|\bFalse\b", said)


def test_one_thing_is_told_in_the_singular(
    tmp_path: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = [
        {"split": "train", "text": f"{word} {i}", "label": word} for i in range(6) for word in ("sad", "cat")
    ]
    odd = [
        {"split": "train", "text": "bare", "label": None},
        {"split": "train", "text": "one", "label": "odd"},
    ]
    # One of a label that train lacks, one that stands in train, an empty one.
    test = [{"split": "test", "text": text, "label": "sad"} for text in ("SAD 0", "")]
    test = [{"split": "test", "text": "why", "label": "new"}, *test]
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*train, *odd, *test]))
    assert run(["build", str(path), "-s", "few", "--model", str(tiny_bert)]) == 3
    report, review, answers = (str(tmp_path / name) for name in ("report", "review.csv", "answers.csv"))
    for command in (
        ["info"],
        ["verify"],
        ["fit", "--head", "knn", "--weighting", "uniform"],
        ["classify", "so sad", "--output", answers],
        ["compare", "--report", report, "--shots", "1", "--seeds", "1"],
        ["audit", "--output", review, "--report", f"{report}-audit"],
    ):
        assert run([*command, "-s", "few"]) == 0
    out, err = capsys.readouterr()
    pages = [page.read_text() for page in tmp_path.glob("report*/index.html")]
    assert len(pages) == 2
    for said in (out, err, *pages):
        assert wrong_plurals(re.sub(r"<style>.*?</style>|<[^>]*>", "", said, flags=re.DOTALL)) == []
    assert "1 record of train without a label" in err
    assert "record 17 of the dataset, test: the text is empty" in err


def test_what_holds_of_train_and_of_what_is_held_out_of_it_is_said_once(
    tmp_path: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": f"{word} {i}", "label": word} for i in range(8) for word in ("sad", "cat")]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": "bare", "label": None}]))
    assert run(["build", str(path), "-s", "train", "--model", str(tiny_bert)]) == 0
    assert run(["compare", "-s", "train"]) == 0
    assert capsys.readouterr().err.count("1 record of train without a label") == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_text_hides_no_other_in_a_terminal_and_is_whole_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    output.print_table(["text"], [["word " * 1000]])
    out = capsys.readouterr().out
    assert out.count("word") == (100 if terminal else 1000)
    assert ("…" in out) == terminal


@pytest.mark.parametrize(
    ("folder", "named"),
    [("mine", "./mine"), ("indices/mine", "indices/mine"), ("my stores/mine", "'my stores/mine'")],
)
def test_a_line_to_paste_names_a_store_by_its_folder(folder: str, named: str) -> None:
    assert store_argument(Path(folder)) == f"-s {named}"
    helps = restore_or_delete(Path(folder), "store.json")
    assert helps == f"restore store.json from a backup, or embstore delete {named} and build again"
