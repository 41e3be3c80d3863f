"""The gate before arithmetic of fewer bits: its gradients must be those of float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch

#: Cosine of the two gradients, at least. What rounding to bfloat16 does to a sound model lies above 0.999.
LEAST_COSINE = 0.99


def gradient_cosine(model: torch.nn.Module, ids: Sequence[list[int]], codes: torch.Tensor) -> float:
    """Return the cosine of the gradients in bfloat16 and in float32 of the same texts.

    Parameters
    ----------
    model : Module
        Takes a list of token ids and returns logits; left as it was, without gradients.
    ids : sequence of lists of int
        Token ids of some texts.
    codes : tensor of shape (n,), int64
        Their classes.

    Returns
    -------
    float
        In [-1, 1]; NaN where a gradient is not finite or is zero. Dropout is off for both.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    gradients = []
    for low in (False, True):
        model.zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
            logits = model(list(ids))
        torch.nn.functional.cross_entropy(logits.float(), codes.to(device)).backward()  # type: ignore[no-untyped-call]
        found = [one.grad.double().flatten() for one in model.parameters() if one.grad is not None]
        gradients.append(torch.cat(found))
    model.zero_grad()
    model.train(training)
    one, other = gradients
    return float(one @ other / (one.norm() * other.norm()))
