"""Texts that are asked about: checked, then embedded by the store's encoder."""

from __future__ import annotations

from collections.abc import Sequence

from embstore.errors import InvalidInput
from embstore.records import MAX_CHARACTERS, Encoded, TextEncoder, check_sequence


def encode_queries(encoder: TextEncoder, texts: Sequence[str]) -> Encoded:
    """Embed query texts.

    Parameters
    ----------
    encoder : TextEncoder
        The store's.
    texts : sequence of str
        Any number.

    Returns
    -------
    Encoded
        Embeddings of shape (n, dim), float32, in the order of ``texts``; without errors.

    Raises
    ------
    InvalidInput
        One string where a sequence is due; a text that is no str, is empty or has more than 1,000,000
        characters, or one that the encoder fails on.
    """
    check_sequence("texts", texts)
    # Of a pandas Series or an array too, whatever its own index.
    texts = list(texts)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInput(
                f"The text at position {position} is no text.",
                why=f"It is of the type {type(text).__name__}; a text is a str.",
                fix="leave it out",
            )
        if not text.strip():
            raise InvalidInput("A text to look up is empty.", fix='"some text"')
        if len(text) > MAX_CHARACTERS:
            raise InvalidInput(
                f"The text {text[:40]!r}... is too long.",
                why=f"It has {len(text):,} characters; a text has at most {MAX_CHARACTERS:,}.",
                fix="cut it first: head -c 100000 FILE",
            )
    encoded = encoder.encode(texts)
    if encoded.errors:
        position, error = next(iter(encoded.errors.items()))
        raise InvalidInput(f"The text {texts[position][:40]!r} cannot be embedded: {error}.")
    return encoded
