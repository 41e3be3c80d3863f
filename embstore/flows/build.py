"""Build: a labelled text dataset and a frozen transformer in, a store out."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from embstore.data import ReadOptions, TextDataset, open_dataset
from embstore.encode.onnx_background import start_export
from embstore.errors import Interrupted, InvalidData, InvalidInput, InvalidModel
from embstore.flows.encoders import EncoderChoice, encoder_for
from embstore.records import AdaptiveEncoder, Encoded, Progress, Record, Rejected, TextEncoder
from embstore.store import is_store, store_path
from embstore.store.database import Build
from embstore.store.index_options import IndexOptions
from embstore.store.snapshot import RecordsReader
from embstore.store.writer import StoreWriter, open_writer
from embstore.wording import store_argument

# Records that are committed together. Fixed, so that a build which was stopped and went on forms the same
# batches, and so the same bytes, as one that was not.
WINDOW = 1024
# That many failures and no success mean that the model is at fault, not the texts.
HOPELESS = 16


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Parameters
    ----------
    store : str
        Path of the store.
    dataset : str
        What it was built from.
    records : int
        Live records of the store.
    splits : dict of str to int
        Live records by split.
    encoded, reused : int
        Texts that went through the encoder; records whose embedding was there already.
    quarantined, removed : int
        Records that could not be stored; records that the dataset no longer has.
    truncated : int
        Live records longer than the encoder reads.
    dim : int
        Floats of an embedding.
    index : str
        What a search through the index finds: ``exact``, or its recall.
    seconds, texts_per_second : float
        Wall time of the whole build, model loading included; encoded texts by that time.
    """

    store: str
    dataset: str
    records: int
    splits: dict[str, int]
    encoded: int
    reused: int
    quarantined: int
    removed: int
    truncated: int
    dim: int
    index: str
    seconds: float
    texts_per_second: float

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


@dataclass
class _Counts:
    """What this run did so far."""

    encoded: int = 0
    reused: int = 0
    done: int = 0


def build_store(  # noqa: PLR0913 (each is one decision of the user's)
    dataset: str | Path | Sequence[str] | None = None,
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    encoder: EncoderChoice = None,
    options: ReadOptions | None = None,
    device: str = "auto",
    add: bool = False,
    index: IndexOptions | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Make a store hold exactly the records of a dataset; only texts that it never embedded are encoded.

    Parameters
    ----------
    dataset : str, Path or sequence of str, optional
        Hub id, file, folder, ``split=file`` pairs, or ``sample``; by default that, but for a store that holds
        another dataset.
    store : str or Path, optional
        Name under the home, or a path; by default the dataset's own name.
    home : str or Path, optional
        Folder of named stores; else ``$EMBSTORE_HOME``, else ``indices``.
    encoder : str, EncoderOptions or TextEncoder, optional
        By default that of the store if it exists, else all-MiniLM-L6-v2.
    options : ReadOptions, optional
        Columns, splits, hub configuration.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    add : bool
        Keep the store's records that the dataset does not have.
    index : IndexOptions, optional
        Kind, recall target and memory of the index; by default those of the last build, else ``auto``.
    progress : callable, optional
        Called with the records done and, where known, their total: at the start and after each window.

    Returns
    -------
    BuildReport

    Raises
    ------
    NotFound, InvalidData, HubUnreachable
        The dataset cannot be read, or none of its records can be stored.
    InvalidInput
        An option that cannot be; a name that is none, or that another dataset has; an index that fits into no
        memory or reaches no recall that was asked for: then the records are in the store all the same.
    InvalidModel
        The model cannot be loaded, or fails on every text.
    EncoderMismatch
        The store holds embeddings of another encoder.
    StoreLocked, StoreDamaged, DiskFailure
        The store cannot be written; what was committed before is intact.
    Interrupted
        Ctrl-C; the same call goes on where it stopped.
    """
    begun = time.monotonic()
    source = open_dataset(() if dataset is None else dataset, options or ReadOptions())
    path = store_path(_default_name(source.name) if store is None else store, home)
    if store is None or not dataset:
        _check_same_origin(path, source.origin, named=bool(dataset))
    chosen = encoder_for(encoder, path, device)
    with open_writer(path, chosen) as writer:
        build = writer.begin_build(source.origin, source.fingerprint, keep_others=add)
        counts = _counts_so_far(writer.reader, build)
        try:
            _fill(writer, source, chosen, build, counts, progress)
            if not writer.has_records(build):
                raise _nothing_stored(writer.reader, build, source.name)
            removed = writer.finish_build(build)
            writer.write_index(index)
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"Stopped: {counts.done:,} records of {source.name} are committed in {path}.",
                fix="run the same command again: it goes on where it stopped",
            ) from error
        report = _report(writer.reader, str(path), source.name, chosen.dim, counts, removed, begun)
    # Behind the build's back, so that the first query need not wait for torch.
    start_export(chosen.config, chosen.fingerprint)
    return report


def _fill(
    writer: StoreWriter,
    source: TextDataset,
    encoder: TextEncoder,
    build: Build,
    counts: _Counts,
    progress: Progress | None,
) -> None:
    """Commit the dataset window by window, from where the build stands."""
    if progress:
        progress(counts.done, source.total)
    for records in _windows(source, build.next_record):
        window = writer.plan(records, counts.done, build)
        texts = list(window.to_encode.values())
        if isinstance(encoder, AdaptiveEncoder):
            encoder.settle(texts, None if source.total is None else source.total - counts.done)
        encoded = encoder.encode(texts) if texts else _nothing(encoder.dim)
        _check_hope(encoded, counts)
        fresh = writer.commit(window, encoded, build)
        counts.encoded += fresh
        counts.reused += len(records) - len(window.rejected) - fresh
        counts.done = window.next_record
        if progress:
            progress(counts.done, source.total)


def _windows(source: TextDataset, skip: int) -> Iterator[list[Record | Rejected]]:
    records = islice(source, skip, None)
    while window := list(islice(records, WINDOW)):
        yield window


def _nothing(dim: int) -> Encoded:
    return Encoded(np.empty((0, dim), dtype=np.float32), np.empty(0, dtype=np.bool_))


def _check_hope(encoded: Encoded, counts: _Counts) -> None:
    n_texts = len(encoded.embeddings)
    if counts.encoded == 0 and n_texts >= HOPELESS and len(encoded.errors) == n_texts:
        raise InvalidModel(
            f"The model failed on each of the first {n_texts} texts.",
            why=next(iter(encoded.errors.values())),
            fix="try --dtype float32, --device cpu or another --model",
        )


def _counts_so_far(reader: RecordsReader, build: Build) -> _Counts:
    """Return what an earlier run of the same build settled: all of it is there already."""
    quarantined = int((reader.last_build() or {}).get("quarantined", 0))
    return _Counts(done=build.next_record, reused=build.next_record - quarantined)


def _nothing_stored(reader: RecordsReader, build: Build, dataset: str) -> InvalidData:
    """Return the error of a dataset without one good record; the store stays as it was."""
    first = reader.quarantined(build.build, 1)
    return InvalidData(
        f"None of the records of {dataset} could be stored; the store is as it was.",
        why=f"The first: {first[0]['error']}." if first else "It has none.",
        fix="check --text-column and the file",
    )


def _report(
    reader: RecordsReader, store: str, dataset: str, dim: int, counts: _Counts, removed: int, begun: float
) -> BuildReport:
    splits = {str(name): n for name, n in reader.counts("split").items()}
    seconds = time.monotonic() - begun
    entry = reader.snapshot().index
    return BuildReport(
        store=store,
        dataset=dataset,
        records=sum(splits.values()),
        splits=splits,
        encoded=counts.encoded,
        reused=counts.reused,
        quarantined=int((reader.last_build() or {}).get("quarantined", 0)),
        removed=removed,
        truncated=reader.truncated(),
        dim=dim,
        index=entry.promise if entry else "none",
        seconds=round(seconds, 3),
        texts_per_second=round(counts.encoded / seconds, 1),
    )


def _default_name(dataset: str) -> str:
    """Return a name for the store: the last part of the dataset's, without its suffix."""
    last = re.split(r"[/\\]", dataset.rstrip("/\\"))[-1]
    stem = re.sub(r"\.(csv|tsv|jsonl|ndjson|parquet|txt)(\.gz)?$", "", last)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "store"


def _check_same_origin(path: Path, origin: str, *, named: bool) -> None:
    """Refuse to replace the records of another dataset where that or the store was not named."""
    if not is_store(path):
        return
    with RecordsReader(path / "records.db") as reader:
        last = reader.last_build()
    if last and last["dataset"] != origin:
        replace = f"-s {path.name} to replace its records, or -s ANOTHER-NAME to keep both"
        raise InvalidInput(
            f"The store {path} was built from another dataset.",
            why=f"It holds {last['dataset']}, this is {origin}.",
            fix=replace if named else f"embstore build DATASET {store_argument(path)}",
        )
