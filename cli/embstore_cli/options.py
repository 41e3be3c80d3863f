"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

import embstore

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


def reading_options(command: Command) -> Command:
    """Add what `embstore.ReadOptions` takes; `read_options` makes it of them."""
    for option in reversed(
        [
            click.option(
                "--text-column", metavar="NAME", help="Column of the texts.  [text, sentence, content, ...]"
            ),
            click.option(
                "--label-column", metavar="NAME", help="Column of the labels.  [label, category, intent, ...]"
            ),
            click.option(
                "--id-column", metavar="NAME", help="Column of the ids.  [id, else made from split and text]"
            ),
            click.option(
                "--split", "splits", multiple=True, metavar="NAME", help="Only this split; may be repeated."
            ),
            click.option(
                "--delimiter", metavar="CHAR", help="Delimiter of a CSV file.  [, or tab by its suffix]"
            ),
            click.option(
                "--encoding",
                default="utf-8",
                show_default=True,
                help="Character encoding of a text file.",
            ),
            click.option("--config", metavar="NAME", help="Configuration of a hub dataset."),
            click.option("--revision", metavar="REV", help="Branch, tag or commit of a hub dataset."),
        ]
    ):
        command = option(command)
    return command


#: Names of the parameters that `reading_options` adds.
READING = (
    *("text_column", "label_column", "id_column", "splits"),
    *("delimiter", "encoding", "config", "revision"),
)


def read_options(chosen: Mapping[str, Any]) -> embstore.ReadOptions:
    """Return what `reading_options` added to the options of a command."""
    found = {name: chosen[name] for name in READING}
    return embstore.ReadOptions(**{**found, "splits": list(chosen["splits"]) or None})


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


def once(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Return the value of an option, given as ``multiple``; elsewhere it may be repeated, and here not."""
    if len(values) > 1:
        raise click.UsageError(f"{option.opts[0]} takes one value, and {len(values)} are given.", context)
    return values[0] if values else None


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
