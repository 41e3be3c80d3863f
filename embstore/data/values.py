"""What one value of a row may become: a text, a name, a JSON value, or a reason to set the row aside."""

from __future__ import annotations

import math
from typing import Any

from embstore.records import MAX_CHARACTERS

#: Lists and objects within each other in the deepest value that is stored; far below Python's own limit.
MAX_LEVELS = 100
#: Characters of a label at most. Labels become arrays, in which each takes as much room as the longest.
MAX_LABEL = 1_000


class BadValueError(ValueError):
    """A value that no record can hold; the message is a clause for the user and never has the text in it."""


def check_text(value: object) -> str:
    """Return a text as it is.

    Raises
    ------
    BadValueError
        It is null, not a string, empty, white space only, too long, or cannot be stored as UTF-8.
    """
    if not isinstance(value, str):
        raise BadValueError(
            "the text is null" if is_null(value) else f"the text is {kind(value)}, not a string"
        )
    if not value or value.isspace():
        raise BadValueError("the text has only white space" if value else "the text is empty")
    if len(value) > MAX_CHARACTERS:
        raise BadValueError(f"the text has {len(value):,} characters, at most {MAX_CHARACTERS:,} are stored")
    return check_unicode(value, "the text")


def check_unicode(value: str, what: str) -> str:
    """Return a string as it is.

    Raises
    ------
    BadValueError
        It has a lone surrogate: half of a character, which JSON can spell and UTF-8 cannot store.
    """
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(value[error.start]):04X}"
        raise BadValueError(
            f"{what} has a lone surrogate ({half}) at character {error.start + 1}, which UTF-8 cannot store"
        ) from error
    return value


def as_name(value: object, what: str) -> str | None:
    """Return a label or an id as text, or None where it is null or empty.

    Parameters
    ----------
    value : object
        A string stays as it is; ``True`` becomes "true"; 3 and 3.0 become "3".
    what : str
        What a message calls the value.

    Raises
    ------
    BadValueError
        It is a list, an object or bytes, or cannot be stored as UTF-8.
    """
    if isinstance(value, str):
        return check_unicode(value, what) or None
    if is_null(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (list, tuple, dict, bytes)):
        raise BadValueError(f"{what} is {kind(value)}, not a single value")
    return str(value)


def as_label(value: object) -> str | None:
    """Return a label as text, or None where it is null or empty; see `as_name`.

    Raises
    ------
    BadValueError
        It cannot be text, or is too long.
    """
    label = as_name(value, "the label")
    if label is not None and len(label) > MAX_LABEL:
        raise BadValueError(f"the label has {len(label):,} characters, at most {MAX_LABEL:,} are stored")
    return label


def as_json(value: Any, what: str, levels: int = MAX_LEVELS) -> Any:
    """Return a value of another column as JSON has it: not-a-number is null, bytes and dates are text.

    Parameters
    ----------
    value : object
        What the column holds.
    what : str
        What a message calls the value.
    levels : int
        Lists and objects that may stand within each other.

    Raises
    ------
    BadValueError
        A string in it cannot be stored as UTF-8, or it is nested too deeply.
    """
    if isinstance(value, str):
        return check_unicode(value, what)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return _as_json_number(value)
    if isinstance(value, (dict, list, tuple)):
        return _as_json_items(value, what, levels - 1)
    return value.decode("utf-8", errors="backslashreplace") if isinstance(value, bytes) else str(value)


def is_null(value: object) -> bool:
    """Return whether the value is None or not-a-number."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def kind(value: object) -> str:
    """Return what a user calls the value's type, with its article."""
    names = {
        type(None): "null",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        tuple: "a list",
    }
    names |= {dict: "an object", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")


def _as_json_items(value: Any, what: str, levels: int) -> Any:
    if levels < 0:
        raise BadValueError(f"{what} has more than {MAX_LEVELS} lists and objects within each other")
    if isinstance(value, dict):
        return {check_unicode(str(key), what): as_json(item, what, levels) for key, item in value.items()}
    return [as_json(item, what, levels) for item in value]


def _as_json_number(value: float) -> float | str | None:
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)
