"""Embeddings as files of other tools: safetensors, and a faiss index of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO

from safetensors.numpy import save

from embstore.records import Embeddings, Rows
from embstore.store.derived import as_saved
from embstore.store.structures.faiss_index import write_checked
from embstore.store.structures.flat import FlatIndex


def write_safetensors(
    file: IO[bytes], embeddings: Embeddings, rows: Rows, metadata: Mapping[str, str]
) -> None:
    """Write the tensors ``embeddings`` (n, dim), float32, and ``rows`` (n,), int64, with string metadata."""
    tensors = as_saved({"embeddings": embeddings, "rows": rows})
    file.write(save(tensors, metadata=dict(metadata)))


def write_faiss(file: IO[bytes], dim: int, blocks: Iterable[tuple[Rows, Embeddings]]) -> None:
    """Write an index that ``faiss.read_index`` opens: cosine, exact, its ids the rows of the store."""
    write_checked(FlatIndex.with_ids(dim, blocks), file)
