"""``embstore umap``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import embstore
from embstore_cli.options import home_option, json_option, refuse_unless, store_option

_FILE = click.Path(path_type=Path)


@click.command(epilog="Example: embstore umap --picture map.png --density density.png --html map.html")
@store_option("the one built last")
@home_option
@click.option("--split", "splits", metavar="SPLIT", multiple=True, help="Only this split; may be repeated.")
@click.option("--dim", type=int, default=2, show_default=True, help="Coordinates of a point: 2 or 3.")
@click.option(
    "--metric",
    type=click.Choice(["cosine", "euclidean", "manhattan", "correlation"]),
    default="cosine",
    help="Of the embeddings.  [cosine]",
)
@click.option("--neighbors", type=int, default=15, show_default=True, help="Points that place each one.")
@click.option("--min-dist", type=float, default=0.1, show_default=True, help="How close points may lie.")
@click.option("--seed", type=int, default=42, show_default=True, help="The same seed, the same picture.")
@click.option("--scale", type=click.Choice(["none", "minmax"]), default="none", help="Of features.  [none]")
@click.option("--supervised", is_flag=True, help="Pull records of the same label together.")
@click.option("--fit-on", metavar="SPLIT", help="Lay out this split and place the others into it.")
@click.option(
    "--output", type=_FILE, multiple=True, help="Coordinates: .csv .jsonl .parquet .npy; repeatable."
)
@click.option("--picture", type=_FILE, help="All labels in one .png or .svg.")
@click.option("--density", type=_FILE, help="A density panel for each label, as .png or .svg.")
@click.option("--html", type=_FILE, help="Interactive page, one file that needs no network.")
@click.option("--raw", is_flag=True, help="Leave CSV cells that look like formulas as they are.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@json_option
def umap(
    store: str | None,
    home: str | None,
    splits: tuple[str, ...],
    raw: bool,
    overwrite: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Project the embeddings of a store to a plane and write coordinates, pictures or an interactive page.

    Distances between far points mean little; who is near whom does. The projection is kept in the store, so
    another picture of it takes no time. Where no file is asked for, it is kept all the same.
    """
    from embstore_cli import output as screen

    files = ("output", "picture", "density", "html")
    refuse_unless(bool(chosen["output"]), "--output", "raw")
    refuse_unless(any(chosen[one] for one in files), "a file to write, as --html", "overwrite")
    outputs = embstore.ProjectionOutputs(
        tables=chosen.pop("output"),
        picture=chosen.pop("picture"),
        density=chosen.pop("density"),
        page=chosen.pop("html"),
        raw=raw,
        overwrite=overwrite,
    )
    options = embstore.ProjectionOptions(**chosen)
    outputs.check(options.dim)
    projection = embstore.project_store(store, home=home, splits=splits, options=options)
    if store is None:
        screen.print_note(f"Store: {projection.store}")
    written = outputs.write(projection)
    found = {**projection.as_json(), "files": [str(file) for file in written]}
    if as_json:
        screen.print_json(found)
        return
    title, subtitle = projection.title()
    how = "kept in the store" if projection.kept else f"laid out in {projection.seconds:.1f} s"
    screen.print_facts(
        [("projection", title), ("", subtitle), ("", how), *(("written", str(file)) for file in written)]
    )
