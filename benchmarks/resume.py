"""A build that is killed 20 times ends with the ids and the embedding bytes of one that was not.

Real texts, the real encoder, SIGKILL at random moments (seed 7), spread over windows of records.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import embstore
from common import FALLS_SHORT, note, reference, table

# From while the model is loaded to a few windows later, on two cores.
SECONDS = (5.5, 12.5)


def main() -> int:
    """Kill and resume, then compare with an undisturbed store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--whole", type=Path, help="an undisturbed store of the same dataset, if there is one"
    )
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole = arguments.whole or Path(folder) / "whole"
        embstore.build_store(reference("emotion"), whole)
        killed = Path(folder) / "killed"
        records: list[int] = []
        command = [
            sys.executable,
            "-m",
            "embstore_cli",
            "build",
            str(reference("emotion")),
            "-s",
            str(killed),
        ]
        for kill in range(1, arguments.kills + 1):
            seconds = moments.uniform(*SECONDS)
            if not killed_after(command, seconds):
                raise SystemExit(f"The build ended before kill {kill}; shorten SECONDS.")
            records.append(committed(killed))
            note(f"kill {kill} after {seconds:.1f} s: {records[-1]:,} records committed")
        embstore.build_store(reference("emotion"), killed)
        problems = embstore.verify_store(killed).problems
        same = compare(whole, killed)
    rows = [
        ("records committed after each kill", ", ".join(map(str, records))),
        ("problems that `verify` finds at the end", len(problems)),
        ("ids and embedding bytes equal those of a build that was not disturbed", "yes" if same else "no"),
    ]
    print(table(["what", "figure"], rows))
    return FALLS_SHORT if problems or not same else 0


def killed_after(command: list[str], seconds: float) -> bool:
    """Run a build and kill it; return whether it was still at work."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    working = child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    return working


def committed(path: Path) -> int:
    """Return the live records of a store that may not exist yet."""
    try:
        with embstore.Store.open(path) as store:
            return len(store)
    except embstore.EmbstoreError:
        return 0


def compare(first: Path, second: Path) -> bool:
    """Tell whether two stores have the same ids and, byte for byte, the same embeddings."""
    with embstore.Store.open(first) as one, embstore.Store.open(second) as other:
        rows, others = one.rows(), other.rows()
        ids = one.reader.column("id", rows) == other.reader.column("id", others)
        return ids and np.array_equal(one.embeddings(rows).view("u4"), other.embeddings(others).view("u4"))


if __name__ == "__main__":
    sys.exit(main())
