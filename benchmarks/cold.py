"""Cold start: whole commands in fresh processes beside a script that uses sentence-transformers.

The peer loads saved embeddings, encodes the query with sentence-transformers and searches with faiss. The
emotion store is taken from `--home` or built; the peer's embeddings are computed once and saved, so that only
the query is timed. The encoder is exported before the first round. Warm is one short text through the Python
API once everything is loaded.
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
from common import RATIOS, interleaved, reference, spread, table, times_as_fast
from embstore.encode.model_files import find_model
from embstore.encode.onnx_export import export_encoder

TEXT = "i feel so lonely"
OURS = ("neighbors", "classify")
PEER_NAME = "a script with sentence-transformers"
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
                PEER_NAME: lambda: run(["-c", PEER, model, str(saved), TEXT]),
                "--help": lambda: run(["-m", "embstore_cli", "--help"]),
            },
            arguments.rounds,
        )
        rows = [(name, spread(values, ".3f")) for name, values in seconds.items()]
        print(table(["command", "seconds, median (range); 0.8 wanted"], rows))
        peer = seconds[PEER_NAME]
        print(table(RATIOS, [times_as_fast(f"{PEER_NAME}; ours: {one}", peer, seconds[one]) for one in OURS]))
        print(f"Warm: {warm(home):.2f} ms for the neighbors of one short text (median of 200; 4 wanted).")


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
