"""How token ids are laid into the inputs of an exported encoder, and its states taken out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from embstore.encode.batches import pack_rows, plan_batches, plan_packed, positions_of
from embstore.records import Embeddings, Rows

#: Arrays by the name of the input.
Inputs = Mapping[str, npt.NDArray[Any]]
States = npt.NDArray[np.float32]
#: Token states, (n_rows, n_tokens, dim), of inputs.
Run = Callable[[Inputs], States]
# Tokens of a batch: more gain no speed.
_TOKEN_BUDGET = 1536
# Tokens of a row of several short texts: long enough for a matrix product, and attention is quadratic in it.
_ROW = 64


class Layout(Protocol):
    """What an exported graph reads."""

    def plan(self, lengths: Sequence[int]) -> list[Rows]:
        """Cut texts of these lengths into batches."""
        ...

    def embed(self, ids: Sequence[list[int]], run: Run) -> Embeddings:
        """Return the embeddings of a batch, (n, dim), of any length, from the states that the graph gives."""
        ...


class PaddedLayout:
    """One text a row, filled up to the longest: what any architecture reads.

    Parameters
    ----------
    padding : int
        Token id of what a row is filled up with.
    pooling : {'cls', 'mean'}
        Token states to one embedding.
    """

    def __init__(self, padding: int, pooling: str) -> None:
        self._padding = padding
        self._pooling = pooling

    def plan(self, lengths: Sequence[int]) -> list[Rows]:
        """Cut texts into batches, most of them of one length."""
        return plan_batches(lengths, _TOKEN_BUDGET)

    def embed(self, ids: Sequence[list[int]], run: Run) -> Embeddings:
        """Run ``input_ids`` and ``attention_mask``, (n, n_tokens), int64."""
        lengths = np.array([len(one) for one in ids])
        mask = (np.arange(lengths.max()) < lengths[:, np.newaxis]).astype(np.int64)
        padded = np.full(mask.shape, self._padding, dtype=np.int64)
        padded[mask > 0] = np.concatenate(ids)
        return pool_states(run({"input_ids": padded, "attention_mask": mask}), mask, self._pooling)


class PackedLayout:
    """Several texts a row behind one another, each attending to its own tokens alone: little padding.

    Eight texts of 7 to 40 tokens take 0.6 times as long as padded to the longest. Texts of more than half a
    row have one each, filled up as `PaddedLayout` does. What is not finite in one text spoils its row.

    Parameters
    ----------
    position_padding : int or None
        See `positions_of`.
    pooling : {'cls', 'mean'}
        Token states to one embedding.
    """

    def __init__(self, position_padding: int | None, pooling: str) -> None:
        self._position_padding = position_padding
        self._pooling = pooling

    def plan(self, lengths: Sequence[int]) -> list[Rows]:
        """Cut texts into batches of about so many tokens."""
        return plan_packed(lengths, _TOKEN_BUDGET)

    def embed(self, ids: Sequence[list[int]], run: Run) -> Embeddings:
        """Run ``input_ids`` and ``position_ids``, (n_rows, n_tokens), and who attends to whom.

        Raises
        ------
        IndexError
            A text has no token at all.
        """
        if not all(ids):
            raise IndexError("a text has no token")
        lengths = [len(one) for one in ids]
        rows, starts = pack_rows(lengths, max(_ROW, *lengths))
        spans = [(row, slice(start, start + n)) for row, start, n in zip(rows, starts, lengths, strict=True)]
        shape = max(rows) + 1, max(span.stop for _, span in spans)
        tokens, positions = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        texts = np.full(shape, -1, dtype=np.int64)
        for place, (one, span) in enumerate(zip(ids, spans, strict=True)):
            tokens[span], positions[span], texts[span] = one, positions_of(one, self._position_padding), place
        # What fills a row up attends to its like, so that nothing is undefined.
        mask = (texts[:, :, np.newaxis] == texts[:, np.newaxis]).astype(np.int32)
        states = run({"input_ids": tokens, "position_ids": positions, "attention_mask": mask})
        if self._pooling == "cls":
            return states[rows, starts]
        with np.errstate(invalid="ignore"):  # states that are infinite
            return np.stack([states[span].mean(axis=0) for span in spans])


def pool_states(states: States, mask: npt.NDArray[np.int64], pooling: str) -> Embeddings:
    """Reduce token states to embeddings, as `embstore.encode.pooling.pool` does in torch.

    Parameters
    ----------
    states : ndarray of shape (n, n_tokens, dim), float32
        Last hidden states.
    mask : ndarray of shape (n, n_tokens), int64
        1 at tokens, 0 at padding; at least one token a row, or the row is NaN.
    pooling : {'cls', 'mean'}
        First token, or the mean over tokens.

    Returns
    -------
    ndarray of shape (n, dim), float32
        Of any length.
    """
    if pooling == "cls":
        return states[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = mask[:, :, np.newaxis].astype(np.float32)
        pooled: Embeddings = (states * weights).sum(axis=1) / weights.sum(axis=1)
    return pooled
