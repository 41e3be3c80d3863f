"""``embstore serve``."""

from __future__ import annotations

import sys
from typing import Any

import click

import embstore
from embstore_cli.options import home_option, json_option, store_option


@click.command(epilog="Example: embstore serve -s emotion --port 8000")
@store_option("the one built last")
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8000, show_default=True, help="0 takes any free one.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes.")
@click.option("--api-key-file", metavar="FILE", help="Keys, one a line; needed where others reach the host.")
@click.option(
    "--allow-host", "allow_hosts", metavar="NAME", multiple=True, help="Name of the service; repeatable."
)
@click.option("--queue", type=int, default=10, show_default=True, help="Requests admitted at a time.")
@click.option("--deadline", type=float, default=10, show_default=True, help="Seconds for a request.")
@click.option("--drain", type=float, default=30, show_default=True, help="Seconds to finish when stopped.")
@click.option("--max-body", type=int, default=2_000_000, show_default=True, help="Bytes of a request.")
@click.option("--max-texts", type=int, default=32, show_default=True, help="Texts of a request.")
@click.option("--max-characters", type=int, default=32_768, show_default=True, help="Of a text.")
@click.option("--max-k", type=int, default=1000, show_default=True, help="Neighbors of an answer.")
@click.option("--wait", type=float, default=3, show_default=True, help="Milliseconds to gather a batch.")
@json_option
def serve(store: str | None, home: str | None, as_json: bool, **chosen: Any) -> None:
    """Answer search, classification and embeddings over HTTP, with a page at / to explore the store.

    It listens on this machine alone unless there are keys. A build that finishes meanwhile answers within a
    second or two; SIGTERM finishes what is in progress. JSON is store and address, once it is listening.
    """
    from embstore_cli import output

    def ready(path: str, address: str) -> None:
        if as_json:
            output.print_json({"store": path, "address": address})
            # Whoever started the service waits for this line.
            sys.stdout.flush()
            return
        output.print_note(f"Store: {path}")
        output.print_note(f"Listening on {address}")

    embstore.serve(store, home=home, options=embstore.ServeOptions(**chosen), ready=ready)
