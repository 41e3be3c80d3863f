"""A store, opened to read: records, embeddings and search, at one moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from embstore.errors import InvalidInput, NotFound
from embstore.records import Embeddings, Neighbor, Record, Rows, Similarities, TextEncoder
from embstore.store.allowed import Allowed
from embstore.store.certificate import Recall
from embstore.store.filters import Filters
from embstore.store.home import find_store
from embstore.store.index import SimilarityIndex
from embstore.store.manifest import Manifest, check_same_encoder, read_manifest
from embstore.store.queries import encode_queries
from embstore.store.search import approximates, check_queries, ranked, search, without
from embstore.store.shards import Shards
from embstore.store.snapshot import RecordsReader, Snapshot
from embstore.store.split import Split
from embstore.store.structures.files import index_or_problem


class Store:
    """A store as it was when it was opened; a build that goes on meanwhile does not disturb it.

    Records, texts and embeddings are those of that moment. A split, a label or extra columns that a build
    changes in place are shown as they are when they are asked for.

    Made by `Store.open`; close it, or use it in a ``with`` statement.
    """

    #: How a store that was opened without an encoder gets its own, from config and fingerprint: set by
    #: `embstore.flows.opening`, so that
    #: this wing imports no encoder and a store opens without one.
    load_encoder: ClassVar[Callable[[Mapping[str, Any], str], TextEncoder] | None] = None

    def __init__(self, path: Path, manifest: Manifest, reader: RecordsReader) -> None:
        self.path = path
        self.manifest = manifest
        self.reader = reader
        self.snapshot: Snapshot = reader.snapshot()
        self.shards = Shards(path / "embeddings", manifest.uuid, manifest.dim)
        self.shards.check(self.snapshot.segments)
        self._filters = Filters(self.name, reader, self.snapshot)
        self._encoder: TextEncoder | None = None

    @classmethod
    def open(
        cls,
        store: str | Path | None = None,
        *,
        home: str | Path | None = None,
        encoder: TextEncoder | None = None,
    ) -> Store:
        """Open a store to read.

        Parameters
        ----------
        store : str or Path, optional
            Name under the home, or a path. None opens the only store, or the one built last.
        home : str or Path, optional
            Folder of named stores; else ``$EMBSTORE_HOME``, else ``indices``.
        encoder : TextEncoder, optional
            For queries by text; its fingerprint must be the store's. Loaded at the first such query if None.

        Raises
        ------
        NotFound
            There is no such store.
        StoreDamaged
            Its files contradict each other.
        EncoderMismatch
            The encoder is not the store's.
        """
        path = find_store(store, home)
        manifest = read_manifest(path)
        with ExitStack() as unfinished:
            reader = unfinished.enter_context(RecordsReader(path / "records.db"))
            opened = cls(path, manifest, reader)
            if encoder is not None:
                check_same_encoder(opened.name, manifest, encoder)
                opened._encoder = encoder
            unfinished.pop_all()
        return opened

    def close(self) -> None:
        """Close the database."""
        self.reader.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.snapshot.n_rows - len(self.snapshot.dead)

    @property
    def name(self) -> str:
        """The folder's name; of a store under the home, and of no other, what to pass to ``-s``."""
        return self.path.resolve().name

    @property
    def dim(self) -> int:
        """Floats of an embedding."""
        return self.manifest.dim

    @property
    def encoder(self) -> TextEncoder:
        """The encoder of the store, loaded at first use.

        Raises
        ------
        EncoderMismatch
            The model's files are no longer those that the store was built with.
        """
        if self._encoder is None:
            if Store.load_encoder is None:
                raise InvalidInput(
                    f"The store {self.name} was opened without an encoder.",
                    fix="Store.open(name, encoder=...)",
                )
            encoder = Store.load_encoder(self.manifest.encoder, self.manifest.fingerprint)
            check_same_encoder(self.name, self.manifest, encoder)
            self._encoder = encoder
        return self._encoder

    @property
    def index(self) -> SimilarityIndex | None:
        """The index of the snapshot, read at first use; None where it is missing or damaged."""
        return self._index_or_problem[0]

    @property
    def index_problem(self) -> str:
        """Why the index is not used, or the empty string; reads the index."""
        return self._index_or_problem[1]

    def records(self, rows: Rows) -> list[Record]:
        """Return the records of rows, in their order.

        Raises
        ------
        InvalidInput
            They are a mask, or no whole numbers.
        NotFound
            The store has no such row.
        """
        return self.reader.records(self._checked(rows).tolist())

    def embeddings(self, rows: Rows) -> Embeddings:
        """Return embeddings of shape (len(rows), dim): a view of the file where rows are consecutive.

        Raises
        ------
        NotFound
            The store has no such row.
        """
        return self.shards.read(self._checked(rows), self.snapshot.segments)

    def split(self, name: str) -> Split:
        """Return the records of one split with their embeddings.

        Raises
        ------
        NotFound
            The store has no such split.
        """
        rows = self.rows(split=name)
        ids, texts, labels = (self.reader.column(column, rows) for column in ("id", "text", "label"))
        return Split(rows, ids, texts, labels, self.embeddings(rows))

    def rows(self, *, split: str | None = None, label: str | None = None) -> Rows:
        """Return, ascending, the rows of a split, a label, both or all.

        Raises
        ------
        NotFound
            The store has no such split or label.
        """
        return self._filters.rows(split, label)

    def recall(self, k: int = 10, *, split: str | None = None, label: str | None = None) -> Recall | None:
        """Return the recall that was measured for such a search; None where its answer is exact.

        Filtered searches are exact, as are those for more than 100 neighbors; reads the index.
        """
        if not approximates(self.index, k, self._filters.allowed(split, label)):
            return None
        certificate = self.snapshot.index.certificate if self.snapshot.index else None
        measured = certificate.recall_at(k) if certificate else None
        # Fewer live records than k, although there are many rows: such a search was never measured.
        return measured or Recall(k, 0.0, 0.0, 1.0)

    def search(
        self, queries: Embeddings, k: int = 10, *, split: str | None = None, label: str | None = None
    ) -> tuple[Similarities, Rows]:
        """Return the k rows most similar to each query.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, dim), float32
            Finite, not zero; need not be of unit length.
        k : int
            Neighbors per query, at least 1. More than match gives all that match.
        split, label : str, optional
            Only records of this split, this label.

        Returns
        -------
        similarities : ndarray of shape (n_queries, min(k, matches)), float32
            Cosine, no unit, in [-1, 1], largest first. Row i answers ``queries[i]``.
        rows : ndarray of the same shape, int64
            Never -1. Equal similarities are listed by ascending row.

        Raises
        ------
        InvalidInput
            Wrong rank, dtype or dim; NaN; a zero row; or ``k < 1``.
        NotFound
            The store has no such split or label.
        StoreDamaged
            Stored embeddings are not finite any more, or a shard was cut.
        """
        return self._search(check_queries(queries, self.dim, k), k, self._filters.allowed(split, label))

    def neighbors(
        self, text: str, k: int = 10, *, split: str | None = None, label: str | None = None
    ) -> list[Neighbor]:
        """Return the k records most similar to a text; the parameters are those of `search`.

        Raises
        ------
        InvalidInput, EncoderMismatch
            See `embed`; or ``k < 1``.
        NotFound, StoreDamaged
            See `search`.
        """
        return self.neighbors_of(self.embed([text]), k, split=split, label=label)[0]

    def neighbors_of(
        self, queries: Embeddings, k: int = 10, *, split: str | None = None, label: str | None = None
    ) -> list[list[Neighbor]]:
        """Return the k records most similar to each query of shape (n_queries, dim); see `search`."""
        return self._neighbors(*self.search(queries, k, split=split, label=label))

    def neighbors_of_record(
        self, record_id: str, k: int = 10, *, split: str | None = None, label: str | None = None
    ) -> list[Neighbor]:
        """Return the k records most similar to a stored one, itself left out; see `search`."""
        row = self.reader.row_of(record_id, self.snapshot)
        allowed = self._filters.allowed(split, label)
        query = check_queries(self.embeddings(np.array([row])), self.dim, k)
        if not allowed.mask[row]:
            return self._neighbors(*self._search(query, k, allowed))[0]
        # One more, itself: leaving it out of the allowed rows would make every such search a filtered one.
        found = without(row, *self._search(query, int(k) + 1, allowed))
        return self._neighbors(*found)[0]

    def embed(self, texts: list[str]) -> Embeddings:
        """Embed query texts, (n, dim), with the store's encoder.

        Raises
        ------
        InvalidInput
            An empty or an endless text, or one that the encoder fails on.
        EncoderMismatch
            See `encoder`.
        """
        return encode_queries(self.encoder, texts).embeddings

    @cached_property
    def _index_or_problem(self) -> tuple[SimilarityIndex | None, str]:
        return index_or_problem(self.path / "index", self.snapshot.index, self.dim)

    def _checked(self, rows: Rows) -> Rows:
        end, rows = self.snapshot.n_rows, np.asarray(rows)
        if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
            why = f"These have shape {rows.shape} and dtype {rows.dtype}."
            raise InvalidInput("Rows are whole numbers.", why=why, fix="np.flatnonzero(mask) of a mask")
        if len(rows) and not 0 <= rows.min() <= rows.max() < end:
            raise NotFound(
                f"The rows of {self.name} are 0 to {end - 1}.", why=f"Not {rows.min()} to {rows.max()}."
            )
        return rows.astype(np.int64, copy=False)

    def _search(self, queries: Embeddings, k: int, allowed: Allowed) -> tuple[Similarities, Rows]:
        segments = self.snapshot.segments
        return search(queries, k, index=self.index, shards=self.shards, segments=segments, allowed=allowed)

    def _neighbors(self, similarities: Similarities, rows: Rows) -> list[list[Neighbor]]:
        return ranked(similarities, rows, self.records(rows.ravel()))
