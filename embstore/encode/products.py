"""Products with frozen weights, laid out once for the processor; what follows them is done on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from embstore.encode.bert_weights import Affine, LayerWeights

# oneDNN keeps what it compiled for 1,024 shapes, each nearly a megabyte. It is read at the first product.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
# Rows of a product are a multiple of one of these, by how many there are: a shape is compiled once.
_FEW, _STEPS = 256, (8, 64)


@dataclass(frozen=True)
class LayerProducts:
    """The products of one layer, and what each does on the way.

    Parameters
    ----------
    mix : callable
        States, (n, dim), to query, key and value beside one another, (n, 3 * dim).
    merge : callable
        Mixed values and states to their product plus the states.
    widen : callable
        States to the GELU of their product, (n, wide).
    narrow : callable
        Widened states and states to their product plus the states, which it may overwrite.
    """

    mix: Callable[[torch.Tensor], torch.Tensor]
    merge: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    widen: Callable[[torch.Tensor], torch.Tensor]
    narrow: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def layer_products(layer: LayerWeights, n_heads: int, dtype: torch.dtype) -> LayerProducts:
    """Return the products of a layer in one dtype."""
    return LayerProducts(
        mix=Product(mix_affines(layer, n_heads), dtype),
        merge=Product([layer.merge], dtype).plus,
        widen=Product([layer.widen], dtype).gelu,
        narrow=Product([layer.narrow], dtype).plus,
    )


def mix_affines(layer: LayerWeights, n_heads: int) -> tuple[Affine, Affine, Affine]:
    """Return query, key and value."""
    # Attention divides each score by the root of a head's width; here the weights are divided, once.
    weight, bias = layer.query
    scale = (len(bias) // n_heads) ** -0.5
    return (weight * scale, bias * scale), layer.key, layer.value


class Product:
    """``x @ weight.T + bias`` for weights that never change.

    oneDNN reads a weight in blocks; torch's own linear layer lays it out again at each call, and passes over
    the result once more for a GELU or a residual. Where torch lacks that library the plain functions answer.

    Parameters
    ----------
    affines : sequence of Affine
        Of the same input; their outputs stand beside one another.
    dtype : torch.dtype
        Of weights, inputs and outputs; sums are float32.
    """

    def __init__(self, affines: Sequence[Affine], dtype: torch.dtype) -> None:
        weight = torch.cat([weight for weight, _ in affines]).to(dtype).contiguous()
        self._bias = torch.cat([bias for _, bias in affines]).to(dtype)
        self._packed = _has_onednn(dtype)
        # The number of rows is a hint for the layout.
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, 1024) if self._packed else weight

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product of rows, (n, n_in), as (n, n_out)."""
        return self._run(x, "none") if self._packed else functional.linear(x, self._weight, self._bias)

    def gelu(self, x: torch.Tensor) -> torch.Tensor:
        """Return the GELU, by the error function, of the product."""
        if self._packed:
            return self._run(x, "gelu")
        return functional.gelu(functional.linear(x, self._weight, self._bias))

    def plus(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Return the product plus a residual of its shape."""
        if not self._packed:
            return functional.linear(x, self._weight, self._bias) + residual
        added: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            x, residual, self._weight, self._bias, "add"
        )
        return added

    def _run(self, x: torch.Tensor, then: str) -> torch.Tensor:
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._weight, self._bias, then, [], "none"
        )
        return found


def _has_onednn(dtype: torch.dtype) -> bool:
    """Tell whether torch can lay out weights of a dtype on this processor; the names are not public."""
    names = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not available or not all(hasattr(torch.ops.mkldnn, one) for one in names):
        return False
    return dtype == torch.float32 or (
        dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def low_dtype() -> torch.dtype:
    """Return bfloat16 where it is laid out for this processor, else float32."""
    return torch.bfloat16 if _has_onednn(torch.bfloat16) else torch.float32


def filled_up(x: torch.Tensor) -> torch.Tensor:
    """Return rows, (n, dim), with rows of zeros behind them, so that few numbers of rows occur."""
    step = _STEPS[len(x) >= _FEW]
    missing = -len(x) % step
    return functional.pad(x, (0, 0, 0, missing)) if missing else x
