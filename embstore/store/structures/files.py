"""Index files: read only after size and checksum have been checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import faiss

from embstore.errors import StoreDamaged
from embstore.store.index import SimilarityIndex
from embstore.store.index_entry import IndexEntry
from embstore.store.structures.flat import FlatIndex
from embstore.store.structures.hnsw import HnswIndex
from embstore.store.structures.ivf import IvfIndex


def read_index(path: Path, size: int, sha256: str, *, dim: int, ntotal: int) -> SimilarityIndex:
    """Read an index after its size and checksum have been checked.

    faiss files carry no checksum, and a smashed header gives wrong answers rather than an error.

    Raises
    ------
    StoreDamaged
        The file is missing, is not what was written, is of a kind that this faiss cannot read, or is not over
        ``ntotal`` rows of ``dim`` floats.
    """
    check_index(path, size, sha256)
    try:
        # Not by its name: faiss takes none that is no UTF-8, as that of a folder may be.
        with path.open("rb") as file:
            reader = faiss.PyCallbackIOReader(file.read, 1 << 20)  # type: ignore[attr-defined]
            index = faiss.read_index(reader)
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {error.strerror}.") from error
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise StoreDamaged(f"{path} cannot be read by faiss {faiss.__version__}.", why=reason) from error
    if (index.d, index.ntotal) != (dim, ntotal):
        raise StoreDamaged(
            f"{path} is an index of something else.",
            why=f"It has {index.ntotal} rows of {index.d} floats; the store says {ntotal} of {dim}.",
        )
    return structure_of(index)


def structure_of(index: Any) -> SimilarityIndex:
    """Return the structure around a faiss index that was read.

    Raises
    ------
    StoreDamaged
        It is of a kind that embstore does not write.
    """
    # Not through downcast_index: what that returns does not keep the index alive.
    if isinstance(index, faiss.IndexIVF):
        return IvfIndex(index)
    if isinstance(index, faiss.IndexHNSW):
        return HnswIndex(index)
    if isinstance(index, faiss.IndexFlat | faiss.IndexScalarQuantizer):
        return FlatIndex(index)
    raise StoreDamaged(f"An index of kind {type(index).__name__} is none that embstore writes.")


def index_or_problem(folder: Path, entry: IndexEntry | None, dim: int) -> tuple[SimilarityIndex | None, str]:
    """Read the index that a snapshot names; where that cannot be done, return why, for search goes on."""
    if entry is None or entry.problem:
        return None, entry.problem if entry else "it has not been built yet"
    try:
        index = read_index(folder / entry.file, entry.bytes, entry.sha256, dim=dim, ntotal=entry.ntotal)
    except StoreDamaged as error:
        return None, error.what
    return index, ""


def is_whole(folder: Path, entry: IndexEntry) -> bool:
    """Tell whether the file of a generation is the one that was written."""
    try:
        check_index(folder / entry.file, entry.bytes, entry.sha256)
    except StoreDamaged:
        return False
    return True


def check_index(path: Path, size: int, sha256: str) -> None:
    """Check size and checksum of an index's file; raises as `read_index` does."""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
            found = file.tell()
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {error.strerror}.") from error
    if found != size or digest.hexdigest() != sha256:
        raise StoreDamaged(f"{path} is not the file that was written.", why=f"{found} bytes of {size}.")
