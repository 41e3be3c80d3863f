"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Any)


def store_option(default: str) -> Callable[[Command], Command]:
    """Add ``--store``; the default is told in the help."""
    return click.option(
        "-s", "--store", metavar="NAME", help=f"Store: a name under the home, or a path.  [{default}]"
    )


def home_option(command: Command) -> Command:
    """Add ``--home``."""
    help_text = "Folder of named stores.  [$EMBSTORE_HOME, else indices]"
    decorated: Command = click.option("--home", metavar="DIR", help=help_text)(command)
    return decorated


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    decorated: Command = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")(
        command
    )
    return decorated
