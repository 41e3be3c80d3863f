"""The index: candidates that hold the nearest, and a file that is checked before it is read."""

from __future__ import annotations

import errno
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from embstore.directions import unit
from embstore.errors import StoreDamaged
from embstore.store.allowed import Allowed
from embstore.store.structures.files import read_index
from embstore.store.structures.flat import FlatIndex


def rows_of(n: int, mask: np.ndarray | None = None) -> Allowed:
    return Allowed(np.ones(n, dtype=bool) if mask is None else mask)


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return unit(np.random.default_rng(0).standard_normal((200, 6)).astype(np.float32))


@pytest.fixture(scope="module")
def index(embeddings: np.ndarray) -> FlatIndex:
    return FlatIndex.build(6, [embeddings[:150], embeddings[150:]])


@pytest.fixture
def file(index: FlatIndex, tmp_path: Path) -> tuple[Path, int, str]:
    with (tmp_path / "index").open("wb") as opened:
        size, sha256 = index.write(opened)
    return tmp_path / "index", size, sha256


@pytest.mark.parametrize("k", [1, 10, 199, 200, 201, 10**9])
@pytest.mark.parametrize("share", [None, 1.0, 0.5, 0.02, 0.0])
def test_candidates_hold_the_nearest_allowed_rows(
    index: FlatIndex, embeddings: np.ndarray, k: int, share: float | None
) -> None:
    allowed = None if share is None else np.random.default_rng(1).random(200) < share
    rows = np.arange(200) if allowed is None else np.flatnonzero(allowed)
    nearest = rows[np.argsort(-(embeddings[rows] @ embeddings[3]))][:k]
    found = index.candidates(embeddings[3], k, rows_of(200, allowed))
    assert set(nearest) <= set(found) <= set(rows)
    assert len(found) == len(set(found))


def test_candidates_hold_all_that_tie_with_the_last() -> None:
    index = FlatIndex.build(2, [np.repeat(np.eye(2, dtype=np.float32), 500, axis=0)])
    found = index.candidates(np.array([1, 0], dtype=np.float32), 3, rows_of(1000))
    assert set(range(500)) <= set(found.tolist())


def test_an_embedding_that_is_not_finite_is_no_candidate() -> None:
    embeddings = np.eye(4, dtype=np.float32)
    embeddings[2] = np.nan
    index = FlatIndex.build(4, [embeddings])
    assert sorted(index.candidates(np.ones(4, dtype=np.float32) / 2, 4, rows_of(4))) == [0, 1, 3]


def test_a_written_index_is_read_back(
    file: tuple[Path, int, str], index: FlatIndex, embeddings: np.ndarray
) -> None:
    read = read_index(*file, dim=6, ntotal=200)
    assert read.ntotal == 200
    found, wanted = (one.candidates(embeddings[0], 10, rows_of(200)) for one in (read, index))
    np.testing.assert_array_equal(found, wanted)


def test_the_same_embeddings_give_the_same_file(file: tuple[Path, int, str], embeddings: np.ndarray) -> None:
    assert FlatIndex.build(6, [embeddings]).write(io.BytesIO()) == file[1:]


@pytest.mark.parametrize("position", [0, 4, 8, 20, 40, 1000, -1])
def test_a_flipped_byte_is_damage(file: tuple[Path, int, str], position: int) -> None:
    data = bytearray(file[0].read_bytes())
    data[position] ^= 0x80
    file[0].write_bytes(data)
    with pytest.raises(StoreDamaged, match="is not the file that was written"):
        read_index(*file, dim=6, ntotal=200)


@pytest.mark.parametrize("change", [-1, -4000, 1], ids=["last-byte", "most", "one-more"])
def test_another_size_is_damage(file: tuple[Path, int, str], change: int) -> None:
    data = file[0].read_bytes()
    file[0].write_bytes(data[:change] if change < 0 else data + b"x")
    with pytest.raises(StoreDamaged, match="is not the file that was written") as caught:
        read_index(*file, dim=6, ntotal=200)
    assert f"of {file[1]}" in caught.value.why


def test_a_missing_file_is_damage(tmp_path: Path) -> None:
    with pytest.raises(StoreDamaged, match="cannot be read: No such file"):
        read_index(tmp_path / "none", 1, "0" * 64, dim=6, ntotal=200)


def test_an_error_of_the_disk_leaves_faiss_as_it_is(index: FlatIndex) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        index.write(Full())


@pytest.mark.parametrize(("dim", "ntotal"), [(7, 200), (6, 199)], ids=["dim", "rows"])
def test_an_index_of_something_else_is_damage(file: tuple[Path, int, str], dim: int, ntotal: int) -> None:
    with pytest.raises(StoreDamaged, match="an index of something else") as caught:
        read_index(*file, dim=dim, ntotal=ntotal)
    assert f"200 rows of 6 floats; the store says {ntotal} of {dim}" in caught.value.why


def test_a_file_that_faiss_cannot_read_is_damage(tmp_path: Path) -> None:
    data = b"a kind of a later version"
    (tmp_path / "index").write_bytes(data)
    with pytest.raises(StoreDamaged, match="cannot be read by faiss"):
        read_index(tmp_path / "index", len(data), hashlib.sha256(data).hexdigest(), dim=6, ntotal=200)
