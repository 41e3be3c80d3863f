"""What records.db knows of a generation of the index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from embstore.store.certificate import FEW_ROWS, Certificate
from embstore.store.digest import text_sha256


@dataclass(frozen=True)
class IndexEntry:
    """One generation of the index, as the database knows it.

    Parameters
    ----------
    generation : int
        Each is larger than those before it.
    file, sha256 : str
        Name and checksum of its file, of ``bytes`` bytes.
    bytes, ntotal : int
        Size of the file; rows covered.
    factory : str
        See `SimilarityIndex`.
    recall : float
        At 10 neighbors, in [0, 1].
    certificate : Certificate or None
        None where it was built before there were any: then it is exact.
    problem : str
        Why it must not be searched, for nobody knows how well it does; else the empty string.
    """

    generation: int
    file: str
    bytes: int
    sha256: str
    ntotal: int
    factory: str
    recall: float
    certificate: Certificate | None = None
    problem: str = ""

    @property
    def exact(self) -> bool:
        """Whether an unfiltered search through it misses nothing."""
        return self.certificate is None or self.certificate.exact or self.ntotal < FEW_ROWS

    @property
    def promise(self) -> str:
        """What a search through it finds, in a few words."""
        measured = self.certificate.recall_at(10) if self.certificate else None
        if self.exact or measured is None:
            return "exact"
        return (
            f"recall {measured.value:.3f} at {measured.k} ({measured.low:.3f} to {measured.high:.3f}, 95 %)"
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> IndexEntry:
        """Return the entry of a row of the table ``indexes``, of whatever version."""
        names = ("generation", "file", "bytes", "sha256", "ntotal", "factory", "recall")
        entry = cls(**{name: row[name] for name in names})
        kept, sha256 = row.get("certificate"), row.get("certificate_sha256")
        what = f"records.db is damaged: what was measured of the index in {entry.file}"
        if sha256 is not None and text_sha256(str(kept)).hex() != sha256:
            return replace(entry, problem=f"{what} is not what was written.")
        try:
            return replace(entry, certificate=Certificate.from_json(json.loads(kept)) if kept else None)
        except (TypeError, KeyError, ValueError):
            return replace(entry, problem=f"{what} cannot be read.")
