"""Files and folders that are written: refused before any work is done, and complete or not there after it."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from embstore.errors import DiskFailure, InvalidInput

PAGES = (".html", ".htm")


def check_file(path: str | Path, suffixes: Sequence[str], *, overwrite: bool, other: str = "") -> None:
    """Refuse a file that cannot be written; ``other`` is what writes its suffix, where something else does.

    Raises
    ------
    InvalidInput
        It has another suffix, its folder does not exist, or it exists and may not be overwritten.
    DiskFailure
        Its folder cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise InvalidInput(
            f"{path} has no format that can be written.",
            why=f"Its suffix is {path.suffix or 'missing'}; known are {', '.join(suffixes)}.",
            fix=other or shlex.quote(str(path.with_suffix(suffixes[0]))),
        )
    check_writable(path.parent)
    if not path.parent.is_dir():
        raise InvalidInput(
            f"There is no folder {path.parent}.", fix=f"mkdir -p {shlex.quote(str(path.parent))}"
        )
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder.", fix="another name")
    if path.exists() and not overwrite:
        raise InvalidInput(f"{path} exists already.", fix="--overwrite, or another name")


def check_folder(folder: str | Path, *, overwrite: bool) -> None:
    """Refuse a folder that cannot be written; one that is missing is made later.

    Raises
    ------
    InvalidInput
        It is a file or in one, or holds something and may not be overwritten.
    DiskFailure
        It cannot be written to, or not be made.
    """
    folder = Path(folder)
    check_writable(folder)
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise InvalidInput(f"{folder} is not empty.", fix="--overwrite, or choose another folder")


def check_writable(folder: Path) -> None:
    """Refuse a folder, or where it is missing the one to make it in, that no file can be made in.

    Raises
    ------
    InvalidInput
        It is a file or in one.
    DiskFailure
        The disk refuses.
    """
    try:
        existing = next(one for one in (folder, *folder.parents) if one.exists())
        is_file = existing.is_file()
        if not is_file:
            # Modes and mounts say less than a try; a file without a name leaves no trace.
            with tempfile.TemporaryFile(dir=existing):
                pass
    except OSError as error:
        raise DiskFailure(
            f"Nothing can be written to {folder}: {error.strerror}.", fix="choose another folder"
        ) from error
    if is_file:
        raise InvalidInput(f"{existing} is a file.", fix="choose another folder")


@contextmanager
def complete_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside ``path`` that takes its name once the block has ended well.

    Raises
    ------
    DiskFailure
        The disk is full or refuses; ``path`` is as it was.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        try:
            with unfinished.open("wb") as file:
                yield file
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise DiskFailure(
            f"Writing to {path} failed: {error.strerror}.", fix=f"df -h {shlex.quote(str(path.parent))}"
        ) from error


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files into a folder, made where it is missing: none takes its name before all are written.

    Parameters
    ----------
    folder : Path
        See `check_folder`.
    texts : mapping of str to str
        The files' texts by their names. Half of a surrogate pair, which no file holds, becomes a ``?``.

    Raises
    ------
    DiskFailure
        The disk is full or refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskFailure(
            f"Writing to {folder} failed: {error.strerror}.", fix="choose another folder"
        ) from error
    with ExitStack() as files:
        for name, text in texts.items():
            files.enter_context(complete_bytes(folder / name)).write(text.encode(errors="replace"))
