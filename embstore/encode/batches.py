"""Cutting texts into batches by length, so that nearly no arithmetic is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embstore.records import Rows


def plan_batches(lengths: Sequence[int], token_budget: int) -> list[Rows]:
    """Sort texts by length and cut them into batches that hold at most a number of padded tokens.

    A batch also ends where the length changes once it is a third full: then most batches have one exact
    length, need no attention mask, and let the fused kernels run.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each text, at least 1.
    token_budget : int
        Most tokens of a batch, padding included; a single text may exceed it.

    Returns
    -------
    list of ndarray, int64
        Positions into ``lengths``, longest first; each position stands in exactly one batch.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[Rows] = []
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or _closes(lengths, order, start, end, token_budget):
            batches.append(order[start:end])
            start = end
    return batches


def _closes(lengths: Sequence[int], order: Rows, start: int, end: int, token_budget: int) -> bool:
    width = int(lengths[order[start]])
    full = width * (end - start + 1) > token_budget
    changes = lengths[order[end]] != lengths[order[end - 1]]
    return full or bool(changes and 3 * width * (end - start) >= token_budget)


def plan_packed(lengths: Sequence[int], token_budget: int) -> list[Rows]:
    """Sort texts by length and cut them into batches of at most a number of tokens, none of them padding.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each text, at least 1.
    token_budget : int
        Most tokens of a batch; a single text may exceed it.

    Returns
    -------
    list of ndarray, int64
        Positions into ``lengths``, longest first; each position stands in exactly one batch.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[Rows] = []
    start, filled = 0, 0
    for end, position in enumerate(order):
        if end > start and filled + lengths[position] > token_budget:
            batches.append(order[start:end])
            start, filled = end, 0
        filled += lengths[position]
    return [*batches, order[start:]] if len(order) else batches


def pack_rows(lengths: Sequence[int], width: int) -> tuple[list[int], list[int]]:
    """Lay texts behind one another into as few rows as first fit, longest first, needs.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each text, at most ``width``.
    width : int
        Tokens that a row holds.

    Returns
    -------
    rows, starts : lists of int
        Row of each text, from 0, and where in it the text begins.
    """
    rows, starts = [0] * len(lengths), [0] * len(lengths)
    filled: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        row = next((one for one, used in enumerate(filled) if used + lengths[place] <= width), len(filled))
        if row == len(filled):
            filled.append(0)
        rows[place], starts[place] = row, filled[row]
        filled[row] += lengths[place]
    return rows, starts


def positions_of(ids: Sequence[int], padding: int | None) -> Sequence[int]:
    """Return the position of each token of a text.

    Parameters
    ----------
    ids : sequence of int
        Token ids.
    padding : int or None
        Token id from behind which positions are counted and at which padding tokens stay; None counts from 0.
    """
    if padding is None:
        return range(len(ids))
    places, last = [], padding
    for token in ids:
        last += token != padding
        places.append(padding if token == padding else last)
    return places
