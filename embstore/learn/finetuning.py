"""Fine-tuning: encoder and head trained together through transformers' Trainer."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import get_last_checkpoint

from embstore.errors import Interrupted, InvalidData, InvalidInput
from embstore.learn.classifier_model import FinetunedClassifier, ModelSource, quiet
from embstore.learn.epochs import BEST, EpochScore, EpochWatcher, disk_failures, replaced
from embstore.learn.parity import LEAST_COSINE, gradient_cosine
from embstore.learn.pieces import PiecewiseTrainer, collate
from embstore.records import Progress, check_seed

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
DTYPES = ("float32", "bfloat16")
_PLAN = "plan.json"
_NUMBERS = ("epochs", "batch_size", "learning_rate", "patience", "weight_decay")


@dataclass(frozen=True)
class FinetuneOptions:
    """How an encoder is fine-tuned.

    Parameters
    ----------
    epochs : int
        Passes over the training texts, at least 1.
    learning_rate, weight_decay : float
        Of AdamW; the rate falls linearly to 0. The defaults are those of the book chapter that the notebook
        follows (Tunstall, von Werra, Wolf, "Natural Language Processing with Transformers", 2022).
    batch_size : int
        Texts of a step.
    patience : int, optional
        Stop after this many epochs without a better validation accuracy; the best epoch's weights are kept.
    balanced : bool
        Weigh each class by the inverse of its frequency.
    seed : int
        Of the head's first weights, the order of the texts, and dropout.
    dtype : {'float32', 'bfloat16'}
        Of the arithmetic; weights stay float32. bfloat16 is used only where its gradients of the first
        batch agree with those of float32.
    """

    epochs: int = 2
    learning_rate: float = 2e-5
    batch_size: int = 64
    weight_decay: float = 0.01
    patience: int | None = None
    balanced: bool = False
    seed: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in _NUMBERS or value is None:
                continue
            if not math.isfinite(value) or value < 0 or (value == 0 and one.name != "weight_decay"):
                option = one.name.replace("_", "-")
                least = "at least" if one.name == "weight_decay" else "above"
                raise InvalidInput(
                    f"--{option} {value} cannot be.",
                    why=f"It is finite and {least} 0.",
                    fix=f"--{option} {one.default or 2}",
                )
        check_seed(self.seed)
        if self.dtype not in DTYPES:
            raise InvalidInput(f"There is no dtype {self.dtype!r}.", fix=f"--dtype {'|'.join(DTYPES)}")


@dataclass(frozen=True)
class Finetuned:
    """What fine-tuning made.

    Parameters
    ----------
    classifier : FinetunedClassifier
        With the weights of the best epoch by validation accuracy, or of the last without validation texts.
    options : FinetuneOptions
        As they were used: float32 where the gate refused bfloat16.
    epochs : list of EpochScore
        All epochs, those before a resume included.
    seconds, texts_per_second : float
        Wall time of training in this run, validation left out; texts of all its epochs by that time.
    """

    classifier: FinetunedClassifier
    options: FinetuneOptions
    epochs: list[EpochScore]
    seconds: float
    texts_per_second: float


def finetune(
    source: ModelSource,
    texts: Sequence[str],
    labels: Sequence[str],
    output: Path,
    options: FinetuneOptions,
    *,
    validation: tuple[Sequence[str], Sequence[str]] | None = None,
    progress: Progress | None = None,
    on_epoch: Callable[[EpochScore], None] | None = None,
) -> Finetuned:
    """Train encoder and head end to end; a run that was stopped goes on from its last finished epoch.

    Parameters
    ----------
    source : ModelSource
        The encoder.
    texts, labels : sequences of str
        Training texts and their classes.
    output : Path
        Folder of the model; its ``checkpoints`` hold what a stopped run left.
    options : FinetuneOptions
        Epochs, rates, seed.
    validation : (texts, labels), optional
        Scored after each epoch; a class that training lacks counts as wrong.
    progress : callable, optional
        Called with the steps done and their total.
    on_epoch : callable, optional
        Called with the score of each epoch.

    Raises
    ------
    InvalidData
        There is one class only.
    InvalidModel
        The encoder cannot be loaded.
    DiskFailure
        A checkpoint could not be written.
    Interrupted
        Ctrl-C; the same call goes on.
    """
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise InvalidData("Fine-tuning needs texts of 2 labels.", why=f"These have {len(classes)}.")
    torch.manual_seed(options.seed)
    with quiet(), disk_failures(output):
        classifier = FinetunedClassifier.start(source, classes)
        ids = classifier.token_ids(texts)
        codes = [classes.index(label) for label in labels]
        checkpoints = output / CHECKPOINTS
        plan = {"options": asdict(options), "source": str(source.folder)}
        # Texts and labels too: a store that was relabelled meanwhile is another problem.
        plan["content"] = _digest([list(texts), list(labels), validation])
        resume = _resumable(checkpoints, plan)
        options = _gated(classifier, ids, codes, options)
        watcher = EpochWatcher(classifier, validation, checkpoints, options.patience, progress, on_epoch)
        trainer = PiecewiseTrainer(
            model=classifier.model,
            args=_arguments(checkpoints, options),
            train_dataset=[{"input_ids": one, "labels": code} for one, code in zip(ids, codes, strict=True)],
            data_collator=collate,
            callbacks=[watcher],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.class_weights = _class_weights(codes, len(classes)) if options.balanced else None
        watcher.losses = trainer.losses
        begun = time.perf_counter()
        _train(trainer, resume, output)
        seconds = time.perf_counter() - begun - watcher.validation_seconds
        classifier.model.load_state_dict(load_file(checkpoints / BEST, device=str(trainer.args.device)))
    classifier.model.eval()
    rate = trainer.n_texts / seconds if trainer.n_texts else 0.0
    return Finetuned(classifier, options, watcher.epochs, round(seconds, 2), round(rate, 1))


def _train(trainer: Trainer, resume: str | None, output: Path) -> None:
    try:
        trainer.train(resume_from_checkpoint=resume)
    except KeyboardInterrupt as error:
        raise Interrupted(
            "Fine-tuning was stopped; finished epochs are kept.",
            why=f"Their checkpoint is in {output / CHECKPOINTS}.",
            fix="run the same command again: it goes on after the last finished epoch",
        ) from error


def _gated(
    classifier: FinetunedClassifier, ids: list[list[int]], codes: list[int], options: FinetuneOptions
) -> FinetuneOptions:
    """Return the options with float32 where the gradients of bfloat16 are others."""
    if options.dtype != "bfloat16":
        return options
    n = options.batch_size
    cosine = gradient_cosine(classifier.model, ids[:n], torch.tensor(codes[:n]))
    if cosine >= LEAST_COSINE:
        return options
    logger.warning(
        "bfloat16 is not used: its gradients have a cosine of %.4f to those of float32, below %g.",
        cosine,
        LEAST_COSINE,
    )
    return replace(options, dtype="float32")


def _class_weights(codes: list[int], n_classes: int) -> torch.Tensor:
    """Return n / (n_classes * count) of each class, as scikit-learn's ``balanced``."""
    counts = np.bincount(codes, minlength=n_classes)
    return torch.tensor(len(codes) / (n_classes * counts), dtype=torch.float32)


def _arguments(folder: Path, options: FinetuneOptions) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=options.epochs,
        learning_rate=options.learning_rate,
        per_device_train_batch_size=options.batch_size,
        weight_decay=options.weight_decay,
        seed=options.seed,
        bf16=options.dtype == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        save_strategy="epoch",
        save_total_limit=1,
        logging_strategy="no",
        report_to=[],
        optim="adamw_torch_fused",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _resumable(folder: Path, plan: dict[str, Any]) -> str | None:
    """Return the checkpoint of a run of the same plan; what another plan left is removed."""
    noted = folder / _PLAN
    same = noted.exists() and json.loads(noted.read_text(encoding="utf-8")) == plan
    checkpoint = get_last_checkpoint(str(folder)) if same else None  # type: ignore[no-untyped-call]
    if checkpoint is None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with replaced(noted) as unfinished:
            unfinished.write_text(json.dumps(plan), encoding="utf-8")
    else:
        logger.info("Going on from %s", checkpoint)
    return checkpoint
