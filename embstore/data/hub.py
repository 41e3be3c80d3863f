"""Datasets of the hub, streamed: nothing is downloaded but what is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import datasets
import huggingface_hub

from embstore.data.columns import check_distinct
from embstore.data.dataset import TextDataset, bind_tables
from embstore.data.features import ClassLabels
from embstore.data.huberrors import asking, offline
from embstore.data.options import ReadOptions
from embstore.data.splits import choose_splits
from embstore.data.stream import tables
from embstore.data.tables import Row, digest_of
from embstore.errors import HubUnreachable, InvalidData, InvalidInput, NotFound

_ROWS = 2_000


@dataclass(frozen=True)
class HubSplit:
    """One split of a hub dataset at one commit.

    Parameters
    ----------
    name : str
        Id of the dataset.
    split : str
        The split.
    stream : datasets.IterableDataset
        Its rows.
    columns : tuple of str
        Names of the columns.
    labels : ClassLabels
        Columns that are class labels.
    total : int or None
        Rows, where the dataset says so.
    digest : str
        SHA-256, hex digits, of id, configuration, commit and split.
    """

    name: str
    split: str
    stream: Any
    columns: tuple[str, ...]
    labels: ClassLabels
    total: int | None
    digest: str

    @property
    def where(self) -> str:
        """Id and split."""
        return f"{self.name} ({self.split})"

    @property
    def class_labels(self) -> frozenset[str]:
        """Columns that are class labels."""
        return self.labels.columns

    def rows(self) -> Iterator[Row]:
        """Yield the rows."""
        for table in tables(self.stream, _ROWS, partial(asking, self.name)):
            yield from self.labels.rows(table)


def open_hub(name: str, options: ReadOptions) -> TextDataset:
    """Open a dataset of the hub at the commit that its revision means now.

    Parameters
    ----------
    name : str
        Id such as ``dair-ai/emotion``.
    options : ReadOptions
        Configuration, revision, splits and columns.

    Raises
    ------
    NotFound
        No such dataset, configuration, revision, split or column; or it is private or gated.
    InvalidInput
        A delimiter was given, or the dataset has several configurations and none was named.
    InvalidData
        The dataset has no file that can be read, or needs code of its own.
    HubUnreachable
        The hub does not answer, or offline mode forbids asking it.
    DiskFailure
        The cache folder cannot be written.
    """
    if options.delimiter is not None:
        raise InvalidInput(
            f"--delimiter is for CSV files; {name} is on the hub.", fix="leave out --delimiter"
        )
    commit = _resolve(name, options.revision)
    streams = _load(name, options.config, commit)
    chosen = choose_splits(streams, options.splits, name)
    found = [(split, _open_split(name, split, streams[split], commit)) for split in chosen]
    return bind_tables(name, _origin(name, options), found, options)


def _origin(name: str, options: ReadOptions) -> str:
    config = "" if options.config is None else f"@{options.config}"
    revision = "" if options.revision is None else f" (revision {options.revision})"
    return name + config + revision


def _resolve(name: str, revision: str | None) -> str:
    if datasets.config.HF_HUB_OFFLINE:
        raise offline(name)
    with asking(name, revision):
        commit = huggingface_hub.HfApi().dataset_info(name, revision=revision).sha
    if commit is None:
        raise HubUnreachable(f"The hub names no commit of {name}.", why="Its answer has no 'sha'.")
    return commit


def _load(name: str, config: str | None, commit: str) -> Any:
    with asking(name):
        try:
            return datasets.load_dataset(name, config, revision=commit, streaming=True)
        except ValueError as error:
            _check_config(name, config, commit)
            raise InvalidData(f"{name} cannot be read.", why=str(error)) from error


def _check_config(name: str, config: str | None, commit: str) -> None:
    existing = datasets.get_dataset_config_names(name, revision=commit)
    fix = f"--config {existing[0]}" if existing else ""
    if config is None and len(existing) > 1:
        raise InvalidInput(
            f"{name} has several configurations.", why=f"They are: {', '.join(existing)}.", fix=fix
        )
    if config is not None and config not in existing:
        raise NotFound(
            f"{name} has no configuration {config!r}.", why=f"It has: {', '.join(existing)}.", fix=fix
        )


def _open_split(name: str, split: str, stream: Any, commit: str) -> HubSplit:
    columns = _columns(name, split, stream)
    sizes = stream.info.splits or {}
    total = sizes[split].num_examples if split in sizes else None
    digest = digest_of("hub", name, stream.info.config_name, commit, split)
    return HubSplit(name, split, stream, columns, ClassLabels.of(stream.features), total or None, digest)


def _columns(name: str, split: str, stream: Any) -> tuple[str, ...]:
    if stream.features is not None:
        return tuple(stream.features)
    # CSV and JSON say their columns only when they are read.
    first = next(tables(stream, 1, partial(asking, name)), None)
    if first is None:
        raise InvalidData(f"{name} ({split}) is empty.", why="It has no rows.")
    return check_distinct(first.column_names, f"{name} ({split})")
