"""The templates of all pages: markup is escaped, a name that nothing fills is an error."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from embstore.maps import words
from embstore.wording import counted

_FILTERS = ("percent", "signed", "count", "seconds", "milliseconds", "size", "chance", "sentence", "shorten")


def template(name: str) -> Template:
    """Return a template; its filters are the functions of `embstore.maps.words`."""
    environment = Environment(
        loader=PackageLoader("embstore.maps"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update({one: getattr(words, one) for one in _FILTERS}, counted=counted)
    return environment.get_template(name)
