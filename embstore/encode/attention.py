"""Attention among the tokens of texts of one length, so that nothing is padded and nothing masked."""

from __future__ import annotations

import torch
from torch.nn import functional

# Up to this length a batched product, exp and another product are faster than the fused kernel, which was
# made for long texts: on two Zen 4 cores and 22 tokens, three times in bfloat16 and 1.4 times in float32.
_SHORT = {torch.bfloat16: 512, torch.float32: 32}
# oneDNN compiles a bfloat16 product anew for each number and length of texts, a fifteenth of all time where
# texts are short. Up to so many scores of a head float32 is used, for which nothing is compiled.
_FEW_SCORES = 64 * 4096
# Scores within this range need no subtraction of their maximum: exp and sums of it stay far from overflow.
_SAFE = 60.0


def attend(mix: torch.Tensor, out: torch.Tensor) -> None:
    """Mix values by the softmax of query times key.

    Parameters
    ----------
    mix : tensor of shape (n, n_tokens, 3, n_heads, width)
        Query, already divided by the square root of ``width``, key and value of n texts.
    out : tensor of shape (n, n_queries, n_heads, width)
        Filled with the states of the first ``n_queries`` tokens of each text.
    """
    n, n_tokens, _, n_heads, width = mix.shape
    n_queries = out.shape[1]
    query, key, value = mix[:, :n_queries, 0], mix[:, :, 1], mix[:, :, 2]
    if n_tokens > _SHORT.get(mix.dtype, 0):
        mixed = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), scale=1.0
        )
    else:
        dtype = torch.float32 if n * n_queries * n_tokens <= _FEW_SCORES else mix.dtype
        mixed = _mix(*(_heads(one, dtype) for one in (query, key, value)))
        mixed = mixed.view(n, n_heads, n_queries, width)
    out.copy_(mixed.transpose(1, 2))


def _heads(states: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return states, (n, n_tokens, n_heads, width), copied as (n * n_heads, n_tokens, width) in one pass."""
    n, n_tokens, n_heads, width = states.shape
    copied = states.new_empty((n, n_heads, n_tokens, width), dtype=dtype).copy_(states.transpose(1, 2))
    return copied.view(n * n_heads, n_tokens, width)


def _mix(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return the same of one head a row: (m, n_queries, width) by (m, n_tokens, width)."""
    scores = torch.bmm(query, key.transpose(1, 2))
    least, most = torch.aminmax(scores)
    if -least.item() < _SAFE and most.item() < _SAFE:
        weights = scores.exp_()
        return torch.bmm(weights, value).div_(weights.sum(dim=-1, keepdim=True))
    return torch.bmm(torch.softmax(scores, dim=-1), value)
