"""What a projection is written to: tables, pictures, a page; each complete or not there."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import embstore
from embstore.data.parquet_out import write_parquet
from embstore.errors import InvalidInput
from embstore.flows.map_content import map_content
from embstore.flows.projection import Projection
from embstore.flows.tables import rows_of, write_rows
from embstore.outputs import PAGES, check_file, complete_bytes

TABLES = (".csv", ".jsonl", ".parquet", ".npy")
PICTURES = (".png", ".svg")
_OPTIONS = {"--output": TABLES, "--picture": PICTURES, "--html": PAGES}


@dataclass(frozen=True)
class ProjectionOutputs:
    """The files that are asked for.

    Parameters
    ----------
    tables : sequence of Path
        Coordinates with id, split, label and text as ``.csv``, ``.jsonl`` or ``.parquet``; ``.npy`` has the
        coordinates alone, float32 of shape (n, dim), in the same order.
    picture, density : Path, optional
        ``.png`` or ``.svg`` of all labels in one, and of a density panel each.
    page : Path, optional
        ``.html``, interactive, without network.
    raw : bool
        Leave CSV cells that look like formulas as they are.
    overwrite : bool
        Replace files that are there.
    """

    tables: Sequence[Path] = ()
    picture: Path | None = None
    density: Path | None = None
    page: Path | None = None
    raw: bool = False
    overwrite: bool = False

    def check(self, dim: int = 2) -> None:
        """Refuse what cannot be written of ``dim`` coordinates, before any work is done.

        Raises
        ------
        InvalidInput
            A picture or page of three dimensions; a file of another suffix, in no folder, that exists, or
            that is named twice.
        DiskFailure
            A folder cannot be written to.
        """
        if dim != 2 and (self.picture or self.density or self.page):
            raise InvalidInput("Pictures and pages are of 2 dimensions.", fix="--dim 2")
        wanted: list[tuple[Path, Sequence[str]]] = [(path, TABLES) for path in self.tables]
        wanted += [(path, PICTURES) for path in (self.picture, self.density) if path]
        wanted += [(self.page, PAGES)] if self.page else []
        for path, suffixes in wanted:
            others = [option for option, known in _OPTIONS.items() if path.suffix.lower() in known]
            other = f"{others[0]} {shlex.quote(str(path))}" if others else ""
            check_file(path, suffixes, overwrite=self.overwrite, other=other)
        names = [path.resolve() for path, _ in wanted]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InvalidInput(f"{twice[0]} is to be written twice.", fix="a name for each output")

    def write(self, projection: Projection) -> list[Path]:
        """Write them all; return the files.

        Raises
        ------
        InvalidInput
            See `check`.
        DiskFailure
            A file cannot be written; it is as it was.
        """
        self.check(projection.options.dim)
        for path in self.tables:
            _write_table(projection, path, raw=self.raw)
        drawn: list[tuple[Path | None, Callable[..., bytes]]] = [
            (self.picture, embstore.scatter_picture),
            (self.density, embstore.density_picture),
        ]
        for picture, draw in drawn:
            if picture:
                points = embstore.LabelledPoints(
                    projection.coordinates, projection.labels, *projection.title()
                )
                content = draw(points, picture.suffix.lower())
                with complete_bytes(picture) as file:
                    file.write(content)
        if self.page:
            embstore.write_map(map_content(projection), self.page, overwrite=self.overwrite)
        return [*self.tables, *(path for path in (self.picture, self.density, self.page) if path)]


def _write_table(projection: Projection, path: Path, *, raw: bool) -> None:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        with complete_bytes(path) as file:
            np.save(file, projection.coordinates)
    elif suffix == ".parquet":
        with complete_bytes(path) as file:
            write_parquet(file, projection.columns())
    else:
        write_rows(path, rows_of(projection.columns()), raw=raw)
