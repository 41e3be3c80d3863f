"""The weights of BERT and its relatives by what they do, whatever their classes call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn

#: Weight of shape (n_out, n_in) and bias of shape (n_out,); of a normalization (dim,) both.
Affine: TypeAlias = tuple[torch.Tensor, torch.Tensor]

_BERT = {"BertModel", "CamembertModel", "RobertaModel", "XLMRobertaModel"}
_DISTILBERT = {"DistilBertModel"}
# These count positions from behind the padding token's id, and leave padding tokens at it.
_OFFSET = _BERT - {"BertModel"}


@dataclass(frozen=True)
class LayerWeights:
    """One layer: attention, then two products with a GELU between them, each with a residual and a norm.

    Parameters
    ----------
    query, key, value, merge : Affine
        Of attention; ``merge`` is what follows the heads.
    merge_norm : Affine
        Layer normalization behind attention.
    widen, narrow : Affine
        Of the feed-forward part.
    narrow_norm : Affine
        Layer normalization behind it.
    """

    query: Affine
    key: Affine
    value: Affine
    merge: Affine
    merge_norm: Affine
    widen: Affine
    narrow: Affine
    narrow_norm: Affine


@dataclass(frozen=True)
class EncoderWeights:
    """A whole encoder.

    Parameters
    ----------
    words : tensor of shape (n_words, dim), float32
        Embedding of each token id.
    positions : tensor of shape (n_positions, dim), float32
        Of each position, that of the first segment added.
    norm : Affine
        Layer normalization of the sum.
    epsilon : float
        Added to variances, no unit.
    n_heads : int
        Attention heads; they divide dim.
    padding : int or None
        Token id behind which positions are counted; None counts from 0.
    layers : tuple of LayerWeights
        First to last.
    """

    words: torch.Tensor
    positions: torch.Tensor
    norm: Affine
    epsilon: float
    n_heads: int
    padding: int | None
    layers: tuple[LayerWeights, ...]


def read_weights(model: nn.Module) -> EncoderWeights | None:
    """Return the weights of a model of transformers' own classes, or None where it is no plain BERT."""
    kind, config = type(model), getattr(model, "config", None)
    if not kind.__module__.startswith("transformers.models."):
        return None
    if kind.__name__ in _DISTILBERT and getattr(config, "activation", "") == "gelu":
        return _distilbert(model)
    plain = not getattr(config, "is_decoder", False) and getattr(config, "hidden_act", "") == "gelu"
    return _bert(model) if kind.__name__ in _BERT and plain else None


def _bert(model: Any) -> EncoderWeights:
    start = model.embeddings
    return EncoderWeights(
        words=start.word_embeddings.weight,
        positions=start.position_embeddings.weight + start.token_type_embeddings.weight[0],
        norm=_affine(start.LayerNorm),
        epsilon=model.config.layer_norm_eps,
        n_heads=model.config.num_attention_heads,
        padding=start.padding_idx if type(model).__name__ in _OFFSET else None,
        layers=tuple(
            LayerWeights(
                query=_affine(layer.attention.self.query),
                key=_affine(layer.attention.self.key),
                value=_affine(layer.attention.self.value),
                merge=_affine(layer.attention.output.dense),
                merge_norm=_affine(layer.attention.output.LayerNorm),
                widen=_affine(layer.intermediate.dense),
                narrow=_affine(layer.output.dense),
                narrow_norm=_affine(layer.output.LayerNorm),
            )
            for layer in model.encoder.layer
        ),
    )


def _distilbert(model: Any) -> EncoderWeights:
    start = model.embeddings
    return EncoderWeights(
        words=start.word_embeddings.weight,
        positions=start.position_embeddings.weight,
        norm=_affine(start.LayerNorm),
        epsilon=start.LayerNorm.eps,
        n_heads=model.config.n_heads,
        padding=None,
        layers=tuple(
            LayerWeights(
                query=_affine(layer.attention.q_lin),
                key=_affine(layer.attention.k_lin),
                value=_affine(layer.attention.v_lin),
                merge=_affine(layer.attention.out_lin),
                merge_norm=_affine(layer.sa_layer_norm),
                widen=_affine(layer.ffn.lin1),
                narrow=_affine(layer.ffn.lin2),
                narrow_norm=_affine(layer.output_layer_norm),
            )
            for layer in model.transformer.layer
        ),
    )


def _affine(part: Any) -> Affine:
    return part.weight.detach(), part.bias.detach()
