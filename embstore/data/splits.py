"""Names of splits: which are possible, in which order they are read, and how a file name gives one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from embstore.errors import InvalidInput, NotFound

#: The split of a file that says nothing about splits.
DEFAULT_SPLIT = "train"

# A name is that of a folder in an export, which one of dots alone cannot be.
_NAME = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]+")
_FIRST = ("train", "validation", "test")


def is_split(name: object) -> bool:
    """Return whether the name is of letters, digits, ``.``, ``_`` and ``-``, and not of dots alone."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_split(name: str) -> str:
    """Return the name as it is.

    Raises
    ------
    InvalidInput
        It is empty, has other characters than letters, digits, ``.``, ``_`` and ``-``, or dots alone.
    """
    if not is_split(name):
        raise InvalidInput(
            f"{name!r} cannot be the name of a split.",
            why="A split's name has letters, digits, '.', '_' and '-' only, and not dots alone.",
            fix="train=FILE",
        )
    return name


def order_splits(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name once, in reading order: train, validation, test, then the others by name."""
    rank = {name: place for place, name in enumerate(_FIRST)}
    return tuple(sorted(set(names), key=lambda name: (rank.get(name, len(rank)), name)))


def choose_splits(existing: Iterable[str], wanted: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """Return the splits to read, in reading order.

    Parameters
    ----------
    existing : iterable of str
        What the dataset has.
    wanted : sequence of str or None
        What the user asked for; None for all.
    where : str
        What a message calls the dataset.

    Raises
    ------
    NotFound
        The dataset has no split of a wanted name.
    """
    ordered = order_splits(existing)
    if not wanted:
        return ordered
    for name in wanted:
        if name not in ordered:
            raise NotFound(
                f"{where} has no split {name!r}.",
                why=f"Its splits are: {', '.join(ordered)}.",
                fix=f"--split {ordered[0]}" if ordered else "",
            )
    return order_splits(wanted)
