"""How far the states of a BERT reach on some texts: what the bytes that stand for them must hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from embstore.encode.bert_weights import EncoderWeights
from embstore.encode.fused import FusedForward
from embstore.encode.products import layer_products

# Tokens of a batch.
_TOKENS = 4096
# A channel that is always zero needs some step too.
_LEAST = 1e-4


@dataclass(frozen=True)
class Reach:
    """The largest magnitude of each channel that three products of a layer read; float32, no unit.

    Parameters
    ----------
    mix, widen : tensor of shape (dim,)
        Of the states before attention and behind it.
    narrow : tensor of shape (wide,)
        Of the GELUs.
    """

    mix: torch.Tensor
    widen: torch.Tensor
    narrow: torch.Tensor


def reaches(weights: EncoderWeights, ids: Sequence[list[int]], pooling: str) -> list[Reach]:
    """Run texts in float32 and return how far the states of each layer reach.

    Parameters
    ----------
    weights : EncoderWeights
        On the CPU.
    ids : sequence of lists of int
        Token ids of some texts.
    pooling : {'cls', 'mean'}
        Where ``cls`` is pooled, the last layer feeds the first tokens alone.
    """
    plain = [layer_products(one, weights.n_heads, torch.float32) for one in weights.layers]
    watches = [(_Watch(one.mix), _Watch(one.widen), _Watch(one.narrow)) for one in plain]
    products = [
        replace(one, mix=mix, widen=widen, narrow=narrow)
        for one, (mix, widen, narrow) in zip(plain, watches, strict=True)
    ]
    forward = FusedForward(weights, torch.float32, pooling, normalize=False, products=products)
    for batch in forward.plan([len(one) for one in ids], _TOKENS):
        forward.embed([ids[position] for position in batch])
    return [Reach(*(one.reach for one in three)) for three in watches]


def shared_out(reach: torch.Tensor, n_more: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Share out more channels so that the farthest of all must hold least.

    A GELU is nearly straight where it is large, so a channel that reaches beyond ``top`` can become several
    that each hold at most that: gelu(z), gelu(z - top), ..., whose sum is gelu(z) but for the bend.

    Parameters
    ----------
    reach : tensor of shape (n,), float32
        Largest GELU of each channel.
    n_more : int
        Channels to add.

    Returns
    -------
    channels : tensor of shape (n + n_more,), int64
        Which each one is a part of, ascending.
    shifts : tensor of the same shape, float32
        What is subtracted before its GELU.
    top : float
        What each must hold.
    """
    parts = torch.ones_like(reach)
    for _ in range(n_more):
        parts[(reach / parts).argmax()] += 1
    top = float((reach / parts).max())
    channels = torch.repeat_interleave(torch.arange(len(reach)), parts.long())
    places = torch.cat([torch.arange(int(n)) for n in parts])
    return channels, places * top, top


class _Watch:
    """Runs a product and keeps how far each channel that it reads reaches."""

    def __init__(self, run: Callable[..., torch.Tensor]) -> None:
        self._run = run
        self.reach = torch.tensor(_LEAST)

    def __call__(self, x: torch.Tensor, *residual: torch.Tensor) -> torch.Tensor:
        # What is no number sets no step: it is seen in the embeddings, whose residuals are floats.
        numbers = x.abs().nan_to_num(nan=0.0, posinf=0.0)
        self.reach = torch.maximum(self.reach, numbers.amax(dim=0))
        return self._run(x, *residual)
