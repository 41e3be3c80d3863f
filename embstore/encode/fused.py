"""BERT on the CPU without a padded token: texts stand behind one another, and weights are laid out once.

All that is done token by token runs over the tokens of a whole batch at once, whatever the lengths of its
texts; attention runs text by text of one length. Where the first token alone is pooled, the last layer is
computed for it alone. A batch is filled up with some rows of nothing, so that few numbers of rows occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch.nn import functional

from embstore.encode.attention import attend
from embstore.encode.batches import plan_packed, positions_of
from embstore.encode.bert_weights import Affine, EncoderWeights, LayerWeights
from embstore.encode.products import LayerProducts, filled_up, layer_products
from embstore.records import Embeddings, Rows


@dataclass(frozen=True)
class _Group:
    """Texts of one length that follow one another: n of them from token ``start`` on."""

    start: int
    n: int
    length: int

    @property
    def tokens(self) -> slice:
        return slice(self.start, self.start + self.n * self.length)


class FusedForward:
    """Runs the weights of a BERT-like encoder; embeddings are those of `PaddedForward` but for rounding.

    Parameters
    ----------
    weights : EncoderWeights
        On the CPU.
    dtype : torch.dtype
        Of the arithmetic, float32 or bfloat16.
    pooling : {'cls', 'mean'}
        Token states to one embedding.
    normalize : bool
        Scale to unit length.
    products : sequence of LayerProducts, optional
        Other products than those of ``dtype``, first layer to last.
    """

    def __init__(
        self,
        weights: EncoderWeights,
        dtype: torch.dtype,
        pooling: str,
        *,
        normalize: bool,
        products: Sequence[LayerProducts] = (),
    ) -> None:
        self.name = f"fused {str(dtype).removeprefix('torch.')}"
        self._dtype = dtype
        # In the model's own numbers: a copy of the words would be half of all memory.
        self._words = weights.words
        self._positions = weights.positions
        self._padding = weights.padding
        self._norm = _Norm(weights.norm, weights.epsilon, dtype)
        products = products or [layer_products(one, weights.n_heads, dtype) for one in weights.layers]
        self._layers = [
            _Layer(one, weights, dtype, its) for one, its in zip(weights.layers, products, strict=True)
        ]
        self._pooling = pooling
        self._normalize = normalize

    def plan(self, lengths: Sequence[int], token_budget: int) -> list[Rows]:
        """Cut texts into batches of so many tokens; see `plan_packed`."""
        return plan_packed(lengths, token_budget)

    @torch.inference_mode()
    def embed(self, ids: list[list[int]]) -> Embeddings:
        """Return the embeddings of one batch, (n, dim), float32; texts of one length are best neighbors."""
        groups = _groups(ids)
        x = filled_up(self._embed_tokens(ids))
        for layer in self._layers[:-1]:
            x = layer(x, groups)
        pooled = self._pooled(self._layers[-1], x, groups)
        if self._normalize:
            pooled = functional.normalize(pooled, dim=1)
        embeddings: Embeddings = pooled.numpy()
        return embeddings

    def _embed_tokens(self, ids: list[list[int]]) -> torch.Tensor:
        tokens = torch.tensor([token for one in ids for token in one])
        places = torch.tensor([place for one in ids for place in positions_of(one, self._padding)])
        words = functional.embedding(tokens, self._words)
        return self._norm((words + functional.embedding(places, self._positions)).to(self._dtype))

    def _pooled(self, last: _Layer, x: torch.Tensor, groups: list[_Group]) -> torch.Tensor:
        """Run the last layer and reduce the tokens of each text, in float32."""
        if self._pooling == "cls":
            return last.first_tokens(x, groups).float()
        x = last(x, groups)
        dim = x.shape[1]
        return torch.cat([x[one.tokens].view(one.n, one.length, dim).float().mean(dim=1) for one in groups])


class _Norm:
    """Layer normalization."""

    def __init__(self, affine: Affine, epsilon: float, dtype: torch.dtype) -> None:
        self._weight, self._bias = (one.to(dtype) for one in affine)
        self._epsilon = epsilon

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, self._weight.shape, self._weight, self._bias, self._epsilon)


class _Layer:
    """One layer over the tokens of a batch, (n_tokens, dim)."""

    def __init__(
        self, layer: LayerWeights, weights: EncoderWeights, dtype: torch.dtype, products: LayerProducts
    ) -> None:
        self._heads = weights.n_heads
        self._width = len(layer.query[1]) // weights.n_heads
        self._products = products
        self._merge_norm = _Norm(layer.merge_norm, weights.epsilon, dtype)
        self._narrow_norm = _Norm(layer.narrow_norm, weights.epsilon, dtype)

    def __call__(self, x: torch.Tensor, groups: list[_Group]) -> torch.Tensor:
        """Return the states of all tokens."""
        mix = self._products.mix(x)
        out = mix.new_zeros(x.shape)
        for one in groups:
            attend(self._states(mix, one, 3), self._states(out, one, 1).squeeze(2))
        return self._feed(out, x)

    def first_tokens(self, x: torch.Tensor, groups: list[_Group]) -> torch.Tensor:
        """Return the states of the first token of each text, (n, dim): nothing else is computed of them."""
        mix = self._products.mix(x)
        first = torch.cat([torch.arange(one.start, one.tokens.stop, one.length) for one in groups])
        x = filled_up(x[first])
        out = mix.new_zeros(x.shape)
        start = 0
        for one in groups:
            rows = out[start : start + one.n].view(one.n, 1, self._heads, self._width)
            attend(self._states(mix, one, 3), rows)
            start += one.n
        return self._feed(out, x)[:start]

    def _states(self, x: torch.Tensor, group: _Group, n_parts: int) -> torch.Tensor:
        """Return the rows of a group, (n, length, n_parts, n_heads, width), uncopied."""
        return x[group.tokens].view(group.n, group.length, n_parts, self._heads, self._width)

    def _feed(self, mixed: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return what follows attention, for the tokens of ``x`` alone."""
        x = self._merge_norm(self._products.merge(mixed, x))
        return self._narrow_norm(self._products.narrow(self._products.widen(x), x))


def _groups(ids: Sequence[Sequence[int]]) -> list[_Group]:
    groups, start = [], 0
    for length, texts in groupby(ids, key=len):
        n = sum(1 for _ in texts)
        groups.append(_Group(start, n, length))
        start += n * length
    return groups
