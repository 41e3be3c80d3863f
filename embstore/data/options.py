"""How a dataset is read: every choice a user can make, checked once."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from embstore.data.splits import check_split
from embstore.errors import InvalidInput
from embstore.records import check_sequence


@dataclass(frozen=True)
class ReadOptions:
    r"""What to read of a dataset, and how.

    Parameters
    ----------
    config : str, optional
        Configuration of a hub dataset, such as ``split`` of ``dair-ai/emotion``. Files have none.
    revision : str, optional
        Branch, tag or commit of a hub dataset; its main branch by default. Files have none.
    text_column, label_column, id_column : str, optional
        Name of a column; found by its name where None.
    splits : sequence of str, optional
        Read only these; all by default.
    delimiter : str, optional
        One character between the columns of a CSV or TSV file; ``\t`` may be written as two characters. A
        comma for CSV and a tab for TSV by default.
    encoding : str
        Codec of text files. A byte order mark is skipped.

    Raises
    ------
    InvalidInput
        ``splits`` is a bare string or has an impossible name, the delimiter is not one character, or Python
        knows no such encoding.
    """

    config: str | None = None
    revision: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None
    splits: Sequence[str] | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        check_sequence("splits", self.splits)
        for split in self.splits or ():
            check_split(split)
        _check_delimiter(self.delimiter)
        _check_encoding(self.encoding)


def delimiter_of(options: ReadOptions, default: str) -> str:
    r"""Return the delimiter asked for, with ``\t`` written out, or the default."""
    return (options.delimiter or default).replace("\\t", "\t")


def codec_of(options: ReadOptions) -> str:
    """Return the codec that reads the file; UTF-8 becomes the one that skips a byte order mark."""
    name = codecs.lookup(options.encoding).name
    # Excel writes the mark; read as plain UTF-8 it would become part of the first column's name.
    return "utf-8-sig" if name == "utf-8" else name


def _check_delimiter(delimiter: str | None) -> None:
    if delimiter is None or delimiter == "\\t":
        return
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InvalidInput(
            f"{delimiter!r} cannot be a delimiter.",
            why=f"It must be one character, neither a quote nor a line break; this has {len(delimiter)}.",
            fix="--delimiter ';'",
        )


def _check_encoding(encoding: str) -> None:
    try:
        # "a" and not "": some codecs that turn bytes into bytes accept an empty text.
        "a".encode(encoding)
    except (LookupError, UnicodeError, ValueError) as error:
        raise InvalidInput(
            f"{encoding!r} is not a text encoding.", why=str(error), fix="--encoding latin-1"
        ) from error
