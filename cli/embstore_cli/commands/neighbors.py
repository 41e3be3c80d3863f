"""``embstore neighbors``."""

from __future__ import annotations

from typing import Any

import click

import embstore
from embstore_cli.options import home_option, json_option, once, store_option
from embstore_cli.stdin import texts_of

_COLUMNS = ("rank", "similarity", "label", "split", "id", "text")


@click.command(epilog='Example: embstore neighbors "the train was late again" -k 5 --split train')
@click.argument("text", required=False)
@store_option("the one built last")
@home_option
@click.option("--id", "record_id", metavar="ID", help="Neighbors of this stored record instead of a text.")
@click.option("-k", type=int, default=10, show_default=True, help="How many neighbors.")
@click.option("--split", metavar="NAME", multiple=True, callback=once, help="Only records of this split.")
@click.option("--label", metavar="NAME", multiple=True, callback=once, help="Only records with this label.")
@json_option
def neighbors(
    text: str | None,
    record_id: str | None,
    store: str | None,
    home: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show the records most similar to TEXT; - reads one text a line from stdin.

    Similarity is the cosine: 1 is the same direction. Filters are exact: fewer than k neighbors are shown
    only where fewer records match. What an answer may miss is said below it: nothing (exact), or the recall
    that was measured. JSON is one object a query, one query a line.
    """
    if (text is None) == (record_id is None):
        raise click.UsageError('Give one of TEXT and --id: embstore neighbors "some text"')

    from embstore_cli import output

    if record_id is not None:
        answers = [embstore.find_neighbors_of_record(record_id, store, home=home, **filters)]
    else:
        answers = embstore.find_neighbors(texts_of([str(text)]), store, home=home, **filters)
    if store is None and answers:
        output.print_note(f"Store: {answers[0].store}")
    for note in {answer.note for answer in answers if answer.note}:
        output.print_note(note)
    for answer in answers:
        if as_json:
            output.print_json(answer.as_json())
            continue
        if len(answers) > 1:
            output.print_facts([("query", answer.query)])
        output.print_table(_COLUMNS, map(_cells, answer.neighbors), right=_COLUMNS[:2])
    if answers and not as_json:
        output.print_note(answers[0].promise)


def _cells(neighbor: embstore.Neighbor) -> tuple[object, ...]:
    record = neighbor.record
    similarity = f"{neighbor.similarity:.4f}"
    return (neighbor.rank, similarity, record.label, record.split, record.id, record.text)
