"""Stores that tests build window by window, without a dataset and without a model.

Imports no torch, so that the processes which tests kill start in a fraction of a second.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embstore.records import Encoded, Record, Rejected, TextEncoder
from embstore.store import Store
from embstore.store.writer import StoreWriter, open_writer


@dataclass
class GivenEncoder:
    """An encoder whose embeddings are given: text ``i`` has row i of a table."""

    table: np.ndarray
    encoded: list[str] = field(default_factory=list)

    @property
    def dim(self) -> int:
        return self.table.shape[1]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(b"given").hexdigest()

    @property
    def config(self) -> Mapping[str, Any]:
        return {"model": "given"}

    def encode(self, texts: Sequence[str]) -> Encoded:
        self.encoded += texts
        embeddings = np.array([self.table[int(text)] for text in texts], dtype=np.float32)
        return Encoded(embeddings, np.zeros(len(texts), dtype=np.bool_))


def given(n: int, dim: int, seed: int = 0) -> GivenEncoder:
    """Return an encoder of n texts, ``"0"`` to ``str(n - 1)``, with normally distributed embeddings."""
    return GivenEncoder(np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32))


def numbered(n: int, *, first: int = 0) -> list[Record]:
    """Return records ``r0``, ``r1``... with the texts ``"0"``, ``"1"``..., of two splits and three labels."""
    return [
        Record(f"r{i}", "test" if i % 4 == 3 else "train", "abc"[i % 3], str(i))
        for i in range(first, first + n)
    ]


def write(
    writer: StoreWriter,
    records: Sequence[Record | Rejected],
    encoder: TextEncoder,
    *,
    window: int = 100,
    keep_others: bool = False,
    fingerprint: str = "1",
    index: bool = True,
) -> int:
    """Bring a store to hold exactly these records, as `build_store` does; return how many were removed."""
    build = writer.begin_build("test data", fingerprint, keep_others=keep_others)
    for first in range(build.next_record, len(records), window):
        commit(writer, records[first : first + window], encoder, build, first)
    removed = writer.finish_build(build)
    if index:
        writer.write_index()
    return removed


def commit(
    writer: StoreWriter,
    records: Sequence[Record | Rejected],
    encoder: TextEncoder,
    build: Any,
    first: int = 0,
) -> int:
    """Plan, encode and commit one window; return how many texts were encoded."""
    planned = writer.plan(records, first, build)
    texts = list(planned.to_encode.values())
    nothing = Encoded(np.empty((0, encoder.dim), dtype=np.float32), np.empty(0, dtype=np.bool_))
    return writer.commit(planned, encoder.encode(texts) if texts else nothing, build)


def fill(path: Path, records: Sequence[Record | Rejected], encoder: TextEncoder, **options: Any) -> Path:
    """Open the writer, `write`, close it; return the store's folder."""
    with open_writer(path, encoder) as writer:
        write(writer, records, encoder, **options)
    return path


def content(path: Path) -> dict[str, tuple[Record, bytes]]:
    """Return by id all that a store holds, embeddings as bytes."""
    with Store.open(path) as store:
        rows = store.rows()
        embeddings = store.embeddings(rows)
        return {one.id: (one, embeddings[i].tobytes()) for i, one in enumerate(store.records(rows))}


def ids(path: Path) -> list[str]:
    """Return the ids of a store's live records, by row."""
    with Store.open(path) as store:
        return [record.id for record in store.records(store.rows())]


def copy(path: Path, target: Path, change: Callable[[Path], object] = lambda _: None) -> Path:
    """Copy a store and change the copy."""
    shutil.copytree(path, target)
    change(target)
    return target
