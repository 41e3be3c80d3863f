"""``embstore list``."""

from __future__ import annotations

import click

import embstore
from embstore_cli.options import home_option, json_option

_COLUMNS = ("store", "records", "dim", "MB", "model", "built")


@click.command("list", epilog="Example: embstore list --home indices")
@home_option
@json_option
def list_stores(home: str | None, as_json: bool) -> None:
    """List the stores under the home."""
    from embstore_cli import output

    found = embstore.list_stores(home=home)
    if as_json:
        output.print_json([one.as_json() for one in found])
        return
    if not found:
        output.print_note("There is no store yet. embstore build makes the sample store.")
        return
    output.print_table(_COLUMNS, map(_cells, found), right=_COLUMNS[1:4])
    for one in found:
        if one.problem:
            output.print_note(f"{_state(one).capitalize()}: {one.problem}")


def _cells(one: embstore.StoreSummary) -> tuple[object, ...]:
    if one.problem:
        return (one.store, None, None, None, None, _state(one))
    size = f"{one.bytes / 1e6:,.1f}"
    return (one.store, f"{one.records:,}", one.dim, size, one.model, one.finished or "stopped")


def _state(one: embstore.StoreSummary) -> str:
    return "damaged" if one.damaged else "not readable"
