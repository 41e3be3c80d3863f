"""Words that commands, errors and pages share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """Write a number of things: ``1 text``, ``2 texts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that is spelled most like one that was typed, or the empty string."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")
