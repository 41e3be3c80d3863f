"""``embstore verify``."""

from __future__ import annotations

from dataclasses import asdict

import click

import embstore
from embstore.wording import counted
from embstore_cli.options import home_option, json_option, store_option

DAMAGED = 5


@click.command(epilog="Example: embstore verify -s sample")
@store_option("the one built last")
@home_option
@json_option
def verify(store: str | None, home: str | None, as_json: bool) -> int:
    """Check manifest, records, embeddings and index against their checksums; exit code 5 where one fails."""
    from embstore_cli import output

    found = embstore.verify_store(store, home=home)
    if as_json:
        output.print_json(asdict(found))
    elif not found.problems:
        whole = f"{counted(found.records, 'record')}, {counted(found.segments, 'segment')}"
        output.print_facts([("store", found.store), ("whole", whole)])
    for problem in found.problems:
        output.print_note(f"Damaged: {problem}")
    if store is None:
        output.print_note(f"Store: {found.store}")
    return DAMAGED if found.problems else 0
