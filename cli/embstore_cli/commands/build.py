"""``embstore build``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import embstore
from embstore.wording import store_argument
from embstore_cli.options import home_option, json_option, read_options, reading_options, store_option

QUARANTINED = 3


@click.command(epilog="Example: embstore build train=train.csv test=test.csv -s mine --label-column topic")
@click.argument("dataset", nargs=-1)
@store_option("the dataset's name")
@home_option
@reading_options
@click.option("--model", metavar="MODEL", help="Hub id, folder or short name.  [all-MiniLM-L6-v2]")
@click.option("--model-revision", metavar="REV", help="Branch, tag or commit of a hub model.")
@click.option(
    "--pooling", type=click.Choice(["auto", "cls", "mean"]), help="Token states to embedding.  [auto]"
)
@click.option("--normalize/--no-normalize", default=None, help="Unit length or not.  [as the model declares]")
@click.option(
    "--max-length", type=int, metavar="TOKENS", help="Longer texts are cut.  [as the model declares]"
)
@click.option("--prompt", metavar="TEXT", help="Put before each text.  [as the model declares]")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16", "int8"]),
    help="Of the arithmetic; see doctor.  [auto]",
)
@click.option(
    "--trust-remote-code", is_flag=True, default=None, help="Run the model's own code; needs a pinned commit."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--add", is_flag=True, help="Keep records of the store that the dataset does not have.")
@click.option("--index", metavar="KIND", help="auto, flat, hnsw, ivf; with ,fp16 or ,sq8.  [as before, auto]")
@click.option("--recall", type=float, metavar="SHARE", help="Of the 10 nearest to find.  [as before, 0.95]")
@click.option("--index-memory", metavar="SIZE", help="What the index may take: 512M.  [no limit]")
@json_option
def build(
    dataset: tuple[str, ...],
    store: str | None,
    home: str | None,
    device: str,
    add: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Build a store from DATASET, or bring it up to date; texts that it knows are never encoded again.

    DATASET is a hub id (dair-ai/emotion), a CSV, TSV, JSONL, Parquet or text file, a folder whose file names
    are its splits, split=file pairs, or the word sample, which is also the default.
    """
    from embstore_cli import output

    with output.progress_bar("building") as progress:
        report = embstore.build_store(
            dataset or None,
            store,
            home=home,
            encoder=_encoder_options(options),
            options=read_options(options),
            device=device,
            add=add,
            index=_index_options(options),
            progress=progress,
        )
    if as_json:
        output.print_json(report.as_json())
    else:
        output.print_facts(_facts(report))
        if report.quarantined:
            why = f"embstore info {store_argument(Path(report.store))}"
            output.print_note(f"Why records were quarantined: {why}")
    return QUARANTINED if report.quarantined else 0


def _encoder_options(options: dict[str, Any]) -> embstore.EncoderOptions | None:
    """Return the encoder that is asked for; None where no option says anything about it."""
    names = ("model", "pooling", "normalize", "max_length", "prompt", "dtype", "trust_remote_code")
    asked = {name: options[name] for name in names if options[name] is not None}
    if options["model_revision"] is not None:
        asked["revision"] = options["model_revision"]
    return embstore.EncoderOptions(**asked) if asked else None


def _index_options(options: dict[str, Any]) -> embstore.IndexOptions | None:
    """Return the index that is asked for; None where no option says anything about it."""
    asked = {"kind": options["index"], "recall": options["recall"]}
    if options["index_memory"] is not None:
        asked["memory"] = embstore.parse_bytes(options["index_memory"])
    given = {name: value for name, value in asked.items() if value is not None}
    return embstore.IndexOptions(**given) if given else None


def _facts(report: embstore.BuildReport) -> list[tuple[str, str]]:
    splits = ", ".join(f"{name} {n:,}" for name, n in report.splits.items())
    return [
        ("store", report.store),
        ("records", f"{report.records:,}   ({splits})"),
        ("encoded", f"{report.encoded:,}   ({report.reused:,} reused, {report.removed:,} removed)"),
        ("truncated", f"{report.truncated:,}"),
        ("quarantined", f"{report.quarantined:,}"),
        ("index", report.index),
        ("took", f"{report.seconds:,.1f} s   ({report.texts_per_second:,.0f} texts/s)"),
    ]
