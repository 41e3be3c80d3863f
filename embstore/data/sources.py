"""What a user names becomes a dataset: the sample, a hub id, a file, files by split, a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from embstore.data.dataset import TextDataset, bind_lone_table, bind_tables
from embstore.data.files import CONVERSIONS, FORMATS, files_of, no_such_file, open_file
from embstore.data.options import ReadOptions
from embstore.data.paths import expanded, spoken, spoken_place
from embstore.data.splits import check_split, choose_splits, order_splits
from embstore.errors import InvalidInput, NotFound

#: Name of the dataset that embstore brings along.
SAMPLE = "sample"

_SAMPLE_FILE = Path(__file__).with_name("sample.jsonl")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def open_dataset(sources: str | Path | Sequence[str] = (), options: ReadOptions | None = None) -> TextDataset:
    """Open a dataset of labelled texts and check all that can be checked before its records are read.

    Parameters
    ----------
    sources : str, Path or sequence of str
        One of these:

        - nothing, or ``"sample"``: 900 short texts with 6 labels that embstore brings along;
        - a file: CSV, TSV, JSON Lines, Parquet, or text with one text a line. Its split is ``train``, or what
          its column ``split`` says row by row;
        - a folder with one such file a split, such as ``train.csv`` and ``test.csv``;
        - ``"train=a.csv"``, ``"test=b.csv"``: files by split;
        - the id of a hub dataset, such as ``"dair-ai/emotion"``.

        What exists on disk is never looked for on the hub.
    options : ReadOptions, optional
        Columns, splits, delimiter, encoding; configuration and revision of a hub dataset.

    Returns
    -------
    TextDataset
        Iterate it for the records.

    Raises
    ------
    NotFound
        No such file, hub dataset, configuration, revision, split or column; or the dataset is private.
    InvalidInput
        A source or an option cannot be used.
    InvalidData
        The dataset cannot be read as labelled text: empty, damaged, or in another encoding.
    HubUnreachable
        The hub does not answer, or offline mode forbids asking it.
    DiskFailure
        The hub's cache folder cannot be written.
    """
    options = options or ReadOptions()
    named = _as_list(sources)
    if named == [SAMPLE]:
        return _open_lone_file(SAMPLE, SAMPLE, _SAMPLE_FILE, options)
    if len(named) == 1 and (path := expanded(named[0])).exists():
        if path.is_dir():
            return _open_folder(path, options)
        return _open_lone_file(spoken(path.name), spoken_place(path), path, options)
    pairs = [_split_pair(source) for source in named]
    if None not in pairs:
        return _open_pairs([pair for pair in pairs if pair is not None], options)
    if len(named) > 1:
        raise InvalidInput(
            f"Each of several sources must say its split; {named[pairs.index(None)]!r} does not.",
            fix="embstore build train=train.csv test=test.csv",
        )
    return _open_elsewhere(named[0], options)


def _as_list(sources: str | Path | Sequence[str]) -> list[str]:
    if isinstance(sources, Path):
        # A Path is a place on disk, also where it is spelled like the sample or a hub id.
        return [str(sources.absolute())]
    named = [sources] if isinstance(sources, str) else [str(source) for source in sources]
    if not all(named):
        # As a shell has it where a variable stands for nothing.
        raise InvalidInput("The name of a dataset is empty.", fix="embstore build train.csv")
    return named or [SAMPLE]


def _split_pair(source: str) -> tuple[str, Path] | None:
    name, equals, path = source.partition("=")
    if not equals or not path or "/" in name:
        return None
    return check_split(name), expanded(path)


def _open_lone_file(name: str, origin: str, path: Path, options: ReadOptions) -> TextDataset:
    _refuse_hub_options(options, name)
    return bind_lone_table(name, origin, open_file(path, options), options)


def _open_folder(folder: Path, options: ReadOptions) -> TextDataset:
    name = spoken(folder.resolve().name or folder)
    return _open_splits(name, spoken_place(folder), files_of(folder), options)


def _open_pairs(pairs: Sequence[tuple[str, Path]], options: ReadOptions) -> TextDataset:
    splits: dict[str, list[Path]] = {}
    for split, path in pairs:
        splits.setdefault(split, []).append(path)
    folders = {path.absolute().parent for _, path in pairs}
    together = len(pairs) > 1 and len(folders) == 1
    name = folders.pop().name if together else "+".join(path.name for _, path in pairs)
    places = [f"{split}={spoken_place(path)}" for split in order_splits(splits) for path in splits[split]]
    return _open_splits(spoken(name), " ".join(places), splits, options)


def _open_splits(
    name: str, origin: str, files: Mapping[str, Sequence[Path]], options: ReadOptions
) -> TextDataset:
    _refuse_hub_options(options, name)
    chosen = choose_splits(files, options.splits, name)
    tables = [(split, open_file(path, options)) for split in chosen for path in files[split]]
    return bind_tables(name, origin, tables, options)


def _open_elsewhere(source: str, options: ReadOptions) -> TextDataset:
    suffix = Path(source).suffix.lower()
    if (
        suffix in FORMATS
        or suffix in CONVERSIONS
        or source.startswith((".", "/", "~"))
        or source.endswith("/")
    ):
        raise no_such_file(source)
    if not _HUB_ID.fullmatch(source):
        raise NotFound(
            f"No such dataset: {source!r}.",
            why="It is not on disk, and the id of a hub dataset looks like dair-ai/emotion.",
            fix="embstore build train.csv",
        )
    # By name, when it is needed: ``datasets`` takes a second and 90 MiB that text files do without.
    opened: TextDataset = import_module("embstore.data.hub").open_hub(source, options)
    return opened


def _refuse_hub_options(options: ReadOptions, name: str) -> None:
    for option, value in (("--config", options.config), ("--revision", options.revision)):
        if value is not None:
            raise InvalidInput(
                f"{option} {value} is for hub datasets; {name} is on disk.", fix=f"leave out {option}"
            )
