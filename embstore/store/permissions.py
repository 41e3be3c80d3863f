"""Permissions: which file or folder refuses this user, whose it is, and the line that lets them."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from pathlib import Path


def refusal(path: Path, *, writing: bool) -> tuple[str, str] | None:
    """Return why this user may not read, or else write, a file or folder, and a line that mends it.

    Returns
    -------
    tuple of (str, str) or None
        None where permissions allow it: what failed has another reason.
    """
    if writing and (mounted := _read_only(path.absolute())):
        why = f"{mounted} lies on a file system that is mounted read-only."
        return why, f"df {shlex.quote(str(mounted))}   # mount it for writing, or work on a copy"
    try:
        refusing, mode = _refusing(path.absolute(), "rwX" if writing else "rX")
        found = refusing.stat() if refusing else None
    except OSError:
        return None
    if found is None:
        return None
    owner, user = _name(found.st_uid), _name(os.geteuid())
    why = f"{refusing} is {stat.filemode(found.st_mode)} and belongs to {owner}; this is {user}."
    named = shlex.quote(str(refusing))
    if owner == user:
        # A folder that can be entered but not listed is of little use to its owner.
        return why, f"chmod u+{'rX' if mode == 'X' else mode} {named}"
    # What others may do with another's folder is not for a line to paste to change: it may be the system's.
    return why, f"ls -ld {named}   # {owner} may allow it"


def _read_only(path: Path) -> Path | None:
    """Return a file, or the folder it would be made in, where its file system takes no writing."""
    try:
        there = next(one for one in (path, *path.parents) if one.exists())
        return there if os.statvfs(there).f_flag & os.ST_RDONLY else None
    except OSError:
        return None


def _refusing(path: Path, mode: str) -> tuple[Path | None, str]:
    """Return the first on the way to a file, itself included, that does not allow what it must, and that."""
    for folder in reversed(path.parents):
        if folder.exists() and not _allows(folder, os.X_OK):
            return folder, "X"
    writes = os.W_OK if "w" in mode else 0
    if path.exists() and not _allows(path, os.R_OK | writes | (os.X_OK if path.is_dir() else 0)):
        return path, mode
    # A new file, and the journal that SQLite keeps beside its own, are made in the folder.
    folder = next(one for one in path.parents if one.exists())
    return (None if _allows(folder, writes) else folder), mode


def _allows(path: Path, wanted: int) -> bool:
    return os.access(path, wanted, effective_ids=os.access in os.supports_effective_ids)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)  # in a container a user may be a number alone
