"""The commands as a user types them: stdout, stderr, exit code."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from embstore_cli.main import cli, run

TEXTS = ["the train was late", "i feel happy", "a cat sat on a mat"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text("text,label\n" + "".join(f"{text},{i}\n" for i, text in enumerate(TEXTS)))
    return path


@pytest.fixture
def built(table: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["build", str(table), "-s", "mine", "--model", str(tiny_bert), "--json"]) == 0
    return capsys.readouterr().out


def test_build_prints_one_line_of_json(built: str) -> None:
    report = json.loads(built)
    assert report["records"] == 3
    assert {
        "store", "records", "splits", "encoded", "reused", "quarantined",
        "truncated", "dim", "seconds", "texts_per_second",
    } <= set(report)  # fmt: skip


def test_build_for_people_says_records_and_rate(
    table: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", str(table), "--model", str(tiny_bert)]) == 0
    out, err = capsys.readouterr()
    assert "records" in out
    assert "texts/s" in out
    assert "building" not in err, "a progress bar is silent when stderr is no terminal"


def test_build_with_a_bad_record_exits_with_3_and_info_says_why(
    table: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with table.open("a") as file:
        file.write("  ,3\n")
    assert run(["build", str(table), "-s", "mine", "--model", str(tiny_bert)]) == 3
    assert run(["info", "-s", "mine"]) == 0
    assert "record 4 of the dataset, train" in capsys.readouterr().err


def test_neighbors_as_json(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["neighbors", TEXTS[1], "-s", "mine", "-k", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"query", "store", "exact", "recall", "neighbors"}
    assert answer["exact"] is True
    assert set(answer["neighbors"][0]) == {"rank", "similarity", "id", "split", "label", "text"}
    assert answer["neighbors"][0]["text"] == TEXTS[1]
    assert [one["rank"] for one in answer["neighbors"]] == [1, 2]


def test_neighbors_without_a_store_names_the_one_it_took(
    built: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["neighbors", "cat"]) == 0
    out, err = capsys.readouterr()
    assert "mine" in err
    assert out.splitlines()[0].split() == ["rank", "similarity", "label", "split", "id", "text"]


def test_neighbors_reads_one_text_a_line_from_stdin(
    built: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.TextIOWrapper(io.BytesIO("\n".join(TEXTS[:2]).encode() + b"\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", lines)
    assert run(["neighbors", "-", "-s", "mine", "-k", "1", "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["query"] for answer in answers] == TEXTS[:2]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a cat\n\n", "Line 2 of stdin is empty"), (b"", "Line 1"), (b"\xff\n", "not UTF-8")],
    ids=["blank", "nothing", "latin-1"],
)
def test_neighbors_refuses_lines_that_are_no_text(
    built: str,
    content: bytes,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
    assert run(["neighbors", "-", "-s", "mine"]) == 2
    assert message in capsys.readouterr().err


def test_a_closed_pipe_is_no_error(built: str) -> None:
    command = [sys.executable, "-m", "embstore_cli", "info", "-s", json.loads(built)["store"]]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()  # type: ignore[union-attr]
    assert child.stderr.read() == b""  # type: ignore[union-attr]
    assert child.wait() == 0


def test_control_characters_of_a_text_do_not_reach_the_terminal(
    table: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text("text,label\na cat \x1b[31m[bold]red,\x1b]0;title\x07\n")
    assert run(["build", str(table), "-s", "mine", "--model", str(tiny_bert)]) == 0
    assert run(["neighbors", "cat", "-s", "mine"]) == 0
    assert run(["info", "-s", "mine"]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "[bold]red" in out


def test_list_shows_a_damaged_store_beside_the_others(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = Path(json.loads(built)["store"])
    shutil.copytree(store, store.with_name("broken"))
    (store.with_name("broken") / "store.json").write_text("{}")
    assert run(["list"]) == 0
    out, err = capsys.readouterr()
    assert "mine" in out
    assert "damaged" in out
    assert "broken" in err


def test_list_shows_a_store_that_may_not_be_read_beside_the_others(
    built: str, forbid: Callable[[Path, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    store = Path(json.loads(built)["store"])
    forbid(shutil.copytree(store, store.with_name("closed")), 0o000)
    assert run(["list"]) == 0
    out, err = capsys.readouterr()
    assert "mine" in out
    assert "not readable" in out
    assert err == f"Not readable: Reading {store.with_name('closed')}/store.json failed: Permission denied.\n"


def test_a_store_in_a_folder_whose_name_is_no_utf8_answers(
    built: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Path(json.loads(built)["store"])
    path = str(store.with_name(os.fsdecode(b"caf\xe9")))
    try:
        shutil.copytree(store, path)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert run(["neighbors", "cat", "-s", path, "-k", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["store"] == path
    assert len(found["neighbors"]) == 1
    assert run(["info", "-s", path]) == 0


def test_neighbors_by_id(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["neighbors", TEXTS[0], "-s", "mine", "-k", "1", "--json"])
    known = json.loads(capsys.readouterr().out)["neighbors"][0]["id"]
    assert run(["neighbors", "--id", known, "-s", "mine", "--json"]) == 0
    assert known not in {one["id"] for one in json.loads(capsys.readouterr().out)["neighbors"]}


def test_list_info_verify_and_delete(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--json"]) == 0
    assert [one["store"] for one in json.loads(capsys.readouterr().out)] == ["mine"]
    assert run(["info", "-s", "mine", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["labels"], told["unlabelled"]) == ({"0": 1, "1": 1, "2": 1}, 0)
    assert run(["verify", "-s", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    assert run(["delete", "mine", "--yes"]) == 0
    assert run(["list"]) == 0
    assert "no store yet" in capsys.readouterr().err


def test_info_tells_a_missing_label_from_one_named_null(
    table: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text("text,label\none,null\ntwo,null\nthree,\n")
    assert run(["build", str(table), "-s", "mine", "--model", str(tiny_bert)]) == 0
    capsys.readouterr()
    assert run(["info", "-s", "mine", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["records"], told["labels"], told["unlabelled"]) == (3, {"null": 2}, 1)


def test_delete_asks_first(
    built: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["delete", "mine"]) == 130
    assert run(["info", "-s", "mine"]) == 0


def test_a_damaged_store_exits_with_5(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = Path(json.loads(built)["store"])
    shard = store / "embeddings" / "000001.f32"
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    assert run(["verify", "-s", "mine"]) == 5
    assert "000001.f32" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["neighbors", "x", "-s", "absent"], 1, "There is no store absent"),
        (["neighbors"], 2, "Give one of TEXT and --id"),
        (["neighbors", "x", "--nonsense"], 2, "No such option"),
        (["build", "absent.csv"], 1, "absent.csv"),
        (["build", "--pooling", "max"], 2, "max"),
        (["neighbors", "x"], 1, "embstore build"),
        (["delete", "absent", "--yes"], 1, "There is no store absent"),
    ],
    ids=["no-store", "no-text", "no-option", "no-file", "no-pooling", "no-home", "delete-nothing"],
)
def test_a_mistake_gets_an_exit_code_a_fix_and_no_traceback(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "option", "needed"),
    [
        (["compare", "--epochs", "2"], "--epochs", "--finetune"),
        (["compare", "--dtype", "bfloat16", "--curve"], "--dtype", "--finetune"),
        (["compare", "--seeds", "3"], "--seeds", "--curve or --shots"),
        (["classify", "a text", "--text-column", "words"], "--text-column", "--file"),
        (["doctor", "--label-column", "mood"], "--label-column", "DATASET"),
        (["classify", "a text", "--split", "test"], "--split", "--file"),
        (["doctor", "--delimiter", ";"], "--delimiter", "DATASET"),
        (["classify", "a text", "--overwrite"], "--overwrite", "--output"),
        (["classify", "a text", "--raw"], "--raw", "--output"),
        (["audit", "--raw", "--report", "page"], "--raw", "--output"),
        (["audit", "--overwrite"], "--overwrite", "--output or --report"),
        (["compare", "--overwrite"], "--overwrite", "--report"),
        (["umap", "--raw", "--html", "map.html"], "--raw", "--output"),
        (["umap", "--overwrite"], "--overwrite", "a file to write, as --html"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    arguments: list[str], option: str, needed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert f"{option} changes nothing without {needed}: add that, or leave it out." in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--split", "--label"])
def test_neighbors_takes_one_split_and_one_label(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["neighbors", "a day", option, "a", option, "b"]) == 2
    assert f"{option} takes one value, and 2 are given." in capsys.readouterr().err


def test_another_model_for_an_existing_store_exits_with_7(
    built: str, table: Path, tiny_distilbert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", str(table), "-s", "mine", "--model", str(tiny_distilbert)]) == 7
    assert "another encoder" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_an_example_and_json(name: str) -> None:
    command = cli.commands[name]
    assert command.help
    assert f"embstore {name}" in (command.epilog or "")
    assert "as_json" in {parameter.name for parameter in command.params}


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_option_has_help(name: str) -> None:
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"
