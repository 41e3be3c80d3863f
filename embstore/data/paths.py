"""Paths in words: a file's name may hold bytes that are no text, and a message must be text."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def expanded(path: Path | str) -> Path:
    """Return the path with ``~`` as the home that it means; as it stands where there is none."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (raises nothing)


def spoken(path: Path | str) -> str:
    r"""Return a path as text that UTF-8 can encode; a byte that is not UTF-8 reads ``\xff``."""
    try:
        content = os.fsencode(path)
    except UnicodeEncodeError:  # a caller's string that no path can be
        content = str(path).encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")


def quoted(path: Path | str) -> str:
    """Return a path as text that a shell reads as one word; see `spoken`."""
    return shlex.quote(spoken(path))


def spoken_place(path: Path) -> str:
    """Return the absolute path as text, without ``..``."""
    # Without need no link is followed: in the hub's cache each file is one, to a name that says nothing.
    return spoken(path.resolve() if ".." in path.parts else path.absolute())
