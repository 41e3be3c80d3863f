"""Rows of records.db as records, and digests that tell whether they are still what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Protocol

from embstore.errors import StoreDamaged
from embstore.records import Record


class NamedRow(Protocol):
    """A row of records.db by column: a mapping, or what sqlite3 gives."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the value of a column."""
        ...


def text_sha256(text: str) -> bytes:
    """Return the SHA-256 of a text's UTF-8, 32 bytes: the key under which its embedding is reused."""
    return hashlib.sha256(text.encode()).digest()


def record_digest(row: int, record: Record) -> int:
    """Return the digest of one record at its row, an integer of 128 bits.

    The digest of a segment is the sum of its records' digests modulo 2**128, so that a changed label costs
    one subtraction and one addition instead of reading the segment again.

    Source: Clarke et al., "Incremental multiset hash functions", Asiacrypt 2003 (MSet-Add-Hash).
    """
    content = [row, record.id, record.split, record.label, record.text, dict(record.extra)]
    data = json.dumps(content, sort_keys=True, ensure_ascii=True).encode()
    return int.from_bytes(hashlib.sha256(data).digest()[:16], "big")


def digest_bytes(digest: int) -> bytes:
    """Return a digest, or a sum of them, as records.db keeps it: 16 bytes, big-endian."""
    return (digest % (1 << 128)).to_bytes(16, "big")


def record_of(row: NamedRow) -> Record:
    """Return the record of a row of records.db.

    Raises
    ------
    StoreDamaged
        Its extra columns are no JSON object.
    """
    try:
        extra = json.loads(row["extra"])
    except (TypeError, ValueError) as error:
        raise _no_object(row) from error
    if not isinstance(extra, dict):
        raise _no_object(row)
    return Record(row["id"], row["split"], row["label"], row["text"], extra)


def digest_of_rows(rows: Iterable[NamedRow]) -> bytes:
    """Return the digest that records have now; of none at all where one of them cannot be read.

    Neither is there one where a text does not have its hash: it is by the hash that embeddings are reused.
    """
    digest = 0
    for row in rows:
        try:
            record = record_of(row)
            if text_sha256(record.text) != row["text_sha256"]:
                return b""
            digest += record_digest(row["row"], record)
        except (StoreDamaged, AttributeError, TypeError, ValueError):
            return b""
    return digest_bytes(digest)


def _no_object(row: NamedRow) -> StoreDamaged:
    return StoreDamaged(f"records.db is damaged: the extra columns of row {row['row']} are no JSON object.")
