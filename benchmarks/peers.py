"""Building end to end beside txtai and chromadb: seconds and peak memory, the same model, texts and labels.

Each build is a process of its own, in turn, from its start to its end: imports, loading the model, embedding,
the index and all that is kept on disk. `embstore build` runs with its defaults and an empty cache, so that it
tries its paths each time; the export that it begins at its end is off, as it would run beside the next one.
txtai keeps content and is given all texts at once; chromadb embeds by its sentence-transformers function and
is given the largest batches that it takes. The peers have an environment of their own. Memory is the peak of
the resident set of a process.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common import FALLS_SHORT, RATIOS, note, reference, spread, table, times_as_fast
from embstore.encode.model_files import find_model
from environment import offline, python_of

PACKAGES = ("torch==2.13.0", "chromadb==1.5.9", "sentence-transformers==6.2.0", "txtai==9.14.0")
BUILD = Path(__file__).with_name("peer_build.py")


@dataclass
class Figures:
    """What the builds of one contestant took, by round."""

    seconds: list[float] = field(default_factory=list)
    mebibytes: list[float] = field(default_factory=list)


def main() -> int:
    """Print seconds, memory, and the ratios of the same rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=16_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    python = python_of("peers", PACKAGES)
    found = {name: Figures() for name in ("embstore", "txtai", "chromadb")}
    with tempfile.TemporaryDirectory() as folder:
        texts = first_texts(Path(folder) / "texts.csv", arguments.texts)
        for one in range(arguments.rounds):
            for name, figures in found.items():
                output = Path(folder) / f"{name}-{one}"
                seconds, peak = measured(command(name, python, texts, output), output)
                note(f"{name}: {seconds:.1f} s, {peak:.0f} MiB")
                figures.seconds.append(seconds)
                figures.mebibytes.append(peak)
    print(f"{arguments.texts:,} emotion texts, {arguments.rounds} rounds; {', '.join(PACKAGES)}.\n")
    rows = [(name, spread(one.seconds, ".1f"), spread(one.mebibytes, ".0f")) for name, one in found.items()]
    print(table(["", "seconds, median (range)", "peak memory, MiB"], rows))
    ours, *peers = found
    ratios = [times_as_fast(name, found[name].seconds, found[ours].seconds, 2.0) for name in peers]
    print(table(RATIOS, ratios))
    least = min(min(found[name].mebibytes) for name in peers)
    return 0 if max(found[ours].mebibytes) <= least else FALLS_SHORT


def first_texts(path: Path, n: int) -> Path:
    """Write the first texts of emotion, with their labels."""
    with (reference("emotion") / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:n]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def command(name: str, python: Path, texts: Path, output: Path) -> Sequence[str]:
    """Return the command that builds from the texts."""
    if name == "embstore":
        return [sys.executable, "-m", "embstore_cli", "build", str(texts), "-s", str(output / "store")]
    model = find_model("all-MiniLM-L6-v2").folder
    return [str(python), str(BUILD), name, str(texts), str(model), str(output)]


def measured(whole: Sequence[str], output: Path) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory in MiB."""
    output.mkdir()
    environment = {**offline(), "EMBSTORE_CACHE": str(output / "cache"), "EMBSTORE_ONNX": "off"}
    with (output / "said.txt").open("w+", encoding="utf-8") as said:
        begun = time.perf_counter()
        child = subprocess.Popen(whole, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        # The child is gone; Popen would wait for it again.
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(whole)} failed:\n{said.read()}")
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
