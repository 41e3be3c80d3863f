"""A store that costs nothing, for tests of what commands say and write."""

from __future__ import annotations

import json
from pathlib import Path

import embstore
from stub_encoder import StubEncoder


def build(tmp_path: Path, labels: list[str | None], name: str = "mine") -> str:
    """Build a store of one text a label, which no head can learn anything from."""
    path = tmp_path / f"{name}.jsonl"
    rows = [{"id": str(i), "text": f"text {i}", "label": label} for i, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    embstore.build_store(path, name, encoder=StubEncoder())
    return name
