"""``embstore classify``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

import embstore
from embstore.wording import counted
from embstore_cli.options import (
    READING,
    home_option,
    json_option,
    read_options,
    reading_options,
    refuse_unless,
    store_option,
)
from embstore_cli.stdin import texts_of

QUARANTINED = 3
_EVIDENCE = ("similarity", "label", "id", "text")


@click.command(epilog='Example: embstore classify "what a wonderful day" "leave me alone" -k 2')
@click.argument("texts", nargs=-1)
@store_option("the one built last")
@home_option
@click.option("--head", metavar="NAME", help="Which head answers.  [the one fitted last]")
@click.option("-k", "evidence", type=int, default=3, show_default=True, help="Training texts shown.")
@click.option(
    "--file",
    "dataset",
    metavar="DATASET",
    multiple=True,
    help="Classify a dataset, as build takes it; repeatable.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write to this .csv or .jsonl file.")
@click.option("--overwrite", is_flag=True, help="Replace the output file.")
@click.option("--raw", is_flag=True, help="Leave CSV cells that look like formulas as they are.")
@reading_options
@json_option
def classify(
    texts: tuple[str, ...],
    dataset: tuple[str, ...],
    output: Path | None,
    overwrite: bool,
    raw: bool,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Say which label each TEXT has, how sure that is, and which training texts speak for it.

    - reads one text a line from stdin. Probabilities are calibrated on held-out texts. "abstain" marks an
    answer below the head's threshold: evidence is thin, the label is a guess. JSON is one object a text, one
    a line. --file takes any input that build takes; its answers go to --output, or to stdout as JSON.
    """
    if bool(texts) == bool(dataset):
        raise click.UsageError('Give TEXT or --file: embstore classify "some text"')
    refuse_unless(bool(dataset), "--file", *READING)
    refuse_unless(output is not None, "--output", "overwrite", "raw")

    from embstore_cli import output as screen

    if output:
        embstore.check_output(output, overwrite=overwrite)
    reading = {name: chosen.pop(name) for name in READING}
    if dataset:
        answers = embstore.classify_dataset(dataset, **chosen, options=read_options(reading))
        return _deliver(answers, output, raw=raw)
    found = embstore.classify_texts(texts_of(texts), **chosen)
    if chosen["store"] is None:
        screen.print_note(f"Store: {found[0].store}, head: {found[0].head}")
    if found[0].note:
        screen.print_note(found[0].note)
    if output or as_json:
        return _deliver((one.as_json() for one in found), output, raw=raw)
    for one in found:
        screen.print_facts(_facts(one))
        if one.evidence:
            screen.print_table(_EVIDENCE, map(_cells, one.evidence), right=_EVIDENCE[:1])
    return 0


def _deliver(rows: Iterable[dict[str, Any]], output: Path | None, *, raw: bool) -> int:
    """Write rows to the file, or to stdout as JSON; return the exit code."""
    from embstore_cli import output as screen

    failed = 0

    def watched() -> Iterator[dict[str, Any]]:
        nonlocal failed
        for row in rows:
            failed += bool(row.get("error"))
            yield row

    if output:
        n = embstore.write_rows(output, watched(), raw=raw)
        screen.print_note(f"{counted(n, 'answer')} in {output}")
    else:
        for row in watched():
            screen.print_json(row)
    if failed:
        screen.print_note(f"{counted(failed, 'record')} could not be classified: the column error says why.")
    return QUARANTINED if failed else 0


def _facts(answer: embstore.Classification) -> list[tuple[str, str]]:
    said = answer.prediction
    sure = f"{said.label}   {said.probability:.3f}"
    return [
        ("text", answer.text),
        ("label", f"{sure}   abstain: the evidence is thin" if said.abstain else sure),
        ("runner-up", f"{said.runner_up}   {said.runner_up_probability:.3f}"),
        *(
            [("note", "the text is longer than the encoder reads; its end was cut")]
            if answer.truncated
            else []
        ),
    ]


def _cells(neighbor: embstore.Neighbor) -> tuple[object, ...]:
    record = neighbor.record
    return (f"{neighbor.similarity:.4f}", record.label, record.id, record.text)
