"""A store, opened to write: windows of records in, each of them committed whole or not at all."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from embstore.errors import EncoderMismatch, InvalidInput
from embstore.records import Embeddings, Encoded, Record, Rejected, TextEncoder
from embstore.store.database import Build, RecordsWriter, extra_json
from embstore.store.faults import disk_faults
from embstore.store.files import TEMPORARY, fsync_folder, writer_lock
from embstore.store.index_options import IndexOptions
from embstore.store.indexing import write_index
from embstore.store.manifest import Manifest, is_store, read_manifest, write_manifest
from embstore.store.segments import Segment
from embstore.store.shards import Shards
from embstore.store.snapshot import RecordsReader
from embstore.store.window import Added, Window, plan_window

# What an interrupted creation of a store may leave.
_UNFINISHED = {"lock", TEMPORARY, "records.db", "records.db-journal"}


class StoreWriter:
    """The one writer of a store; made by `open_writer`, which holds the lock.

    Parameters
    ----------
    path : Path
        The store's folder.
    manifest : Manifest
        What it is.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        with disk_faults(path):
            for name in ("embeddings", "index"):
                (path / name).mkdir(exist_ok=True)
        self._shards = Shards(path / "embeddings", manifest.uuid, manifest.dim)
        with ExitStack() as opened:
            # Read first: the writer would make a new database where the old one is missing.
            self.reader = opened.enter_context(RecordsReader(path / "records.db"))
            self._segments: list[Segment] = list(self.reader.snapshot().segments)
            self._shards.check(self._segments)
            self._database = RecordsWriter(path / "records.db")
            opened.pop_all()

    def close(self) -> None:
        """Close the database."""
        self.reader.close()
        self._database.close()

    def begin_build(self, dataset: str, fingerprint: str, *, keep_others: bool) -> Build:
        """Begin a build, or go on with an unfinished one of the same dataset; see `RecordsWriter`."""
        return self._database.begin_build(dataset, fingerprint, keep_others=keep_others)

    def finish_build(self, build: Build) -> int:
        """End a build; return how many records the dataset no longer has and the store no longer shows."""
        return self._database.finish_build(build)

    def has_records(self, build: Build) -> bool:
        """Tell whether the store shows a record that this build saw or wrote."""
        return self._database.has_records(build)

    def plan(self, records: Sequence[Record | Rejected], first: int, build: Build) -> Window:
        """Settle what a window of records means to the store; see `plan_window`."""
        return plan_window(records, first, build, self._database)

    def commit(self, window: Window, encoded: Encoded, build: Build) -> int:
        """Write a window: embeddings first, then one transaction that makes all of it true.

        Parameters
        ----------
        window : Window
            From `plan`. Records whose text failed move to its ``rejected``.
        encoded : Encoded
            Of ``window.to_encode``, in its order.
        build : Build
            The build that the window belongs to.

        Returns
        -------
        int
            How many texts of ``window.to_encode`` are now in the store.

        Raises
        ------
        InvalidInput
            Embeddings of another shape or dtype; nothing was written.
        DiskFailure
            The window is not part of the store; everything before it is.
        """
        self._check(encoded, len(window.to_encode))
        fresh = len(window.to_encode) - _reject_failed(window, encoded)
        embeddings, truncated = self._gather(window, encoded)
        segment = self._append(embeddings) if window.added else None
        with self._database.transaction():
            self._database.bury([added.replaces for added in window.added if added.replaces is not None])
            if segment:
                rows = range(segment.first_row, segment.first_row + segment.n)
                numbered = zip(rows, window.added, truncated, strict=True)
                self._database.add_segment(segment, [_row(*one, build) for one in numbered])
            self._database.touch(window.seen, build)
            self._database.rewrite(window.changed)
            self._database.quarantine(build, window.rejected)
            self._database.advance_build(build, window.next_record)
        if segment:
            self._segments.append(segment)
        return fresh

    def write_index(self, options: IndexOptions | None = None) -> bool:
        """Bring the index up to date; return whether a new generation was written; see `indexing`."""
        snapshot = self.reader.snapshot()
        return write_index(self.path, self.manifest, snapshot, self._database, options)

    def _append(self, embeddings: Embeddings) -> Segment:
        first_row = self._segments[-1].first_row + self._segments[-1].n if self._segments else 0
        shard, offset = self._shards.append(embeddings, self._segments)
        return Segment(first_row, len(embeddings), shard, offset, zlib.crc32(embeddings.data))

    def _gather(self, window: Window, encoded: Encoded) -> tuple[Embeddings, list[bool]]:
        """Return the embedding of each added record, fresh or copied from the row that has its text."""
        fresh = {sha: position for position, sha in enumerate(window.to_encode)}
        embeddings: Embeddings = np.empty((len(window.added), self.manifest.dim), dtype=np.float32)
        truncated = []
        copied: dict[int, int] = {}
        for position, added in enumerate(window.added):
            if added.sha256 in fresh:
                embeddings[position] = encoded.embeddings[fresh[added.sha256]]
                truncated.append(bool(encoded.truncated[fresh[added.sha256]]))
            else:
                copied[position], cut = window.known[added.sha256]
                truncated.append(cut)
        if copied:
            rows = np.fromiter(copied.values(), np.int64, len(copied))
            embeddings[list(copied)] = self._shards.read(rows, self._segments)
        return embeddings, truncated

    def _check(self, encoded: Encoded, n: int) -> None:
        found, wanted = encoded.embeddings, (n, self.manifest.dim)
        if found.shape != wanted or found.dtype != np.float32:
            raise InvalidInput(
                f"The encoder returned {found.dtype} of shape {found.shape}.",
                why=f"The store takes float32 of shape {wanted}.",
            )


@contextmanager
def open_writer(path: Path, encoder: TextEncoder) -> Iterator[StoreWriter]:
    """Create a store, or open one, to write; the lock is held until the block ends.

    Parameters
    ----------
    path : Path
        The store's folder; an absent or empty one becomes a store.
    encoder : TextEncoder
        Whose embeddings the store holds.

    Raises
    ------
    StoreLocked
        Another process is writing.
    EncoderMismatch
        The store holds embeddings of another encoder.
    InvalidInput
        The folder holds something else.
    DiskFailure, StoreDamaged
        It cannot be written, or is not whole.
    """
    with disk_faults(path, "Reading"):
        foreign = _foreign(path) if path.exists() and not is_store(path) else ""
    if foreign:
        raise InvalidInput(
            f"{path} is no store and is not empty.", why=f"It holds {foreign}.", fix="-s ANOTHER-NAME"
        )
    if not path.exists():
        with disk_faults(path):
            path.mkdir(parents=True, exist_ok=True)
            fsync_folder(path.parent)
    with writer_lock(path):
        if not is_store(path):
            # Last, because it is what makes the folder a store: readers find the database there.
            RecordsWriter(path / "records.db").close()
            write_manifest(path, Manifest.new(encoder.dim, encoder.fingerprint, encoder.config))
        manifest = read_manifest(path)
        _check_encoder(path, manifest, encoder)
        writer = StoreWriter(path, manifest)
        try:
            yield writer
        finally:
            writer.close()


def _check_encoder(path: Path, manifest: Manifest, encoder: TextEncoder) -> None:
    if encoder.fingerprint == manifest.fingerprint:
        return
    ours = {key: value for key, value in encoder.config.items() if manifest.encoder.get(key) != value}
    theirs = {key: manifest.encoder.get(key) for key in ours}
    raise EncoderMismatch(
        f"{path} holds embeddings of another encoder.",
        why=f"It has {theirs or manifest.fingerprint[:12]}, this is {ours or encoder.fingerprint[:12]}.",
        fix="build under another name with -s NAME; or leave the encoder's options out to take the store's",
    )


def _foreign(path: Path) -> str:
    """Return the name of something in a folder that no interrupted creation of a store leaves there."""
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else [path.name]
    return next((name for name in names if name not in _UNFINISHED), "")


def _reject_failed(window: Window, encoded: Encoded) -> int:
    """Move records whose text could not be embedded to the rejected; an older text of theirs stays.

    Returns the number of texts that failed.
    """
    failed = dict(encoded.errors)
    usable = np.isfinite(encoded.embeddings).all(axis=1) & encoded.embeddings.any(axis=1)
    for position in np.flatnonzero(~usable).tolist():
        failed.setdefault(position, "its embedding is zero, NaN or infinite")
    errors = {sha: failed[position] for position, sha in enumerate(window.to_encode) if position in failed}
    for added in [added for added in window.added if added.sha256 in errors]:
        window.added.remove(added)
        record = added.record
        window.rejected.append(Rejected(added.position, record.split, record.id, errors[added.sha256]))
        if added.replaces is not None:
            window.seen.append(added.replaces)
    return len(errors)


def _row(row: int, added: Added, truncated: bool, build: Build) -> dict[str, Any]:
    record = added.record
    return {
        "row": row,
        "id": record.id,
        "split": record.split,
        "label": record.label,
        "text": record.text,
        "extra": extra_json(record),
        "text_sha256": added.sha256,
        "truncated": int(truncated),
        "build": build.build,
        "tombstone": None,
    }
