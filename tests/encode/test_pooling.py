"""Pooling equals a plain loop over tokens, in float32 whatever the model computes in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from embstore.encode.pooling import pool

COUNTS = [5, 1, 3]


def make_states(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(len(COUNTS), max(COUNTS), 8, generator=torch.Generator().manual_seed(0)).to(dtype)


def make_mask() -> torch.Tensor:
    return torch.tensor([[1] * count + [0] * (max(COUNTS) - count) for count in COUNTS])


def loop_pool(states: torch.Tensor, counts: list[int], pooling: str, *, normalize: bool) -> np.ndarray:
    rows = []
    for tokens, count in zip(states.double().numpy(), counts, strict=True):
        row = tokens[0] if pooling == "cls" else sum(tokens[i] for i in range(count)) / count
        rows.append(row / np.sqrt((row**2).sum()) if normalize else row)
    return np.stack(rows)


@pytest.mark.parametrize("normalize", [False, True], ids=["raw", "unit"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_pool_equals_a_loop_over_tokens(masked: bool, pooling: str, normalize: bool) -> None:
    states, mask = make_states(), make_mask() if masked else None
    counts = COUNTS if masked else [max(COUNTS)] * len(COUNTS)
    expected = loop_pool(states, counts, pooling, normalize=normalize)
    np.testing.assert_allclose(pool(states, mask, pooling, normalize=normalize), expected, atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padding_never_changes_an_embedding(pooling: str) -> None:
    states, mask = make_states(), make_mask()
    spoiled = torch.where(mask.bool().unsqueeze(-1), states, torch.full_like(states, 1e4))
    expected = pool(states, mask, pooling, normalize=False)
    assert torch.equal(pool(spoiled, mask, pooling, normalize=False), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_low_precision_states_are_summed_in_float32(masked: bool, dtype: torch.dtype) -> None:
    # 1 + 333 / 512 has more bits than bfloat16 keeps, so a sum in it would be rounded.
    states = torch.full((1, 334, 4), 2.0**-9, dtype=dtype)
    states[:, 0] = 1.0
    mask = torch.ones(1, 334, dtype=torch.int64) if masked else None
    pooled = pool(states, mask, "mean", normalize=False)
    assert pooled.dtype == torch.float32
    np.testing.assert_allclose(pooled, (1 + 333 * 2.0**-9) / 334, rtol=1e-6)


def test_cls_states_of_low_precision_become_float32() -> None:
    assert pool(make_states(torch.bfloat16), None, "cls", normalize=True).dtype == torch.float32


def test_an_embedding_of_zeros_stays_zeros_when_normalized() -> None:
    assert not pool(torch.zeros(1, 2, 4), None, "mean", normalize=True).any()
