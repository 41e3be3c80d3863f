"""A store that costs nothing, for tests of what commands say and write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import embstore
from stub_encoder import StubEncoder


def build(tmp_path: Path, labels: list[str | None], name: str = "mine") -> str:
    """Build a store of one text a label, which no head can learn anything from."""
    rows = [{"id": str(i), "text": f"text {i}", "label": label} for i, label in enumerate(labels)]
    return build_records(tmp_path, rows, name)


def build_records(tmp_path: Path, rows: Sequence[Mapping[str, Any]], name: str = "mine") -> str:
    """Build a store of records whose texts mean nothing, or bring it up to date."""
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    embstore.build_store(path, name, encoder=StubEncoder())
    return name
