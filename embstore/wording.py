"""Words that commands, errors and pages share."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Write a number of things: ``1 text``, ``2 texts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
