"""Projection of a store: laid out once by its parameters, kept, and handed on as often as wanted."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from embstore.errors import DiskFailure, InvalidData, NotFound, StoreDamaged, StoreLocked
from embstore.flows.labelled import check_split
from embstore.maps.layout import Coordinates, Nearest, ProjectionOptions, check_size, minmax
from embstore.records import Embeddings, Rows, check_sequence
from embstore.store import Store
from embstore.store.derived import list_derived, read_derived
from embstore.store.faults import verify_line
from embstore.store.graph import DEFAULT_K, Graph, build_graph, graph_of
from embstore.store.keeping import drop_derived, write_derived

logger = logging.getLogger(__name__)

KIND = "projection"
# Part of the name of a kept projection: a change of the algorithm is a change of what it gives.
_ALGORITHM = 2
AXES = ("X", "Y", "Z")


@dataclass(frozen=True)
class Projection:
    """Records of a store and where they lie.

    Parameters
    ----------
    store, dataset, model : str
        Path of the store, what it was built from and with.
    rows : ndarray of shape (n,), int64
        Rows of the records, ascending.
    coordinates : ndarray of shape (n, 2) or (n, 3), float32
        No unit; only who is near whom means something.
    ids, splits, labels, texts : list
        Of the records, in the order of the rows; a label may be None.
    options : ProjectionOptions
        How they were laid out.
    kept : bool
        They were laid out earlier and read from the store.
    seconds : float
        Wall time.
    """

    store: str
    dataset: str
    model: str
    rows: Rows
    coordinates: Coordinates
    ids: list[str]
    splits: list[str]
    labels: list[str | None]
    texts: list[str]
    options: ProjectionOptions
    kept: bool
    seconds: float

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self) -> dict[str, list[Any]]:
        """Return ``id``, ``split``, ``label``, ``X``, ``Y`` (and ``Z``), ``text`` by name."""
        axes = {name: _decimals(self.coordinates[:, place]) for place, name in enumerate(self._axes())}
        return {"id": self.ids, "split": self.splits, "label": self.labels, **axes, "text": self.texts}

    def frame(self) -> pd.DataFrame:
        """Return a pandas frame of X, Y (and Z) and label, indexed by id."""
        columns = self.columns()
        chosen = {name: columns[name] for name in (*self._axes(), "label")}
        return pd.DataFrame(chosen, index=self.ids)

    def title(self) -> tuple[str, str]:
        """Return what is shown, and how it was made, in a line each."""
        chosen = self.options
        name = Path(self.store).name
        parts = [
            f"UMAP, {chosen.metric}",
            f"{chosen.neighbors} neighbors",
            f"min_dist {chosen.min_dist:g}",
            f"seed {chosen.seed}",
        ]
        parts += ["min-max scaled"] if chosen.scale == "minmax" else []
        parts += ["supervised"] if chosen.supervised else []
        parts += [f"fitted on {chosen.fit_on}"] if chosen.fit_on else []
        return f"{name}: {len(self):,} texts, {self.model}", ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, the coordinates left out."""
        return {
            "store": self.store,
            "dataset": self.dataset,
            "model": self.model,
            "records": len(self),
            "options": asdict(self.options),
            "kept": self.kept,
            "seconds": round(self.seconds, 3),
        }

    def _axes(self) -> tuple[str, ...]:
        return AXES[: self.coordinates.shape[1]]


def project_store(
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    splits: Sequence[str] = (),
    options: ProjectionOptions | None = None,
) -> Projection:
    """Project the records of a store, or of some of its splits, to a plane or space.

    A projection is kept in the store; asked for again with the same options it is read, until the records
    change. Labels matter to a supervised one alone.

    Parameters
    ----------
    store, home
        See `Store.open`.
    splits : sequence of str
        All by default.
    options : ProjectionOptions, optional
        How.

    Raises
    ------
    NotFound
        No such store or split.
    InvalidData
        Fewer records than neighbors; a supervised projection without labels.
    InvalidInput
        An option that cannot be.
    """
    with Store.open(store, home=home) as opened:
        return project_records(opened, splits, options)


def project_records(
    store: Store, splits: Sequence[str] = (), options: ProjectionOptions | None = None
) -> Projection:
    """Project the records of an open store; see `project_store`."""
    begun = time.perf_counter()
    chosen = options or ProjectionOptions()
    names = _splits(store, splits, chosen)
    rows = np.sort(np.concatenate([store.rows(split=name) for name in names]))
    ids, texts, labels, split_of = (
        store.reader.column(column, rows) for column in ("id", "text", "label", "split")
    )
    name = _name(rows, split_of, labels, chosen)
    coordinates = _kept(store, name)
    kept = coordinates is not None
    if coordinates is None:
        coordinates = _lay_out(store, rows, np.array(split_of), labels, chosen)
        _keep(store, name, coordinates, chosen)
    return Projection(
        store=str(store.path),
        dataset=str((store.reader.last_build() or {}).get("dataset", "")),
        model=str(store.manifest.encoder.get("model", "")),
        rows=rows,
        coordinates=coordinates,
        ids=ids,
        splits=split_of,
        labels=labels,
        texts=texts,
        options=chosen,
        kept=kept,
        seconds=time.perf_counter() - begun,
    )


def _splits(store: Store, splits: Sequence[str], options: ProjectionOptions) -> list[str]:
    """Return the names of the splits to project, that of the fit among them."""
    check_sequence("splits", splits)
    known = [str(name) for name in store.reader.counts("split")]
    wanted = list(dict.fromkeys(splits)) or known
    for name in wanted:
        check_split(store, name, "--split")
    if options.fit_on is not None:
        check_split(store, options.fit_on, "--fit-on")
    if not wanted:
        raise InvalidData(f"The store {store.name} has no records.", fix="embstore build DATASET")
    return list(dict.fromkeys([*wanted, *([] if options.fit_on is None else [options.fit_on])]))


def _lay_out(
    store: Store, rows: Rows, names: Any, labels: Sequence[str | None], options: ProjectionOptions
) -> Coordinates:
    """Fit the projection on the records that it is fitted on and place the others."""
    fitted = names == options.fit_on if options.fit_on else np.ones(len(rows), dtype=np.bool_)
    check_size(int(fitted.sum()), options)
    embeddings = np.asarray(store.embeddings(rows))
    if not np.isfinite(embeddings).all():
        raise StoreDamaged(
            f"An embedding of {store.name} is NaN or infinite, and cannot be projected.",
            fix=verify_line(store.path),
        )
    graph: Graph | None = None
    if options.scale == "minmax":
        embeddings = minmax(embeddings, embeddings[fitted])
    if options.metric == "cosine":
        graph = _graph(store, rows, names, embeddings, options)
    projector = import_module("embstore.maps.projection").Projector(options)
    fit_splits = list(dict.fromkeys(names[fitted].tolist()))
    nearest = _nearest(graph, rows[fitted], rows[fitted], fit_splits, options.neighbors - 1)
    coordinates = np.empty((len(rows), options.dim), dtype=np.float32)
    codes = _codes(labels, fitted) if options.supervised else None
    coordinates[fitted] = projector.fit(embeddings[fitted], nearest, codes)
    if not fitted.all():
        near = _nearest(graph, rows[~fitted], rows[fitted], fit_splits, options.neighbors)
        coordinates[~fitted] = projector.place(embeddings[~fitted], near)
    return coordinates


def _graph(store: Store, rows: Rows, names: Any, embeddings: Embeddings, options: ProjectionOptions) -> Graph:
    k = max(DEFAULT_K, options.neighbors)
    if options.scale == "minmax":
        if len(flat := np.flatnonzero(~embeddings.any(axis=1))):
            record_id = store.reader.column("id", rows[flat[:1]])[0]
            raise InvalidData(
                f"The record {record_id!r} has no direction once scaled.",
                why=f"It is at the least of every feature, which --scale minmax makes 0; {len(flat):,} are.",
                fix="--metric euclidean, or leave --scale out",
            )
        # Scaled features have other cosines than the embeddings, so the kept graph does not serve.
        return build_graph(rows, names, embeddings, options.neighbors)
    return graph_of(store, k)


def _nearest(graph: Graph | None, rows: Rows, among: Rows, splits: list[str], k: int) -> Nearest | None:
    if graph is None:
        return None
    similarities, found = graph.within(rows, splits=splits, k=k)
    return Nearest(similarities, np.searchsorted(among, found))


def _codes(labels: Sequence[str | None], fitted: Any) -> Any:
    own = [label for label, chosen in zip(labels, fitted, strict=True) if chosen]
    known = sorted({label for label in own if label is not None})
    if len(known) < 2:
        raise InvalidData(
            f"A supervised projection needs 2 labels; the records that it is fitted on have {len(known)}.",
            fix="leave --supervised out",
        )
    place = {label: code for code, label in enumerate(known)}
    return np.array([-1 if label is None else place[label] for label in own], dtype=np.int64)


def _name(rows: Rows, splits: Sequence[str], labels: Sequence[str | None], options: ProjectionOptions) -> str:
    """Return the name of a projection: a digest of all that changes it."""
    digest = hashlib.sha256(rows.astype("<i8").tobytes())
    said = labels if options.supervised else ()
    digest.update(json.dumps([_ALGORITHM, asdict(options), list(splits), list(said)]).encode())
    return digest.hexdigest()[:16]


def _kept(store: Store, name: str) -> Coordinates | None:
    try:
        derived = read_derived(store.path, store.reader, KIND, name)
    except StoreDamaged as error:
        logger.warning("The projection is laid out again: %s", error.what)
        return None
    return None if derived is None else derived.tensors["coordinates"]


def _keep(store: Store, name: str, coordinates: Coordinates, options: ProjectionOptions) -> None:
    facts = {"options": asdict(options), "content": _records_key(store)}
    try:
        for entry in list_derived(store.reader, KIND):
            if (entry.facts or {}).get("content") != facts["content"]:
                # Of records that have changed since: nobody can ask for it again. Another process that
                # projects now may have dropped it first.
                with suppress(NotFound):
                    drop_derived(store.path, KIND, entry.name)
        write_derived(store.path, KIND, name, {"coordinates": coordinates}, facts)
    except (StoreLocked, DiskFailure) as error:
        logger.warning("The projection is used without being kept: %s", error.what)


def _records_key(store: Store) -> str:
    rows = store.rows()
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16]


def _decimals(values: Coordinates) -> list[float]:
    """Return coordinates with the digits that float32 has, instead of the noise that float64 adds."""
    return [float(str(value)) for value in values]
