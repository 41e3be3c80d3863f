"""A projection as one interactive page: on WebGL, without network, texts never markup; the door to plotly."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from embstore.maps.figures import PALETTE
from embstore.maps.pages import template
from embstore.maps.pictures import COLORS
from embstore.maps.words import presentable
from embstore.outputs import PAGES, check_file, complete_bytes

# What would end the script that the data stands in, or be read as markup or a line end.
_ESCAPED = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def map_page(content: Mapping[str, Any]) -> str:
    """Return the page of a projection; the same values give the same page.

    Parameters
    ----------
    content : mapping
        JSON values: ``title``, ``subtitle`` (str); ``parameters`` (pairs of str); lists of n, by point:
        ``x``, ``y`` (float), ``ids``, ``texts``, ``splits`` (str), ``labels`` (str or None), ``predicted``
        (str or None), ``agreement`` (float in [0, 1]), ``neighbors`` (positions) and ``similarities``.
        ``predicted`` and ``agreement`` may be None.
    """
    shown = {**presentable(content), "colors": list(COLORS)}
    data = json.dumps(shown, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPED)
    scripts = [get_plotlyjs(), _template("map.js")]
    return template("map.html").render(
        title=shown["title"],
        subtitle=shown["subtitle"],
        parameters=shown["parameters"],
        palette=PALETTE,
        # These three are ours and plotly's, or escaped above; everything else is escaped by the template.
        style=Markup(_template("map.css")),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        data=Markup(data),  # noqa: S704
        hashes=" ".join(f"'sha256-{_hash(script)}'" for script in scripts),
    )


def write_map(content: Mapping[str, Any], path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the page of a projection, complete or not at all; see `map_page`.

    Raises
    ------
    InvalidInput
        The file exists and may not be overwritten, or its folder does not exist.
    DiskFailure
        It cannot be written; an older one is as it was.
    """
    target = Path(path)
    check_file(target, PAGES, overwrite=overwrite)
    page = map_page(content)
    with complete_bytes(target) as file:
        file.write(page.encode())
    return target


def _template(name: str) -> str:
    return (files("embstore.maps") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
