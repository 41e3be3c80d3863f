"""``embstore verify``."""

from __future__ import annotations

from dataclasses import asdict

import click

import embstore
from embstore_cli.options import home_option, json_option, store_option

DAMAGED = 5


@click.command(epilog="Example: embstore verify -s sample")
@store_option("the one built last")
@home_option
@json_option
def verify(store: str | None, home: str | None, as_json: bool) -> int:
    """Check every byte of a store against its checksums; exit code 5 where one does not hold."""
    from embstore_cli import output

    path = embstore.find_store(store, home)
    found = embstore.verify_store(path)
    if as_json:
        output.print_json({"store": str(path), **asdict(found)})
    elif found.problems:
        for problem in found.problems:
            output.print_note(f"Damaged: {problem}")
    else:
        output.print_facts(
            [("store", path), ("whole", f"{found.records:,} records, {found.segments:,} segments")]
        )
    return DAMAGED if found.problems else 0
