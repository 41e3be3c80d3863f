"""Plain text files: one text a line, no labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embstore.data.lines import LineFile, Lines
from embstore.data.options import ReadOptions, codec_of
from embstore.data.tables import Row


@dataclass(frozen=True)
class PlainFile(LineFile):
    """A text file whose lines are the texts, in the one column ``text``."""

    @classmethod
    def open(cls, path: Path, options: ReadOptions) -> PlainFile:
        """Check the file.

        Raises
        ------
        InvalidData
            It is empty or cannot be decoded.
        """
        return cls(Lines.scan(path, codec_of(options)), ("text",))

    def rows(self) -> Iterator[Row]:
        """Yield each line without its line break; an empty line is a row with an empty text."""
        for line in self.lines:
            yield {"text": line.removesuffix("\n")}
