"""An encoder that costs nothing, for tests of all that is not the encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embstore.records import Encoded


@dataclass
class StubEncoder:
    """An encoder whose embeddings come from the SHA-256 of the text: distinct, unit length, reproducible.

    Texts that hold the word ``poison`` fail, and those that hold ``nan`` give NaN, as a broken model would.
    """

    dim: int = 16
    name: str = "stub"
    encoded: list[str] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.name} {self.dim}".encode()).hexdigest()

    @property
    def config(self) -> Mapping[str, Any]:
        return {"model": self.name, "dim": self.dim}

    def encode(self, texts: Sequence[str]) -> Encoded:
        self.encoded += texts
        embeddings = np.stack([self.embed(text) for text in texts])
        truncated = np.array([len(text) > 200 for text in texts])
        errors = {i: "the model failed: poison" for i, text in enumerate(texts) if "poison" in text.split()}
        return Encoded(embeddings, truncated, errors)

    def embed(self, text: str) -> np.ndarray:
        if "nan" in text.split():
            return np.full(self.dim, np.nan, dtype=np.float32)
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        embedding = np.random.default_rng(seed).standard_normal(self.dim)
        return (embedding / np.linalg.norm(embedding)).astype(np.float32)
