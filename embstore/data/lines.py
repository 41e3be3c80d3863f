"""Text files as lines: checked and hashed in one pass before any work, then streamed."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path

from embstore.data.paths import spoken
from embstore.data.reading import reading
from embstore.data.tables import digest_of
from embstore.errors import InvalidData

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Lines:
    r"""The lines of one text file, each with the ``\n`` that ends it.

    A line ends at ``\n``, ``\r\n`` or ``\r``, all of which arrive as ``\n``, and nowhere else: U+2028, form
    feeds and their like are characters of a text.

    Parameters
    ----------
    path : Path
        The file.
    codec : str
        It decodes the whole file.
    digest : str
        SHA-256 of the file's bytes, hex digits.
    count : int
        Lines in the file.
    size : int
        Bytes in the file.
    """

    path: Path
    codec: str
    digest: str
    count: int
    size: int

    @classmethod
    def scan(cls, path: Path, codec: str) -> Lines:
        """Read the file once: hash it, count its lines and decode it.

        Raises
        ------
        InvalidData
            It has no bytes, or a byte that the codec cannot decode: reported now and not after an hour of
            work.
        """
        digest, count, size, last = sha256(), 0, 0, ""
        decoder = codecs.getincrementaldecoder(codec)()
        with reading(spoken(path.name)), path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                text = _decode(decoder, chunk, path, count)
                count, size, last = count + text.count("\n"), size + len(chunk), text or last
            _decode(decoder, b"", path, count)
        if not last:
            raise InvalidData(
                f"{spoken(path.name)} is empty.", why="It has no text in it.", fix="give a file with records"
            )
        return cls(path, codec, digest.hexdigest(), count + (not last.endswith("\n")), size)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[list[str]]:
        """Yield the lines in lists of about a megabyte."""
        where = spoken(self.path.name)
        with reading(where):
            file = self.path.open(encoding=self.codec)
        with file:
            while True:
                with reading(where):
                    lines = file.readlines(_CHUNK)
                if not lines:
                    return
                yield lines


@dataclass(frozen=True)
class LineFile:
    """What the formats that are read by lines have in common.

    Parameters
    ----------
    lines : Lines
        The file.
    columns : tuple of str
        Names of the columns.
    """

    lines: Lines
    columns: tuple[str, ...]

    @property
    def where(self) -> str:
        """The file's name."""
        return spoken(self.lines.path.name)

    @property
    def class_labels(self) -> frozenset[str]:
        """Nothing: such a format cannot declare a column."""
        return frozenset()

    @property
    def digest(self) -> str:
        """SHA-256, hex digits, of the bytes and of how they are read."""
        return digest_of(type(self).__name__, self.lines.codec, self.lines.digest)

    @property
    def total(self) -> int:
        """Lines of the file."""
        return self.lines.count


def _decode(decoder: codecs.IncrementalDecoder, chunk: bytes, path: Path, lines: int) -> str:
    try:
        return decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError as error:
        raise _not_decodable(error, path, lines) from error


def _not_decodable(error: UnicodeDecodeError, path: Path, lines: int) -> InvalidData:
    line = lines + error.object[: error.start].count(b"\n") + 1
    starts_as_utf16 = (
        error.start == 0 and line == 1 and error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    )
    encoding = error.encoding.removesuffix("-sig")
    byte = f"0x{error.object[error.start]:02x}"
    return InvalidData(
        f"{spoken(path.name)} is not {encoding.upper()}: line {line} has the byte {byte}.",
        why=error.reason,
        fix=f"--encoding {'utf-16' if starts_as_utf16 else 'latin-1'}",
    )
