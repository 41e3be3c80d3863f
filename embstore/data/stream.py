"""The door to ``datasets`` for local files: a builder in, a stream of Arrow tables out, and no noise."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import huggingface_hub.utils
import pyarrow as pa

from embstore.data.paths import spoken
from embstore.data.reading import first_line, reading
from embstore.errors import InvalidData, InvalidInput

_LOGGERS = ("datasets", "huggingface_hub")
# By its group: switching all bars of the hub's client would forget which groups a user has switched.
_BARS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (datasets, ()),
    (huggingface_hub.utils, ("huggingface_hub",)),
)


def open_stream(builder: Any, path: Path, **settings: Any) -> Any:
    """Open one local file as a streaming dataset.

    Parameters
    ----------
    builder : type
        One of the builders that ``datasets`` brings, such as ``Parquet``. It is called itself because
        ``load_dataset("parquet")`` reports each use to a server on the internet, and waits for it.
    path : Path
        A file that exists.
    **settings : Any
        The builder's own options.

    Returns
    -------
    datasets.IterableDataset
        It can be iterated again and again.

    Raises
    ------
    InvalidInput
        ``datasets`` would take the path for a chain of file systems.
    InvalidData
        The file cannot be read as what it is said to be.
    """
    if "::" in str(path):
        raise InvalidInput(f"{spoken(path)} has '::' in its path, which cannot be read.", fix="rename it")
    # Builders lock a folder of the user's cache, which may be read-only; a stream needs no cache.
    with reading_tables(spoken(path.name)), TemporaryDirectory() as cache:
        files = {"train": [glob.escape(str(path.absolute()))]}
        return builder(cache_dir=cache, data_files=files, **settings).as_streaming_dataset("train")


def tables(stream: Any, rows: int, guard: Callable[[], AbstractContextManager[None]]) -> Iterator[pa.Table]:
    """Yield a stream as Arrow tables.

    Parameters
    ----------
    stream : datasets.IterableDataset
        What is read.
    rows : int
        Rows of a table; the last one may be shorter.
    guard : function that gives a context
        Each table is read within one: it translates errors, as only the caller knows the source.
    """
    batches = iter(stream.with_format("arrow").iter(batch_size=rows))
    while True:
        with guard():
            table = next(batches, None)
        if table is None:
            return
        yield table


@contextmanager
def reading_tables(where: str) -> Iterator[None]:
    """Read a local file through ``datasets``: without its noise, errors as `reading` has them."""
    with reading(where), quiet():
        try:
            yield
        except pa.ArrowException as error:
            raise InvalidData(f"{where} cannot be read.", why=first_line(error)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence logs and progress bars of the libraries for one call, and leave them as they were."""
    with ExitStack() as stack:
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        for library, group in _BARS:
            if not library.are_progress_bars_disabled(*group):
                stack.callback(library.enable_progress_bars, *group)
                library.disable_progress_bars(*group)
        yield
