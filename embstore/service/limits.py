"""Limits of a request that are settings; `embstore.service.openapi` writes the same into the document."""

from __future__ import annotations

from collections.abc import Sequence

from embstore.errors import InvalidInput
from embstore.service.options import ServeOptions


def check_texts(texts: Sequence[str], options: ServeOptions) -> None:
    """Refuse more texts, or longer ones, than a request may have.

    Raises
    ------
    InvalidInput
        With both numbers.
    """
    if len(texts) > options.max_texts:
        raise InvalidInput(
            f"The request has {len(texts)} texts.",
            why=f"A request has at most {options.max_texts}.",
            fix=f"ask in parts of {options.max_texts}",
        )
    longest = max(map(len, texts))
    if longest > options.max_characters:
        raise InvalidInput(
            f"A text has {longest:,} characters.",
            why=f"A text has at most {options.max_characters:,}.",
            fix="cut it; an encoder reads the first few hundred words alone",
        )


def check_k(k: int, options: ServeOptions, name: str = "k") -> None:
    """Refuse more neighbors than an answer may have; raises `InvalidInput`."""
    if k > options.max_k:
        why = f"An answer has at most {options.max_k:,}."
        raise InvalidInput(f"{name} is {k}.", why=why, fix=f'"{name}": {options.max_k}')


def check_dim(dim: int, expected: int) -> None:
    """Refuse an embedding, or a wish for one, of another length than the store's; raises `InvalidInput`."""
    if dim != expected:
        raise InvalidInput(
            f"An embedding of {dim} numbers does not fit.", why=f"Those of this store have {expected}."
        )
