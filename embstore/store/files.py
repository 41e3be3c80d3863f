"""Files that are either complete or not there, and the lock of the one writer."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from embstore.errors import NotFound, StoreLocked
from embstore.store.faults import disk_faults

TEMPORARY = "tmp"


def is_file(path: Path) -> bool:
    """Tell whether a path is a file; raises OSError where this user may not look, as pathlib's once did."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def durable_file(target: Path, temporary: Path) -> Iterator[IO[bytes]]:
    """Write a new file under ``temporary``; on success sync it and give it its name, else leave no trace.

    Parameters
    ----------
    target : Path
        Where the file appears, complete; replaces what is there.
    temporary : Path
        An existing folder on the same file system.

    Raises
    ------
    DiskFailure
        The disk is full, read-only or failing; ``target`` is as it was.
    """
    unfinished = temporary / target.name
    with disk_faults(target):
        try:
            with unfinished.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
            fsync_folder(target.parent)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the store's lock, so that this process alone writes; wipe what an earlier writer left unfinished.

    Raises
    ------
    StoreLocked
        Another process holds it; readers never do.
    NotFound
        The folder was deleted while it was being locked.
    """
    with disk_faults(folder):
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with disk_faults(folder):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise StoreLocked(
                    f"{folder} is being written by another process.",
                    why=f"Process {holder} holds {folder / 'lock'}.",
                    fix="wait for it to end, or stop it",
                ) from error
            if not _is_that_file(descriptor, folder / "lock"):
                raise NotFound(
                    f"{folder} was deleted while it was being opened.", fix="run the same command again"
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            shutil.rmtree(folder / TEMPORARY, ignore_errors=True)
            (folder / TEMPORARY).mkdir(exist_ok=True)
        yield
    finally:
        os.close(descriptor)


def _is_that_file(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still the one that has this name."""
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), named)
