"""``embstore relabel``."""

from __future__ import annotations

from pathlib import Path

import click

import embstore
from embstore_cli.options import home_option, json_option, store_option


@click.command(epilog="Example: embstore relabel review.csv -s emotion")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@store_option("the one built last")
@home_option
@click.option("--undo", is_flag=True, help="Give the records of the last change their labels back.")
@click.option("--new-labels", is_flag=True, help="Allow labels that no record has yet.")
@click.option("--raw", is_flag=True, help="FILE was written with --raw.")
@json_option
def relabel(
    file: Path | None, store: str | None, home: str | None, undo: bool, as_json: bool, **reading: bool
) -> None:
    """Take the labels of a reviewed FILE into the store; nothing is encoded.

    FILE has the columns id and new_label, as embstore audit --output writes it; where new_label is empty,
    nothing changes. All of it is taken or, where something is wrong, nothing. A later build of the same
    dataset keeps the labels.
    """
    if (file is not None) == undo:
        raise click.UsageError("Give FILE or --undo: embstore relabel review.csv")

    from embstore_cli import output

    if file is None:
        report = embstore.undo_relabelling(store, home=home)
    else:
        report = embstore.relabel_store(file, store, home=home, **reading)
    if report.note:
        output.print_note(report.note)
    if as_json:
        output.print_json(report.as_json())
        return
    done = "given back" if report.undone else "changed"
    output.print_facts(
        [
            ("store", report.store),
            ("labels", f"{report.changed:,} {done}, {report.unchanged:,} as they were"),
            ("source", report.source),
        ]
    )
