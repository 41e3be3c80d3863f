"""Every byte of a store against its checksums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embstore.errors import StoreDamaged
from embstore.store.index import read_index
from embstore.store.manifest import read_manifest
from embstore.store.shards import Shards
from embstore.store.snapshot import RecordsReader


@dataclass(frozen=True)
class Verification:
    """What `verify_store` found.

    Parameters
    ----------
    records, segments : int
        How many were checked.
    problems : tuple of str
        One sentence each, naming the file; empty when the store is whole.
    """

    records: int
    segments: int
    problems: tuple[str, ...]


def verify_store(path: Path) -> Verification:
    """Check manifest, database, every embedding, every record and the index.

    Raises
    ------
    NotFound
        The folder holds no store.
    StoreDamaged
        Manifest or database are so damaged that nothing else can be checked.
    """
    manifest = read_manifest(path)
    reader = RecordsReader(path / "records.db")
    try:
        problems = [f"records.db: {problem}" for problem in reader.problems()]
        snapshot = reader.snapshot()
        problems += [
            f"records.db: the records from row {row} on are not those that were written"
            for row in reader.stale_segments()
        ]
    finally:
        reader.close()
    shards = Shards(path / "embeddings", manifest.uuid, manifest.dim)
    try:
        shards.check(snapshot.segments)
        problems += [
            f"{shards.path(segment.shard).name}: the embeddings of rows {segment.first_row} to "
            f"{segment.first_row + segment.n - 1} do not have their checksum"
            for segment in snapshot.segments
            if shards.checksum(segment) != segment.crc32
        ]
    except StoreDamaged as error:
        problems.append(error.what)
    if snapshot.index:
        entry = snapshot.index
        try:
            read_index(path / "index" / entry.file, entry.bytes, entry.sha256)
        except StoreDamaged as error:
            problems.append(f"{error.what} (search stays exact; embstore build writes it again)")
    return Verification(snapshot.n_rows - len(snapshot.dead), len(snapshot.segments), tuple(problems))
