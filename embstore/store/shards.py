"""Raw embeddings on disk: append-only files of float32 rows behind a checked header."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path

import numpy as np

from embstore.directions import is_unit
from embstore.errors import StoreDamaged
from embstore.records import Embeddings, Rows
from embstore.store.faults import disk_faults, verify_line
from embstore.store.files import fsync_folder
from embstore.store.mapped_shard import MappedShard
from embstore.store.segments import Segment, ends_by_shard, joined
from embstore.wording import restore_or_delete

HEADER_SIZE = 4096
# A new shard is begun beyond this size, so that no file grows without end.
SHARD_BYTES = 1 << 30
# Rows handled at once where all are read: 6 MB of 384 floats, of which an index being made has three copies.
BLOCK_ROWS = 1 << 12
# Rows of a view: long enough for a matrix product, short enough to be scaled where that is needed.
VIEW_ROWS = 1 << 16
_HEADER = struct.Struct("<8sIII16s")
_MAGIC = b"EMBSHARD"
_VERSION = 1


class Shards:
    """The shard files of one store.

    Parameters
    ----------
    folder : Path
        Holds ``000001.f32`` and so on.
    store_uuid : str
        32 hex digits; a shard of another store is refused.
    dim : int
        Floats a row.
    mapped : bool
        Whether `read` maps the files. Each page that is touched brings fifteen others into this process's
        memory: good for queries, too much for whoever reads rows from all over a large store once.
    """

    def __init__(self, folder: Path, store_uuid: str, dim: int, *, mapped: bool = True) -> None:
        self.folder = folder
        self._mapped = mapped
        self._uuid = bytes.fromhex(store_uuid)
        self._dim = dim
        self._row_bytes = 4 * dim
        self._maps: dict[int, MappedShard] = {}
        self._of_unit_length: dict[tuple[int, int], bool] = {}
        self._runs: tuple[Sequence[Segment], int, Rows, list[Segment]] = ((), 0, np.empty(0, np.int64), [])

    def path(self, shard: int) -> Path:
        """Return the file of a shard."""
        return self.folder / f"{shard:06d}.f32"

    def append(self, embeddings: Embeddings, segments: Sequence[Segment]) -> tuple[int, int]:
        """Write rows behind the last committed ones and make them durable.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dim), float32
            Rows to add.
        segments : sequence of Segment
            All that is committed. Bytes which none of them accounts for are never overwritten: they are what
            a writer left that was stopped before its commit, so a new shard is begun.

        Returns
        -------
        shard, offset : int
            Where the rows are. They belong to the store once a segment that says so is committed.

        Raises
        ------
        DiskFailure
            Nothing that was committed has changed.
        """
        data = np.ascontiguousarray(embeddings, dtype="<f4")
        with disk_faults(self.folder):
            shard, offset = self._place(segments, data.nbytes)
            # Unbuffered: what write() accepted is the kernel's, and a failed fsync is never tried again.
            with self.path(shard).open("r+b", buffering=0) as file:
                file.seek(offset)
                _write_all(file, data.data.cast("B"))
                # macOS has no fdatasync.
                getattr(os, "fdatasync", os.fsync)(file.fileno())
        return shard, offset

    def check(self, segments: Sequence[Segment]) -> None:
        """Check that the header of each shard is whole and that no file is shorter than its segments say.

        Raises
        ------
        StoreDamaged
            With the file and both sizes.
        """
        for segment in segments:
            if segment.offset < HEADER_SIZE or (segment.offset - HEADER_SIZE) % self._row_bytes:
                raise StoreDamaged(
                    f"records.db is damaged: row {segment.first_row} is said to be at byte {segment.offset}.",
                    fix=restore_or_delete(self.folder.parent),
                )
        for shard, end in ends_by_shard(segments, self._row_bytes).items():
            with disk_faults(self.folder, "Reading"):
                self._check_header(shard)
                size = self.path(shard).stat().st_size
            if size < end:
                raise StoreDamaged(
                    f"{self.path(shard)} is damaged: it has {size} bytes, its segments need {end}.",
                    fix=restore_or_delete(self.folder.parent),
                )

    def read(self, rows: Rows, segments: Sequence[Segment], buffer: Embeddings | None = None) -> Embeddings:
        """Return the embeddings of rows, in their order.

        Parameters
        ----------
        rows : ndarray of shape (n,), int64
            Committed rows.
        segments : sequence of Segment
            All segments, by first row.
        buffer : ndarray of shape (at least n, dim), float32, optional
            Where a copy may lie: to get memory for one takes longer than to copy.

        Returns
        -------
        ndarray of shape (n, dim), float32
            A read-only view of the file where the rows are consecutive in one shard, else a copy.

        Raises
        ------
        StoreDamaged
            A file is shorter than its segments say.
        DiskFailure
            A file cannot be read.
        """
        if self._mapped and len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all():
            view = self._view(int(rows[0]), len(rows), segments)
            if view is not None:
                return view
        starts, runs = self._joined(segments)
        if len(runs) == 1:
            return self._taken(runs[0], rows, buffer)
        out: Embeddings = np.empty((len(rows), self._dim), dtype=np.float32)
        owners = np.searchsorted(starts, rows, side="right") - 1
        for owner in np.unique(owners):
            chosen = owners == owner
            out[chosen] = self._taken(runs[owner], rows[chosen] - starts[owner])
        return out

    def views(self, first_row: int, segments: Sequence[Segment]) -> Iterator[tuple[int, Embeddings, bool]]:
        """Yield what `blocks` yields as views of the files, and whether all are of unit length.

        Nothing is copied, and pages stay in memory.
        """
        for run in self._joined(segments)[1]:
            mapped = self._segment(run)
            for start in range(max(first_row - run.first_row, 0), run.n, VIEW_ROWS):
                view, place = mapped[start : start + VIEW_ROWS], run.first_row + start
                # Committed rows never change, and to look costs a small search half of its time.
                key = (place, len(view))
                if key not in self._of_unit_length:
                    self._of_unit_length[key] = is_unit(view)
                yield place, view, self._of_unit_length[key]

    def blocks(self, first_row: int, segments: Sequence[Segment]) -> Iterator[tuple[int, Embeddings]]:
        """Yield ``(first row, embeddings)`` of all from ``first_row`` on, in order, a block at a time.

        Blocks are read and not mapped: mapped pages count as this process's memory until they are dropped.

        Raises
        ------
        StoreDamaged
            A file is shorter than its segments say.
        DiskFailure
            A file cannot be read.
        """
        for segment in self._joined(segments)[1]:
            end = segment.first_row + segment.n
            for start in range(max(first_row, segment.first_row), end, BLOCK_ROWS):
                n = min(BLOCK_ROWS, end - start)
                offset = segment.offset + (start - segment.first_row) * self._row_bytes
                with disk_faults(self.folder, "Reading"):
                    floats = np.fromfile(self.path(segment.shard), "<f4", n * self._dim, offset=offset)
                if len(floats) < n * self._dim:
                    raise self._cut(segment.shard)
                yield start, floats.reshape(n, self._dim)

    def checksum(self, segment: Segment) -> int:
        """Return the CRC-32 that the bytes of a segment have now; raises as `read` does."""
        return zlib.crc32(np.ascontiguousarray(self._segment(segment)).data)

    def _view(self, first_row: int, n: int, segments: Sequence[Segment]) -> Embeddings | None:
        for segment in self._joined(segments)[1]:
            start = first_row - segment.first_row
            if start >= 0 and start + n <= segment.n:
                return self._segment(segment)[start : start + n]
        return None

    def _joined(self, segments: Sequence[Segment]) -> tuple[Rows, list[Segment]]:
        """Return first rows and segments with neighbors joined; kept, for a query asks several times."""
        known, n, starts, runs = self._runs
        if known is not segments or n != len(segments):
            runs = list(joined(segments, self._row_bytes))
            starts = np.fromiter((run.first_row for run in runs), np.int64, len(runs))
            self._runs = (segments, len(segments), starts, runs)
        return starts, runs

    def _taken(self, segment: Segment, places: Rows, buffer: Embeddings | None = None) -> Embeddings:
        """Return a copy of some rows of a segment."""
        out: Embeddings
        out = np.empty((len(places), self._dim), "<f4") if buffer is None else buffer[: len(places)]
        if self._mapped:
            if len(places) and not 0 <= places.min() <= places.max() < segment.n:
                raise IndexError(f"rows {places.min()} to {places.max()} of {segment.n}")
            # They were looked at; numpy copies once more where it is to look for itself.
            return self._segment(segment).take(places, 0, out=out, mode="clip")
        path = self.path(segment.shard)
        with disk_faults(self.folder, "Reading"), path.open("rb", buffering=0) as file:
            for row, place in zip(out, places.tolist(), strict=True):
                file.seek(segment.offset + place * self._row_bytes)
                if file.readinto(row.data) != self._row_bytes:
                    raise self._cut(segment.shard)
        return out

    def _segment(self, segment: Segment) -> Embeddings:
        end = (segment.offset - HEADER_SIZE) // self._row_bytes + segment.n
        mapped = self._maps.get(segment.shard)
        if mapped is None or len(mapped.rows) < end:
            # Mapped at today's whole length; a shard that has grown since is mapped anew.
            with disk_faults(self.folder, "Reading"):
                try:
                    mapped = MappedShard(self.path(segment.shard), HEADER_SIZE, self._dim)
                except ValueError:
                    raise self._cut(segment.shard) from None
            self._maps[segment.shard] = mapped
        with disk_faults(self.folder, "Reading"):
            n_rows = min(mapped.n_now(), len(mapped.rows))
        if n_rows < end:
            raise self._cut(segment.shard)
        return mapped.rows[end - segment.n : end]

    def _cut(self, shard: int) -> StoreDamaged:
        what = f"{self.path(shard)} is damaged: it was cut."
        return StoreDamaged(what, fix=verify_line(self.folder.parent))

    def _place(self, segments: Sequence[Segment], n_bytes: int) -> tuple[int, int]:
        ends = ends_by_shard(segments, self._row_bytes)
        # Six digits and nothing else: a file manager's "000001 (copy).f32" is not ours.
        names = (re.fullmatch(r"([0-9]{6})\.f32", path.name) for path in self.folder.iterdir())
        last = max((int(name[1]) for name in names if name), default=0)
        # A shard without a segment is what a writer left that was stopped early: its header may not be whole.
        end = ends.get(last)
        if end and self.path(last).stat().st_size == end and end + n_bytes <= SHARD_BYTES:
            return last, end
        self._create(last + 1)
        return last + 1, HEADER_SIZE

    def _create(self, shard: int) -> None:
        with self.path(shard).open("xb", buffering=0) as file:
            _write_all(file, memoryview(self._header(shard)))
            os.fsync(file.fileno())
        fsync_folder(self.folder)

    def _header(self, shard: int) -> bytes:
        packed = _HEADER.pack(_MAGIC, _VERSION, shard, self._dim, self._uuid)
        return (packed + struct.pack("<I", zlib.crc32(packed))).ljust(HEADER_SIZE, b"\0")

    def _check_header(self, shard: int) -> None:
        path = self.path(shard)
        try:
            with path.open("rb") as file:
                found = file.read(HEADER_SIZE)
        except FileNotFoundError as error:
            raise StoreDamaged(f"{path} is missing.", fix=restore_or_delete(self.folder.parent)) from error
        if found != self._header(shard):
            raise StoreDamaged(
                f"{path} is damaged: its header is not that of shard {shard} of this store.",
                fix=restore_or_delete(self.folder.parent),
            )


def _write_all(file: FileIO, data: memoryview) -> None:
    """Write all of the data, however little of it each call takes."""
    while data:
        data = data[file.write(data) :]
