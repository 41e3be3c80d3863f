"""Export: embeddings and records handed over to other tools, each file complete or not there."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from embstore.data.handover import save_dataset, write_atlas_parquet, write_records_parquet
from embstore.errors import DiskFailure, InvalidData
from embstore.flows.export_outputs import beside, check_export, files_of, put_in_place
from embstore.flows.projection import project_records
from embstore.flows.tables import write_rows
from embstore.maps.layout import ProjectionOptions
from embstore.outputs import complete_bytes
from embstore.records import Embeddings, Record, Rows, check_sequence
from embstore.store import Store
from embstore.store.graph import graph_of
from embstore.store.handover import write_faiss, write_safetensors

# Records handed over together: some MB.
_BLOCK = 4096
# Neighbors of each point in the file for embedding-atlas.
_NEIGHBORS = 15

Block = tuple[Rows, list[Record], Embeddings]


@dataclass(frozen=True)
class ExportOptions:
    """What is handed over.

    Parameters
    ----------
    kind : str, optional
        One of `FORMATS`; by default what the suffix of the output says, a folder for ``datasets``.
    splits : sequence of str
        All by default.
    embeddings : bool
        Leave them out of formats that are complete without: parquet, jsonl, datasets.
    raw : bool
        Leave CSV cells that look like formulas as they are.
    overwrite : bool
        Replace what is there.
    """

    kind: str | None = None
    splits: Sequence[str] = ()
    embeddings: bool = True
    raw: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_sequence("splits", self.splits)


@dataclass(frozen=True)
class ExportReport:
    """What was handed over.

    Parameters
    ----------
    store, kind : str
        Path of the store, and the format.
    files : list of str
        What was written.
    records, bytes : int
        Records, and the size of all files.
    seconds : float
        Wall time.
    """

    store: str
    kind: str
    files: list[str]
    records: int
    bytes: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def export_store(
    output: str | Path,
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    options: ExportOptions | None = None,
) -> ExportReport:
    """Hand the records of a store over to another tool; nothing is encoded.

    Parameters
    ----------
    output : str or Path
        File or, for ``datasets``, folder.
    store, home
        See `Store.open`.
    options : ExportOptions, optional
        What, and how.

    Raises
    ------
    InvalidInput
        An unknown format, or an output that exists or stands in no folder.
    NotFound
        No such store or split.
    InvalidData
        There is no record to hand over.
    DiskFailure
        The output cannot be written; an older one is as it was.
    """
    begun = time.perf_counter()
    chosen = options or ExportOptions()
    target = Path(output)
    kind = check_export(target, chosen.kind, overwrite=chosen.overwrite)
    with Store.open(store, home=home) as opened:
        names = list(dict.fromkeys(chosen.splits)) or [str(name) for name in opened.reader.counts("split")]
        parts = [opened.rows(split=name) for name in names]
        rows = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
        if not len(rows):
            raise InvalidData(f"The store {opened.name} has no records.", fix="embstore build DATASET")
        _WRITERS[kind](opened, rows, target, chosen)
        files = files_of(target, kind)
        found = [one for file in files for one in ([file] if file.is_file() else file.rglob("*"))]
        return ExportReport(
            store=str(opened.path),
            kind=kind,
            files=[str(file) for file in files],
            records=len(rows),
            bytes=sum(one.stat().st_size for one in found if one.is_file()),
            seconds=round(time.perf_counter() - begun, 3),
        )


def _blocks(store: Store, rows: Rows) -> Iterator[Block]:
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        yield part, store.records(part), np.asarray(store.embeddings(part))


def _rows(store: Store, rows: Rows, *, embeddings: bool) -> Iterator[dict[str, Any]]:
    for part, records, found in _blocks(store, rows):
        for row, record, embedding in zip(part.tolist(), records, found, strict=True):
            values = {"id": record.id, "row": row, "split": record.split, "label": record.label}
            values |= {"text": record.text, "extra": dict(record.extra)}
            yield {**values, "embedding": embedding.tolist()} if embeddings else values


def _write_parquet(store: Store, rows: Rows, target: Path, options: ExportOptions) -> None:
    with complete_bytes(target) as file:
        write_records_parquet(file, store.dim if options.embeddings else None, _blocks(store, rows))


def _write_atlas(store: Store, rows: Rows, target: Path, options: ExportOptions) -> None:
    # Few records are laid out by the neighbors that they have.
    k = min(_NEIGHBORS, len(rows) - 1)
    projection = project_records(store, options.splits, ProjectionOptions(neighbors=max(2, k)))
    names = list(dict.fromkeys(projection.splits))
    similarities, found = graph_of(store).within(rows, splits=names, k=k)
    columns = {"id": projection.ids, "split": projection.splits}
    columns |= {"label": projection.labels, "text": projection.texts}  # type: ignore[dict-item]
    with complete_bytes(target) as file:
        places = np.searchsorted(rows, found)
        write_atlas_parquet(file, columns, projection.coordinates, similarities, places)


def _write_lines(store: Store, rows: Rows, target: Path, options: ExportOptions, *, embeddings: bool) -> None:
    write_rows(target, _rows(store, rows, embeddings=embeddings and options.embeddings), raw=options.raw)


def _write_pair(
    store: Store,
    rows: Rows,
    target: Path,
    _: ExportOptions,
    *,
    write: Callable[[Store, Rows, IO[bytes]], None],
) -> None:
    """Write numbers and, beside them, their records; neither appears before both are written."""
    with complete_bytes(beside(target)) as lines, complete_bytes(target) as file:
        write(store, rows, file)
        for row in _rows(store, rows, embeddings=False):
            lines.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _write_npy(store: Store, rows: Rows, file: IO[bytes]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(rows), store.dim)}
    np.lib.format.write_array_header_1_0(file, header)
    for start in range(0, len(rows), _BLOCK):
        file.write(np.asarray(store.embeddings(rows[start : start + _BLOCK]), dtype="<f4").tobytes())


def _write_safetensors(store: Store, rows: Rows, file: IO[bytes]) -> None:
    metadata = {
        "model": str(store.manifest.encoder.get("model", "")),
        "fingerprint": store.manifest.fingerprint,
    }
    write_safetensors(file, np.asarray(store.embeddings(rows)), rows, {"format": "np", **metadata})


def _write_faiss(store: Store, rows: Rows, file: IO[bytes]) -> None:
    parts = (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
    write_faiss(file, store.dim, ((part, np.asarray(store.embeddings(part))) for part in parts))


def _write_datasets(store: Store, rows: Rows, target: Path, options: ExportOptions) -> None:
    splits: dict[str, tuple[list[Record], Embeddings | None]] = {}
    records = store.records(rows)
    of = np.array([record.split for record in records])
    for name in dict.fromkeys(of.tolist()):
        places = np.flatnonzero(of == name)
        embeddings = np.asarray(store.embeddings(rows[places])) if options.embeddings else None
        splits[name] = ([records[place] for place in places], embeddings)
    classes = sorted({record.label for record in records if record.label is not None})
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            save_dataset(unfinished, splits, classes)
            put_in_place(unfinished, target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise DiskFailure(
            f"Writing to {target} failed: {error.strerror}.", fix=f"df -h {shlex.quote(str(target.parent))}"
        ) from error


_WRITERS: dict[str, Callable[[Store, Rows, Path, ExportOptions], None]] = {
    "parquet": _write_parquet,
    "atlas": _write_atlas,
    "npy": partial(_write_pair, write=_write_npy),
    "safetensors": partial(_write_pair, write=_write_safetensors),
    "jsonl": partial(_write_lines, embeddings=True),
    "csv": partial(_write_lines, embeddings=False),
    "faiss": partial(_write_pair, write=_write_faiss),
    "datasets": _write_datasets,
}
