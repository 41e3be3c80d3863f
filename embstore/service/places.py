"""Where things lie, as a caller of the service may know it: by name, without folders."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ABSOLUTE = r"(?:/|[A-Za-z]:[/\\]|\\\\)"
_SPLIT = r"[\w.-]+="
# At the start, or behind a split's name, an absolute path up to its last part.
_FOLDERS = re.compile(
    rf"(^|(?:^| ){_SPLIT}){_ABSOLUTE}(?:(?:(?! {_SPLIT}{_ABSOLUTE}).)*[/\\])?(?=[^/\\])", re.DOTALL
)


def without_folders(origin: str) -> str:
    """Return where something comes from without the folders that its files lie in.

    Parameters
    ----------
    origin : str
        A dataset's, as `embstore.data.TextDataset` has it, or the path or hub id of a model or a store.

    Examples
    --------
    >>> without_folders("train=/data/a.csv test=/data/b.csv")
    'train=a.csv test=b.csv'
    >>> without_folders("dair-ai/emotion@split")
    'dair-ai/emotion@split'
    """
    return _FOLDERS.sub(r"\1", origin)


def within(store: Path, said: str) -> str:
    """Return what an error says with the paths of a store's files told from inside its folder."""
    if not store.is_absolute():
        return said
    return said.replace(f"{store}{os.sep}", "").replace(str(store), store.name)


def named(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report whose store, dataset and model are told without folders."""
    told = {key: without_folders(report[key]) for key in ("store", "dataset", "model") if key in report}
    return {**report, **told}
