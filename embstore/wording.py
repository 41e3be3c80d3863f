"""Words that commands, errors and pages share."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Iterable
from pathlib import Path


def counted(number: int, noun: str) -> str:
    """Write a number of things: ``1 text``, ``2 texts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the known name spelled most like one that was typed, in any case, or the empty string."""
    by_folded = {one.casefold(): one for one in known}
    return next((by_folded[one] for one in difflib.get_close_matches(name.casefold(), by_folded, n=1)), "")


def store_argument(path: Path) -> str:
    """Return the option that names a store by its folder, quoted for a shell: ``-s indices/emotion``."""
    return f"-s {_quoted(path)}"


def restore_or_delete(path: Path, lost: str = "it") -> str:
    """Return what helps where a part of a store is lost; ``path`` is the store's folder."""
    return f"restore {lost} from a backup, or embstore delete {_quoted(path)} and build again"


def _quoted(path: Path) -> str:
    # Without a separator it would be a name under the home.
    return shlex.quote(str(path) if os.sep in str(path) else f"{os.curdir}{os.sep}{path}")
