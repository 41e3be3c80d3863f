"""Texts to token ids, on every core and ahead of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from embstore.errors import InvalidInput
from embstore.records import Mask


@dataclass(frozen=True)
class Tokens:
    """Token ids of n texts.

    Parameters
    ----------
    ids : list of list of int
        Special tokens included, no padding.
    truncated : ndarray of shape (n,), bool
        True where tokens were cut off.
    """

    ids: list[list[int]]
    truncated: Mask


class TextTokenizer:
    """A `tokenizers` pipeline with an encoder's prompt, case and maximum length.

    Parameters
    ----------
    pipeline : tokenizers.Tokenizer
        Its own padding is switched off and its truncation is set.
    max_length : int
        Tokens, special tokens included.
    prompt : str
        Put before each text.
    lower_case : bool
        Lower-case prompt and text first.
    """

    def __init__(self, pipeline: Tokenizer, *, max_length: int, prompt: str, lower_case: bool) -> None:
        pipeline.no_padding()
        pipeline.enable_truncation(max_length)
        self._pipeline = pipeline
        self._prompt = prompt
        self._lower_case = lower_case

    def as_json(self) -> str:
        """Return the pipeline as JSON, as it was before a maximum length was set."""
        copy = Tokenizer.from_str(self._pipeline.to_str())
        copy.no_truncation()
        return copy.to_str()

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Return the token ids of each text, in order.

        Raises
        ------
        InvalidInput
            A text is no str, or holds half of a surrogate pair, which UTF-8 cannot encode.
        """
        try:
            prepared = [self._prompt + text for text in texts]
            lowered = [text.lower() for text in prepared] if self._lower_case else prepared
            encodings = self._pipeline.encode_batch_fast(lowered)
        except TypeError as error:
            raise InvalidInput(
                "A text cannot be tokenized.", why="Each must be a str that UTF-8 can encode."
            ) from error
        truncated = np.fromiter((bool(one.overflowing) for one in encodings), np.bool_, len(encodings))
        return Tokens([one.ids for one in encodings], truncated)

    def tokenize_ahead(self, texts: Sequence[str], slice_size: int) -> Iterator[Tokens]:
        """Yield the tokens of consecutive slices; the next is tokenized while the caller uses this one."""
        if 0 < len(texts) <= slice_size:
            # To begin and end a thread takes longer than to encode a short text.
            yield self.tokenize(texts)
            return
        with ThreadPoolExecutor(max_workers=1) as background:
            upcoming = background.submit(self.tokenize, texts[:slice_size])
            for start in range(slice_size, len(texts) + slice_size, slice_size):
                tokens = upcoming.result()
                upcoming = background.submit(self.tokenize, texts[start : start + slice_size])
                yield tokens
