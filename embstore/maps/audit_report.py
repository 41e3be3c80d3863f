"""An audit as one page to read and decide by: no script, no network, texts never markup."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embstore.maps import words
from embstore.maps.figures import PALETTE
from embstore.maps.pages import Presented, template, write_page

CONTENT = "audit.json"


def write_audit(
    content: Mapping[str, Any] | Presented, folder: str | Path, *, overwrite: bool = False
) -> Path:
    """Write an audit as ``index.html``, and its numbers as ``audit.json`` beside it.

    Parameters
    ----------
    content : Audit, or mapping
        Itself, or the JSON values that its ``as_json`` gives.
    folder : str or Path
        Made where it is missing.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InvalidInput
        The folder is a file, or holds something.
    DiskFailure
        It cannot be written.
    """
    return write_page(content, render_audit, folder, CONTENT, overwrite=overwrite)


def render_audit(content: Mapping[str, Any]) -> str:
    """Return the page of an audit; the same values give the same page."""
    shown = words.presentable(content)
    most = max((row["records"] for row in shown["balance"]), default=1)
    return template("audit.html").render(
        a=shown, errors=shown["label_errors"], palette=PALETTE, most=most, name=Path(shown["store"]).name
    )
