"""What can go wrong while a local file is read, in words of a user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from embstore.errors import InvalidData, NotFound


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn what can go wrong while a local file is read into errors that a user can mend."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{where} is gone.", why="It was there when reading began.") from error
    except (OSError, ValueError) as error:
        raise InvalidData(f"{where} cannot be read.", why=first_line(error)) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
