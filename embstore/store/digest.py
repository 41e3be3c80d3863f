"""Digests that tell whether a record, or a set of records, is still what was written."""

from __future__ import annotations

import hashlib
import json

from embstore.records import Record


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
