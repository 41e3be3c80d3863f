"""Texts that stand twice, within a split or across two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from embstore.records import Mask


def folded(text: str) -> str:
    """Return a text without differences of case and white space."""
    return " ".join(text.casefold().split())


def repeated(texts: Sequence[str]) -> Mask:
    """Return which texts stand earlier in the sequence already, but for case and white space."""
    seen: set[str] = set()
    flags = []
    for text in map(folded, texts):
        flags.append(text in seen)
        seen.add(text)
    return np.array(flags, dtype=np.bool_)


def copied(texts: Sequence[str]) -> Mask:
    """Return which texts stand more than once, but for case and white space."""
    counts = Counter(map(folded, texts))
    return np.array([counts[folded(text)] > 1 for text in texts], dtype=np.bool_)


def leaked(texts: Sequence[str], training: Sequence[str]) -> Mask:
    """Return which texts also stand among the training texts, but for case and white space."""
    known = set(map(folded, training))
    return np.array([folded(text) in known for text in texts], dtype=np.bool_)
