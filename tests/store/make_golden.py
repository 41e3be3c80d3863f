"""Make the golden store of the current format version: run once when that changes, then never again.

python tests/store/make_golden.py   (from the repository's root; refuses to replace one)
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from embstore.records import Record
from embstore.store.manifest import FORMAT_VERSION
from store.building import GivenEncoder, fill

RECORDS = [
    Record("a", "train", "joy", "0", {"source": "mail"}),
    Record("b", "train", "joy", "1", {"n": 2, "list": [1, None, True]}),
    Record("ç", "train", None, "2"),
    Record("d", "test", "größe", "3"),
    Record("e", "test", "joy", "4", {"emoji": "🙂"}),
    Record("gone", "test", "joy", "5"),
]
EMBEDDINGS = [[1, 0, 0, 0], [3, 4, 0, 0], [0, 0, 2, 0], [0, 0.5, 0.5, 0], [-1, 0, 0, 1], [1, 1, 1, 1]]


def main() -> None:
    target = Path(__file__).parent / "golden" / f"v{FORMAT_VERSION}"
    if target.exists():
        sys.exit(f"{target} exists: a golden store is never made again")
    encoder = GivenEncoder(np.array(EMBEDDINGS, dtype=np.float32))
    # Two windows, a changed label and a tombstone: every table has a row, and the digest was shifted once.
    fill(target, RECORDS, encoder, window=4)
    changed = [Record("a", "train", "anger", "0", {"source": "mail"}), *RECORDS[1:5]]
    fill(target, changed, encoder, fingerprint="2")
    for name in ("lock", "records.db-journal"):
        (target / name).unlink()
    shutil.rmtree(target / "tmp")


if __name__ == "__main__":
    main()
