"""What is said of an answer and of an index: exact, or the recall that was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import embstore
from embstore.store.index_options import IndexOptions
from embstore.store.writer import open_writer
from embstore_cli.main import run
from store.building import given, numbered, write

N = 1200


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("promises") / "store"
    encoder = given(N, 8)
    with open_writer(path, encoder) as writer:
        write(writer, numbered(N), encoder, window=400, index=False)
        writer.write_index(IndexOptions("ivf,sq8", recall=0.9))
    return path


def test_an_approximate_answer_says_its_recall(path: Path) -> None:
    answer = embstore.find_neighbors_of_record("r3", path, k=10)
    assert not answer.exact
    assert 0.9 <= answer.recall <= 1
    assert answer.promise == f"recall {answer.recall:.2f}"
    assert answer.as_json()["recall"] == answer.recall


@pytest.mark.parametrize("options", [{"split": "test"}, {"label": "a"}, {"k": 200}], ids=str)
def test_a_filtered_or_a_long_answer_says_exact(path: Path, options: dict[str, object]) -> None:
    answer = embstore.find_neighbors_of_record("r3", path, **options)  # type: ignore[arg-type]
    assert (answer.exact, answer.recall, answer.promise) == (True, 1.0, "exact")


def test_the_command_says_below_the_answer_what_it_may_miss(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["neighbors", "--id", "r3", "-s", str(path)]) == 0
    assert "\nrecall " in "\n" + capsys.readouterr().err
    assert run(["neighbors", "--id", "r3", "-s", str(path), "--split", "train"]) == 0
    assert capsys.readouterr().err == "exact\n"


def test_info_shows_the_certificate(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "-s", str(path)]) == 0
    out = capsys.readouterr().out
    assert "IVF30,SQ8, 1,200 rows" in out
    assert "at 10 (" in out
    assert "750 live records drawn with seed 0" in out
    assert run(["info", "-s", str(path), "--json"]) == 0
    index = json.loads(capsys.readouterr().out)["index"]
    assert index["promise"].startswith("recall 0.") or index["promise"].startswith("recall 1.")
    assert [one["k"] for one in index["certificate"]["recalls"]] == [1, 10, 100]
    assert index["certificate"]["p50_ms"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--index", "annoy"], "no index 'annoy'"),
        (["--recall", "2"], "recall target is 2.0"),
        (["--index-memory", "much"], "'much' is no amount of memory"),
        (["--index", "ivf", "--recall", "1"], "cannot promise recall 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_build_refuses_an_index_that_cannot_be_before_it_reads_anything(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", "no-such-file.csv", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_build_takes_the_index_that_is_asked_for(
    tmp_path: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("text,label\na cat sat on a mat,1\ni feel happy,0\n")
    command = ["build", str(table), "-s", "mine", "--model", str(tiny_bert), "--index", "hnsw,fp16"]
    assert run([*command, "--index-memory", "1M", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["index"] == "exact"
    with embstore.Store.open("mine") as store:
        assert store.index is not None
        assert store.index.factory == "HNSW32,SQfp16"
        assert len(store.neighbors("happy", 5)) == 2
