"""An output that cannot be written is refused before any work is done, whichever command writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from embstore_cli.main import run
from stub_store import build

# No store is there: who names the output first has looked at it before the store.
COMMANDS = {
    "audit-output": ["audit", "--output", "{}.csv"],
    "audit-report": ["audit", "--report", "{}"],
    "compare-report": ["compare", "--report", "{}"],
    "classify-output": ["classify", "a text", "--output", "{}.jsonl"],
    "umap-output": ["umap", "--output", "{}.parquet"],
    "umap-picture": ["umap", "--picture", "{}.png"],
    "umap-density": ["umap", "--density", "{}.svg"],
    "umap-html": ["umap", "--html", "{}.html"],
    "export-pair": ["export", "{}.npy"],
    "export-folder": ["export", "{}"],
    "export-parquet": ["export", "{}.parquet"],
}
every_command = pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)


def into(folder: Path, arguments: list[str]) -> list[str]:
    return [*(one.format(folder / "all") for one in arguments), "-s", "absent"]


@every_command
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder is known that nobody can write to")
def test_a_folder_that_refuses_files_is_told_first(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(into(Path("/proc"), arguments)) == 6
    assert "Nothing can be written to /proc" in capsys.readouterr().err


@every_command
def test_a_file_where_a_folder_is_due_is_told_first(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert run(into(tmp_path / "mine.txt", arguments)) == 2
    assert f"{tmp_path / 'mine.txt'} is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (["umap", "--output", "{}/none/a.csv"], "mkdir -p '{}/none'"),
        (["umap", "--output", "{}/a.png"], "--picture '{}/a.png'"),
        (["umap", "--picture", "{}/a.xyz"], "'{}/a.png'"),
        (["export", "{}/a.xyz"], "embstore export '{}/a.parquet'"),
        (["export", "{}/a.csv", "--format", "npy"], "embstore export '{}/a.npy' --format npy"),
        (["info", "-s", "{}/none"], "embstore build DATASET -s '{}/none'"),
    ],
    ids=["folder", "other-option", "suffix", "format", "name", "store"],
)
def test_a_path_with_a_space_is_one_word_of_the_line_to_paste(
    arguments: list[str], fix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my data"
    folder.mkdir()
    assert run([one.format(folder) for one in arguments]) != 0
    assert f"Fix: {fix.format(folder)}" in capsys.readouterr().err


@every_command
def test_what_is_there_is_told_first(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Path(next(one for one in into(tmp_path, arguments) if str(tmp_path) in one))
    target = target if target.suffix else target / "mine.txt"
    target.parent.mkdir(exist_ok=True)
    target.write_text("mine")
    assert run(into(tmp_path, arguments)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert target.read_text() == "mine"


@every_command
def test_a_look_at_an_output_leaves_nothing(arguments: list[str], tmp_path: Path) -> None:
    assert run(into(tmp_path, arguments)) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_export_does_not_replace_what_is_no_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.txt").write_text("mine")
    assert run(["export", str(tmp_path / "thesis"), "-s", "absent", "--overwrite"]) == 2
    assert "something else" in capsys.readouterr().err


def test_a_precision_that_cannot_be_is_told_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", "-s", "absent", "--precision", "2"]) == 2
    assert "It is 0 to 1" in capsys.readouterr().err


def test_two_outputs_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(tmp_path / "map.png")
    assert run(["umap", "-s", "absent", "--picture", name, "--density", name]) == 2
    assert "map.png is to be written twice" in capsys.readouterr().err


def test_the_rows_of_an_audit_may_stand_beside_its_report(tmp_path: Path) -> None:
    store = build(tmp_path, ["a", "b"] * 10)
    folder = tmp_path / "found"
    folder.mkdir()
    arguments = ["--output", str(folder / "review.csv"), "--report", str(folder)]
    assert run(["audit", "-s", store, *arguments]) == 0
    assert {one.name for one in folder.iterdir()} == {"review.csv", "index.html", "audit.json"}
