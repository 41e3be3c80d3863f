"""What a projection is written to: tables, pictures, a page; each complete or not there."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

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
_Write: TypeAlias = Callable[[Projection, Path], None]
_OPTIONS = {"--output": TABLES, "--picture": PICTURES, "--html": PAGES}


@dataclass(frozen=True)
class ProjectionOutputs:
    """The files that are asked for.

    Parameters
    ----------
    tables : sequence of str or Path
        Coordinates with id, split, label and text as ``.csv``, ``.jsonl`` or ``.parquet``; ``.npy`` has the
        coordinates alone, float32 of shape (n, dim), in the same order.
    picture, density : str or Path, optional
        ``.png`` or ``.svg`` of all labels in one, and of a density panel each.
    page : str or Path, optional
        ``.html``, interactive, without network.
    raw : bool
        Leave CSV cells that look like formulas as they are.
    overwrite : bool
        Replace files that are there.
    """

    tables: Sequence[str | Path] = ()
    picture: str | Path | None = None
    density: str | Path | None = None
    page: str | Path | None = None
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
        planned = self._planned()
        for path, suffixes, _ in planned:
            others = [option for option, known in _OPTIONS.items() if path.suffix.lower() in known]
            other = f"{others[0]} {shlex.quote(str(path))}" if others else ""
            check_file(path, suffixes, overwrite=self.overwrite, other=other)
        names = [path.resolve() for path, *_ in planned]
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
        planned = self._planned()
        for path, _, write in planned:
            write(projection, path)
        return [path for path, *_ in planned]

    def _planned(self) -> list[tuple[Path, Sequence[str], _Write]]:
        """Return each file with the suffixes that it may have and what writes it."""
        table: _Write = partial(_write_table, raw=self.raw)
        page: _Write = partial(_write_page, overwrite=self.overwrite)
        wanted: list[tuple[str | Path | None, Sequence[str], _Write]] = [
            *((path, TABLES, table) for path in self.tables),
            (self.picture, PICTURES, _write_scatter),
            (self.density, PICTURES, _write_density),
            (self.page, PAGES, page),
        ]
        return [(Path(path), suffixes, write) for path, suffixes, write in wanted if path]


def _write_scatter(projection: Projection, path: Path) -> None:
    _draw(embstore.scatter_picture, projection, path)


def _write_density(projection: Projection, path: Path) -> None:
    _draw(embstore.density_picture, projection, path)


def _draw(draw: Callable[..., bytes], projection: Projection, path: Path) -> None:
    points = embstore.LabelledPoints(projection.coordinates, projection.labels, *projection.title())
    content = draw(points, path.suffix.lower())
    with complete_bytes(path) as file:
        file.write(content)


def _write_page(projection: Projection, path: Path, *, overwrite: bool) -> None:
    # Only now: plotly takes its time.
    import_module("embstore.maps.map_page").write_map(map_content(projection), path, overwrite=overwrite)


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
