"""What the benchmarks share: the reference data, the machine, and how a figure is told.

A script prints its tables to stdout, which `run.py` keeps as the script's section of RESULTS.md; what is said
meanwhile goes to stderr.
"""

from __future__ import annotations

import csv
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

# What a script returns when it measured everything and a claim does not hold: its figures are kept.
FALLS_SHORT = 3
# The head of each table of speeds beside peers; the picture of RESULTS.md is drawn from these tables.
RATIOS = ("embstore beside", "times as fast, median (range)", "wanted")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
PACKAGES = (
    "torch",
    "transformers",
    "sentence-transformers",
    "faiss-cpu",
    "onnxruntime",
    "numpy",
    "scikit-learn",
    "umap-learn",
)

ROOT = Path(__file__).resolve().parents[1]
REFERENCE_DATA = Path(os.environ.get("EMBSTORE_REFERENCE_DATA") or ROOT.parent / "shared" / "data")


def reference(name: str) -> Path:
    """Return a folder of the reference data, or stop with the reason."""
    folder = REFERENCE_DATA / name
    if not folder.is_dir():
        raise SystemExit(f"There is no {folder}; set EMBSTORE_REFERENCE_DATA.")
    return folder


def texts_of(path: Path, n: int | None = None) -> list[str]:
    """Return the column ``text`` of a CSV file, or its first n rows."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)][:n]


def machine() -> str:
    """Return the processor, its cores and memory, and the versions that a speed depends on."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    hardware = f"{_processor()}, {os.cpu_count()} cores, {_memory()}"
    return f"{hardware}; Python {platform.python_version()}, {packages}"


def interleaved(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time each contestant once a round, in turn, so that all meet the same noise; return seconds by name."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def ratio(slow: Sequence[float], fast: Sequence[float]) -> tuple[float, float, float]:
    """Return median, least and most of the ratios of two timings, round by round."""
    ratios = [one / other for one, other in zip(slow, fast, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def times_as_fast(
    name: str, theirs: Sequence[float], ours: Sequence[float], wanted: float | None = None
) -> tuple[str, str, str]:
    """Return a row of a table of `RATIOS`: seconds of a peer by ours, and the ratio that is wanted."""
    median, least, most = ratio(theirs, ours)
    return name, f"{median:.2f} ({least:.2f} to {most:.2f})", "" if wanted is None else f"{wanted:g}"


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Return the median of values and, in brackets, their range."""
    least, most = min(values), max(values)
    return f"{statistics.median(values):{form}} ({least:{form}} to {most:{form}})"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table, an empty line after it."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"|{'|'.join(f' {cell} ' if str(cell) else ' ' for cell in line)}|\n" for line in lines)


def note(text: str) -> None:
    """Say what is going on, where it does not end up in the results."""
    print(text, file=sys.stderr, flush=True)


def _processor() -> str:
    """Return the model, and which of the instructions that speed up matrix products it has."""
    found = {}
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    flags = found.get("flags", "").split()
    wide = [flag for flag in INSTRUCTIONS if flag in flags]
    return f"{found.get('model name') or platform.processor()} ({', '.join(wide) or 'unknown'})"


def _memory() -> str:
    """Return the size of the machine's memory."""
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []
