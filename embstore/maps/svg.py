"""What a drawing needs to stand in a page: its texts escaped, its ids its own, its colors the page's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

_HEAD = re.compile(
    r'^.*?<svg[^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>\s*<defs>\s*<style.*?</style>\s*</defs>', re.DOTALL
)
_TOKEN = re.compile(r"@(\d+)@")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
# Ids that nothing refers to, turns by nothing, and fonts: a drawing takes the font of its page.
_IDLE = re.compile(
    r"""(?<=<g) id="[^"]*" | \ id="image[0-9a-f]+" | \ transform="rotate\(-0\ [^"]*\)"
    | font-family:\ [^;"]*;\ ?""",
    re.VERBOSE,
)


class HiddenTexts:
    """Texts that a picture is drawn without: nothing in them is ever taken for markup or a formula."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def hide(self, text: str) -> str:
        """Return a token to draw in the place of a text, about as wide as it."""
        self._texts.append(text)
        return f"@{len(self._texts) - 1:0{max(1, len(text) - 2)}}@"

    def show(self, drawing: str) -> str:
        """Return a drawing with its texts, escaped, in the places of their tokens."""
        return _TOKEN.sub(lambda token: escape(self._texts[int(token[1])]), drawing)


def tidy(drawing: str, texts: HiddenTexts, description: str, palette: Mapping[str, str]) -> str:
    """Make one ``svg`` element for a page of matplotlib's SVG file.

    Parameters
    ----------
    drawing : str
        The file, 72 dots an inch: its points are the page's pixels.
    texts : HiddenTexts
        The texts whose tokens stand in the drawing.
    description : str
        What is read aloud in place of the picture.
    palette : mapping of str to str
        Hexadecimal colors by CSS variable; each becomes ``var(--name, #hex)``.

    Returns
    -------
    str
        As wide and high as drawn; numbers have two decimals.
    """
    head = _HEAD.match(drawing)
    if head is None:  # a matplotlib that writes another head: shown as it is, without the page's colors
        return texts.show(drawing[drawing.index("<svg") :])
    body = _IDLE.sub("", drawing[head.end() :])
    body = _LONG_NUMBER.sub(lambda number: f"{float(number[0]):.2f}", body)
    for name, color in palette.items():
        body = body.replace(color, f"var(--{name}, {color})")
    width, height = (f"{float(side):g}" for side in head.groups())
    opening = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img"'
        f' aria-label="{escape(description)}" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" style="stroke-linejoin: round">'
    )
    lines = (line.strip() for line in (opening + body).splitlines())
    return texts.show("\n".join(line for line in lines if line))
