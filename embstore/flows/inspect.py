"""Inspect: what a store holds, and which stores there are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embstore.errors import EmbstoreError, StoreDamaged
from embstore.store import Store, home_folder, store_names


@dataclass(frozen=True)
class StoreInfo:
    """What a store is and holds.

    Parameters
    ----------
    store, path, uuid, created : str
        Name, folder, identity, and UTC time of creation.
    dataset : str
        What it was last built from.
    finished : str or None
        UTC time at which the last build ended; None if it was stopped and can go on.
    records, dim, bytes : int
        Live records, floats of an embedding, bytes on disk.
    splits, labels : dict
        Live records by split and by label.
    unlabelled : int
        Live records without a label.
    encoder : dict
        Model, revision, pooling and the other options of the encoder.
    fingerprint : str
        SHA-256 of all that changes an embedding.
    index : dict or None
        Generation, structure, rows and bytes of the index, in a few words what it finds, and its certificate:
        how that was measured.
    truncated, quarantined : int
        Live records longer than the encoder reads; records that the last build could not store.
    quarantine : list of dict
        The first ten of those, with their errors.
    """

    store: str
    path: str
    uuid: str
    created: str
    dataset: str
    finished: str | None
    records: int
    dim: int
    bytes: int
    splits: dict[str, int]
    labels: dict[str, int]
    unlabelled: int
    encoder: dict[str, Any]
    fingerprint: str
    index: dict[str, Any] | None
    truncated: int
    quarantined: int
    quarantine: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def describe_store(store: str | Path | None = None, *, home: str | Path | None = None) -> StoreInfo:
    """Return what a store is and holds; needs no encoder.

    Raises
    ------
    NotFound
        There is no such store.
    StoreDamaged
        Its files contradict each other.
    """
    with Store.open(store, home=home) as opened:
        last = opened.reader.last_build() or {}
        quarantined = int(last.get("quarantined", 0))
        index = opened.snapshot.index
        labels = opened.reader.counts("label")
        return StoreInfo(
            store=opened.name,
            path=str(opened.path),
            uuid=opened.manifest.uuid,
            created=opened.manifest.created,
            dataset=str(last.get("dataset", "")),
            finished=last.get("finished"),
            records=len(opened),
            dim=opened.dim,
            bytes=_size(opened.path),
            splits={str(name): n for name, n in opened.reader.counts("split").items()},
            labels={label: n for label, n in labels.items() if label is not None},
            unlabelled=labels.get(None, 0),
            encoder=dict(opened.manifest.encoder),
            fingerprint=opened.manifest.fingerprint,
            index={**asdict(index), "promise": index.promise} if index else None,
            truncated=opened.reader.truncated(),
            quarantined=quarantined,
            quarantine=opened.reader.quarantined(last["build"], 10) if quarantined else [],
        )


@dataclass(frozen=True)
class StoreSummary:
    """One line of the list of stores.

    Parameters
    ----------
    store, path : str
        Name and folder.
    records, dim, bytes : int
        Live records, floats of an embedding, bytes on disk.
    model : str
        Of the encoder.
    finished : str or None
        UTC time at which the last build ended; None if it was stopped and can go on.
    problem : str
        Why the store cannot be opened; then the numbers are 0. Else the empty string.
    damaged : bool
        Whether that is damage; else it may be read at another time, or by another user.
    """

    store: str
    path: str
    records: int = 0
    dim: int = 0
    bytes: int = 0
    model: str = ""
    finished: str | None = None
    problem: str = ""
    damaged: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def list_stores(*, home: str | Path | None = None) -> list[StoreSummary]:
    """Return the stores under a home, by name; one that cannot be opened does not hide the others."""
    return [_summary(home_folder(home) / name) for name in store_names(home)]


def _summary(path: Path) -> StoreSummary:
    try:
        found = describe_store(path)
    except EmbstoreError as error:
        damaged = isinstance(error, StoreDamaged)
        return StoreSummary(path.name, str(path), problem=error.what, damaged=damaged)
    model = str(found.encoder.get("model", ""))
    return StoreSummary(path.name, str(path), found.records, found.dim, found.bytes, model, found.finished)


def _size(path: Path) -> int:
    """Return the bytes of a folder's files; a writer may take some away, and some may not be looked at."""
    total = 0
    for file in path.rglob("*"):
        with suppress(FileNotFoundError, PermissionError):
            total += file.stat().st_size if file.is_file() else 0
    return total
