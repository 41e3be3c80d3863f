"""RESULTS.md is kept section by section: a run replaces its own and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
DOCUMENT = """# Measured results

Machine: one, 2 cores.

## Encoding: `benchmarks/encode.py`

Measured 2026-01-01.

| embstore beside | times as fast, median (range) | wanted |
|---|---|---|
| a peer; ours: auto | 2.59 (1.67 to 2.80) | 2.7 |
| the loop | 12.3 (7.7 to 14.5) | |

| what | figure |
|---|---|
| something else | 3 |

## By hand

Prose.

## Audit: `benchmarks/audit.py`

| what | figure |
|---|---|

## Not measured

- Search: `benchmarks/search.py`
"""


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import results

    return results


def test_a_section_that_is_replaced_leaves_the_others_as_they_were(results: ModuleType) -> None:
    found = results.Results.parse(DOCUMENT)
    before = dict(found.sections)
    found.replace("Audit", "## Audit: `benchmarks/audit.py --seeds 5`\n\nnew", ["Encoding", "Audit"])
    assert found.sections.pop("Audit").endswith("new")
    assert {**found.sections, "Audit": before["Audit"]} == before


def test_a_new_section_comes_after_those_before_it_in_the_order(results: ModuleType) -> None:
    found = results.Results.parse(DOCUMENT)
    found.replace("Search", "## Search", ["Encoding", "Search", "Audit"])
    assert list(found.sections) == ["Encoding", "Search", "By hand", "Audit"]


def test_a_document_is_parsed_as_it_was_written(results: ModuleType) -> None:
    found = results.Results.parse(DOCUMENT)
    again = results.Results.parse(found.text(["GPU"]))
    assert again == found
    assert again.machine == "one, 2 cores"
    assert found.text(["GPU"]).endswith("## Not measured\n\n- GPU\n")


def test_sections_of_another_machine_say_so_once(results: ModuleType) -> None:
    found = results.Results.parse(DOCUMENT)
    for machine in ("one, 2 cores", "another", "a third"):
        found.moved(machine)
    assert found.sections["By hand"] == "## By hand\n\nMachine: one, 2 cores.\n\nProse."
    assert found.machine == "a third"


def test_speeds_are_read_from_their_tables_alone(results: ModuleType) -> None:
    assert list(results.Results.parse(DOCUMENT).speeds()) == [
        results.Speed("Encoding", "a peer; ours: auto", 2.59, 1.67, 2.80, 2.7),
        results.Speed("Encoding", "the loop", 12.3, 7.7, 14.5, None),
    ]


def test_a_row_of_speeds_is_read_as_it_was_measured(results: ModuleType) -> None:
    from common import RATIOS, table, times_as_fast

    rows = [
        times_as_fast("peer", [2.0, 6.0, 3.0], [1.0, 2.0, 3.0], 1.5),
        times_as_fast("other", [1.0], [2.0]),
    ]
    found = results.Results.parse(f"## Search: `benchmarks/search.py`\n\n{table(RATIOS, rows)}")
    assert list(found.speeds()) == [
        results.Speed("Search", "peer", 2.0, 1.0, 3.0, 1.5),
        results.Speed("Search", "other", 0.5, 0.5, 0.5, None),
    ]


def test_the_results_that_are_kept_are_sections_of_the_scripts_there_are(results: ModuleType) -> None:
    from run import SECTIONS

    found = results.Results.parse((BENCHMARKS / "RESULTS.md").read_text(encoding="utf-8"))
    assert all((BENCHMARKS / command.split()[0]).is_file() for _, command in SECTIONS.values())
    commands = {title: command.split()[0] for title, command in SECTIONS.values()}
    for title, section in found.sections.items():
        assert "benchmarks/" not in section.partition("\n")[0] or commands[title] in section


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    command = [sys.executable, str(BENCHMARKS / "run.py"), "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no nothing; there are known_answers, encode" in done.stderr
