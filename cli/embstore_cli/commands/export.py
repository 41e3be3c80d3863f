"""``embstore export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import embstore
from embstore_cli.options import home_option, json_option, store_option

_FORMATS = ("parquet", "atlas", "npy", "safetensors", "jsonl", "csv", "faiss", "datasets")


@click.command(epilog="Example: embstore export emotion.parquet -s emotion --format atlas")
@click.argument("output", type=click.Path(path_type=Path))
@store_option("the one built last")
@home_option
@click.option("--format", "kind", type=click.Choice(_FORMATS), help="[as the suffix of OUTPUT says]")
@click.option("--split", "splits", metavar="SPLIT", multiple=True, help="Only this split; may be repeated.")
@click.option(
    "--embeddings/--no-embeddings", default=True, help="Leave them out of parquet, jsonl, datasets."
)
@click.option("--raw", is_flag=True, help="Leave CSV cells that look like formulas as they are.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@json_option
def export(output: Path, store: str | None, home: str | None, as_json: bool, **chosen: Any) -> None:
    """Hand embeddings and records over to other tools as OUTPUT.

    parquet, jsonl and csv (without embeddings) hold all of it; npy, safetensors and faiss hold numbers, with
    the records in a .records.jsonl file beside them; a name without suffix is a folder for
    datasets.load_from_disk; --format atlas is a Parquet file with projection and neighbors, for Apple's
    embedding-atlas --x projection_x --y projection_y --neighbors neighbors.
    """
    from embstore_cli import output as screen

    report = embstore.export_store(output, store, home=home, options=embstore.ExportOptions(**chosen))
    if as_json:
        screen.print_json(report.as_json())
        return
    screen.print_facts(
        [
            ("store", report.store),
            ("format", report.kind),
            ("records", f"{report.records:,}"),
            *(("written", file) for file in report.files),
            ("size", f"{report.bytes / 1e6:.1f} MB"),
        ]
    )
