"""Where stores live: names under a home folder, or paths."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from uuid import uuid4

from embstore.errors import InvalidInput, NotFound, StoreDamaged
from embstore.store.faults import disk_faults
from embstore.store.files import writer_lock
from embstore.store.manifest import is_store
from embstore.store.snapshot import RecordsReader

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def home_folder(home: str | Path | None = None) -> Path:
    """Return the folder of named stores: ``home``, else ``$EMBSTORE_HOME``, else ``indices``."""
    return Path(home or os.environ.get("EMBSTORE_HOME") or "indices")


def store_path(store: str | Path, home: str | Path | None = None) -> Path:
    """Return the folder of a store.

    Parameters
    ----------
    store : str or Path
        A name under the home; or a path: a Path, or anything with a separator.
    home : str or Path, optional
        See `home_folder`.

    Raises
    ------
    InvalidInput
        Neither a name nor a path.
    """
    text = str(store)
    if isinstance(store, Path) or os.sep in text:
        return Path(store)
    if not _NAME.fullmatch(text):
        raise InvalidInput(
            f"{text!r} is no name for a store.",
            why="A name has letters, digits, dots, dashes and underscores and begins with a letter or digit.",
            fix="-s my-store",
        )
    return home_folder(home) / text


def store_names(home: str | Path | None = None) -> list[str]:
    """Return the names of the stores under a home, sorted."""
    folder = home_folder(home)
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in paths if _NAME.fullmatch(path.name) and is_store(path))


def find_store(store: str | Path | None = None, home: str | Path | None = None) -> Path:
    """Return the folder of an existing store; without a name, of the only one or of the one built last.

    Raises
    ------
    NotFound
        There is no such store, or none at all.
    """
    names = store_names(home)
    if store is not None:
        path = store_path(store, home)
        if not is_store(path):
            known = f"Stores in {home_folder(home)}: {', '.join(names) or 'none'}."
            raise NotFound(f"There is no store {store}.", why=known, fix=f"embstore build DATASET -s {store}")
        return path
    if not names:
        raise NotFound(
            f"There is no store in {home_folder(home)} yet.", fix="embstore build   (builds the sample store)"
        )
    paths = [home_folder(home) / name for name in names]
    return max(paths, key=_built) if len(paths) > 1 else paths[0]


def delete_store(path: Path) -> None:
    """Delete a store, all of it or nothing.

    Raises
    ------
    NotFound
        The folder holds no store.
    StoreLocked
        It is being written.
    DiskFailure
        The folder cannot be changed.
    """
    if not is_store(path):
        raise NotFound(f"There is no store in {path}.", fix="embstore list")
    with writer_lock(path), disk_faults(path):
        # Renamed first, so that a stop halfway leaves no half store under its name.
        doomed = path.with_name(f".deleted-{uuid4().hex[:8]}-{path.name}")
        path.rename(doomed)
        shutil.rmtree(doomed)


def _built(path: Path) -> str:
    """Return when a store was last built; a damaged one counts as the oldest and does not hide the others."""
    try:
        reader = RecordsReader(path / "records.db")
        try:
            build = reader.last_build() or {}
        finally:
            reader.close()
    except StoreDamaged:
        return ""
    return str(build.get("finished") or build.get("started") or "")
