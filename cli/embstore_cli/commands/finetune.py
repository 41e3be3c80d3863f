"""``embstore finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import embstore
from embstore_cli.options import finetune_options, home_option, json_option, store_option


@click.command(epilog="Example: embstore finetune models/emotion -s emotion --epochs 2 --learning-rate 5e-5")
@click.argument("output", type=click.Path(path_type=Path))
@store_option("the one built last")
@home_option
@click.option("--train", default="train", show_default=True, metavar="SPLIT", help="Split to learn from.")
@finetune_options
@click.option("--overwrite", is_flag=True, help="Replace what OUTPUT holds.")
@json_option
def finetune(
    output: Path,
    store: str | None,
    home: str | None,
    train: str,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the encoder of a store with a classification head, end to end, into the folder OUTPUT.

    The split validation, where there is one, scores each epoch; the best epoch is kept. A run that was
    stopped goes on with the same command. embstore build --model OUTPUT embeds with what was trained.
    """
    from embstore_cli import output as screen

    with screen.progress_bar("training") as progress:
        report = embstore.finetune_model(
            output,
            store,
            home=home,
            train=train,
            options=embstore.FinetuneOptions(**options),
            overwrite=overwrite,
            progress=progress,
            on_epoch=lambda one: screen.print_note(epoch_line(one)),
        )
    if as_json:
        screen.print_json(report.as_json())
    else:
        screen.print_facts(
            [
                ("model", report.model),
                ("records", f"{report.records:,}   ({report.validated:,} for validation)"),
                ("took", f"{report.seconds:,.0f} s   ({report.texts_per_second:,.0f} texts/s)"),
                ("next", f"embstore build DATASET --model {report.model}"),
            ]
        )


def epoch_line(one: embstore.EpochScore) -> str:
    """Return what is printed of an epoch."""
    score = "" if one.accuracy is None else f", validation accuracy {one.accuracy:.4f}"
    return f"epoch {one.epoch}: loss {one.loss:.4f}{score}, {one.seconds:.0f} s"
