"""A command does its work whatever its standard streams are: closed, on a full disk, of few characters."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import embstore
from embstore_cli.main import run
from stub_store import build

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")


FAILING = """
import sys
import embstore
from embstore.errors import StoreDamaged
from embstore_cli.main import run

def fail(**_):
    print("a row")
    raise StoreDamaged("It is damaged.")

embstore.list_stores = fail
sys.exit(run(["list"]))
"""


def shell(
    redirect: str, *arguments: str, unbuffered: bool = False, encoding: str = "utf-8", before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does that redirects its streams; what is left of them is captured."""
    flags = ["-u"] if unbuffered else []
    line = f'{before} exec "$@" {redirect}'
    command = ["sh", "-c", line, "sh", sys.executable, *flags, "-m", "embstore_cli"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, encoding=encoding, timeout=120, check=False
    )


@needs_full
@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "arguments", [["info", "-s", "mine"], ["list", "--json"], ["--help"]], ids=["table", "json", "help"]
)
def test_a_full_stdout_is_a_disk_failure(tmp_path: Path, arguments: list[str], unbuffered: bool) -> None:
    build(tmp_path, ["a", "b"])
    done = shell(">/dev/full", *arguments, unbuffered=unbuffered)
    assert done.stderr == (
        "Error: Writing to stdout failed: No space left on device.\n"
        "  Why: What was printed is incomplete; all else that the command wrote is kept.\n"
        "  Fix: df -h   # make room, or send the output elsewhere\n"
    )
    assert done.returncode == 6


@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
def test_a_disk_that_gets_full_halfway_is_a_disk_failure(tmp_path: Path, unbuffered: bool) -> None:
    build(tmp_path, ["a"] * 100)
    command = ["neighbors", "--id", "0", "-k", "99", "-s", "mine", "--json"]
    done = shell(f"> {tmp_path}/out", *command, unbuffered=unbuffered, before="ulimit -f 1;")
    assert done.returncode == 6, done.stderr
    assert "Writing to stdout failed: File too large." in done.stderr


@pytest.mark.parametrize("redirect", [">/dev/null", "| true", pytest.param(">/dev/full", marks=needs_full)])
def test_an_error_is_told_whatever_became_of_stdout(monkeypatch: pytest.MonkeyPatch, redirect: str) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {redirect}', "bash", sys.executable, "-c", FAILING],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (5, "Error: It is damaged.\n")


@needs_full
def test_a_full_stdout_and_stderr_leave_the_exit_code(tmp_path: Path) -> None:
    build(tmp_path, ["a", "b"])
    assert shell(">/dev/full 2>/dev/full", "list").returncode == 6


@pytest.mark.parametrize(
    "redirect", [">&-", "2>&-", "<&- >&- 2>&-", pytest.param("2>/dev/full", marks=needs_full)]
)
def test_a_stream_that_takes_nothing_does_not_keep_a_build_from_its_work(
    tmp_path: Path, tiny_bert: Path, redirect: str
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("text,label\na cat,a\na dog,b\n")
    done = shell(redirect, "build", str(table), "-s", "mine", "--model", str(tiny_bert))
    assert (done.returncode, done.stderr) == (0, "")
    assert run(["verify", "-s", "mine"]) == 0


def test_a_closed_stdin_has_no_texts(tmp_path: Path) -> None:
    build(tmp_path, ["a", "b"])
    done = shell("<&-", "neighbors", "-", "-s", "mine")
    assert done.returncode == 2
    assert "Line 1 of stdin is empty" in done.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    # More than a pipe holds, so that the writer notices.
    build(tmp_path, ["a"] * 2000)
    done = shell("| head -c 1", "neighbors", "--id", "0", "-k", "1999", "-s", "mine", "--json")
    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.parametrize(
    ("encoding", "said"), [("ascii", r"caf\xe9 \u65e5"), ("latin-1", r"café \u65e5"), ("utf-8", "café 日")]
)
def test_what_stdout_cannot_say_is_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, said: str
) -> None:
    build(tmp_path, ["café 日", "b"])
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    assert said in shell("", "info", "-s", "mine", encoding=encoding).stdout
    told = json.loads(shell("", "info", "-s", "mine", "--json", encoding=encoding).stdout)
    assert told["labels"] == {"café 日": 1, "b": 1}


def test_a_path_that_is_no_utf8_is_told_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, ["a", "b"])
    store = tmp_path / "\udcff" / "mine"
    shutil.copytree(tmp_path / "home" / "mine", store)
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    assert json.loads(shell("", "info", "-s", str(store), "--json").stdout)["path"] == str(store)
    assert shell("", "info", "-s", str(store)).returncode == 0


def test_a_library_that_finds_no_room_is_a_disk_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/some.nbi")

    monkeypatch.setattr(embstore, "list_stores", full)
    assert run(["list"]) == 6
    assert capsys.readouterr().err == (
        "Error: Writing to /cache/some.nbi failed: No space left on device.\n  Fix: df -h   # make room\n"
    )


def test_another_error_of_the_system_is_no_disk_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(embstore, "list_stores", broken)
    with pytest.raises(OSError, match="Bad file"):
        run(["list"])
