"""Which column holds the text, the label and the id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from embstore.data.options import ReadOptions
from embstore.data.paths import spoken
from embstore.data.tables import Table
from embstore.errors import InvalidData, InvalidInput, NotFound
from embstore.wording import nearest_name

TEXT_NAMES = (
    "text",
    "sentence",
    "content",
    "review",
    "document",
    "body",
    "message",
    "utterance",
    "query",
    "question",
    "comment",
    "tweet",
    "title",
)
LABEL_NAMES = (
    "label_text",
    "label",
    "labels",
    "label_name",
    "category",
    "intent",
    "class",
    "emotion",
    "sentiment",
    "topic",
    "target",
)


@dataclass(frozen=True)
class Columns:
    """Names of the columns that make a record; all others become its extra values.

    Parameters
    ----------
    text : str
        Column of the text.
    label, id : str or None
        Column of the label and of the id; None where the table has none.
    """

    text: str
    label: str | None = None
    id: str | None = None


def find_columns(table: Table, options: ReadOptions) -> Columns:
    """Return the columns that the user named, and find the others by their names.

    Parameters
    ----------
    table : Table
        What will be read.
    options : ReadOptions
        A name given there must exist.

    Returns
    -------
    Columns
        Names as the table spells them; upper and lower case are the same in the search.

    Raises
    ------
    NotFound
        A named column does not exist, or no column can be told to be the text.
    InvalidInput
        One column is named for two things.
    """
    named = {
        "--text-column": options.text_column,
        "--label-column": options.label_column,
        "--id-column": options.id_column,
    }
    _check_named(table, named)
    free = [name for name in table.columns if name not in named.values()]
    text = options.text_column or match(free, TEXT_NAMES)
    if text is None:
        raise NotFound(
            f"{table.where} has no column that looks like the text.",
            why=f"Its columns are: {listing(table.columns)}.",
            fix="--text-column NAME",
        )
    label = options.label_column or _find_label(free, table.class_labels)
    return Columns(text, label, options.id_column or match(free, ("id",)))


def match(names: Iterable[str], candidates: Iterable[str]) -> str | None:
    """Return the first candidate that is among the names, as the names spell it, or None."""
    spelled = {name.lower(): name for name in reversed(list(names))}
    return next((spelled[candidate] for candidate in candidates if candidate in spelled), None)


def check_agreement(tables: Sequence[Table], columns: Sequence[Columns]) -> None:
    """Refuse tables whose text or label was found under different names.

    Parameters
    ----------
    tables, columns : sequences of the same length
        What was found in each table.

    Raises
    ------
    InvalidData
        Two tables differ. One without labels beside labelled ones is fine.
    """
    for role in ("text", "label"):
        found = {getattr(chosen, role): table for table, chosen in zip(tables, columns, strict=True)}
        found.pop(None, None)
        if len(found) > 1:
            (first, there), (second, here) = list(found.items())[:2]
            raise InvalidData(
                f"The files of this dataset name their {role} differently.",
                why=f"{there.where} has it in {first!r}, {here.where} in {second!r}.",
                fix=f"--{role}-column NAME, with a column that all files have",
            )


def check_distinct(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the names as they are.

    Raises
    ------
    InvalidData
        One of them comes twice, so that one column would hide the other.
    """
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise InvalidData(
            f"{where} has two columns named {twice!r}.", why=f"Its columns are: {listing(names)}."
        )
    return tuple(names)


def listing(columns: Sequence[str], most: int = 20) -> str:
    """Return the names for a message: long ones cut at 40 characters, many ones counted."""
    columns = [spoken(name) for name in columns]
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in columns[:most]]
    rest = len(columns) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _find_label(free: Sequence[str], class_labels: frozenset[str]) -> str | None:
    declared = match([name for name in free if name in class_labels], ("label",))
    # A declared label knows its classes, and their order; label_text beside it is only a copy.
    return declared or match(free, LABEL_NAMES)


def _check_named(table: Table, named: Mapping[str, str | None]) -> None:
    taken: set[str] = set()
    for option, name in named.items():
        if name is None:
            continue
        if name not in table.columns:
            raise _no_such_column(table, name, option)
        if name in taken:
            raise InvalidInput(f"The column {name!r} is named twice.", fix=f"leave out {option}")
        taken.add(name)


def _no_such_column(table: Table, name: str, option: str) -> NotFound:
    return NotFound(
        f"{table.where} has no column {name!r}.",
        why=f"Its columns are: {listing(table.columns)}.",
        fix=f"{option} {spoken(nearest_name(name, table.columns)) or 'NAME'}",
    )
