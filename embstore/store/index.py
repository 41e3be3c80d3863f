"""The similarity index: exact now, other structures behind the same interface. The door to faiss."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Protocol

import faiss
import numpy as np

from embstore.errors import StoreDamaged
from embstore.records import Embeddings, Mask, Rows, Similarities
from embstore.store.snapshot import IndexEntry

# Candidates beyond k that are fetched at first, so that ties at the k-th place can be settled by row.
_MARGIN = 16
# Similarities closer than this may be equal but for rounding of float32 sums.
_ROUNDING = 1e-5


class SimilarityIndex(Protocol):
    """A structure over unit embeddings that proposes the rows most similar to a query."""

    @property
    def factory(self) -> str:
        """FAISS factory string."""
        ...

    @property
    def ntotal(self) -> int:
        """Rows covered: 0 to ntotal - 1."""
        ...

    def candidates(self, queries: Embeddings, k: int, allowed: Mask | None) -> list[Rows]:
        """Return for each query rows that hold the k most similar allowed ones."""
        ...

    def write(self, file: IO[bytes]) -> tuple[int, str]:
        """Write the structure; return its bytes and their SHA-256."""
        ...


class FlatIndex:
    """Compares a query with every row, exactly.

    Parameters
    ----------
    index : faiss.Index
        Inner product over unit embeddings; position i is row i.
    """

    factory = "Flat"

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, dim: int, blocks: Iterable[Embeddings]) -> FlatIndex:
        """Index blocks of embeddings, each of shape (n, dim), float32, of any length but zero."""
        index = faiss.IndexFlatIP(dim)
        for block in blocks:
            index.add(unit(block))
        return cls(index)

    @classmethod
    def with_ids(cls, dim: int, blocks: Iterable[tuple[Rows, Embeddings]]) -> FlatIndex:
        """Index blocks of rows and their embeddings; the rows are the ids that plain faiss answers with."""
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
        for rows, block in blocks:
            index.add_with_ids(unit(block), rows)
        return cls(index)

    @property
    def ntotal(self) -> int:
        """Rows covered: 0 to ntotal - 1."""
        return int(self._index.ntotal)

    def candidates(self, queries: Embeddings, k: int, allowed: Mask | None) -> list[Rows]:
        """Return the rows most similar to each query, and all that tie with the last of them.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, dim), float32
            Of unit length. Together they read the index once.
        k : int
            At least 1.
        allowed : ndarray of shape (ntotal,), bool, optional
            Rows that may be returned.

        Returns
        -------
        list of ndarray, int64
            In no order; each holds the min(k, allowed rows) nearest, or all whose embedding is finite. Never
            -1.
        """
        available = self.ntotal if allowed is None else int(np.count_nonzero(allowed))
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        fetch = min(k + _MARGIN, available)
        found: list[Rows] = [np.empty(0, dtype=np.int64) for _ in queries]
        open_places = np.arange(len(queries) if fetch else 0)
        while len(open_places):
            similarities, rows = self._search(queries[open_places], fetch, bits)
            # faiss returns ties in arbitrary order, so the k-th place is settled only below the last tie.
            settled = np.full(len(open_places), fetch == available)
            settled |= similarities[:, -1] < similarities[:, min(k, fetch) - 1] - _ROUNDING
            for place in np.flatnonzero(settled):
                # Row -1 fills the place of an embedding that is not finite.
                found[open_places[place]] = rows[place][rows[place] >= 0]
            open_places = open_places[~settled]
            fetch = min(2 * fetch, available)
        return found

    def nearest(self, queries: Embeddings, k: int) -> tuple[Similarities, Rows]:
        """Return the positions most similar to each of many queries; ties are in no order.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, dim), float32
            Of unit length.
        k : int
            1 to ``ntotal``.

        Returns
        -------
        similarities, positions : ndarrays of shape (n_queries, k), float32 and int64
            Most similar first; position -1 fills the place of an embedding that is not finite.
        """
        similarities, positions = self._index.search(queries, k)
        return similarities, positions

    def write(self, file: IO[bytes]) -> tuple[int, str]:
        """Write the structure through a writer that checks and hashes each block.

        faiss's own file writer leaves a silently truncated file on a full disk.
        """
        digest = hashlib.sha256()
        size = 0

        def write_block(block: bytes) -> None:
            nonlocal size
            digest.update(block)
            size += file.write(block)

        writer = faiss.PyCallbackIOWriter(write_block, 1 << 20)  # type: ignore[attr-defined]
        faiss.write_index(self._index, writer)
        return size, digest.hexdigest()

    def _search(self, queries: Embeddings, k: int, bits: Any) -> tuple[Similarities, Rows]:
        parameters = None
        if bits is not None:
            # The stubs that faiss ships lack what its wrappers add: keyword arguments, callback writers.
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg]
        similarities, rows = self._index.search(queries, k, params=parameters)
        return similarities, rows


def read_index(path: Path, size: int, sha256: str, *, dim: int, ntotal: int) -> FlatIndex:
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
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise StoreDamaged(f"{path} cannot be read by faiss {faiss.__version__}.", why=reason) from error
    if (index.d, index.ntotal) != (dim, ntotal):
        raise StoreDamaged(
            f"{path} is an index of something else.",
            why=f"It has {index.ntotal} rows of {index.d} floats; the store says {ntotal} of {dim}.",
        )
    return FlatIndex(index)


def index_or_problem(folder: Path, entry: IndexEntry | None, dim: int) -> tuple[FlatIndex | None, str]:
    """Read the index that a snapshot names; where that cannot be done, return why, for search goes on."""
    if entry is None:
        return None, "it has not been built yet"
    try:
        index = read_index(folder / entry.file, entry.bytes, entry.sha256, dim=dim, ntotal=entry.ntotal)
    except StoreDamaged as error:
        return None, error.what
    return index, ""


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


def unit(embeddings: Embeddings) -> Embeddings:
    """Scale embeddings to unit length.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim), float32
        Of any length; unchanged.

    Returns
    -------
    ndarray of shape (n, dim), float32
        A C-contiguous copy; a row that was zero is NaN.
    """
    # By the largest component first: the square of a very large or small one is no float32.
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled: Embeddings = embeddings / np.abs(embeddings).max(axis=1, keepdims=True)
        scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.ascontiguousarray(scaled, dtype=np.float32)
