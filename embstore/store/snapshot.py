"""The read side of records.db, with the standard library alone: the query path cannot afford more imports."""

from __future__ import annotations

import hashlib
import json
import shlex
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embstore.errors import InvalidInput, NotFound, StoreDamaged
from embstore.records import Mask, Record, Rows
from embstore.store.digest import digest_of_rows, record_of
from embstore.store.faults import disk_faults, sqlite_faults, verify_line
from embstore.store.files import is_file
from embstore.store.index_entry import IndexEntry
from embstore.store.segments import Segment, chain_length
from embstore.wording import restore_or_delete

# Rows fetched in one transaction: short enough that a waiting writer does not notice.
FETCH_ROWS = 20_000
BUSY_SECONDS = 60.0
_RECORD = "row, id, split, label, text, extra"
# Facts as bytes: as a text that is no UTF-8 any more, one would hide all others.
_DERIVED = "kind, name, file, bytes, sha256, sequence, made, CAST(facts AS BLOB) AS facts"


@dataclass(frozen=True)
class Snapshot:
    """What a store held at one moment; never changes.

    Parameters
    ----------
    sequence : int
        Number of the last commit that it shows.
    segments : tuple of Segment
        By first row, without gaps.
    index : IndexEntry or None
        The newest generation.
    dead : ndarray of shape (n_dead,), int64
        Rows that have a tombstone.
    """

    sequence: int
    segments: tuple[Segment, ...]
    index: IndexEntry | None
    dead: Rows

    @property
    def n_rows(self) -> int:
        """Rows that have an embedding, dead ones included."""
        return self.segments[-1].first_row + self.segments[-1].n if self.segments else 0

    def live(self) -> Mask:
        """Return, for each row, whether it has no tombstone."""
        alive = np.ones(self.n_rows, dtype=np.bool_)
        alive[self.dead] = False
        return alive


# The splits of live records, each found behind the one before it: one step in the index a split.
_SPLITS = """WITH RECURSIVE splits(name) AS (
SELECT * FROM (SELECT split FROM records WHERE tombstone IS NULL ORDER BY split LIMIT 1) UNION ALL
SELECT (SELECT split FROM records WHERE tombstone IS NULL AND split > name ORDER BY split LIMIT 1)
FROM splits WHERE name IS NOT NULL) SELECT name FROM splits"""


class RecordsReader:
    """Every question to records.db; any number of processes may ask while one writes.

    Parameters
    ----------
    path : Path
        An existing database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_faults(path, "Reading"):
            if not is_file(path):
                raise StoreDamaged(f"{path} is missing.", fix=restore_or_delete(path.parent))
        # Opened for writing and then forbidden to: a reader that comes after a crash must be able to roll the
        # unfinished transaction back.
        with sqlite_faults(path, "Reading"):
            uri = f"{path.absolute().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> RecordsReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def snapshot(self) -> Snapshot:
        """Return what the store holds now, read in one transaction."""
        with self._transaction():
            state = self._all("SELECT value FROM state WHERE key = 'sequence'")
            segments = self._all("SELECT first_row, n, shard, offset, crc32 FROM segments ORDER BY first_row")
            index = self._all("SELECT * FROM indexes ORDER BY generation DESC LIMIT 1")
            dead = self._all("SELECT row FROM records WHERE tombstone IS NOT NULL ORDER BY row")
            last = self._all("SELECT max(row) FROM records")[0][0]
        chain = tuple(Segment(*row) for row in segments)
        n_rows = chain_length(chain)
        if not state or n_rows != (0 if last is None else last + 1):
            raise StoreDamaged(
                f"{self._path} is damaged: its last record is row {last}, its segments have {n_rows} rows.",
                fix=restore_or_delete(self._path.parent),
            )
        return Snapshot(
            state[0][0],
            chain,
            IndexEntry.from_row(dict(index[0])) if index else None,
            np.array([row[0] for row in dead], dtype=np.int64),
        )

    def sequence(self) -> int:
        """Return the number of the last commit."""
        return int(self._all("SELECT value FROM state WHERE key = 'sequence'")[0][0])

    def records(self, rows: Sequence[int]) -> list[Record]:
        """Return the records of rows, in their order; dead ones too."""
        found: dict[int, Record] = {}
        for start in range(0, len(rows), FETCH_ROWS):
            wanted = [int(row) for row in rows[start : start + FETCH_ROWS]]
            marks = ",".join(map(str, wanted))
            for row in self._all(f"SELECT {_RECORD} FROM records WHERE row IN ({marks})"):  # noqa: S608
                found[row["row"]] = record_of(row)
        if len(found) < len(set(rows)):
            raise self._gap(len(set(rows)), len(found))
        return [found[int(row)] for row in rows]

    def column(self, name: str, rows: Rows) -> list[Any]:
        """Return one column of the records of ascending rows, in their order."""
        values: list[Any] = []
        for start in range(0, len(rows), FETCH_ROWS):
            part = rows[start : start + FETCH_ROWS]
            wanted = set(part.tolist())
            query = f"SELECT row, {name} FROM records WHERE row BETWEEN ? AND ? ORDER BY row"  # noqa: S608
            found = self._all(query, int(part[0]), int(part[-1]))
            values += [row[1] for row in found if row[0] in wanted]
        if len(values) < len(rows):
            raise self._gap(len(rows), len(values))
        return values

    def row_of(self, record_id: str, at: Snapshot) -> int:
        """Return the row of an id that a snapshot shows.

        Raises
        ------
        NotFound
            The store has no such record.
        """
        found = self._shown(at, " AND id = ?", record_id)
        if not len(found):
            some = self._all("SELECT id FROM records WHERE tombstone IS NULL ORDER BY row LIMIT 3")
            raise NotFound(
                f"The store has no record {record_id!r}.",
                why=f"Its ids look like {', '.join(row[0] for row in some)}." if some else "It is empty.",
                fix=f"--id {shlex.quote(some[0][0])}" if some else "embstore build DATASET",
            )
        return int(found[0])

    def rows_where(self, at: Snapshot, *, split: str | None = None, label: str | None = None) -> Rows:
        """Return, ascending, the rows of a split, a label or both that a snapshot shows."""
        named = [(name, value) for name, value in (("split", split), ("label", label)) if value is not None]
        where = "".join(f" AND {name} = ?" for name, _ in named)
        # Splits come first in the index: a label alone is looked for in each, or all texts would be read.
        live = f" AND split IN ({_SPLITS})" if label is not None and split is None else ""
        return self._shown(at, where, *(value for _, value in named), live=live)

    def counts(self, column: str, at: Snapshot | None = None) -> dict[str | None, int]:
        """Return how many live records, of a snapshot's, have each ``split`` or ``label``, oldest first."""
        where = "tombstone IS NULL" if at is None else f"tombstone IS NULL AND row < {at.n_rows}"
        query = f"SELECT {column}, count(*), min(row) FROM records WHERE {where} GROUP BY 1 ORDER BY 3"  # noqa: S608
        return {row[0]: row[1] for row in self._all(query)}

    def labelled_splits(self) -> list[str]:
        """Return the splits in which at least one live record has a label, in order of first appearance."""
        where = "tombstone IS NULL AND label IS NOT NULL"
        return [
            row[0]
            for row in self._all(f"SELECT split FROM records WHERE {where} GROUP BY 1 ORDER BY min(row)")  # noqa: S608
        ]

    def content_key(self) -> str:
        """Return a digest that changes with every record that is added, removed or given another label."""
        segments = self._all("SELECT digest FROM segments ORDER BY first_row")
        dead = self._all("SELECT count(*), total(row) FROM records WHERE tombstone IS NOT NULL")[0]
        digest = hashlib.sha256(b"".join(row[0] for row in segments))
        digest.update(repr(tuple(dead)).encode())
        return digest.hexdigest()

    def truncated(self) -> int:
        """Return how many live records are longer than the encoder reads."""
        return int(self._all("SELECT count(*) FROM records WHERE truncated AND tombstone IS NULL")[0][0])

    def last_build(self) -> dict[str, Any] | None:
        """Return the newest build with its number of quarantined records."""
        query = (
            "SELECT *, (SELECT count(*) FROM quarantine WHERE quarantine.build = builds.build) AS quarantined"
            " FROM builds ORDER BY build DESC LIMIT 1"
        )
        rows = self._all(query)
        return dict(rows[0]) if rows else None

    def last_built(self) -> tuple[str, str]:
        """Return when the newest finished build ended, and when the newest build at all began.

        Each is an empty string where there is none; the end is one, too, where the store has no record.
        """
        query = (
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM records WHERE tombstone IS NULL) THEN max(finished) END,"
            " max(started) FROM builds"
        )
        finished, started = self._all(query)[0]
        return str(finished or ""), str(started or "")

    def quarantined(self, build: int, limit: int) -> list[dict[str, Any]]:
        """Return the first quarantined records of a build."""
        query = "SELECT position, split, id, error FROM quarantine WHERE build = ? ORDER BY position LIMIT ?"
        return [dict(row) for row in self._all(query, build, limit)]

    def derived(self, kind: str) -> list[dict[str, Any]]:
        """Return what the database knows of the derived things of a kind; none in a store of before them."""
        if not self._all("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'derived'"):
            return []
        return [dict(row) for row in self._all(f"SELECT {_DERIVED} FROM derived WHERE kind = ?", kind)]  # noqa: S608

    def problems(self) -> list[str]:
        """Return what SQLite's own check finds wrong with the file."""
        # Not quick_check: it does not compare the indexes, which answer most questions, with the table.
        found = [row[0] for row in self._all("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def stale_segments(self) -> list[int]:
        """Return the first row of each segment whose records are not those that were written."""
        stale = []
        for first, n in self._all("SELECT first_row, n FROM segments ORDER BY first_row"):
            # Together: a build may change a label, and with it the digest, between the two.
            with self._transaction():
                digests = self._all("SELECT digest FROM segments WHERE first_row = ?", first)
                query = f"SELECT {_RECORD}, text_sha256 FROM records WHERE row >= ? AND row < ?"  # noqa: S608
                rows = self._all(query, first, first + n)
            if len(rows) != n or [digest_of_rows(rows)] != [row[0] for row in digests]:
                stale.append(first)
        return stale

    def _shown(self, at: Snapshot, where: str, *parameters: Any, live: str = "") -> Rows:
        """Return, ascending, the rows that were live at a snapshot; those buried since are among them."""
        # Two selects, so that each goes through an index of its own.
        alive, buried = (
            f"SELECT row FROM records WHERE {state}{where} AND row < ?"  # noqa: S608
            for state in (f"tombstone IS NULL{live}", "tombstone > ?")
        )
        found = self._all(
            # As one value: half a million of them cost a filter seven times as long.
            f"SELECT json_group_array(row) FROM ({alive} UNION ALL {buried})",  # noqa: S608
            *(*parameters, at.n_rows, at.sequence, *parameters, at.n_rows),
        )
        return np.sort(np.array(json.loads(found[0][0]), dtype=np.int64))

    def _gap(self, wanted: int, found: int) -> StoreDamaged:
        return StoreDamaged(
            f"{self._path} is damaged: it has {found} of {wanted} records.",
            fix=verify_line(self._path.parent),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._all("BEGIN")
        try:
            yield
        finally:
            self._all("ROLLBACK")

    def _all(self, query: str, *parameters: Any) -> list[sqlite3.Row]:
        with sqlite_faults(self._path, "Reading"):
            try:
                return self._connection.execute(query, parameters).fetchall()
            except UnicodeEncodeError as error:
                what = f"{str(error.object)[:80]!r} is not valid Unicode."
                raise InvalidInput(what, why="It has half of a surrogate pair.") from error
