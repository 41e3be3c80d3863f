"""All pages: markup is escaped, a name that nothing fills is an error, and the numbers lie beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from embstore.maps import words
from embstore.outputs import check_folder, write_texts
from embstore.wording import counted

PAGE = "index.html"
_FILTERS = ("percent", "signed", "count", "seconds", "milliseconds", "size", "chance", "sentence", "shorten")


class Presented(Protocol):
    """A result, such as `Comparison` or `Audit`, that has JSON values."""

    def as_json(self) -> dict[str, Any]:
        """Return them."""


def write_page(
    content: Mapping[str, Any] | Presented,
    render: Callable[[Mapping[str, Any]], str],
    folder: str | Path,
    numbers: str,
    *,
    overwrite: bool,
) -> Path:
    """Write what ``render`` makes of JSON values as ``index.html`` and return its path; these lie beside it.

    Parameters
    ----------
    content : mapping, or a result with ``as_json``
        JSON values.
    render : callable
        Called once the folder is known to be fit.
    folder : str or Path
        Made where it is missing.
    numbers : str
        Name of the file of values.
    overwrite : bool
        Replace what is there. Raises as `check_folder` and `write_texts` do.
    """
    target = Path(folder)
    check_folder(target, overwrite=overwrite)
    values = content if isinstance(content, Mapping) else content.as_json()
    lines = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
    write_texts(target, {numbers: lines, PAGE: render(values)})
    return target / PAGE


def template(name: str) -> Template:
    """Return a template; its filters are the functions of `embstore.maps.words`."""
    environment = Environment(
        loader=PackageLoader("embstore.maps"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update({one: getattr(words, one) for one in _FILTERS}, counted=counted)
    return environment.get_template(name)
