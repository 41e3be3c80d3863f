"""What the tests share: texts of many lengths, an oracle without batches, edits of a model's files."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from tiny_models import WORDS

#: Largest difference that float32 sums in another order may make.
FLOAT32_TOLERANCE = 2e-5


def make_texts(count: int, longest: int = 40, seed: int = 0) -> list[str]:
    """Return texts of 1 to ``longest`` words; lengths repeat, so that some batches have one exact length."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.choice([1, 3, 3, 7, 7, 7, longest]))) for _ in range(count)]


@torch.inference_mode()
def loop_embeddings(
    folder: Path, texts: Sequence[str], *, pooling: str = "cls", normalize: bool = False, max_length: int = 64
) -> np.ndarray:
    """Embed one text at a time, without padding, mask or batch: the oracle."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")["input_ids"]
        states = model(ids).last_hidden_state[0].double()
        row = states[0] if pooling == "cls" else states.sum(0) / len(states)
        rows.append((row / row.norm() if normalize else row).numpy())
    return np.stack(rows)


def copy_model(folder: Path, target: Path) -> Path:
    """Copy a model's folder so that a test may change it."""
    return Path(shutil.copytree(folder, target))


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file, which is made where it is absent."""
    values = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(values | changes))


def declare(folder: Path, *kinds: str, pooling: dict[str, Any] | None = None) -> None:
    """Write modules.json, with types as they are given, and the pooling's configuration."""
    modules = [
        {"type": kind, "path": f"{i}_{kind.rsplit('.', 1)[-1]}" if i else ""} for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    if pooling is not None:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
