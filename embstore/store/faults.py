"""Faults of the disk and of SQLite, turned into embstore's errors in one place."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from embstore.errors import DiskFailure, StoreDamaged, StoreLocked
from embstore.store.permissions import refusal
from embstore.wording import store_argument

# SQLite's primary result codes; the module sqlite3 has names for them from Python 3.11 on only.
_DISK_CODES = {8, 10, 13, 14}  # READONLY, IOERR, FULL, CANTOPEN
_BUSY_CODES = {5, 6}  # BUSY, LOCKED
_REFUSED = re.compile("readonly database|unable to open")
# Not "database disk image is malformed": that is damage.
_DISK_MESSAGE = re.compile(f"disk I/O error|disk is full|{_REFUSED.pattern}")

Doing: TypeAlias = Literal["Writing to", "Reading"]
# By what was done: why it matters, and what mends it.
_ADVICE: dict[Doing, tuple[str, str]] = {
    "Writing to": (
        "Everything committed before is intact; the unfinished window is not part of the store.",
        "make room or mend the disk, then run the same command again: it goes on where it stopped",
    ),
    "Reading": (
        "The file is gone, may not be read by this user, or its disk is failing; nothing was changed.",
        "check that it is there, its permissions and the disk, then run the same command again",
    ),
}


@contextmanager
def disk_faults(folder: Path, doing: Doing = "Writing to") -> Iterator[None]:
    """Turn an OSError while writing, or else reading, below ``folder`` into `DiskFailure`."""
    try:
        yield
    except OSError as error:
        # Of a renaming, the name to be: what it had is among the unfinished.
        path = Path(error.filename2 or error.filename or folder)
        refused = isinstance(error, PermissionError) or error.errno == errno.EROFS
        raise _failure(doing, path, error.strerror or error, refused=refused) from error


def _failure(doing: Doing, path: Path, reason: object, *, refused: bool) -> DiskFailure:
    allowing = refusal(path, writing=doing == "Writing to") if refused else None
    why, fix = allowing or _ADVICE[doing]
    return DiskFailure(f"{doing} {path} failed: {reason}.", why=why, fix=fix)


def verify_line(store: Path) -> str:
    """Return the command that says what is damaged in a store, by its folder."""
    return f"embstore verify {store_argument(store)}"


@contextmanager
def sqlite_faults(database: Path, doing: Doing = "Writing to") -> Iterator[None]:
    """Turn what SQLite raises while writing, or else reading, into one of embstore's errors.

    Raises
    ------
    DiskFailure, StoreLocked, StoreDamaged
        As its code says, or where Python has none, its message.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a store that is used after it was closed is no damage
    except UnicodeDecodeError as error:
        # SQLite's own message about a smashed schema may hold bytes of it.
        raise StoreDamaged(
            f"{database} cannot be read: its schema is damaged.", fix=verify_line(database.parent)
        ) from error
    except sqlite3.DatabaseError as error:
        # The low byte is the primary code; Python 3.10 does not carry it and tells by its message alone.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DISK_CODES or _DISK_MESSAGE.search(str(error)):
            refused = bool(_REFUSED.search(str(error)))
            raise _failure(doing, database, error, refused=refused) from error
        if code in _BUSY_CODES or "locked" in str(error):
            raise StoreLocked(f"{database} is held by another process.", fix="try again") from error
        raise StoreDamaged(
            f"{database} cannot be read: {error}.", fix=verify_line(database.parent)
        ) from error
