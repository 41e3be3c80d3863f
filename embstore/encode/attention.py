"""Attention among the tokens of texts of one length, so that nothing is padded and nothing masked."""

from __future__ import annotations

import torch
from torch.nn import functional

# Up to this length a batched product, exp and another product are faster than the fused kernel, which was
# made for long texts: on two Zen 4 cores and 22 tokens, three times in bfloat16 and 1.4 times in float32.
_SHORT = {torch.bfloat16: 512, torch.float32: 32}
# Scores within this range need no subtraction of their maximum: exp and sums of it stay far from overflow.
_SAFE = 60.0


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Mix values by the softmax of query times key.

    Parameters
    ----------
    query : tensor of shape (n, n_queries, n_heads, width)
        Already divided by the square root of ``width``.
    key, value : tensors of shape (n, n_tokens, n_heads, width)
        Of the same n texts.

    Returns
    -------
    tensor of shape (n * n_queries, n_heads * width)
        Text by text.
    """
    n, n_queries, n_heads, width = query.shape
    if key.shape[1] > _SHORT.get(key.dtype, 0):
        mixed = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), scale=1.0
        )
    else:
        by_head = [one.transpose(1, 2).reshape(n * n_heads, -1, width) for one in (query, key, value)]
        mixed = _mix(*by_head).view(n, n_heads, n_queries, width)
    return mixed.transpose(1, 2).reshape(n * n_queries, n_heads * width)


def _mix(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return the same of one head a row: (m, n_queries, width) by (m, n_tokens, width)."""
    scores = torch.bmm(query, key.transpose(1, 2))
    least, most = torch.aminmax(scores)
    if -least.item() < _SAFE and most.item() < _SAFE:
        weights = scores.exp_()
        return torch.bmm(weights, value).div_(weights.sum(dim=-1, keepdim=True))
    return torch.bmm(torch.softmax(scores, dim=-1), value)
