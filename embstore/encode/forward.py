"""From token ids to embeddings: the model as transformers runs it. The reference for every faster way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from embstore.encode.batches import plan_batches
from embstore.encode.pooling import pool
from embstore.records import Embeddings, Rows


class Forward(Protocol):
    """A way to run a model."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    def plan(self, lengths: Sequence[int], token_budget: int) -> list[Rows]:
        """Cut texts of these lengths into batches; see `plan_batches`."""
        ...

    def embed(self, ids: list[list[int]]) -> Embeddings:
        """Return the embeddings of one batch, (n, dim), float32."""
        ...


class PaddedForward:
    """Runs a model of transformers on rectangles of tokens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode, on its device.
    pooling : {'cls', 'mean'}
        Token states to one embedding.
    normalize : bool
        Scale to unit length.
    """

    def __init__(self, model: Any, pooling: str, *, normalize: bool) -> None:
        self._model = model
        self._pooling = pooling
        self._normalize = normalize

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return f"torch {str(self._model.dtype).removeprefix('torch.')}"

    @property
    def padding(self) -> int:
        """Token id that fills the end of a shorter text."""
        return max(0, int(getattr(self._model.config, "pad_token_id", None) or 0))

    def plan(self, lengths: Sequence[int], token_budget: int) -> list[Rows]:
        """Cut texts into batches, most of them of one exact length; see `plan_batches`."""
        return plan_batches(lengths, token_budget)

    @torch.inference_mode()
    def embed(self, ids: list[list[int]]) -> Embeddings:
        """Return the embeddings of one batch; without a mask where all lengths are equal."""
        width = max(len(one) for one in ids)
        mask = None
        if any(len(one) != width for one in ids):
            mask = self._moved(torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in ids]))
        padded = self._moved(torch.tensor([one + [self.padding] * (width - len(one)) for one in ids]))
        states = self._model(input_ids=padded, attention_mask=mask).last_hidden_state
        pooled = pool(states, mask, self._pooling, normalize=self._normalize)
        embeddings: Embeddings = pooled.cpu().numpy()
        return embeddings

    def _moved(self, values: torch.Tensor) -> torch.Tensor:
        """Return values on the model's device; from pinned memory a GPU takes them while it computes."""
        device = self._model.device
        if device.type == "cuda":
            return values.pin_memory().to(device, non_blocking=True)
        return values.to(device)
