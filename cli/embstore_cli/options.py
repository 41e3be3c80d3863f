"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

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


def finetune_options(command: Command) -> Command:
    """Add what `embstore.FinetuneOptions` takes."""
    for option in reversed(
        [
            click.option("--epochs", type=int, default=2, show_default=True, help="Passes over the texts."),
            click.option("--learning-rate", type=float, default=2e-5, show_default=True, help="Of AdamW."),
            click.option("--batch-size", type=int, default=64, show_default=True, help="Texts of a step."),
            click.option("--weight-decay", type=float, default=0.01, show_default=True, help="Of AdamW."),
            click.option("--patience", type=int, help="Stop after so many epochs without gain.  [never]"),
            click.option("--balanced", is_flag=True, help="Weigh classes by the inverse of their frequency."),
            click.option("--seed", type=int, default=0, show_default=True, help="Of weights and order."),
            click.option(
                "--dtype",
                type=click.Choice(["float32", "bfloat16"]),
                default="float32",
                show_default=True,
                help="Of the arithmetic.",
            ),
        ]
    ):
        command = option(command)
    return command


def refuse_unless(holds: bool, needed: str, *names: str) -> None:
    """Refuse options that were given and that nothing reads but with another one.

    Parameters
    ----------
    holds : bool
        Whether the other one was given.
    needed : str
        How that is written.
    *names : str
        Names of the parameters.
    """
    if holds:
        return
    context = click.get_current_context()
    for one in context.command.params:
        if one.name in names and context.get_parameter_source(one.name) is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"{one.opts[0]} changes nothing without {needed}: add that, or leave it out."
            )
