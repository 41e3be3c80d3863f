"""The write side of records.db and its one commit point."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from embstore.records import Record, Rejected
from embstore.store.digest import digest_bytes, record_digest, record_of
from embstore.store.faults import sqlite_faults
from embstore.store.schema import migrations
from embstore.store.segments import Segment
from embstore.store.sqlite_tables import Database

FILE_NAME = "records.db"
# Readers hold their lock for milliseconds; a writer waits for them rather than fail.
BUSY_SECONDS = 60.0
CACHE_KIB = 128 * 1024


@dataclass(frozen=True, slots=True)
class Known:
    """What the database already holds under an id."""

    row: int
    record: Record
    text_sha256: bytes
    build: int


@dataclass(frozen=True, slots=True)
class Build:
    """One run of a dataset into the store.

    Parameters
    ----------
    build : int
        Its number; each build's is larger than those before it.
    next_record : int
        Where it goes on.
    keep_others : bool
        Whether records that the dataset does not have stay.
    """

    build: int
    next_record: int
    keep_others: bool


class RecordsWriter:
    """Every change of records.db, for the process that holds the store's lock.

    Parameters
    ----------
    path : Path
        Created with its schema where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with sqlite_faults(path):
            self._db = Database(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None))
            # TRUNCATE and FULL: acknowledged means on the disk. WAL is not used, see "Why it is this way".
            self._db.execute("PRAGMA journal_mode = TRUNCATE")
            self._db.execute("PRAGMA synchronous = FULL")
            # Hashes land on pages all over their indexes; with SQLite's own 2 MB most are read each time.
            self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            migrations.apply(self._db)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes inside together, as one step of the store's sequence, or none."""
        with sqlite_faults(self._path), self._db.atomic():
            self._db.execute("UPDATE state SET value = value + 1 WHERE key = 'sequence'")
            yield

    def begin_build(self, dataset: str, fingerprint: str, *, keep_others: bool) -> Build:
        """Go on with the latest build if it is unfinished and of the same dataset, else begin one."""
        latest = self._one("SELECT * FROM builds ORDER BY build DESC LIMIT 1")
        same = latest and (latest["dataset_fingerprint"], latest["keep_others"]) == (fingerprint, keep_others)
        if latest and same and latest["finished"] is None:
            return Build(latest["build"], latest["next_record"], keep_others)
        build = (latest["build"] if latest else 0) + 1
        values = {"build": build, "dataset": dataset, "dataset_fingerprint": fingerprint}
        progress = {"keep_others": int(keep_others), "next_record": 0, "started": _now(), "finished": None}
        with self.transaction():
            self._db.table("builds").insert({**values, **progress})
        return Build(build, 0, keep_others)

    def advance_build(self, build: Build, next_record: int) -> None:
        """Note, inside a transaction, that all records before ``next_record`` are settled."""
        self._db.table("builds").update(build.build, {"next_record": next_record})

    def finish_build(self, build: Build) -> int:
        """Tombstone, unless they are kept, the records that this build did not see; return how many."""
        with self.transaction():
            removed = 0
            if not build.keep_others:
                statement = "UPDATE records SET tombstone = ? WHERE tombstone IS NULL AND build < ?"
                removed = self._db.execute(statement, [self._sequence(), build.build]).rowcount
            self._db.table("builds").update(build.build, {"finished": _now()})
        return removed

    def has_records(self, build: Build) -> bool:
        """Tell whether a live record carries this build's number: the build saw it, or wrote it."""
        query = "SELECT EXISTS (SELECT 1 FROM records WHERE build = ? AND tombstone IS NULL) AS found"
        found = self._one(query, build.build)
        return bool(found and found["found"])

    def known_ids(self, ids: Sequence[str]) -> dict[str, Known]:
        """Return what stands under each id that the store holds."""
        marks = ",".join("?" * len(ids))
        found = self._known(f"tombstone IS NULL AND id IN ({marks})", ids)
        return {known.record.id: known for known in found}

    def known_texts(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, bool]]:
        """Return by SHA-256 of its text the first row that embeds it, live or not, and whether it was cut."""
        marks = ",".join("?" * len(hashes))
        query = (
            f"SELECT text_sha256, min(row), truncated FROM records WHERE text_sha256 IN ({marks}) GROUP BY 1"  # noqa: S608
        )
        with sqlite_faults(self._path):
            return {sha: (row, bool(cut)) for sha, row, cut in self._db.execute(query, list(hashes))}

    def add_segment(self, segment: Segment, records: Sequence[dict[str, Any]]) -> None:
        """Insert, inside a transaction, a segment and the records of its rows, in the order of the rows."""
        values = {name: getattr(segment, name) for name in ("first_row", "n", "shard", "offset", "crc32")}
        digest = sum(record_digest(values["row"], record_of(values)) for values in records)
        self._db.table("segments").insert(
            {**values, "digest": digest_bytes(digest), "sequence": self._sequence()}
        )
        # One prepared statement: a million records through insert_all cost 40 s more.
        names = list(records[0])
        statement = f"INSERT INTO records ({', '.join(names)}) VALUES (:{', :'.join(names)})"  # noqa: S608
        self._db.conn.executemany(statement, records)

    def touch(self, rows: Sequence[int], build: Build) -> None:
        """Note, inside a transaction, that a build saw these rows."""
        self._db.conn.executemany(
            "UPDATE records SET build = ? WHERE row = ?", [(build.build, row) for row in rows]
        )

    def rewrite(self, changes: Sequence[tuple[Known, Record]]) -> None:
        """Replace, inside a transaction, split, label and extra columns of records whose text stays."""
        for known, record in changes:
            difference = record_digest(known.row, record) - record_digest(known.row, known.record)
            self._shift_digest(known.row, difference)
            values = {"split": record.split, "label": record.label, "extra": extra_json(record)}
            self._db.table("records").update(known.row, values)

    def relabel(self, changes: Sequence[tuple[Known, str]], source: str) -> None:
        """Give, inside a transaction, records other labels, and remember those that they had."""
        batch = 1 + int(self._db.execute("SELECT coalesce(max(batch), 0) FROM relabels").fetchone()[0])
        self.rewrite([(known, replace(known.record, label=label)) for known, label in changes])
        facts = {"batch": batch, "source": source, "made": _now(), "undone": None}
        self._db.table("relabels").insert_all(
            {**facts, "row": known.row, "before": known.record.label, "after": label}
            for known, label in changes
        )

    def last_relabels(self) -> list[dict[str, Any]]:
        """Return the changes of the newest batch that was not undone; none where there is none."""
        newest = "(SELECT max(batch) FROM relabels WHERE undone IS NULL)"
        with sqlite_faults(self._path):
            return list(self._db.execute_returning_dicts(f"SELECT * FROM relabels WHERE batch = {newest}"))  # noqa: S608

    def undo_relabels(self, batch: int, changes: Sequence[tuple[Known, str | None]]) -> None:
        """Give, inside a transaction, records back the labels of before a batch, and mark it as undone."""
        self.rewrite([(known, replace(known.record, label=before)) for known, before in changes])
        self._db.execute("UPDATE relabels SET undone = ? WHERE batch = ?", [_now(), batch])

    def corrections(self, rows: Sequence[int]) -> dict[int, tuple[str | None, str | None]]:
        """Return by row the label that a person last changed, and what to, where it was not undone."""
        marks = ",".join(map(str, rows))
        where = f"undone IS NULL AND row IN ({marks})"
        query = f"SELECT row, before, after FROM relabels WHERE {where} ORDER BY change"  # noqa: S608
        found: dict[int, tuple[str | None, str | None]] = {}
        with sqlite_faults(self._path):
            for row, before, after in self._db.execute(query):
                # Changed twice: what the dataset says is what stood before the first of them.
                found[row] = (found[row][0] if row in found else before, after)
        return found

    def known_rows(self, rows: Sequence[int]) -> dict[int, Known]:
        """Return by row what stands in live rows."""
        marks = ",".join(map(str, rows))
        return {known.row: known for known in self._known(f"tombstone IS NULL AND row IN ({marks})", [])}

    def bury(self, rows: Sequence[int]) -> None:
        """Set, inside a transaction, the tombstone of rows; their embeddings stay where they are."""
        sequence = self._sequence()
        self._db.conn.executemany(
            "UPDATE records SET tombstone = ? WHERE row = ?", [(sequence, row) for row in rows]
        )

    def quarantine(self, build: Build, rejected: Sequence[Rejected]) -> None:
        """Keep, inside a transaction, the records that could not be stored and why."""
        names = ("position", "split", "id", "error")
        values = [{name: getattr(one, name) for name in names} | {"build": build.build} for one in rejected]
        self._db.table("quarantine").insert_all(values, replace=True)

    def add_index(self, values: Mapping[str, Any]) -> None:
        """Insert the row of a new generation of the index."""
        with self.transaction():
            self._db.table("indexes").insert({**values, "sequence": self._sequence()})

    def put_derived(self, values: Mapping[str, Any]) -> None:
        """Name the file of a derived thing, in place of the one it had."""
        with self.transaction():
            made = {**values, "sequence": self._sequence(), "made": _now()}
            self._db.table("derived").insert(made, replace=True)

    def drop_derived(self, kind: str, name: str) -> None:
        """Forget a derived thing."""
        with self.transaction():
            self._db.execute("DELETE FROM derived WHERE kind = ? AND name = ?", [kind, name])

    def _sequence(self) -> int:
        return int(self._db.execute("SELECT value FROM state WHERE key = 'sequence'").fetchone()[0])

    def _shift_digest(self, row: int, difference: int) -> None:
        found = self._one(
            "SELECT first_row, digest FROM segments WHERE first_row <= ? ORDER BY 1 DESC LIMIT 1", row
        )
        if found:
            digest = int.from_bytes(found["digest"], "big") + difference
            self._db.table("segments").update(found["first_row"], {"digest": digest_bytes(digest)})

    def _known(self, where: str, parameters: Sequence[Any]) -> list[Known]:
        columns = "row, id, split, label, text, extra, text_sha256, build"
        with sqlite_faults(self._path):
            rows = self._db.execute_returning_dicts(
                f"SELECT {columns} FROM records WHERE {where}",  # noqa: S608
                list(parameters),
            )
        return [Known(row["row"], record_of(row), row["text_sha256"], row["build"]) for row in rows]

    def _one(self, query: str, *parameters: Any) -> dict[str, Any] | None:
        with sqlite_faults(self._path):
            rows = self._db.execute_returning_dicts(query, parameters)
        return rows[0] if rows else None


def extra_json(record: Record) -> str:
    """Return the canonical JSON of a record's extra columns."""
    return json.dumps(dict(record.extra), sort_keys=True, ensure_ascii=False)


def _now() -> str:
    # Milliseconds tell which of two stores was built last when a script builds both.
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
