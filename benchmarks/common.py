"""What the benchmarks share: the reference data, the machine, and how a figure is told."""

from __future__ import annotations

import csv
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

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
    """Return the processor, its cores, and the versions that a speed depends on."""
    model = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "transformers", "faiss-cpu", "numpy")
    )
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}"


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


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []
