"""What a build costs beside its encoder: time on real texts, memory on a million rows.

The million rows are encoded by a stub, in a process of their own, so that the peak is the build's alone.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import embstore
from common import reference, table

DIM = 384


def main() -> None:
    """Print the share of time outside the encoder and the peak memory of a large build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only-memory", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("CSV", "STORE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        build_with_stub(*map(Path, arguments.child))
        return
    rows = [] if arguments.only_memory else [measure_time()]
    print(table(["what", "figure"], [*rows, *measure_memory(arguments.rows)]))


@dataclass
class TimedEncoder:
    """An encoder that adds up the seconds spent in it."""

    encoder: embstore.TextEncoder
    seconds: float = 0.0
    dim: int = field(init=False)
    fingerprint: str = field(init=False)
    config: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.dim = self.encoder.dim
        self.fingerprint = self.encoder.fingerprint
        self.config = self.encoder.config

    def encode(self, texts: Sequence[str]) -> embstore.Encoded:
        """Embed texts with the encoder inside."""
        begun = time.perf_counter()
        try:
            return self.encoder.encode(texts)
        finally:
            self.seconds += time.perf_counter() - begun


def measure_time() -> tuple[str, str]:
    """Build the emotion store and tell the encoder's seconds from the others."""
    encoder = TimedEncoder(embstore.load_encoder())
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        report = embstore.build_store(reference("emotion"), Path(folder) / "emotion", encoder=encoder)
        seconds = time.perf_counter() - begun
    outside = seconds - encoder.seconds
    share = 100 * outside / encoder.seconds
    what = f"emotion, {report.records:,} records: all of the build outside the encoder"
    return what, f"{outside:.2f} s beside {encoder.seconds:.1f} s, {share:.1f} %"


def measure_memory(rows: int) -> list[tuple[str, str]]:
    """Build a store of many short texts with a stub in a child process; return its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "large.csv"
        write_table(table, rows)
        store = Path(folder) / "large"
        begun = time.perf_counter()
        command = [sys.executable, __file__, "--child", str(table), str(store)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - begun
        peak = int(done.stdout.split()[-1])
        index = sum(path.stat().st_size for path in (store / "index").iterdir())
    sizes = f"{peak / 1e9:.2f} GB; index {index / 1e9:.2f} GB"
    return [
        (f"{rows:,} rows of {DIM}, stub encoder: peak memory", sizes),
        ("the same: beyond the index", f"{(peak - index) / 1e9:.2f} GB"),
        ("the same: speed", f"{rows / seconds:,.0f} records/s, {seconds:.0f} s"),
    ]


class StubEncoder:
    """Draws embeddings at random: as fast as a build can want."""

    dim = DIM
    fingerprint = "0" * 64
    config: Mapping[str, Any] = {"model": "stub"}

    def __init__(self) -> None:
        self._random = np.random.default_rng(7)

    def encode(self, texts: Sequence[str]) -> embstore.Encoded:
        """Return random embeddings."""
        embeddings = self._random.standard_normal((len(texts), DIM), dtype=np.float32)
        return embstore.Encoded(embeddings, np.zeros(len(texts), dtype=np.bool_))


def build_with_stub(table: Path, store: Path) -> None:
    """Build, then print this process's peak memory in bytes."""
    embstore.build_store(table, store, encoder=StubEncoder())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def write_table(path: Path, rows: int) -> None:
    """Write distinct texts of about twenty words."""
    words = random.Random(7)
    vocabulary = [
        "".join(words.choices("abcdefghijklmnopqrstuvwxyz", k=words.randint(2, 9))) for _ in range(5000)
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in range(rows):
            writer.writerow([f"{' '.join(words.choices(vocabulary, k=20))} {row}", row % 7])


if __name__ == "__main__":
    main()
