"""Which index is asked for, and which one follows from the number of rows, dim and the memory there is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import product

from embstore.errors import InvalidInput

STRUCTURES = ("flat", "hnsw", "ivf")
#: Bytes a float is stored in.
STORAGES = {"": 4, "fp16": 2, "sq8": 1}
#: Up to so many rows `auto` compares all: in fp16 that takes 1.3 ms on one core for 384 floats.
FLAT_ROWS = 50_000
#: Links of a row in an HNSW index; twice as many on the lowest level.
LINKS = 32
#: What `--recall` is where it is not given, at 10 neighbors.
DEFAULT_RECALL = 0.95
# Rows that k-means sees of each cell.
TRAINING_ROWS = 40
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_ALL_KINDS = [",".join(filter(None, pair)) for pair in product(STRUCTURES, STORAGES)]


@dataclass(frozen=True)
class IndexKind:
    """A structure, and how it stores the embeddings.

    Parameters
    ----------
    structure : {'flat', 'hnsw', 'ivf'}
        Every row; links; cells.
    storage : {'', 'fp16', 'sq8'}
        Four, two or one bytes a float. Similarities that are shown always come from the shards.
    """

    structure: str
    storage: str = ""

    @property
    def name(self) -> str:
        """As it is written on the command line: ``flat``, ``ivf,sq8``..."""
        return f"{self.structure},{self.storage}" if self.storage else self.structure

    @property
    def exact(self) -> bool:
        """Whether it misses nothing."""
        return self.structure == "flat"

    def n_bytes(self, n: int, dim: int) -> int:
        """Return about how many bytes it takes over n rows of ``dim`` floats, in memory and on disk."""
        per_row = STORAGES[self.storage] * dim
        if self.structure == "ivf":
            return n * (per_row + 8) + 4 * dim * cells_for(n)
        if self.structure == "hnsw":
            # Two LINKS on the lowest level; one row in LINKS is on the next.
            return n * (per_row + 4 * (2 * LINKS + 1) + 12)
        return n * per_row


@dataclass(frozen=True)
class IndexOptions:
    """What is asked of an index.

    Parameters
    ----------
    kind : str
        ``auto``, or a structure (``flat``, ``hnsw``, ``ivf``), alone or with a storage: ``ivf,sq8``.
    recall : float
        Share of the 10 nearest that a search should find, in (0, 1].
    memory : int or None
        Bytes that the index may take; None for no limit.
    """

    kind: str = "auto"
    recall: float = DEFAULT_RECALL
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.kind != "auto" and self.kind not in _ALL_KINDS:
            raise InvalidInput(
                f"There is no index {self.kind!r}.",
                why=f"There are: auto, {'; '.join(_ALL_KINDS)}.",
                fix="--index auto",
            )
        if not 0 < self.recall <= 1:
            raise InvalidInput(
                f"The recall target is {self.recall}.",
                why="It is above 0 and at most 1.",
                fix="--recall 0.95",
            )
        if self.memory is not None and self.memory < 1:
            raise InvalidInput(
                f"The index may take {self.memory} bytes.",
                why="It needs at least 1.",
                fix="--index-memory 512M",
            )
        if self.recall == 1 and self.kind != "auto" and not self.kind.startswith("flat"):
            raise InvalidInput(
                f"An index {self.kind} cannot promise recall 1.",
                why="It compares a part of the rows; flat compares all of them.",
                fix="--index flat, or --recall 0.99",
            )


def kinds_for(options: IndexOptions, n: int, dim: int) -> list[IndexKind]:
    """Return the kinds to try for n rows, the best first.

    Where `auto` may choose, small stores are compared row by row, exactly; large ones get cells, which build
    in a fraction of the time that links take and answer as fast. Last come exact ones: they reach any target.

    Raises
    ------
    InvalidInput
        None fits into the memory.
    """
    if options.kind == "auto":
        flat, cells = ["flat,fp16", "flat,sq8"], ["ivf,sq8", "ivf,fp16"]
        names = flat if options.recall == 1 or n <= FLAT_ROWS else [*cells, *flat]
    else:
        names = [options.kind]
    kinds = [IndexKind(*name.split(",")) for name in names]
    fitting = [one for one in kinds if options.memory is None or one.n_bytes(n, dim) <= options.memory]
    if not fitting:
        raise _too_large(options, min(kinds, key=lambda one: one.n_bytes(n, dim)), n, dim)
    return fitting


def cells_for(n: int) -> int:
    """Return the number of cells of an IVF index over n rows: twice the square root, so some 500 rows a cell.

    Faiss's guidelines name 4 to 16 times the square root; fewer train and fill in a fraction of the time.
    """
    return max(1, min(n // TRAINING_ROWS, round(2 * math.sqrt(n))))


def parse_bytes(text: str) -> int:
    """Return bytes from a number with a unit: ``512M`` is 512 * 2^20.

    Raises
    ------
    InvalidInput
        It is none.
    """
    found = _BYTES.fullmatch(text.strip())
    if not found:
        raise InvalidInput(
            f"{text!r} is no amount of memory.",
            why="It is a number, with K, M, G or T where it is not bytes.",
            fix="--index-memory 512M",
        )
    return int(float(found[1]) * _UNITS[found[2].lower()])


def shown_bytes(n: int) -> str:
    """Return bytes as `parse_bytes` takes them, never fewer than n."""
    return f"{-(-n // 2**20)}M" if n >= 2**20 else f"{-(-n // 2**10)}K"


def _too_large(options: IndexOptions, least: IndexKind, n: int, dim: int) -> InvalidInput:
    small = IndexKind("flat", "sq8")
    needed = {one.name: shown_bytes(one.n_bytes(n, dim)) for one in (least, IndexKind("ivf", "sq8"), small)}
    listed = ", ".join(f"{name} {size}" for name, size in needed.items())
    fit = f"--index-memory {needed[least.name]}"
    if options.memory is not None and small.n_bytes(n, dim) <= options.memory:
        fit = f"--index flat,sq8 (exact), or {fit}"
    return InvalidInput(
        f"No index {options.kind} with recall {options.recall:g} fits into "
        f"{shown_bytes(options.memory or 0)}.",
        why=f"Over {n:,} rows of {dim} floats are needed: {listed}. "
        "The records are in the store, its index is as it was.",
        fix=fit,
    )
