"""Projection of 16,000 emotion texts beside stock UMAP: in fresh processes, in turn, with trustworthiness.

A fresh process is what a command is: stock UMAP spends most of its first fit on compiling the search for
neighbors. A second fit in one process is where stock UMAP has compiled its code already. embstore reads the
store and keeps the projection in that time; the graph is there, as any command before would have left it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import RATIOS, note, reference, spread, table, times_as_fast

# Neighbors that trustworthiness looks at.
NEIGHBORS = 15
COLUMNS = (("first", ".2f"), ("second", ".2f"), ("trust", ".4f"))


def main() -> None:
    """Print seconds of first and second fits, their ratios, and trustworthiness."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=["embstore", "stock"], help=argparse.SUPPRESS)
    parser.add_argument("--home", help="folder that keeps the store for the next run")
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(once(arguments.run, arguments.home)))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or folder
        build(home)
        found: dict[str, list[dict[str, float]]] = {"embstore": [], "stock": []}
        before = process("embstore", home)
        note(f"first on this machine, where nothing is compiled yet: {before['first']:.2f} s")
        for _ in range(arguments.rounds):
            for name, values in found.items():
                values.append(process(name, home))
    names = {"embstore": "embstore", "stock": 'stock `umap.UMAP(metric="cosine").fit`'}
    rows = [
        (names[name], *(spread([one[what] for one in values], form) for what, form in COLUMNS))
        for name, values in found.items()
    ]
    heads = ["", "first fit of a process, s", "second fit, s", f"trustworthiness ({NEIGHBORS} neighbors)"]
    print(table(heads, rows))
    ratios = [
        times_as_fast(
            f"stock UMAP, {fit} fit", *([one[fit] for one in found[name]] for name in ("stock", "embstore"))
        )
        for fit in ("first", "second")
    ]
    print(table(RATIOS, ratios))
    same = len({one["bytes"] for one in found["embstore"]}) == 1
    print("Every process gave the same bytes." if same else "The processes gave different bytes.")


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
        note(f"graph, made once: {time.perf_counter() - begun:.2f} s")


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
        import embstore.maps.projection  # which stock pays before its clock starts too
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
