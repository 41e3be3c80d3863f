"""Writers that are killed at any moment: nothing that was committed is lost, nothing else is there."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest

from embstore.store import Store, is_store, verify_store
from embstore.store.writer import open_writer
from store.building import content, given
from store.workers import (
    DIM,
    N,
    build_forever,
    build_revision,
    die_at,
    die_inside_a_transaction,
    hear,
    next_revision,
    running,
)

KILLS = 20


def finish(path: Path) -> None:
    """Finish the round that a store is in; then it must be what an uninterrupted build makes of it."""
    number = next_revision(path)
    build_revision(path, number)
    build_revision(path.with_name("uninterrupted"), number)
    assert verify_store(path).problems == ()
    assert content(path) == content(path.with_name("uninterrupted"))


def test_a_build_killed_at_random_moments_loses_nothing(tmp_path: Path) -> None:
    moments = random.Random(0)
    path = tmp_path / "store"
    for _ in range(KILLS):
        with running(build_forever, path) as (process, pipe):
            hear(pipe)
            time.sleep(moments.uniform(0, 0.08))
            process.kill()
        if is_store(path):
            assert verify_store(path).problems == ()
            content(path)
    finish(path)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_build_killed_at_each_step_of_its_first_window_loses_nothing(tmp_path: Path, after: bool) -> None:
    for nth in range(1, 16):
        path = tmp_path / str(nth) / "store"
        with running(die_at, path, nth, after) as (process, _):
            process.join()
        assert process.exitcode == -9
        if is_store(path):
            assert verify_store(path).problems == ()
        finish(path)


def test_a_hot_journal_is_rolled_back_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "store"
    build_revision(path, 0)
    before = content(path)
    with running(die_inside_a_transaction, path) as (process, _):
        process.join()
    assert (path / "records.db-journal").stat().st_size > 0
    assert b"wrong" in (path / "records.db").read_bytes()
    assert content(path) == before
    assert verify_store(path).problems == ()


def test_a_hot_journal_is_rolled_back_by_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "store"
    build_revision(path, 0)
    before = content(path)
    with running(die_inside_a_transaction, path) as (process, _):
        process.join()
    with open_writer(path, given(N, DIM)):
        pass
    assert content(path) == before


def test_an_index_that_no_commit_names_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "store"
    build_revision(path, 0)
    (path / "index" / "g000002.faiss").write_bytes(b"unfinished")
    (path / "index" / "g000002-01234567.faiss").write_bytes(b"not committed")
    with sqlite3.connect(path / "records.db") as database:
        database.execute("DELETE FROM indexes")
    database.close()
    with Store.open(path) as store:
        assert store.index is None
    build_revision(path, 0)
    assert len(list((path / "index").iterdir())) == 1
    with Store.open(path) as store:
        assert store.index is not None
