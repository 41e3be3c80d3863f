"""What is derived from the records and kept beside them, checksummed: heads, graph, projections."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from embstore.errors import InvalidInput, StoreDamaged
from embstore.store.faults import disk_faults
from embstore.store.snapshot import RecordsReader
from embstore.wording import store_argument

#: Kinds of derived things, and the folder of each.
FOLDERS = {"head": "heads", "graph": "graph", "projection": "projections"}
#: Under which the metadata of its file have the checksum of a derived thing's facts.
FACTS_SHA256 = "facts_sha256"
# Facts of a head that options of `embstore fit` say, and what it takes unasked.
_OPTIONS = {"split": "--train", "precision": "--precision"}
_UNASKED = {"--train": "train", "--precision": 0.8}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")

Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class DerivedEntry:
    """A derived thing, as the database knows it.

    Parameters
    ----------
    kind, name : str
        What it is; a store has at most one of each name and kind.
    file, sha256 : str
        Name and checksum of its file, of ``bytes`` bytes.
    bytes : int
        Size of the file.
    sequence : int
        The store's commit that brought it.
    made : str
        UTC, ISO 8601, milliseconds.
    facts : dict or None
        JSON values that whoever made it keeps beside it; None where the database holds none that can be read.
    facts_sha256 : str
        Checksum of their JSON as the database holds it; the file has that of what was written.
    """

    kind: str
    name: str
    file: str
    bytes: int
    sha256: str
    sequence: int
    made: str
    facts: dict[str, Any] | None
    facts_sha256: str


@dataclass(frozen=True)
class Derived:
    """A derived thing that was read: arrays by name, and the facts beside them."""

    tensors: Tensors
    facts: dict[str, Any]


def list_derived(reader: RecordsReader, kind: str) -> list[DerivedEntry]:
    """Return the derived things of a kind, oldest first."""
    return sorted(map(_entry, reader.derived(kind)), key=lambda entry: entry.sequence)


def read_derived(path: Path, reader: RecordsReader, kind: str, name: str) -> Derived | None:
    """Return a derived thing of the store at ``path``, or None where it has none of that name.

    Raises
    ------
    StoreDamaged
        Its file is missing, or that or its facts are not what was written.
    """
    entry = find_derived(reader, kind, name)
    if entry is None:
        return None
    try:
        content, facts = read_checked(path, entry)
    except StoreDamaged:
        # Another process may have put a new one in its place since the database was asked.
        again = find_derived(reader, kind, name)
        if again is None or again.file == entry.file:
            raise
        content, facts = read_checked(path, again)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise StoreDamaged(f"{path / entry.file} is no safetensors file.", why=str(error)) from error
    return Derived(tensors, facts)


def find_derived(reader: RecordsReader, kind: str, name: str) -> DerivedEntry | None:
    """Return what the database knows of a derived thing, if it has it."""
    return next((entry for entry in list_derived(reader, kind) if entry.name == name), None)


def read_checked(path: Path, entry: DerivedEntry) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of a derived thing's file, and its facts, once size and checksums agree.

    Raises
    ------
    StoreDamaged
        They do not, or the file is missing.
    DiskFailure
        This user may not read it.
    """
    file = path / FOLDERS.get(entry.kind, entry.kind) / entry.file
    fix = "it is made again when it is next needed"
    if entry.kind == "head":
        fix = fit_line(path, entry.name, entry.facts)
    with disk_faults(file, "Reading"):
        try:
            content = file.read_bytes()
        except PermissionError:
            raise
        except OSError as error:
            raise StoreDamaged(f"{file} cannot be read: {error.strerror}.", fix=fix) from error
    if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        why = f"It has {len(content):,} bytes of {entry.bytes:,}, or another checksum."
        raise StoreDamaged(f"{file} is not the file that was written.", why=why, fix=fix)
    written = _facts_sha256(content)
    if entry.facts is None or written not in (None, entry.facts_sha256):
        raise StoreDamaged(
            f"{path / 'records.db'} is damaged: its facts of the {entry.kind} {entry.name!r} are not those "
            "that were written.",
            why=f"Their SHA-256 is {entry.facts_sha256[:12]}; {file} has {str(written)[:12]}."
            if written
            else "They are no JSON object.",
            fix=fix,
        )
    return content, entry.facts


def fit_line(path: Path, name: str = "", facts: Mapping[str, Any] | None = None) -> str:
    """Return the command that fits a head anew, with all that its facts say was asked for.

    Parameters
    ----------
    path : Path
        The store's folder.
    name : str
        Of the head; the empty string leaves it to the command, and with it the kind.
    facts : mapping, optional
        Its facts, which may be damaged.
    """
    known = facts or {}
    options = known.get("options")
    # A head has its kind for a name where it was given none.
    kind = known.get("kind", name if name in {"knn", "logistic"} else "")
    asked = {"--head": kind, "--name": "" if name == kind else name}
    asked |= {option: known.get(fact) for fact, option in _OPTIONS.items()}
    asked |= options if isinstance(options, dict) else {}
    said = [
        shlex.quote(option) if value is True else f"{shlex.quote(option)} {shlex.quote(str(value))}"
        for option, value in asked.items()
        if value not in ("", None, _UNASKED.get(option))
    ]
    return " ".join(["embstore fit", store_argument(path), *said])


def _entry(row: Mapping[str, Any]) -> DerivedEntry:
    try:
        facts = json.loads(row["facts"])
    except (TypeError, ValueError):
        facts = None
    sha256 = hashlib.sha256(row["facts"] or b"").hexdigest()
    # One flipped bit makes bytes of a text, which no path and no line to paste takes.
    names = {"file": str(row["file"]), "name": str(row["name"])}
    read = {**names, "facts": facts if isinstance(facts, dict) else None}
    return DerivedEntry(**{**row, **read}, facts_sha256=sha256)


def _facts_sha256(content: bytes) -> str | None:
    """Return the checksum of its facts that a safetensors file has; None in one of before there were any."""
    end = 8 + int.from_bytes(content[:8], "little")
    try:
        found: str | None = json.loads(content[8:end]).get("__metadata__", {}).get(FACTS_SHA256)
    except (AttributeError, ValueError):
        return None  # no safetensors file: whoever loads it says so
    return found


def check_name(kind: str, name: str) -> str:
    """Return a name as it is; raises `InvalidInput` where it is not one."""
    if kind not in FOLDERS or not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be the name of a {kind}.",
            why="A name has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit.",
            fix="--name logistic",
        )
    return name


def as_saved(tensors: Tensors) -> dict[str, npt.NDArray[Any]]:
    """Return arrays as safetensors takes them: C-contiguous, little-endian."""
    return {name: np.ascontiguousarray(values) for name, values in tensors.items()}
