"""What peers.py compares with: one build by txtai or chromadb, as their documents have it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

Rows = list[dict[str, str]]


def by_txtai(rows: Rows, model: str, output: str) -> int:
    """Build and save; return how many there are."""
    from txtai import Embeddings

    embeddings = Embeddings(path=model, content=True)
    embeddings.index((place, row, None) for place, row in enumerate(rows))
    embeddings.save(str(Path(output) / "txtai"))
    return int(embeddings.count())


def by_chromadb(rows: Rows, model: str, output: str) -> int:
    """Build in a folder; return how many there are."""
    import chromadb
    from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction

    client = chromadb.PersistentClient(path=str(Path(output) / "chromadb"))
    function = SentenceTransformerEmbeddingFunction(model_name=model)
    collection = client.create_collection("emotion", embedding_function=function)
    most = client.get_max_batch_size()
    for start in range(0, len(rows), most):
        part = rows[start : start + most]
        collection.add(
            ids=[str(start + place) for place in range(len(part))],
            documents=[row["text"] for row in part],
            metadatas=[{"label": row["label"]} for row in part],
        )
    return collection.count()


def main() -> int:
    """Build; tell by the exit code whether all rows are there."""
    name, texts, model, output = sys.argv[1:]
    with Path(texts).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    build: Callable[[Rows, str, str], int] = {"txtai": by_txtai, "chromadb": by_chromadb}[name]
    return int(build(rows, model, output) != len(rows))


if __name__ == "__main__":
    sys.exit(main())
