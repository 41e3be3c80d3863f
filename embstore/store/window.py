"""What a window of records means to a store, settled before anything is encoded or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from embstore.records import Record, Rejected
from embstore.store.database import Build, Known, RecordsWriter, extra_json
from embstore.store.digest import text_sha256


@dataclass(frozen=True, slots=True)
class Added:
    """A record that gets a new row.

    Parameters
    ----------
    position : int
        Its place in the dataset.
    record : Record
        What it is.
    sha256 : bytes
        Of its text, 32 bytes.
    replaces : int or None
        The row that has its id until now, with another text.
    """

    position: int
    record: Record
    sha256: bytes
    replaces: int | None


@dataclass
class Window:
    """Consecutive records of a dataset, sorted by what the store has to do.

    Parameters
    ----------
    next_record : int
        Position in the dataset behind the window.
    added : list of Added
        Records that get new rows.
    seen : list of int
        Rows whose record is in the window with the same text, or could not be read from the dataset.
    changed : list of (Known, Record)
        Those of them whose split, label or extra columns differ.
    rejected : list of Rejected
        To be quarantined.
    known : dict of bytes to (int, bool)
        By SHA-256 of a text: the row whose embedding is copied, and whether the text was cut.
    to_encode : dict of bytes to str
        By SHA-256: the texts that the store has no embedding of, each once.
    """

    next_record: int
    added: list[Added] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    changed: list[tuple[Known, Record]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    known: dict[bytes, tuple[int, bool]] = field(default_factory=dict)
    to_encode: dict[bytes, str] = field(default_factory=dict)


def plan_window(
    records: Sequence[Record | Rejected], first: int, build: Build, database: RecordsWriter
) -> Window:
    """Sort the records of a window; nothing is written.

    Parameters
    ----------
    records : sequence of Record or Rejected
        Consecutive records of the dataset.
    first : int
        Position of the first of them.
    build : Build
        The build that they belong to.
    database : RecordsWriter
        Knows what the store holds.
    """
    window = Window(next_record=first + len(records))
    stored = database.known_ids([record.id for record in records if record.id is not None])
    corrected = database.corrections([known.row for known in stored.values()])
    taken: set[str] = set()
    for position, record in enumerate(records, first):
        known = stored.get(record.id) if record.id is not None else None
        if isinstance(record, Rejected):
            window.rejected.append(record)
            if known and known.record.id not in taken:
                # The dataset still has the record, so what the store has of it stays until it can be read.
                window.seen.append(known.row)
                taken.add(known.record.id)
            continue
        if record.id in taken or (known and known.build == build.build):
            error = f"the id {record.id[:80]!r} stands in the dataset twice"
            window.rejected.append(Rejected(position, record.split, record.id, error))
            continue
        taken.add(record.id)
        _sort(window, position, record, known, corrected.get(known.row) if known else None)
    texts = {added.sha256: added.record.text for added in window.added}
    window.known = database.known_texts(list(texts))
    window.to_encode = {sha: text for sha, text in texts.items() if sha not in window.known}
    return window


def _sort(
    window: Window,
    position: int,
    record: Record,
    known: Known | None,
    corrected: tuple[str | None, str | None] | None,
) -> None:
    sha256 = text_sha256(record.text)
    if known is None or known.text_sha256 != sha256:
        window.added.append(Added(position, record, sha256, known.row if known else None))
        return
    window.seen.append(known.row)
    if corrected == (record.label, known.record.label):
        # The dataset still has the label that a person corrected; only another one in it is news.
        record = replace(record, label=known.record.label)
    before = (known.record.split, known.record.label, extra_json(known.record))
    if before != (record.split, record.label, extra_json(record)):
        window.changed.append((known, record))
