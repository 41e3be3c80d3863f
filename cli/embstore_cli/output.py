"""What the commands print: data on stdout, all else on stderr."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

# Without a terminal nothing is cut: a file or a pipe takes lines of any length.
_PIPE_WIDTH = 100_000
# Characters of a cell in a terminal.
_LONGEST = 500
# Marks that make a terminal write from right to left.
_DIRECTIONS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def print_json(value: Any) -> None:
    """Print one JSON value on one line of stdout."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # The escapes that Python would write for what stdout cannot say are not all JSON's.
        line = json.dumps(value, allow_nan=False)
    sys.stdout.write(line + "\n")


def print_note(text: str) -> None:
    """Print a sentence for a person on stderr."""
    sys.stderr.write(_one_line(text) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print a table on stdout; a text is shown as it is, never as markup.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : iterable of sequences
        Cells, printed with ``str``; None is printed as a dash.
    right : sequence of str
        Columns that are set flush right.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if cell is None else _cell(str(cell))) for cell in row))
    _print(table)


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one pair a line, on stdout."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(_one_line(str(value))))
    _print(table)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar with rate and time left on stderr while the block runs; nothing where stderr is no terminal.

    Yields a function that takes the records done and, where it is known, their total.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _RateColumn(ProgressColumn):
    """Records a second over the last half minute."""

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing before the first window."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def _print(table: Table) -> None:
    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(width=_PIPE_WIDTH, no_color=True)
    with console.capture() as captured:
        console.print(table)
    # A column is as wide as its longest text: in a pipe each other line would be filled up with blanks.
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _cell(text: str) -> str:
    """Return what a table shows of a text: in a terminal not so much that one row hides the others."""
    if len(text) > _LONGEST and sys.stdout.isatty():
        text = f"{text[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    return _one_line(text)


def _one_line(text: str) -> str:
    """Return text without what would move a terminal's cursor, turn its direction or break a row."""
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    control = unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _DIRECTIONS
    return " " if control else character
