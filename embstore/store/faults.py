"""Faults of the disk and of SQLite, turned into embstore's errors in one place."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from embstore.errors import DiskFailure, StoreDamaged, StoreLocked

# SQLite's primary result codes; the module sqlite3 has names for them from Python 3.11 on only.
_DISK_CODES = {8, 10, 13, 14}  # READONLY, IOERR, FULL, CANTOPEN
_BUSY_CODES = {5, 6}  # BUSY, LOCKED
# Not "database disk image is malformed": that is damage.
_DISK_MESSAGE = re.compile("disk I/O error|disk is full|readonly database|unable to open")


# By what was done: why it matters, and what mends it.
_ADVICE = {
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
def disk_faults(folder: Path, doing: Literal["Writing to", "Reading"] = "Writing to") -> Iterator[None]:
    """Turn an OSError while writing, or else reading, below ``folder`` into `DiskFailure`."""
    try:
        yield
    except OSError as error:
        why, fix = _ADVICE[doing]
        what = f"{doing} {error.filename or folder} failed: {error.strerror or error}."
        raise DiskFailure(what, why=why, fix=fix) from error


def _check(database: Path) -> str:
    return f"embstore verify -s {shlex.quote(str(database.parent))}"


@contextmanager
def sqlite_faults(database: Path) -> Iterator[None]:
    """Turn what SQLite raises into `DiskFailure`, `StoreLocked` or `StoreDamaged`."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a store that is used after it was closed is no damage
    except UnicodeDecodeError as error:
        # SQLite's own message about a smashed schema may hold bytes of it.
        raise StoreDamaged(
            f"{database} cannot be read: its schema is damaged.", fix=_check(database)
        ) from error
    except sqlite3.DatabaseError as error:
        # The low byte is the primary code; Python 3.10 does not carry it and tells by its message alone.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DISK_CODES or _DISK_MESSAGE.search(str(error)):
            raise DiskFailure(
                f"Writing to {database} failed: {error}.",
                why="The transaction was rolled back; everything committed before is intact.",
                fix="make room or mend the disk, then run the same command again",
            ) from error
        if code in _BUSY_CODES or "locked" in str(error):
            raise StoreLocked(f"{database} is held by another process.", fix="try again") from error
        raise StoreDamaged(f"{database} cannot be read: {error}.", fix=_check(database)) from error
