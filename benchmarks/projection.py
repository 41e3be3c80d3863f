"""Projection of 16,000 emotion texts beside stock UMAP: in fresh processes, in turn, with trustworthiness.

A fresh process is what a command is: stock UMAP spends most of its first fit on compiling the search for
neighbors. The second fit of the same process is told too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import machine, ratio, reference

# Neighbors that trustworthiness looks at.
NEIGHBORS = 15


def main() -> None:
    """Print seconds of first and second fits, their ratios, and trustworthiness."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=["embstore", "stock"], help=argparse.SUPPRESS)
    parser.add_argument("--home", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(once(arguments.run, arguments.home)))
        return
    print(machine())
    with tempfile.TemporaryDirectory() as home:
        build(home)
        found: dict[str, list[dict[str, float]]] = {"embstore": [], "stock": []}
        before = process("embstore", home)
        print(f"first on this machine, where nothing is compiled yet: {before['first']:.2f} s")
        for _ in range(arguments.rounds):
            for name, values in found.items():
                values.append(process(name, home))
    for fit in ("first", "second"):
        seconds = {name: [one[fit] for one in values] for name, values in found.items()}
        for name, values in seconds.items():
            print(
                f"{name:<10}{fit:<8}{statistics.median(values):>8.2f} s  "
                f"({min(values):.2f} to {max(values):.2f})"
            )
        median, least, most = ratio(seconds["stock"], seconds["embstore"])
        print(f"{fit} fit: embstore is {median:.2f} ({least:.2f} to {most:.2f}) times as fast")
    for name, values in found.items():
        trusts = [one["trust"] for one in values]
        print(
            f"{name:<10}trustworthiness {statistics.median(trusts):.4f} "
            f"({min(trusts):.4f} to {max(trusts):.4f})"
        )
    print("same bytes in each process:", len({one["bytes"] for one in found["embstore"]}) == 1)


def process(name: str, home: str) -> dict[str, float]:
    """Return what `once` found in a fresh process."""
    command = [sys.executable, __file__, "--run", name, "--home", home]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def build(home: str) -> None:
    """Build the store of emotion and compute its graph, as any command before would have."""
    import embstore
    from embstore.store.graph import graph_of

    embstore.build_store(reference("emotion"), "emotion", home=home)
    with embstore.Store.open("emotion", home=home) as store:
        begun = time.perf_counter()
        graph_of(store)
        print(f"graph, made once: {time.perf_counter() - begun:.2f} s")


def once(name: str, home: str) -> dict[str, float | str]:
    """Fit twice in this process; return seconds, trustworthiness and a digest of the coordinates."""
    import hashlib

    from sklearn.manifold import trustworthiness

    import embstore

    with embstore.Store.open("emotion", home=home) as store:
        embeddings = np.array(store.split("train").embeddings)
    seconds, coordinates = [], np.empty(0)
    if name == "stock":
        from umap import UMAP
    else:
        assert embstore.Projector  # the import, which stock pays before its clock starts too
    for seed in (42, 43):
        begun = time.perf_counter()
        if name == "stock":
            made = UMAP(metric="cosine").fit(embeddings).embedding_
        else:
            options = embstore.ProjectionOptions(seed=seed)
            # All of it: records, graph and labels from the store, and the projection kept there.
            made = embstore.project_store("emotion", home=home, splits=["train"], options=options).coordinates
        seconds.append(time.perf_counter() - begun)
        coordinates = made if seed == 42 else coordinates
    for file in (Path(home) / "emotion" / "projections").glob("*"):
        file.unlink()
    return {
        "first": seconds[0],
        "second": seconds[1],
        "trust": float(trustworthiness(embeddings, coordinates, n_neighbors=NEIGHBORS, metric="cosine")),
        "bytes": hashlib.sha256(np.ascontiguousarray(coordinates).tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    main()
