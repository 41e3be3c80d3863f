"""What happens after each epoch of fine-tuning: it is scored, and the best weights are kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from embstore.errors import DiskFailure
from embstore.learn.classifier_model import FinetunedClassifier
from embstore.records import Progress

# torch raises no class of its own where a file cannot be written; its memory errors are RuntimeErrors too.
_TORCH_WRITER = ("PytorchStreamWriter", "unexpected pos", "iostream error", "Parent directory")

EPOCHS, BEST = "epochs.json", "best.safetensors"


@contextmanager
def disk_failures(folder: Path) -> Iterator[None]:
    """Say in one way what the disk refuses in the block, whichever library wrote to the folder.

    Raises
    ------
    DiskFailure
        The disk is full or refuses.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        if isinstance(error, RuntimeError) and not any(sign in reason for sign in _TORCH_WRITER):
            raise
        reason = getattr(error, "strerror", None) or reason
        raise DiskFailure(f"Writing to {folder} failed: {reason}.", fix=f"df -h {folder.parent}") from error


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """Give the name to write to; it takes the target's place when all is written, so a stop costs nothing."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    yield unfinished
    unfinished.replace(target)


@dataclass(frozen=True)
class EpochScore:
    """An epoch's mean training loss (no unit), validation accuracy in [0, 1] or None, and its seconds."""

    epoch: int
    loss: float
    accuracy: float | None
    seconds: float


class EpochWatcher(TrainerCallback):
    """Scores each epoch, keeps the best weights, and ends training that no longer gets better."""

    def __init__(
        self,
        classifier: FinetunedClassifier,
        validation: tuple[Sequence[str], Sequence[str]] | None,
        checkpoints: Path,
        patience: int | None,
        progress: Progress | None,
        on_epoch: Callable[[EpochScore], None] | None,
    ) -> None:
        self._classifier = classifier
        self._validation = validation
        self._folder = checkpoints
        self._patience = patience
        self._progress = progress
        self._on_epoch = on_epoch
        self.losses: list[float] = []
        self.validation_seconds = 0.0
        self._begun = time.perf_counter()
        kept = checkpoints / EPOCHS
        found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
        self.epochs = [EpochScore(**one) for one in found]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell how far training is."""
        if self._progress:
            self._progress(state.global_step, state.max_steps)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Score the epoch before its checkpoint is written."""
        begun = time.perf_counter()
        # An epoch that was scored and whose checkpoint was not finished is trained and scored again.
        self.epochs = self.epochs[: round(state.epoch or 0) - 1]
        accuracy = self._accuracy()
        loss = float(np.mean(self.losses)) if self.losses else 0.0
        self.losses.clear()
        score = EpochScore(len(self.epochs) + 1, round(loss, 4), accuracy, round(begun - self._begun, 2))
        if all(accuracy is None or accuracy > (one.accuracy or 0.0) for one in self.epochs):
            with replaced(self._folder / BEST) as unfinished:
                save_file(self._classifier.model.state_dict(), unfinished)
        self.epochs.append(score)
        with replaced(self._folder / EPOCHS) as unfinished:
            unfinished.write_text(json.dumps([asdict(one) for one in self.epochs]), encoding="utf-8")
        if self._patience is not None and accuracy is not None:
            best = max(self.epochs, key=lambda one: one.accuracy or 0.0)
            control.should_training_stop = score.epoch - best.epoch >= self._patience
        if self._on_epoch:
            self._on_epoch(score)
        self.validation_seconds += time.perf_counter() - begun
        self._begun = time.perf_counter()

    def _accuracy(self) -> float | None:
        if self._validation is None:
            return None
        texts, labels = self._validation
        predicted = self._classifier.probabilities(texts).argmax(axis=1)
        right = [
            self._classifier.classes[code] == label for code, label in zip(predicted, labels, strict=True)
        ]
        return float(np.mean(right))
