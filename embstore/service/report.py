"""A report made in a process of its own: map, comparison or audit of a store, written to a file."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from embstore.errors import EmbstoreError
from embstore.flows.audit import AuditOptions, audit_store
from embstore.flows.compare import compare_methods
from embstore.flows.map_content import map_content
from embstore.flows.projection import project_store
from embstore.service.places import named, without_folders
from embstore.service.problems import kind_of, told

# Suspects and groups of each kind that the page can step through.
_LISTED = 500


def main(kind: str, store: str, file: str) -> None:
    """Make a report and write it to a file; where that fails, the reason to one beside it.

    Parameters
    ----------
    kind : {'map', 'compare', 'audit'}
        Which one.
    store : str
        Path of the store.
    file : str
        Where the report goes; complete or not at all.
    """
    target = Path(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Of states that the store no longer has.
    for older in target.parent.glob(f"{target.stem.rpartition('-')[0]}-*"):
        older.unlink(missing_ok=True)
    try:
        _write(target, _MAKERS[kind](Path(store)))
    except EmbstoreError as error:
        # The process of a report has no log.
        name = shlex.quote(Path(store).name.encode(errors="replace").decode())
        look = f"embstore {'umap' if kind == 'map' else kind} -s {name}   # where the service runs: says why"
        said = dict(zip(("what", "why", "fix"), told(error, Path(store), look), strict=True))
        failed = {"status": error.http_status, "kind": kind_of(type(error).__name__)}
        _write(target.with_suffix(".problem"), {**failed, **said})


def _map(store: Path) -> dict[str, Any]:
    projection = project_store(store)
    content = map_content(projection)
    names = ("x", "y", "ids", "texts", "labels", "splits", "predicted", "agreement")
    columns = {name: content[name] for name in names}
    return {
        "title": content["title"].replace(projection.model, without_folders(projection.model)),
        "subtitle": content["subtitle"],
        "rows": projection.rows.tolist(),
        **columns,
    }


def _compare(store: Path) -> dict[str, Any]:
    return named(compare_methods(store).as_json())


def _audit(store: Path) -> dict[str, Any]:
    found = audit_store(store, options=AuditOptions(most=_LISTED))
    return {**named(found.as_json()), "label_probabilities": found.label_probabilities}


_MAKERS = {"map": _map, "compare": _compare, "audit": _audit}


def _write(target: Path, content: dict[str, Any]) -> None:
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, allow_nan=False, separators=(",", ":")), encoding="utf-8")
    unfinished.replace(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
