"""Shards: raw rows behind a checked header, never written over."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embstore.errors import StoreDamaged
from embstore.store import shards as module
from embstore.store.segments import Segment
from embstore.store.shards import HEADER_SIZE, Shards

UUID = "0123456789abcdef" * 2
DIM = 4


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    return Shards(tmp_path, UUID, DIM)


def rows(first: int, n: int) -> np.ndarray:
    """Return n embeddings of which each tells its row."""
    return (np.arange(first, first + n)[:, None] + np.arange(DIM) / 10).astype(np.float32)


def append(shards: Shards, segments: list[Segment], n: int) -> None:
    """Append n rows and commit their segment."""
    first = segments[-1].first_row + segments[-1].n if segments else 0
    shard, offset = shards.append(rows(first, n), segments)
    segments.append(Segment(first, n, shard, offset, 0))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_first_append_writes_a_header_and_the_rows(shards: Shards, tmp_path: Path) -> None:
    assert shards.append(rows(0, 3), []) == (1, HEADER_SIZE)
    data = (tmp_path / "000001.f32").read_bytes()
    assert data[:8] == b"EMBSHARD"
    assert data[HEADER_SIZE:] == rows(0, 3).tobytes()


def test_appended_rows_follow_the_committed_ones(shards: Shards, tmp_path: Path) -> None:
    segments: list[Segment] = []
    for n in (3, 1, 5):
        append(shards, segments, n)
    assert [(one.shard, one.offset) for one in segments] == [(1, 4096), (1, 4096 + 48), (1, 4096 + 64)]
    assert (tmp_path / "000001.f32").read_bytes()[HEADER_SIZE:] == rows(0, 9).tobytes()


def test_rows_that_were_not_committed_are_never_written_over(shards: Shards, tmp_path: Path) -> None:
    segments: list[Segment] = []
    append(shards, segments, 3)
    shards.append(rows(70, 2), segments)
    before = (tmp_path / "000001.f32").read_bytes()
    append(shards, segments, 2)
    assert segments[-1].shard == 2
    assert (tmp_path / "000001.f32").read_bytes() == before
    np.testing.assert_array_equal(shards.read(np.arange(5), segments), rows(0, 5))


@pytest.mark.parametrize("size", [0, 100, HEADER_SIZE, HEADER_SIZE + 7])
def test_a_shard_that_was_only_begun_is_not_used(shards: Shards, tmp_path: Path, size: int) -> None:
    shards.append(rows(0, 1), [])
    begun = (tmp_path / "000001.f32").read_bytes()[:size].ljust(size, b"x")
    (tmp_path / "000001.f32").write_bytes(begun)
    segments: list[Segment] = []
    append(shards, segments, 2)
    assert segments[0].shard == 2
    shards.check(segments)
    assert (tmp_path / "000001.f32").read_bytes() == begun


def test_a_short_write_is_gone_on_with(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        """Takes seven bytes at a time, as a file that a signal interrupts may."""

        def __init__(self, file: object) -> None:
            self._file = file

        def write(self, data: memoryview) -> int:
            return self._file.write(bytes(data[:7]))  # type: ignore[attr-defined, no-any-return]

    write_all = module._write_all
    monkeypatch.setattr(module, "_write_all", lambda file, data: write_all(Slow(file), data))  # type: ignore[arg-type]
    segments: list[Segment] = []
    append(shards, segments, 20)
    shards.check(segments)
    np.testing.assert_array_equal(shards.read(np.arange(20), segments), rows(0, 20))


def test_a_new_shard_begins_where_one_is_full(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", HEADER_SIZE + 5 * 4 * DIM)
    segments: list[Segment] = []
    for n in (3, 2, 1, 9, 1):  # 9 rows are more than a shard holds: they get one of their own
        append(shards, segments, n)
    assert [one.shard for one in segments] == [1, 1, 2, 3, 4]
    np.testing.assert_array_equal(shards.read(np.arange(16), segments), rows(0, 16))


@pytest.fixture
def three(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> tuple[Shards, list[Segment]]:
    """Return shards of 4, 4 and 2 rows in five segments."""
    monkeypatch.setattr(module, "SHARD_BYTES", HEADER_SIZE + 4 * 4 * DIM)
    segments: list[Segment] = []
    for _ in range(5):
        append(shards, segments, 2)
    return shards, segments


CHOICES = {
    "none": [],
    "one": [7],
    "within-a-shard": [4, 5, 6],
    "across-shards": [2, 3, 4, 5],
    "backwards": [9, 8, 7],
    "repeated": [1, 1, 8, 1],
    "scattered": [9, 0, 5, 2],
    "looks-consecutive-at-its-ends": [1, 3, 2, 4],
}


@pytest.mark.parametrize("chosen", CHOICES.values(), ids=CHOICES.keys())
def test_read_returns_the_rows_in_their_order(three: tuple[Shards, list[Segment]], chosen: list[int]) -> None:
    shards, segments = three
    wanted = rows(0, 10)[np.array(chosen, dtype=np.int64)]
    np.testing.assert_array_equal(shards.read(np.array(chosen, dtype=np.int64), segments), wanted)


@pytest.mark.parametrize(
    ("chosen", "mapped"),
    [([0, 1, 2, 3], True), ([6], True), ([3, 4], False), ([0, 2], False), ([], False)],
    ids=["one-shard", "one-row", "two-shards", "gap", "none"],
)
def test_consecutive_rows_of_one_shard_are_a_view(
    three: tuple[Shards, list[Segment]], chosen: list[int], mapped: bool
) -> None:
    found = three[0].read(np.array(chosen, dtype=np.int64), three[1])
    assert found.flags.writeable != mapped
    assert np.shares_memory(found, three[0].read(np.array(chosen[:1], dtype=np.int64), three[1])) == mapped


def test_a_shard_that_grows_while_it_is_mapped_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, segments = Shards(tmp_path, UUID, DIM), []
    append(shards, segments, 3)
    mapped, kept = mmap.mmap, list(segments)

    def growing(*arguments: Any, **options: Any) -> mmap.mmap:
        found = mapped(*arguments, **options)
        append(shards, segments, 2)
        return found

    monkeypatch.setattr(mmap, "mmap", growing)
    np.testing.assert_array_equal(shards.read(np.arange(3), kept), rows(0, 3))


@pytest.mark.parametrize("mapped", [True, False])
def test_a_copy_lies_where_it_is_told_to(tmp_path: Path, mapped: bool) -> None:
    shards, segments, buffer = Shards(tmp_path, UUID, DIM, mapped=mapped), [], np.zeros((9, DIM), np.float32)
    append(shards, segments, 7)
    found = shards.read(np.array([5, 0, 5]), segments, buffer)
    np.testing.assert_array_equal(found, rows(0, 7)[[5, 0, 5]])
    assert np.shares_memory(found, buffer)
    assert not buffer[3:].any()


@pytest.mark.parametrize("row", [-1, 7])
def test_a_row_that_is_not_there_is_not_another(shards: Shards, row: int) -> None:
    segments: list[Segment] = []
    append(shards, segments, 7)
    with pytest.raises(IndexError):
        shards.read(np.array([0, row]), segments)


@pytest.mark.parametrize("first", range(11))
@pytest.mark.parametrize("size", [1, 3, 100])
def test_blocks_cover_all_rows_from_the_first_on_once(
    three: tuple[Shards, list[Segment]], monkeypatch: pytest.MonkeyPatch, first: int, size: int
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", size)
    blocks = list(three[0].blocks(first, three[1]))
    assert all(0 < len(block) <= size for _, block in blocks)
    assert [start + i for start, block in blocks for i in range(len(block))] == list(range(first, 10))
    if blocks:
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), rows(first, 10 - first))


def test_a_mapped_shard_that_grows_is_mapped_anew(shards: Shards) -> None:
    segments: list[Segment] = []
    append(shards, segments, 2)
    before = shards.read(np.arange(2), segments)
    append(shards, segments, 3)
    np.testing.assert_array_equal(shards.read(np.arange(5), segments), rows(0, 5))
    np.testing.assert_array_equal(before, rows(0, 2))


def flip(position: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


DAMAGE = {
    "magic": flip(0),
    "version": flip(8),
    "number": flip(12),
    "dim": flip(16),
    "uuid": flip(25),
    "crc": flip(36),
    "padding": flip(4095),
    "cut in the header": lambda data: data[:1000],
    "cut in the rows": lambda data: data[:-1],
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE.keys())
def test_check_finds_a_damaged_file(shards: Shards, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    segments: list[Segment] = []
    append(shards, segments, 3)
    shards.check(segments)
    file = tmp_path / "000001.f32"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(StoreDamaged, match=r"000001\.f32 is damaged"):
        shards.check(segments)


def test_a_file_that_was_cut_names_its_store_in_the_line_to_paste(shards: Shards, tmp_path: Path) -> None:
    segments: list[Segment] = []
    append(shards, segments, 3)
    file = tmp_path / "000001.f32"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreDamaged, match="it was cut") as caught:
        next(shards.blocks(0, segments))
    assert caught.value.fix == f"embstore verify -s {tmp_path.parent}"


def test_check_finds_a_missing_file(shards: Shards, tmp_path: Path) -> None:
    segments: list[Segment] = []
    append(shards, segments, 3)
    (tmp_path / "000001.f32").unlink()
    with pytest.raises(StoreDamaged, match=r"000001\.f32 is missing"):
        shards.check(segments)


@pytest.mark.parametrize(("uuid", "dim"), [("f" * 32, DIM), (UUID, 8)], ids=["uuid", "dim"])
def test_check_refuses_the_shard_of_another_store(
    shards: Shards, tmp_path: Path, uuid: str, dim: int
) -> None:
    segments: list[Segment] = []
    append(shards, segments, 4)
    with pytest.raises(StoreDamaged, match="not that of shard 1 of this store"):
        Shards(tmp_path, uuid, dim).check(segments)


@pytest.mark.parametrize("offset", [0, HEADER_SIZE - 16, HEADER_SIZE + 1])
def test_check_refuses_a_segment_that_begins_inside_a_row(shards: Shards, offset: int) -> None:
    shards.append(rows(0, 4), [])
    with pytest.raises(StoreDamaged, match=f"at byte {offset}"):
        shards.check([Segment(0, 1, 1, offset, 0)])


def test_checksum_is_that_of_the_bytes_on_the_disk(shards: Shards, tmp_path: Path) -> None:
    segments: list[Segment] = []
    append(shards, segments, 3)
    before = shards.checksum(segments[0])
    file = tmp_path / "000001.f32"
    file.write_bytes(flip(HEADER_SIZE + 5)(file.read_bytes()))
    assert Shards(tmp_path, UUID, DIM).checksum(segments[0]) != before


def test_files_of_another_name_are_no_shards(shards: Shards, tmp_path: Path) -> None:
    segments: list[Segment] = []
    append(shards, segments, 3)
    for name in ("000001 (copy).f32", "7.f32", "000009.f32.bak", "0000012.f32"):
        (tmp_path / name).touch()
    append(shards, segments, 2)
    assert [one.shard for one in segments] == [1, 1]


def test_views_tell_whether_all_rows_have_unit_length(shards: Shards) -> None:
    segments: list[Segment] = []
    append(shards, segments, 3)
    assert [(start, len(view), scaled) for start, view, scaled in shards.views(0, segments)] == [
        (0, 3, False)
    ]
    shard, offset = shards.append(np.eye(DIM, dtype=np.float32), segments)
    segments.append(Segment(3, DIM, shard, offset, 0))
    # Once more rows are there, what was known of fewer is not taken for all.
    assert [scaled for _, _, scaled in shards.views(0, segments)] == [False]
    assert [scaled for _, _, scaled in shards.views(3, segments)] == [True]
