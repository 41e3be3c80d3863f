"""Numbers and texts as a person reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

#: What stands where nothing was measured.
NOTHING = "\N{EN DASH}"
_SPACE = "\N{NO-BREAK SPACE}"
# C0 controls but tab and newline, and DEL, have pictures of their own in Unicode; C1 controls have none.
_CONTROLS = {
    **{code: 0x2400 + code for code in range(32) if code not in (9, 10)},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}
_UNPAIRED = re.compile("[\ud800-\udfff]")


def percent(share: float | None) -> str:
    """Write a share in [0, 1] as percent with one decimal."""
    return NOTHING if share is None else f"{100 * share:.1f}{_SPACE}%"


def signed(difference: float | None) -> str:
    """Write a difference of two shares as signed points, with a real minus."""
    if difference is None:
        return NOTHING
    # Adding 0.0 takes the sign from what is rounded to nothing.
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")


def count(number: float | None) -> str:
    """Write a whole number with commas between thousands."""
    return NOTHING if number is None else f"{number:,.0f}"


def seconds(duration: float | None) -> str:
    """Write a duration in seconds so that two or three digits of it are read."""
    if duration is None:
        return NOTHING
    if duration < 0.9995:
        return f"{1000 * duration:.3g}{_SPACE}ms"
    if duration < 120:
        return f"{duration:.3g}{_SPACE}s"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 120:
        return f"{minutes}{_SPACE}min {rest}{_SPACE}s"
    return f"{minutes // 60}{_SPACE}h {minutes % 60}{_SPACE}min"


def milliseconds(duration: float | None) -> str:
    """Write a duration in milliseconds."""
    return NOTHING if duration is None else seconds(duration / 1000)


def size(number: float | None) -> str:
    """Write a number of bytes in decimal units."""
    if number is None:
        return NOTHING
    for unit in ("bytes", "kB", "MB"):
        if number < 999.5:
            return f"{number:.3g}{_SPACE}{unit}"
        number /= 1000
    return f"{number:.3g}{_SPACE}GB"


def chance(p_value: float) -> str:
    """Write a p-value to two digits, or as less than 0.0001."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def sentence(text: str) -> str:
    """Write a text as a sentence: first letter upper case, a period, a real plus-minus sign."""
    text = text.strip().replace("+-", "±")
    if text and text[-1] not in ".!?":
        text += "."
    return text[:1].upper() + text[1:]


def shorten(text: str, longest: int) -> str:
    """Cut a text in its middle to at most ``longest`` characters, so that its beginning and end are seen."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 3
    return f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"


def presentable(value: Any) -> Any:
    """Make JSON values fit for a page, however deep they lie.

    Control characters become visible ones, unpaired surrogates the replacement character, line ends newlines,
    and numbers that are not finite None.
    """
    if isinstance(value, str):
        text = value.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)
        return _UNPAIRED.sub("\N{REPLACEMENT CHARACTER}", text)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {presentable(key): presentable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [presentable(one) for one in value]
    return value
