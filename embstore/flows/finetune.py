"""Fine-tune: the encoder of a store with a classification head, end to end, into a model folder."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

import embstore
from embstore.encode.config import EncoderOptions, resolve
from embstore.errors import DiskFailure, Interrupted, InvalidInput
from embstore.flows.labelled import LabelledSplit, training_split, validation_split
from embstore.flows.outcomes import Outcome, Task, latency
from embstore.learn.classifier_model import ModelSource
from embstore.learn.epochs import EpochScore, disk_failures
from embstore.learn.finetuning import CHECKPOINTS, Finetuned, FinetuneOptions, finetune
from embstore.outputs import check_writable
from embstore.records import Progress
from embstore.store import Store
from embstore.wording import store_argument

OnEpoch = Callable[[EpochScore], None]
# Texts that latency is timed on.
_TIMED = 20


@dataclass(frozen=True)
class FinetuneReport:
    """What fine-tuning made.

    Parameters
    ----------
    store, model : str
        Path of the store, and the folder of the model, which ``embstore build --model`` takes.
    labels : list of str
        Class names, ascending.
    records, validated : int
        Training texts, and validation texts that each epoch was scored on.
    epochs : list of dict
        ``epoch``, ``loss``, ``accuracy`` on validation or None, ``seconds``.
    seconds, texts_per_second : float
        Of training in this run.
    """

    store: str
    model: str
    labels: list[str]
    records: int
    validated: int
    epochs: list[dict[str, Any]]
    seconds: float
    texts_per_second: float

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def finetune_model(
    output: str | Path,
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    train: str = "train",
    options: FinetuneOptions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    on_epoch: OnEpoch | None = None,
) -> FinetuneReport:
    """Train the store's encoder on its labels and write a model folder; nothing in the store changes.

    Parameters
    ----------
    output : str or Path
        Folder of the model. One that a stopped run left is gone on with.
    store, home
        See `Store.open`.
    train : str
        Split to learn from; the split ``validation``, where there is one, scores each epoch.
    options : FinetuneOptions, optional
        Epochs, learning rate, batch size, seed.
    overwrite : bool
        Replace a folder that holds something else.
    progress, on_epoch : callable, optional
        See `finetune`.

    Raises
    ------
    NotFound, InvalidData
        No such store or split, or no labels to learn from.
    InvalidInput
        The folder holds something else, or a setting cannot be.
    InvalidModel
        The encoder cannot be loaded.
    DiskFailure, Interrupted
        What was finished is kept; the same call goes on.
    """
    folder = Path(output)
    chosen = options or FinetuneOptions()
    with Store.open(store, home=home) as opened:
        records = training_split(opened, train)
        validation = validation_split(opened, but=[train])
        source = model_source(opened)
        # After what may be refused, so that a refusal leaves no folder.
        _prepare(folder, overwrite=overwrite)
        found = _finetuned(source, records, validation, folder, chosen, progress, on_epoch)
        report = FinetuneReport(
            store=str(opened.path),
            model=str(folder),
            labels=found.classifier.classes,
            records=len(records),
            validated=len(validation) if validation else 0,
            epochs=[asdict(one) for one in found.epochs],
            seconds=found.seconds,
            texts_per_second=found.texts_per_second,
        )
        with disk_failures(folder):
            found.classifier.save(folder)
            (folder / "README.md").write_text(_card(opened, report, found.options), encoding="utf-8")
            shutil.rmtree(folder / CHECKPOINTS)
    return report


def finetuned_outcome(
    store: Store, task: Task, options: FinetuneOptions, progress: Progress | None, on_epoch: OnEpoch | None
) -> Outcome:
    """Fine-tune the store's encoder on a task and let it answer; nothing is kept, of a stop neither."""
    with tempfile.TemporaryDirectory(prefix="embstore-finetune-") as folder:
        begun = time.perf_counter()
        source = model_source(store)
        try:
            found = _finetuned(source, task.train, task.validation, Path(folder), options, progress, on_epoch)
        except Interrupted as error:
            raise Interrupted(
                "The comparison was stopped; nothing of its fine-tuning is kept.",
                why="It trains in a folder that is removed.",
                fix=f"embstore finetune FOLDER {store_argument(store.path)}   # keeps finished epochs",
            ) from error
        fitted = time.perf_counter() - begun
    begun = time.perf_counter()
    probabilities = found.classifier.probabilities(task.evaluated.texts)
    predicted = time.perf_counter() - begun
    one_text = latency(lambda text: found.classifier.probabilities([text]), task.evaluated.texts[:_TIMED])
    scored = [one.accuracy for one in found.epochs if one.accuracy is not None]
    shown = ("epochs", "learning_rate", "batch_size", "weight_decay", "seed", "dtype")
    return Outcome(
        name="fine-tuned",
        settings={name: getattr(found.options, name) for name in shown},
        codes=task.known[probabilities.argmax(axis=1)],
        probabilities=probabilities,
        tuned_on=task.validation.name if task.validation else "nothing",
        held_out=max(scored, default=0.0),
        fit_seconds=fitted,
        predict_seconds=predicted,
        bytes=int(sum(values.nbytes for values in found.classifier.model.state_dict().values())),
        latency_ms=one_text,
    )


def model_source(store: Store) -> ModelSource:
    """Return the files of the store's encoder, and how it reads texts."""
    files, config = resolve(EncoderOptions.from_json(store.manifest.encoder))
    if config.trust_remote_code:
        raise InvalidInput(
            f"The encoder {config.model} runs code of its repository, which cannot be fine-tuned here.",
            fix="build the store with another --model",
        )
    return ModelSource(
        files.folder, config.pooling, config.normalize, config.max_length, config.prompt, config.lower_case
    )


def _finetuned(
    source: ModelSource,
    train: LabelledSplit,
    validation: LabelledSplit | None,
    folder: Path,
    options: FinetuneOptions,
    progress: Progress | None,
    on_epoch: OnEpoch | None,
) -> Finetuned:
    return finetune(
        source,
        train.texts,
        train.labels,
        folder,
        options,
        validation=None if validation is None else (validation.texts, validation.labels),
        progress=progress,
        on_epoch=on_epoch,
    )


def _prepare(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds something else than a stopped run."""
    check_writable(folder)
    try:
        left = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
        if left - {CHECKPOINTS} and not overwrite:
            raise InvalidInput(
                f"{folder} is not empty.",
                why=f"It holds {min(left - {CHECKPOINTS})}.",
                fix="--overwrite, or choose another folder",
            )
        if (folder / CHECKPOINTS).is_file():
            raise InvalidInput(
                f"{folder / CHECKPOINTS} is a file.",
                why="Finished epochs go into a folder of that name.",
                fix="choose another folder",
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskFailure(
            f"Writing to {folder} failed: {error.strerror}.", fix="choose another folder"
        ) from error


def _card(store: Store, report: FinetuneReport, options: FinetuneOptions) -> str:
    encoder = store.manifest.encoder
    dataset = (store.reader.last_build() or {}).get("dataset", "")
    settings = "\n".join(f"- {name}: {value}" for name, value in asdict(options).items())
    epochs = "\n".join(
        f"| {one['epoch']} | {one['loss']:.4f} | "
        f"{'-' if one['accuracy'] is None else format(one['accuracy'], '.4f')} |"
        for one in report.epochs
    )
    return f"""# {Path(report.model).resolve().name}

{encoder.get("model")} fine-tuned with a classification head on {report.records:,} texts of {dataset}
with embstore {embstore.__version__} and torch {torch.__version__}, {datetime.now(timezone.utc).date()}.

`embstore build DATASET --model FOLDER` embeds texts with the encoder ({encoder.get("pooling")} pooling).
The head is in `head.safetensors`, its labels are in `head.json`: {", ".join(report.labels)}.

## Settings

{settings}

## Scores

{_chosen(report)}

| epoch | training loss | accuracy |
|---|---|---|
{epochs}
"""


def _chosen(report: FinetuneReport) -> str:
    """Return by what the weights were chosen."""
    scored = [one["accuracy"] for one in report.epochs if one["accuracy"] is not None]
    if not scored:
        return "There were no validation texts: the weights are those of the last epoch."
    best = f"the weights are those of the best epoch ({max(scored):.4f})"
    return f"Accuracy on {report.validated:,} validation texts; {best}."
