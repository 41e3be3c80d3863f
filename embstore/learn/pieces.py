"""A Trainer that sends each batch through the model in pieces of like length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import Trainer

# Texts of a batch that go through the model together, at least; fewer leave its matrices too small.
_LEAST_PIECE = 8
_MOST_PIECES = 4


class PiecewiseTrainer(Trainer):
    """Sends each batch through the model in pieces of like length.

    The gradient of a batch is the sum of its texts' gradients, so pieces change nothing but the padding,
    which of random batches of short texts is more than half of all tokens.
    """

    class_weights: torch.Tensor | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.losses: list[float] = []
        self.n_texts = 0

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Add up the gradients of a batch, piece by piece; return its mean loss."""
        model.train()
        ids, labels = inputs["input_ids"], inputs["labels"].to(self.args.device)
        weights = None if self.class_weights is None else self.class_weights.to(self.args.device)
        share = torch.tensor(float(len(ids))) if weights is None else weights[labels].sum()
        total = torch.zeros((), device=self.args.device)
        for piece in pieces([len(one) for one in ids]):
            with self.compute_loss_context_manager():
                logits = model([ids[place] for place in piece])
                loss = torch.nn.functional.cross_entropy(
                    logits.float(), labels[piece], weight=weights, reduction="sum"
                )
            loss = loss / share
            self.accelerator.backward(loss)
            total += loss.detach()
        self.losses.append(float(total))
        self.n_texts += len(ids)
        return total


def pieces(lengths: Sequence[int]) -> list[list[int]]:
    """Return the positions of a batch, sorted by length and cut into at most four pieces of eight or more."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    n_pieces = int(np.clip(len(order) // _LEAST_PIECE, 1, _MOST_PIECES))
    return [piece.tolist() for piece in np.array_split(order, n_pieces)]


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a batch as lists of token ids, without padding, and its class codes."""
    return {
        "input_ids": [row["input_ids"] for row in rows],
        "labels": torch.tensor([row["labels"] for row in rows]),
    }
