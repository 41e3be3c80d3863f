"""What an export is written to: which format a name stands for, and whether it can be written."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from embstore.errors import InvalidInput
from embstore.outputs import check_file, check_folder, check_writable

# Suffix of each format; a folder has none.
FORMATS = {
    "parquet": ".parquet",
    "atlas": ".parquet",
    "npy": ".npy",
    "safetensors": ".safetensors",
    "jsonl": ".jsonl",
    "csv": ".csv",
    "faiss": ".faiss",
    "datasets": "",
}
# Formats that hold numbers alone: the records stand in a file beside them.
_BESIDE = ("npy", "safetensors", "faiss")


def check_export(target: Path, wanted: str | None, *, overwrite: bool) -> str:
    """Return the format of an output; refuse one that cannot be written, before any work is done.

    Raises
    ------
    InvalidInput
        An unknown format, a name that it does not have, or an output that exists or stands in no folder.
    DiskFailure
        The folder cannot be written to.
    """
    by_suffix = next((name for name, suffix in FORMATS.items() if suffix == target.suffix.lower()), None)
    kind = wanted or by_suffix
    if kind not in FORMATS:
        raise InvalidInput(
            f"{target} has no format that can be written."
            if kind is None
            else f"There is no format {kind!r}.",
            why=f"Known: {', '.join(FORMATS)}.",
            fix=_line(target, "parquet"),
        )
    if FORMATS[kind] != target.suffix.lower():
        raise InvalidInput(
            f"{target} is no name for {kind}.",
            why=f"It ends in {FORMATS[kind]}." if FORMATS[kind] else "It has no suffix: it is a folder.",
            fix=f"{_line(target, kind)} --format {kind}",
        )
    if kind == "datasets":
        # It takes its name in the folder that it stands in.
        check_writable(target.parent)
        check_folder(target, overwrite=overwrite)
        check_replaceable(target)
        return kind
    for file in files_of(target, kind):
        check_file(file, [file.suffix.lower()], overwrite=overwrite)
    return kind


def files_of(target: Path, kind: str) -> list[Path]:
    """Return all that an export writes."""
    return [target, beside(target)] if kind in _BESIDE else [target]


def beside(target: Path) -> Path:
    """Return the file of the records that belong to a file of numbers; no two of those share one."""
    return target.with_name(f"{target.name}.records.jsonl")


def check_replaceable(target: Path) -> None:
    """Refuse a folder that holds something else than an older export, rather than lose it."""
    if target.is_dir() and any(target.iterdir()) and not (target / "dataset_dict.json").is_file():
        raise InvalidInput(f"{target} holds something else than a saved dataset.", fix="another name")


def put_in_place(folder: Path, target: Path) -> None:
    """Give a folder that is complete its name; an older export of that name goes last, or stays.

    Raises
    ------
    InvalidInput
        See `check_replaceable`.
    OSError
        The disk refuses; ``target`` is as it was.
    """
    older = target.with_name(f".{target.name}.older")
    try:
        if target.exists():
            check_replaceable(target)
            # Of an export that was killed once its folder was in place.
            _remove(older)
            target.rename(older)
        folder.rename(target)
    finally:
        if older.exists() and not target.exists():
            older.rename(target)
    _remove(older)


def _line(target: Path, kind: str) -> str:
    return f"embstore export {shlex.quote(str(target.with_suffix(FORMATS[kind])))}"


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)
