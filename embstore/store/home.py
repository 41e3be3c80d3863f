"""Where stores live: names under a home folder, or paths."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from embstore.errors import DiskFailure, InvalidInput, NotFound, StoreDamaged, StoreLocked
from embstore.store.faults import disk_faults
from embstore.store.files import writer_lock
from embstore.store.manifest import is_store
from embstore.store.snapshot import RecordsReader
from embstore.wording import nearest_name, store_argument

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# What an interrupted deletion leaves beside the stores.
_DELETED = re.compile(r"\.deleted-[0-9a-f]{8}-.")


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
    """Return the names of the stores under a home, sorted; of folders that may not be looked into, too.

    Raises
    ------
    DiskFailure
        The home may not be looked into.
    """
    folder = home_folder(home)
    paths: list[Path] = []
    with disk_faults(folder, "Reading"), suppress(FileNotFoundError, NotADirectoryError):
        paths = list(folder.iterdir())
    return sorted(path.name for path in paths if _NAME.fullmatch(path.name) and _may_be_store(path))


def find_store(store: str | Path | None = None, home: str | Path | None = None) -> Path:
    """Return the folder of an existing store; without a name, of the only one or of the one built last.

    Raises
    ------
    NotFound
        There is no such store, or none at all.
    DiskFailure
        Its folder, or without a name the home, may not be looked into.
    """
    if store is not None:
        path = store_path(store, home)
        if not is_store(path):
            raise _no_store(store, path, home)
        return path
    names = store_names(home)
    if not names:
        raise NotFound(
            f"There is no store in {home_folder(home)} yet.", fix="embstore build   # builds the sample store"
        )
    paths = [home_folder(home) / name for name in names]
    return max(paths, key=_built) if len(paths) > 1 else paths[0]


def delete_store(store: str | Path, *, home: str | Path | None = None) -> Path:
    """Delete a store, all of it or nothing.

    Parameters
    ----------
    store : str or Path
        Name under the home, or a path; a link to a store goes with it.
    home : str or Path, optional
        See `home_folder`.

    Returns
    -------
    Path
        Where it was.

    Raises
    ------
    NotFound
        There is no such store.
    InvalidInput
        ``store`` is None.
    StoreLocked
        It is being written.
    DiskFailure
        The folder cannot be changed.
    """
    if store is None:
        # Elsewhere that is the store built last, which nobody means to lose unnamed.
        raise InvalidInput("The store to delete is not named.", fix="embstore list")
    named = find_store(store, home)
    # A link or "." cannot be renamed in place of the folder that it means.
    path = named.resolve()
    doomed = path.with_name(f".deleted-{uuid4().hex[:8]}-{path.name}")
    with writer_lock(path):
        try:
            # Renamed first, so that a stop halfway leaves no half store under its name.
            path.rename(doomed)
            if named.is_symlink():
                named.unlink()
        except OSError as error:
            raise _not_deleted(path, error, f"{doomed if doomed.exists() else path} is whole.") from error
        try:
            shutil.rmtree(doomed)
        except OSError as error:
            # Another deletion may sweep it meanwhile; then it is gone as it should be.
            if doomed.exists():
                raise _not_deleted(path, error, f"What is left of it is {doomed}.") from error
    for left in path.parent.glob(".deleted-*"):
        if _DELETED.match(left.name):
            shutil.rmtree(left, ignore_errors=True)
    return named


def _not_deleted(path: Path, error: OSError, why: str) -> DiskFailure:
    return DiskFailure(
        f"Deleting {path} failed: {error.strerror or error}.",
        why=why,
        fix="check the permissions of the folder and of the one that it is in, then remove what is left",
    )


def _no_store(store: str | Path, path: Path, home: str | Path | None) -> NotFound:
    what, fix = f"There is no store {store}.", f"embstore build DATASET {store_argument(path)}"
    try:
        names = store_names(home)
    except DiskFailure as error:
        return NotFound(what, why=error.what, fix=fix)
    if path.parent == home_folder(home) and (near := nearest_name(path.name, names)):
        fix = f"-s {near}   # or make it: {fix}"
    return NotFound(what, why=f"Stores in {home_folder(home)}: {', '.join(names) or 'none'}.", fix=fix)


def _may_be_store(path: Path) -> bool:
    try:
        return is_store(path)
    except DiskFailure:
        return True


def _built(path: Path) -> tuple[str, str]:
    """Return by what a store is newer than another: the end of its newest finished build, then any beginning.

    A store that cannot be read counts as the oldest and does not hide the others.
    """
    try:
        with RecordsReader(path / "records.db") as reader:
            return reader.last_built()
    except (StoreDamaged, StoreLocked, DiskFailure):
        return "", ""
