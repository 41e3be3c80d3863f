"""Keeping derived things: the file first, then one transaction that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import save

from embstore.errors import NotFound
from embstore.store.database import RecordsWriter
from embstore.store.derived import FACTS_SHA256, FOLDERS, Tensors, as_saved, check_name, find_derived
from embstore.store.faults import disk_faults
from embstore.store.files import TEMPORARY, durable_file, fsync_folder, writer_lock
from embstore.store.snapshot import RecordsReader


def write_derived(path: Path, kind: str, name: str, tensors: Tensors, facts: Mapping[str, Any]) -> None:
    """Keep a derived thing in the store at ``path``, in place of one of the same kind and name.

    Parameters
    ----------
    path : Path
        The store's folder.
    kind : {'head', 'graph', 'projection'}
        What it is.
    name : str
        Letters, digits, ``.``, ``_`` and ``-``.
    tensors : mapping of str to ndarray
        What its file holds.
    facts : mapping
        JSON values that stand in the database.

    Raises
    ------
    InvalidInput
        The name cannot be one.
    StoreLocked
        Another process is writing.
    DiskFailure
        It was not kept; the one before it is as it was.
    """
    check_name(kind, name)
    said = json.dumps(dict(facts), sort_keys=True)
    # In the file, which has a checksum of its own: so it also says which facts belong to it.
    content = save(as_saved(tensors), {FACTS_SHA256: hashlib.sha256(said.encode()).hexdigest()})
    sha256 = hashlib.sha256(content).hexdigest()
    folder = path / FOLDERS[kind]
    file = f"{name}-{sha256[:8]}.safetensors"
    with writer_lock(path):
        with disk_faults(folder):
            folder.mkdir(exist_ok=True)
            fsync_folder(path)
        with durable_file(folder / file, path / TEMPORARY) as opened:
            opened.write(content)
        database = RecordsWriter(path / "records.db")
        try:
            values = {"kind": kind, "name": name, "file": file, "bytes": len(content), "sha256": sha256}
            database.put_derived({**values, "facts": said})
        finally:
            database.close()
        _sweep(path, kind)


def drop_derived(path: Path, kind: str, name: str) -> None:
    """Forget a derived thing and remove its file.

    Raises
    ------
    NotFound
        The store has none of that name.
    StoreLocked, DiskFailure
        See `write_derived`.
    """
    with writer_lock(path):
        with RecordsReader(path / "records.db") as reader:
            if find_derived(reader, kind, name) is None:
                raise NotFound(f"The store {path.name} has no {kind} {name!r}.")
        database = RecordsWriter(path / "records.db")
        try:
            database.drop_derived(kind, name)
        finally:
            database.close()
        _sweep(path, kind)


def _sweep(path: Path, kind: str) -> None:
    """Remove the files that the database does not name: older ones, and what a killed writer left."""
    with RecordsReader(path / "records.db") as reader:
        named = {row["file"] for row in reader.derived(kind)}
    with disk_faults(path / FOLDERS[kind]):
        for file in (path / FOLDERS[kind]).glob("*.safetensors"):
            if file.name not in named:
                file.unlink(missing_ok=True)
