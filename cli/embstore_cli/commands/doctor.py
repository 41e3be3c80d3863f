"""``embstore doctor``."""

from __future__ import annotations

from typing import Any

import click

import embstore
from embstore_cli.options import (
    READING,
    home_option,
    json_option,
    read_options,
    reading_options,
    refuse_unless,
    store_option,
)


@click.command(epilog="Example: embstore doctor -s emotion --texts 2000")
@click.argument("dataset", nargs=-1)
@store_option("the one built last")
@home_option
@click.option("--model", metavar="MODEL", help="Hub id, folder or short name.  [the store's]")
@click.option("--texts", "n_texts", type=int, default=1000, show_default=True, help="How many are embedded.")
@reading_options
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@json_option
def doctor(
    dataset: tuple[str, ...],
    store: str | None,
    home: str | None,
    model: str | None,
    n_texts: int,
    device: str,
    as_json: bool,
    **reading: Any,
) -> None:
    """Measure every way that this machine has to run the encoder, on your own texts.

    Texts are those of DATASET, else of the store. Speed, closeness to the reference, and the accuracy of a
    head on held-out texts are shown. What --dtype auto takes in long builds follows from it and is kept for
    this machine; int8 is taken only where --dtype int8 asks for it.
    """
    refuse_unless(bool(dataset), "DATASET", *READING)

    from embstore_cli import output

    found = embstore.examine_encoder(
        list(dataset) or None,
        store,
        home=home,
        encoder=model,
        options=read_options(reading),
        device=device,
        n_texts=n_texts,
    )
    if as_json:
        output.print_json(found.as_json())
        return
    output.print_facts(
        [
            ("model", found.model),
            ("texts", f"{found.texts:,}, {found.held_out:,} of them held out from the heads"),
            ("device", found.device),
            ("long builds take", f"{found.choice} in batches of {found.token_budget:,} tokens"),
            ("because", found.why),
        ]
    )
    first = found.paths[0]
    titles = ("path", "texts/s", "times", "least cosine", "mean cosine", "overlap at 10", "accuracy", "gate")
    output.print_table(titles, [_row(one, first) for one in found.paths], right=titles[1:7])


def _row(one: embstore.PathReport, first: embstore.PathReport) -> tuple[str, ...]:
    accuracy = "-"
    if one.accuracy is not None and first.accuracy is not None:
        change = f" ({100 * (one.accuracy - first.accuracy):+.1f})" if one is not first else ""
        accuracy = f"{one.accuracy:.3f}{change}"
    return (
        one.name,
        f"{one.texts_per_second:,.0f}",
        f"{one.texts_per_second / first.texts_per_second:.2f}",
        f"{one.least_cosine:.6f}",
        f"{one.mean_cosine:.6f}",
        f"{one.overlap:.3f}",
        accuracy,
        "reference" if one is first else f"{'passes' if one.passes else 'fails'} for {one.gate}",
    )
