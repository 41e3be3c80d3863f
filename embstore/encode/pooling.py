"""Token states to one embedding a text."""

from __future__ import annotations

import torch


def pool(states: torch.Tensor, mask: torch.Tensor | None, pooling: str, *, normalize: bool) -> torch.Tensor:
    """Reduce the token axis.

    Parameters
    ----------
    states : tensor of shape (n, n_tokens, dim)
        Last hidden states.
    mask : tensor of shape (n, n_tokens), int64, or None
        1 at tokens, 0 at padding; None where nothing is padded.
    pooling : {'cls', 'mean'}
        First token, or the mean over tokens.
    normalize : bool
        Scale to unit length.

    Returns
    -------
    tensor of shape (n, dim), float32
        Accumulated in float32 whatever the dtype of ``states``.
    """
    if pooling == "cls":
        pooled = states[:, 0].float()
    elif mask is None:
        pooled = states.float().mean(dim=1)
    else:
        weights = mask.unsqueeze(-1).float()
        pooled = (states.float() * weights).sum(dim=1) / weights.sum(dim=1)
    return torch.nn.functional.normalize(pooled, dim=1) if normalize else pooled
