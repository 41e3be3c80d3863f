"""The standard streams of a command: always there, able to print any text, clear about a full disk."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from embstore.errors import DiskFailure


def open_streams() -> None:
    """Open what is closed, and tell faults of stdout and stderr from those of a store's files.

    Streams that a test or a notebook has put in the place of Python's are left alone.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It takes the lowest number that is free: the closed one. Else a file of a store would take that,
            # and a library that prints to number 2 would write into it.
            stream = Path(os.devnull).open(mode, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _over(_Stdout, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _over(_Stderr, sys.stderr)


class _Stdout(io.FileIO):
    """Stdout: what it does not take is an error, and what is still buffered then goes nowhere."""

    def write(self, data: Any, /) -> int:
        try:
            # All of it: an unbuffered stream above does not ask how much was taken. Of nothing, which click
            # writes to find out what stream it has, no error comes.
            left = memoryview(data)
            while left:
                left = left[super().write(left) :]
            return len(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if isinstance(error, BrokenPipeError):
                raise
            raise DiskFailure(
                f"Writing to stdout failed: {error.strerror}.",
                why="What was printed is incomplete; all else that the command wrote is kept.",
                fix="df -h   # make room, or send the output elsewhere",
            ) from error


class _Stderr(io.FileIO):
    """Stderr: a note that nobody can read is no reason to stop the work."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _over(raw: type[io.FileIO], stream: Any) -> TextIO:
    """Return a stream like one of Python's that writes through ``raw``, and escapes what it cannot say."""
    file = raw(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        file if stream.write_through else io.BufferedWriter(file),
        encoding=stream.encoding,
        errors="backslashreplace" if stream.errors in {"strict", "surrogateescape"} else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
