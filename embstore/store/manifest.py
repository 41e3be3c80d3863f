"""store.json: what a store is, written once and checked by its own checksum."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from embstore.errors import EncoderMismatch, NotFound, StoreDamaged
from embstore.records import TextEncoder
from embstore.store.faults import disk_faults
from embstore.store.files import TEMPORARY, durable_file, is_file
from embstore.wording import restore_or_delete, store_argument

FILE_NAME = "store.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """What never changes in a store.

    Parameters
    ----------
    format_version : int
        Version of the on-disk format.
    uuid : str
        Identity of the store, 32 hex digits; also in each shard's header.
    created : str
        UTC, ISO 8601, seconds.
    dim : int
        Floats of an embedding.
    fingerprint : str
        SHA-256, 64 hex digits, of all that changes an embedding.
    encoder : mapping of str to JSON value
        Options that load the encoder again.
    """

    format_version: int
    uuid: str
    created: str
    dim: int
    fingerprint: str
    encoder: Mapping[str, Any]

    @classmethod
    def new(cls, dim: int, fingerprint: str, encoder: Mapping[str, Any]) -> Manifest:
        """Return the manifest of a store that begins now."""
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return cls(FORMAT_VERSION, uuid.uuid4().hex, created, dim, fingerprint, dict(encoder))


def is_store(folder: Path) -> bool:
    """Tell whether a folder holds a store; raises `DiskFailure` where this user may not look."""
    with disk_faults(folder, "Reading"):
        return is_file(folder / FILE_NAME)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write store.json durably."""
    values = asdict(manifest)
    text = json.dumps({**values, "checksum": _checksum(values)}, indent=2, ensure_ascii=False)
    with durable_file(folder / FILE_NAME, folder / TEMPORARY) as file:
        file.write(text.encode() + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Read and check store.json.

    Raises
    ------
    NotFound
        The folder holds no store.
    StoreDamaged
        store.json is not what was written, or of a format that this version does not know.
    """
    path = folder / FILE_NAME
    if not is_store(folder):
        raise NotFound(
            f"There is no store in {folder}.", fix=f"embstore build DATASET {store_argument(folder)}"
        )
    with disk_faults(path, "Reading"):
        data = path.read_bytes()
    fix = restore_or_delete(folder, FILE_NAME)
    try:
        values = json.loads(data)
        checksum = values.pop("checksum")
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise StoreDamaged(f"{path} is damaged: it is not a manifest.", fix=fix) from error
    if checksum != _checksum(values):
        raise StoreDamaged(f"{path} is damaged: its checksum does not hold.", fix=fix)
    if values.get("format_version") != FORMAT_VERSION:
        raise StoreDamaged(
            f"{path} has format version {values.get('format_version')}.",
            why=f"This embstore reads version {FORMAT_VERSION}.",
            fix="pip install --upgrade embstore",
        )
    names = {field.name for field in fields(Manifest)}
    if values.keys() != names:
        wrong = ", ".join(sorted(values.keys() ^ names))
        raise StoreDamaged(f"{path} is damaged: missing or unknown {wrong}.", fix=fix)
    return Manifest(**values)


def check_same_encoder(name: str, manifest: Manifest, encoder: TextEncoder) -> None:
    """Refuse to query a store with another encoder than built it.

    Raises
    ------
    EncoderMismatch
        The fingerprints differ.
    """
    if encoder.fingerprint == manifest.fingerprint:
        return
    raise EncoderMismatch(
        f"The encoder is not the one that built {name}.",
        why=(
            f"The store holds embeddings of {manifest.encoder.get('model')} "
            f"({manifest.fingerprint[:12]}); this is {encoder.config.get('model')} "
            f"({encoder.fingerprint[:12]})."
        ),
        fix="bring the model's files back, or build a store of another name with this encoder",
    )


def _checksum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
