"""Time raw faiss as it is installed: nothing of embstore, which would tell it the processor, is imported.

It reads ``rows.npy`` and ``queries.npy`` of a folder, float32 of unit length, and prints the seconds of each
round in which ``IndexFlatIP.search`` finds the 10 nearest of all queries.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import faiss
import numpy as np

if __name__ == "__main__":
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    rows, queries = (np.load(folder / name) for name in ("rows.npy", "queries.npy"))
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    for _ in range(rounds):
        begun = time.perf_counter()
        index.search(queries, 10)
        print(time.perf_counter() - begun)
