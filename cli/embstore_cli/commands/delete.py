"""``embstore delete``."""

from __future__ import annotations

import click

import embstore
from embstore_cli.options import home_option, json_option


@click.command(epilog="Example: embstore delete sample --yes")
@click.argument("store")
@home_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(store: str, home: str | None, yes: bool, as_json: bool) -> None:
    """Delete STORE with all its records and embeddings."""
    from embstore_cli import output

    if not yes:
        path = embstore.find_store(store, home)
        click.confirm(f"Delete {path} with all that it holds?", abort=True, err=True)
    deleted = embstore.delete_store(store, home=home)
    if as_json:
        output.print_json({"deleted": str(deleted)})
    else:
        output.print_note(f"Deleted {deleted}.")
