"""Keeping the index: when it is made anew, and how its file comes to its name."""

from __future__ import annotations

import json
from pathlib import Path

from embstore.store.database import RecordsWriter
from embstore.store.digest import text_sha256
from embstore.store.faults import disk_faults
from embstore.store.files import TEMPORARY, durable_file, fsync_folder
from embstore.store.index_entry import IndexEntry
from embstore.store.index_options import IndexOptions
from embstore.store.indexed import Indexed, make_indexed
from embstore.store.manifest import Manifest
from embstore.store.snapshot import Snapshot
from embstore.store.structures.files import is_whole

#: An approximate index is made anew when more than one in so many rows are behind it. Up to then those are
#: compared exactly, which costs a query less than encoding its text does.
TAIL = 50


def write_index(
    path: Path,
    manifest: Manifest,
    snapshot: Snapshot,
    database: RecordsWriter,
    options: IndexOptions | None = None,
) -> bool:
    """Bring the index of a store up to date; return whether a new generation was written.

    At the end of a build and not beside its encoding: the cells and the range of the floats follow from all
    rows, and encoding leaves no core idle.

    Parameters
    ----------
    path, manifest, snapshot, database
        The store, locked for writing.
    options : IndexOptions, optional
        By default those of the generation before, else `auto`.

    Raises
    ------
    InvalidInput
        No index of that kind fits into the memory, or reaches the recall; the store is as it was.
    DiskFailure
        The store is whole and is searched without an index.
    """
    before = snapshot.index
    asked = options or _options_of(before) or IndexOptions()
    if not snapshot.n_rows or (before and _serves(path / "index", before, asked, snapshot, options)):
        return False
    _write(path, before, make_indexed(path, manifest, snapshot, asked), database)
    return True


def _options_of(entry: IndexEntry | None) -> IndexOptions | None:
    if entry is None or entry.certificate is None:
        return None
    return IndexOptions(entry.certificate.kind, entry.certificate.target, entry.certificate.memory)


def _serves(
    folder: Path, entry: IndexEntry, asked: IndexOptions, snapshot: Snapshot, options: IndexOptions | None
) -> bool:
    """Tell whether the generation that is there can stay."""
    if entry.problem or (options is not None and _options_of(entry) != asked):
        return False
    behind = snapshot.n_rows - entry.ntotal
    return (behind == 0 if entry.exact else behind * TAIL <= snapshot.n_rows) and is_whole(folder, entry)


def _write(path: Path, before: IndexEntry | None, made: Indexed, database: RecordsWriter) -> None:
    """Write the file, then the row that names it, then remove what nobody can hold any more."""
    folder = path / "index"
    generation = before.generation + 1 if before else 1
    unnamed = folder / f"g{generation:06d}.faiss"
    with durable_file(unnamed, path / TEMPORARY) as file:
        size, sha256 = made.index.write(file)
    named = unnamed.with_name(f"g{generation:06d}-{sha256[:8]}.faiss")
    with disk_faults(folder):
        unnamed.replace(named)
        fsync_folder(folder)
    measured = made.certificate
    at_10 = measured.recall_at(10)
    certificate = json.dumps(measured.as_json(), sort_keys=True)
    facts = {
        "bytes": size,
        "sha256": sha256,
        "ntotal": made.index.ntotal,
        "factory": made.index.factory,
        "recall": at_10.value if at_10 else float(measured.exact),
        "certificate": certificate,
        "certificate_sha256": text_sha256(certificate).hex(),
    }
    database.add_index({"generation": generation, "file": named.name, **facts})
    # The generation before stays for readers that hold its snapshot and have not opened it yet.
    kept = {named.name, before.file if before else named.name}
    with disk_faults(folder):
        for old in folder.glob("g*.faiss"):
            if old.name not in kept:
                old.unlink(missing_ok=True)
