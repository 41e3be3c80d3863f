"""Manifest, embeddings, records and index of a store against their checksums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embstore.errors import DiskFailure, StoreDamaged
from embstore.store.derived import FOLDERS, list_derived, read_checked
from embstore.store.home import find_store
from embstore.store.index_entry import IndexEntry
from embstore.store.manifest import read_manifest
from embstore.store.shards import Shards
from embstore.store.snapshot import RecordsReader
from embstore.store.structures.files import check_index


@dataclass(frozen=True)
class Verification:
    """What `verify_store` found.

    Parameters
    ----------
    store : str
        Path of the store.
    records, segments : int
        How many were checked.
    problems : tuple of str
        One sentence each, naming the file; empty when the store is whole.
    """

    store: str
    records: int
    segments: int
    problems: tuple[str, ...]


def verify_store(store: str | Path | None = None, *, home: str | Path | None = None) -> Verification:
    """Check manifest, database, every embedding, every record, the index's file and what is derived.

    Parameters
    ----------
    store : str or Path, optional
        Name under the home, or a path. None checks the only store, or the one built last.
    home : str or Path, optional
        Folder of named stores; else ``$EMBSTORE_HOME``, else ``indices``.

    Raises
    ------
    NotFound
        There is no such store.
    StoreDamaged
        Manifest or database are so damaged that nothing else can be checked.
    """
    path = find_store(store, home)
    manifest = read_manifest(path)
    with RecordsReader(path / "records.db") as reader:
        problems = [f"records.db: {problem}" for problem in reader.problems()]
        snapshot = reader.snapshot()
        problems += _derived_problems(path, reader)
        problems += [
            f"records.db: the records from row {row} on are not those that were written"
            for row in reader.stale_segments()
        ]
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
        problems += [
            f"{problem} (search stays exact; embstore build writes it again)"
            for problem in _index_problems(path / "index", snapshot.index)
        ]
    n_records = snapshot.n_rows - len(snapshot.dead)
    return Verification(str(path), n_records, len(snapshot.segments), tuple(problems))


def _index_problems(folder: Path, entry: IndexEntry) -> list[str]:
    problems = [entry.problem] if entry.problem else []
    try:
        check_index(folder / entry.file, entry.bytes, entry.sha256)
    except StoreDamaged as error:
        problems.append(error.what)
    return problems


def _derived_problems(path: Path, reader: RecordsReader) -> list[str]:
    problems = []
    for entry in (entry for kind in FOLDERS for entry in list_derived(reader, kind)):
        try:
            read_checked(path, entry)
        except (StoreDamaged, DiskFailure) as error:
            problems.append(f"{error.what} ({error.fix})")
    return problems
