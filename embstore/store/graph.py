"""The graph: the nearest neighbors of every record in every split, computed once and kept."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embstore.directions import unit
from embstore.errors import DiskFailure, InvalidInput, NotFound, StoreDamaged, StoreLocked
from embstore.records import Embeddings, Progress, Rows, Similarities
from embstore.store.derived import read_derived
from embstore.store.faults import verify_line
from embstore.store.keeping import write_derived
from embstore.store.store import Store
from embstore.store.structures.flat import FlatIndex

logger = logging.getLogger(__name__)

KIND, NAME = "graph", "neighbors"
#: Neighbors that are kept of each record in each split.
DEFAULT_K = 50
# Candidates beyond k, so that ties at the last place can be settled by row.
_MARGIN = 12
# Float32 similarities closer than this may be equal but for rounding.
_ROUNDING = 2e-6
# Records searched for together, and candidates compared exactly together: some tens of MB.
_SEARCH_ROWS = 4096
_EXACT_PAIRS = 1 << 14
# Fills the place of a neighbor that is not there: a split of n records has n - 1 neighbors for its own.
_NOBODY = -1


@dataclass(frozen=True)
class Graph:
    """For each live record its k nearest neighbors in each split, itself left out.

    Neighbors stand apart by split so that leave-one-out over the training records, validation against
    training and leaks from test into training are all exact lookups.

    Parameters
    ----------
    rows : ndarray of shape (n,), int64
        Rows of the records, ascending.
    k : int
        Neighbors that were asked for.
    neighbors : dict of str to (similarities, rows)
        By split: float32 cosines of shape (n, min(k, records of the split)), largest first, and the rows, of
        the same shape; equal similarities by ascending row. Row -1 where there is no such neighbor.
    """

    rows: Rows
    k: int
    neighbors: dict[str, tuple[Similarities, npt.NDArray[np.signedinteger]]]

    def within(
        self, rows: Rows, *, splits: Sequence[str] | None = None, k: int | None = None
    ) -> tuple[Similarities, Rows]:
        """Return the nearest neighbors of some records among the records of some splits.

        Parameters
        ----------
        rows : ndarray of shape (m,), int64
            Rows of live records, in any order.
        splits : sequence of str, optional
            Where neighbors may come from; all by default.
        k : int, optional
            Neighbors per record, at most ``self.k``, which is the default.

        Returns
        -------
        similarities : ndarray of shape (m, w), float32
            Cosine, largest first; w is k, or less where a record has fewer neighbors.
        rows : ndarray of the same shape, int64
            Equal similarities are listed by ascending row; never the record itself.

        Raises
        ------
        InvalidInput
            ``k`` is not in 1 to ``self.k``.
        NotFound
            A row is not live, or a split does not exist.
        """
        k = self.k if k is None else k
        if not 1 <= k <= self.k:
            raise InvalidInput(f"The graph has no {k} neighbors.", why=f"It keeps 1 to {self.k} of a record.")
        places = self._places(rows)
        unknown = [name for name in splits or () if name not in self.neighbors]
        if unknown:
            raise NotFound(
                f"The graph has no split {unknown[0]!r}.", why=f"It has: {', '.join(self.neighbors)}."
            )
        parts = [self.neighbors[name] for name in splits or self.neighbors]
        similarities = np.concatenate([part[0][places] for part in parts], axis=1)
        found = np.concatenate([part[1][places] for part in parts], axis=1).astype(np.int64)
        order = np.lexsort((found, -similarities), axis=1)[:, :k]
        found = np.take_along_axis(found, order, axis=1)
        width = int((found != _NOBODY).sum(axis=1).min(initial=k))
        return np.take_along_axis(similarities, order[:, :width], axis=1), found[:, :width]

    def _places(self, rows: Rows) -> Rows:
        places = np.searchsorted(self.rows, rows)
        missing = places == len(self.rows)
        missing |= self.rows[np.minimum(places, len(self.rows) - 1)] != rows
        if missing.any():
            raise NotFound(f"The graph has no row {rows[missing][0]}.", why="It has the live records alone.")
        return places


def graph_of(
    store: Store, k: int = DEFAULT_K, *, keep: bool = True, progress: Progress | None = None
) -> Graph:
    """Return the graph of a store: the kept one while it is of the same records, else a new one.

    Labels do not matter to it: a store that was relabelled keeps its graph.

    Parameters
    ----------
    store : Store
        Its snapshot decides which records are live.
    k : int
        Neighbors of each record in each split, at least 1; a kept graph of more serves.
    keep : bool
        Keep a new graph in the store. Where that cannot be done, it is used all the same.
    progress : callable, optional
        Called with the searches done and their total.

    Raises
    ------
    InvalidInput
        ``k < 1``.
    StoreDamaged
        Stored embeddings are not finite any more.
    """
    if k < 1:
        raise InvalidInput(f"A graph of {k} neighbors has none.", why="It is at least 1.", fix="k=50")
    rows = store.rows()
    names = np.array(store.reader.column("split", rows))
    key = _key(rows, names)
    kept = _kept(store, key, k)
    if kept is not None:
        return kept
    try:
        graph = build_graph(rows, names, store.embeddings(rows), k, progress)
    except StoreDamaged as error:
        error.fix = error.fix or verify_line(store.path)
        raise
    if keep:
        _keep(store, graph, key)
    return graph


def build_graph(
    rows: Rows,
    names: npt.NDArray[np.str_],
    embeddings: Embeddings,
    k: int,
    progress: Progress | None = None,
) -> Graph:
    """Compute the graph of embeddings (n, dim) whose rows are ascending and whose splits are ``names``."""
    directions = unit(embeddings)
    exact = _Cosines(embeddings)
    if not np.isfinite(directions).all():
        bad = int(rows[~np.isfinite(directions).all(axis=1)][0])
        raise StoreDamaged(f"The embedding of row {bad} is zero, NaN or infinite.")
    neighbors = {}
    splits = list(dict.fromkeys(names.tolist()))
    for done, split in enumerate(splits):
        members = np.flatnonzero(names == split)
        index = FlatIndex.build(directions.shape[1], [directions[members]])
        parts = []
        for start in range(0, len(rows), _SEARCH_ROWS):
            if progress:
                progress(done * len(rows) + start, len(splits) * len(rows))
            chosen = np.arange(start, min(start + _SEARCH_ROWS, len(rows)))
            parts.append(_nearest(directions, exact, chosen, members, index, k))
        positions = np.concatenate([part[1] for part in parts])
        found = np.where(positions == _NOBODY, _NOBODY, rows[positions])
        # Half the bytes of int64, which few stores need.
        small = found.astype(np.int32) if rows[-1] < 2**31 else found
        neighbors[split] = (np.concatenate([part[0] for part in parts]), small)
    if progress:
        progress(len(splits) * len(rows), len(splits) * len(rows))
    return Graph(rows, k, neighbors)


def _nearest(
    directions: Embeddings, cosines: _Cosines, chosen: Rows, members: Rows, index: FlatIndex, k: int
) -> tuple[Similarities, Rows]:
    """Return similarities and positions of the k nearest members to each of the chosen positions."""
    width = min(k, len(members))
    similarities = np.full((len(chosen), width), -2.0, dtype=np.float32)
    positions = np.full((len(chosen), width), _NOBODY, dtype=np.int64)
    open_ones = np.arange(len(chosen))
    fetch = k + 1 + _MARGIN
    while len(open_ones):
        fetch = min(fetch, len(members))
        rough, places = index.nearest(directions[chosen[open_ones]], fetch)
        found = members[places]
        exact = cosines(chosen[open_ones], found)
        exact[found == chosen[open_ones][:, np.newaxis]] = -2.0
        order = np.lexsort((found, -exact), axis=1)[:, :width]
        exact = np.take_along_axis(exact, order, axis=1)
        found = np.take_along_axis(found, order, axis=1)
        similarities[open_ones] = exact
        positions[open_ones] = np.where(exact == -2.0, _NOBODY, found)
        if fetch == len(members):
            break
        # What was not fetched is at most as similar as the last that was, but for rounding.
        open_ones = open_ones[rough[:, -1] >= exact[:, -1] - _ROUNDING]
        fetch *= 4
    return similarities, positions


class _Cosines:
    """Cosines of pairs as search gives them: in float64 and of the two embeddings alone."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings
        self._lengths = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))

    def __call__(self, chosen: Rows, found: Rows) -> Similarities:
        """Return float32 of shape ``found.shape``: position ``chosen[i]`` with each of ``found[i]``."""
        values = np.empty(found.shape, dtype=np.float32)
        step = max(1, _EXACT_PAIRS // found.shape[1])
        for start in range(0, len(chosen), step):
            one, others = chosen[start : start + step], found[start : start + step]
            asked, wide = (self._embeddings[rows].astype(np.float64) for rows in (one, others))
            lengths = self._lengths[one][:, np.newaxis] * self._lengths[others]
            products = np.einsum("ijk,ik->ij", wide, asked)
            values[start : start + step] = np.clip(products / lengths, -1.0, 1.0)
        return values


def _key(rows: Rows, names: npt.NDArray[np.str_]) -> str:
    digest = hashlib.sha256(rows.astype("<i8").tobytes())
    digest.update("\0".join(names.tolist()).encode())
    return digest.hexdigest()


def _kept(store: Store, key: str, k: int) -> Graph | None:
    try:
        derived = read_derived(store.path, store.reader, KIND, NAME)
    except StoreDamaged as error:
        logger.warning("The graph is computed again: %s", error.what)
        return None
    if derived is None or derived.facts["key"] != key or derived.facts["k"] < k:
        return None
    tensors = derived.tensors
    neighbors = {
        split: (tensors[f"similarities.{place}"], tensors[f"rows.{place}"])
        for place, split in enumerate(derived.facts["splits"])
    }
    return Graph(tensors["rows"], derived.facts["k"], neighbors)


def _keep(store: Store, graph: Graph, key: str) -> None:
    tensors: dict[str, npt.NDArray[Any]] = {"rows": graph.rows}
    for place, (similarities, rows) in enumerate(graph.neighbors.values()):
        tensors |= {f"similarities.{place}": similarities, f"rows.{place}": rows}
    facts = {"key": key, "k": graph.k, "splits": list(graph.neighbors)}
    try:
        write_derived(store.path, KIND, NAME, tensors, facts)
    except (StoreLocked, DiskFailure) as error:
        logger.warning("The graph is used without being kept: %s", error.what)
