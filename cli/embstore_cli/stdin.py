"""Texts of the command line: arguments, or one a line from stdin."""

from __future__ import annotations

from collections.abc import Sequence

import click


def texts_of(arguments: Sequence[str]) -> list[str]:
    """Return the texts that were given; a lone ``-`` stands for the lines of stdin.

    Raises
    ------
    click.UsageError
        Stdin is not UTF-8, or has an empty line.
    """
    if list(arguments) != ["-"]:
        return list(arguments)
    try:
        with click.open_file("-", encoding="utf-8") as lines:
            texts = [line.rstrip("\n") for line in lines]
    except UnicodeDecodeError as error:
        raise click.UsageError(f"Stdin is not UTF-8 ({error.reason}): iconv -f latin1 -t utf-8") from error
    empty = [number for number, text in enumerate(texts, 1) if not text.strip()]
    if empty or not texts:
        raise click.UsageError(f"Line {empty[0] if empty else 1} of stdin is empty; each line is one text.")
    return texts
