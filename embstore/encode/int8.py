"""BERT in int8 on the CPU: states stand in bytes, weights in int8, and sums are exact.

The products before and behind the GELU and those of query, key and value are nine tenths of the arithmetic.
They read bytes whose steps were set beforehand, by some texts. Attention and the product behind it stay in
bfloat16, where the processor has that; residuals and norms in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from embstore.encode.bert_weights import EncoderWeights, LayerWeights
from embstore.encode.calibration import Reach, reaches, shared_out
from embstore.encode.fused import FusedForward
from embstore.encode.products import LayerProducts, Product, low_dtype, mix_affines

NAME = "fused int8"
# The byte that stands for 0 in states, and the most beside it.
_MIDDLE, _MOST = 128, 127
# The most that a GELU is below 0.
_BELOW = 0.17
# A few channels of GELUs reach ten times as far as the others, and all have one step. Split into so many more
# they need a finer one; without that the mean cosine of MiniLM's embeddings is .995, where .998 is asked.
_MORE = 16
# How much of what makes channels unlike goes to the weights, 0 to 1: their rows share a step too.
_TO_WEIGHTS = 0.8


def int8_forward(
    weights: EncoderWeights, ids: Sequence[list[int]], pooling: str, *, normalize: bool
) -> FusedForward:
    """Return a forward in int8; the same texts give the same scales.

    Parameters
    ----------
    weights : EncoderWeights
        On the CPU.
    ids : sequence of lists of int
        Token ids of the texts by which scales are set; what reaches farther than in them is cut.
    pooling, normalize
        As in `FusedForward`.
    """
    found = reaches(weights, ids, pooling)
    products = [
        _products(layer, weights.n_heads, reach) for layer, reach in zip(weights.layers, found, strict=True)
    ]
    forward = FusedForward(weights, torch.float32, pooling, normalize=normalize, products=products)
    forward.name = NAME
    return forward


def has_int8() -> bool:
    """Tell whether torch has these products and the processor the instructions; the names are not public."""
    names = ("qlinear_prepack", "qlinear_pointwise")
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    return all(hasattr(torch.ops.onednn, one) for one in names) and supported is not None and supported()


def _products(layer: LayerWeights, n_heads: int, reach: Reach) -> LayerProducts:
    mixes = mix_affines(layer, n_heads)
    dtype = low_dtype()
    mix = _OfStates(torch.cat([one for one, _ in mixes]), torch.cat([one for _, one in mixes]), reach.mix)
    merge = Product([layer.merge], dtype)
    channels, shifts, top = shared_out(reach.narrow, _MORE)
    zero = min(_MIDDLE, max(1, round(255 * _BELOW / (top + _BELOW))))
    step = top / (255 - zero)
    widen = _OfStates(layer.widen[0][channels], layer.widen[1][channels] - shifts, reach.widen)
    narrow = _OfBytes(layer.narrow[0][:, channels] * step, layer.narrow[1], zero)
    return LayerProducts(
        mix=lambda x: mix.to(x, dtype),
        merge=lambda mixed, x: x + merge(mixed),
        widen=lambda x: widen.gelu(x, step, zero),
        narrow=narrow.plus,
    )


class _OfBytes:
    """A product of bytes, (n, n_in), that stand for byte - zero, with weights of one scale a row."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, zero: int) -> None:
        self._scales = (weight.abs().amax(dim=1) / _MOST).clamp_min(1e-12)
        rounded = (weight / self._scales[:, None]).round().to(torch.int8)
        # oneDNN subtracts a zero point at each call; here the bias does it, once.
        self._bias = bias - zero * self._scales * rounded.float().sum(dim=1)
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        # The number of rows is a hint for the layout.
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, [1024, weight.shape[1]])

    def to(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return the product in a dtype."""
        return self._run(x, 1.0, 0, dtype, "none")

    def gelu(self, x: torch.Tensor, step: float, zero: int) -> torch.Tensor:
        """Return the GELU of the product in bytes that stand for step * (byte - zero)."""
        return self._run(x, step, zero, torch.uint8, "gelu")

    def plus(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Add the product to a residual, float32, in its place, and return that."""
        added: torch.Tensor = torch.ops.onednn.qlinear_pointwise.binary(
            x, 1.0, 0, self._weight, self._scales, self._zeros, residual, self._bias,
            1.0, 0, residual.dtype, 1.0, 0, "sum", 1.0, "none", [], "",
        )  # fmt: skip
        return added

    def _run(self, x: torch.Tensor, step: float, zero: int, dtype: torch.dtype, then: str) -> torch.Tensor:
        found: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            x, 1.0, 0, self._weight, self._scales, self._zeros, self._bias,
            step, zero, dtype, then, [], "none",
        )  # fmt: skip
        return found


class _OfStates:
    """A product of states, (n, n_in), float32, that become bytes by a step of each channel's own."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, reach: torch.Tensor) -> None:
        steps = _steps(weight, reach)
        self._scales = 1 / steps
        # Cutting off what is behind the point then rounds.
        self._middle = torch.full_like(steps, _MIDDLE + 0.5)
        self._product = _OfBytes(weight * steps, bias, _MIDDLE)

    def to(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return the product in a dtype."""
        return self._product.to(self._bytes(x), dtype)

    def gelu(self, x: torch.Tensor, step: float, zero: int) -> torch.Tensor:
        """Return the GELU of the product in bytes."""
        return self._product.gelu(self._bytes(x), step, zero)

    def _bytes(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self._middle, x, self._scales).clamp_(0, 255).to(torch.uint8)


def _steps(weight: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
    """Return what one byte is worth in each channel, (n_in,); Xiao et al., SmoothQuant, arXiv 2211.10438."""
    rows = weight.abs()
    columns = (rows / rows.amax(dim=1, keepdim=True)).amax(dim=0).clamp_min(1e-5)
    steps = reach**_TO_WEIGHTS / columns ** (1 - _TO_WEIGHTS)
    return steps * (reach / steps).max() / _MOST
