"""Cold start: whole commands in fresh processes beside a script that uses sentence-transformers.

The emotion store is taken from ``--home`` or built; the peer's embeddings are computed once and saved, so
that only the query is timed. The encoder is exported before the first round. Also prints the warm time of
one short text through the Python API.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import embstore
from common import interleaved, machine, ratio, reference
from embstore.encode.model_files import find_model
from embstore.encode.onnx_export import export_encoder

TEXT = "i feel so lonely"
PEER = """
import sys, faiss, numpy as np
from sentence_transformers import SentenceTransformer
folder, saved, text = sys.argv[1:]
with np.load(saved) as found:
    embeddings, texts = found["embeddings"], found["texts"]
index = faiss.IndexFlatIP(embeddings.shape[1])
index.add(embeddings)
query = SentenceTransformer(folder, device="cpu").encode([text], normalize_embeddings=True)
similarities, rows = index.search(query, 10)
for similarity, row in zip(similarities[0], rows[0]):
    print(f"{similarity:.4f}  {texts[row]}")
"""


def main() -> None:
    """Print medians of wall time and the ratio to the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--home", type=Path, help="folder of the stores")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or Path(folder)
        os.environ.setdefault("EMBSTORE_CACHE", str(Path(folder) / "cache"))
        saved = prepare(home, Path(folder))
        model = str(find_model("all-MiniLM-L6-v2").folder)
        where = ["-s", "emotion", "--home", str(home)]
        seconds = interleaved(
            {
                "neighbors": lambda: run(["-m", "embstore_cli", "neighbors", TEXT, *where]),
                "classify": lambda: run(["-m", "embstore_cli", "classify", TEXT, *where]),
                "sentence-transformers": lambda: run(["-c", PEER, model, str(saved), TEXT]),
                "--help": lambda: run(["-m", "embstore_cli", "--help"]),
            },
            arguments.rounds,
        )
        print(machine())
        for name, taken in seconds.items():
            values = sorted(taken)
            print(f"{name:<24}{statistics.median(values):>8.3f} s   ({values[0]:.3f} to {values[-1]:.3f})")
        for name in ("neighbors", "classify"):
            median, least, most = ratio(seconds[name], seconds["sentence-transformers"])
            print(f"{name} takes {median:.3f} ({least:.3f} to {most:.3f}) of the peer's time")
        print(f"warm, Python API: {warm(home):.2f} ms for the neighbors of one short text (median of 200)")


def prepare(home: Path, folder: Path) -> Path:
    """Build, fit and export what is missing; return the file of the peer's embeddings."""
    # No export in the background: it would run beside the first rounds.
    os.environ["EMBSTORE_ONNX"] = "off"
    embstore.build_store(reference("emotion"), "emotion", home=home)
    embstore.fit_head("emotion", home=home)
    if problem := export_encoder(embstore.load_encoder(device="cpu")):
        raise SystemExit(f"The encoder cannot be exported: {problem}.")
    os.environ["EMBSTORE_ONNX"] = "on"
    with embstore.Store.open("emotion", home=home) as store:
        rows = store.rows()
        texts = np.array(store.reader.column("text", rows))
        np.savez(folder / "peer.npz", embeddings=store.embeddings(rows), texts=texts)
    return folder / "peer.npz"


def run(arguments: list[str]) -> None:
    """Run Python on something in a fresh process."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def warm(home: Path) -> float:
    """Return the median milliseconds of one query once everything is loaded."""
    with embstore.Store.open("emotion", home=home) as store:
        store.neighbors(TEXT)
        times = []
        for _ in range(200):
            begun = time.perf_counter()
            store.neighbors(TEXT)
            times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    main()
