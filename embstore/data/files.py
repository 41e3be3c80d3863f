"""Local files: which formats there are, and which file is which split."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from embstore.data.delimited import DelimitedFile
from embstore.data.jsonlines import JsonLinesFile
from embstore.data.options import ReadOptions
from embstore.data.paths import expanded, quoted, spoken, spoken_place
from embstore.data.plain import PlainFile
from embstore.data.splits import check_split
from embstore.data.tables import Table
from embstore.errors import InvalidData, InvalidInput, NotFound
from embstore.wording import nearest_name


def _open_parquet(path: Path, options: ReadOptions) -> Table:
    # By name, when it is needed: ``datasets`` takes a second and 90 MiB that text files do without.
    opened: Table = import_module("embstore.data.parquet").ParquetFile.open(path, options)
    return opened


#: What opens a file, by its suffix.
FORMATS: dict[str, Callable[[Path, ReadOptions], Table]] = {
    ".csv": DelimitedFile.open,
    ".tsv": DelimitedFile.open,
    ".jsonl": JsonLinesFile.open,
    ".ndjson": JsonLinesFile.open,
    ".parquet": _open_parquet,
    ".txt": PlainFile.open,
}

#: Formats that embstore does not read, and how to get one that it does: quoted for a shell, or for Python.
CONVERSIONS = {
    ".json": "jq -c '.[]' {path} > {jsonl}",
    ".gz": "gunzip --keep {path}",
    ".zip": "unzip {path}",
    ".xlsx": "save it as CSV",
    ".xls": "save it as CSV",
    ".arrow": "datasets.Dataset.from_file({source}).to_parquet({parquet})",
    ".feather": "pandas.read_feather({source}).to_parquet({parquet})",
}

_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")


def open_file(path: Path, options: ReadOptions) -> Table:
    """Check a file and open it by its suffix.

    Raises
    ------
    NotFound
        No such file.
    InvalidInput
        The suffix is none of a format that embstore reads, the path is not a file, or a delimiter is given
        for a format that has none.
    InvalidData
        The file is empty or damaged, or its text cannot be decoded.
    """
    suffix = path.suffix.lower()
    opener = FORMATS.get(suffix)
    if opener is None:
        raise InvalidInput(
            f"{spoken(path)} has no format that embstore reads.",
            why=f"The formats are: {', '.join(FORMATS)}.",
            fix=_conversion(path),
        )
    if not path.exists():
        raise no_such_file(path)
    if not path.is_file():
        raise InvalidInput(
            f"{spoken(path)} is not a file.",
            fix=f"embstore build {quoted(f'{path}/')}" if path.is_dir() else "",
        )
    if options.delimiter is not None and suffix not in (".csv", ".tsv"):
        raise InvalidInput(
            f"--delimiter is for CSV and TSV files, not for {spoken(path.name)}.", fix="leave out --delimiter"
        )
    return opener(path, options)


def no_such_file(named: Path | str) -> NotFound:
    """Return the error of a file that is not there, and what is: a name like it, or the folder to look in."""
    path = expanded(named).absolute()
    there = next(one for one in path.parents if one.is_dir())
    near = ""
    # A folder may be one to enter and not to list.
    with suppress(OSError):
        near = nearest_name(path.name, (one.name for one in there.iterdir() if there == path.parent))
    return NotFound(
        f"No such file: {spoken(named)}.",
        why=f"Looked in {spoken_place(there)}.",
        fix=f"{quoted(Path(named).with_name(near))}   # is there" if near else f"ls {quoted(there)}",
    )


def files_of(folder: Path) -> dict[str, list[Path]]:
    """Return the files of a folder by split: ``train.csv``, or the shards ``train-00000-of-00002.parquet``...

    Files of other formats are left out; so are text files where there are tables, as they are notes or lists
    of labels there.

    Raises
    ------
    InvalidData
        No file can be used, or some shards are missing.
    InvalidInput
        Two files give the same split, or a file's name cannot be a split.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in FORMATS and path.is_file()]
    files = [path for path in files if not path.name.startswith(".")]
    files = [path for path in files if path.suffix.lower() != ".txt"] or files
    if not files:
        raise InvalidData(
            f"{spoken(folder)} has no file that embstore reads.",
            why=f"It needs one such as train.csv a split; the formats are: {', '.join(FORMATS)}.",
        )
    splits: dict[str, list[Path]] = {}
    for path in files:
        splits.setdefault(_split_of(path), []).append(path)
    for split, shards in splits.items():
        _check_shards(split, shards)
    return splits


def _conversion(path: Path) -> str:
    if path.suffix.lower() not in CONVERSIONS:
        return ""
    return CONVERSIONS[path.suffix.lower()].format(
        path=quoted(path),
        jsonl=quoted(path.with_suffix(".jsonl")),
        source=repr(spoken(path)),
        parquet=repr(spoken(path.with_suffix(".parquet"))),
    )


def _split_of(path: Path) -> str:
    shard = _SHARD.fullmatch(path.stem)
    name = shard["split"] if shard else path.stem
    try:
        return check_split(name)
    except InvalidInput as error:
        raise InvalidInput(error.what, why=error.why, fix=f"train={quoted(path)}") from error


def _check_shards(split: str, shards: Sequence[Path]) -> None:
    matches = [_SHARD.fullmatch(path.stem) for path in shards]
    counts = {
        (match["count"] if match else None, path.suffix) for match, path in zip(matches, shards, strict=True)
    }
    names = f"{spoken(shards[0].name)} and {spoken(shards[-1].name)}"
    if len(counts) > 1:
        raise InvalidInput(
            f"{names} both give the split {split!r}.",
            fix=f"embstore build {split}={quoted(shards[0])}   # name the one to read",
        )
    whole = int(matches[0]["count"]) if matches[0] else 1
    if len(shards) != whole:
        raise InvalidData(
            f"The split {split!r} has {len(shards)} of its {whole} files.", why=f"There are: {names}."
        )
