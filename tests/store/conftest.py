"""Stores that several files of tests read; those that change one copy it first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.building import fill, given, numbered

MEMORY = Path("/dev/shm")


class Folders:
    """New folders below one, as `pytest.TempPathFactory` makes them."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def mktemp(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._base))


@pytest.fixture(scope="session")
def tmp_path_factory() -> Iterator[Folders]:
    """Make folders in memory where that is a file system: four fifths of the time were waiting for fsync.

    What is synced, and in which order, is tested by failing those calls, not by waiting for them.
    """
    in_memory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="embstore-tests-", dir=MEMORY if in_memory else None) as base:
        yield Folders(Path(base))


@pytest.fixture
def tmp_path(tmp_path_factory: Folders) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("test")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: Folders) -> Path:
    """Return a store of 40 records in 5 segments, dim 8, with an index over all of them."""
    return fill(tmp_path_factory.mktemp("small") / "small", numbered(40), given(40, 8), window=8)
