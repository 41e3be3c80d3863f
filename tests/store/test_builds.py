"""Builds: where one goes on, what it saw, and what it leaves alone."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from embstore.errors import StoreDamaged
from embstore.records import Record, Rejected
from embstore.store import Store
from embstore.store.writer import open_writer
from store.building import commit, fill, ids, write
from stub_encoder import StubEncoder

RECORDS = [Record(f"r{i}", "train", "a", f"text {i}", {"n": i}) for i in range(6)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return fill(tmp_path / "store", RECORDS, StubEncoder(), window=4)


def test_an_unfinished_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first, second = StubEncoder(), StubEncoder()
    with open_writer(tmp_path / "store", first) as writer:
        build = writer.begin_build("data", "1", keep_others=False)
        commit(writer, RECORDS[:4], first, build)
    with open_writer(tmp_path / "store", second) as writer:
        assert writer.begin_build("data", "1", keep_others=False).next_record == 4
        write(writer, RECORDS, second)
    assert second.encoded == ["text 4", "text 5"]
    assert ids(tmp_path / "store") == [f"r{i}" for i in range(6)]


@pytest.mark.parametrize(("fingerprint", "keep_others"), [("2", False), ("1", True)])
def test_an_unfinished_build_of_something_else_is_not_gone_on_with(
    tmp_path: Path, fingerprint: str, keep_others: bool
) -> None:
    encoder = StubEncoder()
    with open_writer(tmp_path / "store", encoder) as writer:
        commit(writer, RECORDS[:4], encoder, writer.begin_build("data", "1", keep_others=False))
        assert writer.begin_build("data", fingerprint, keep_others=keep_others).next_record == 0


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_record_that_the_dataset_rejects_keeps_what_the_store_has_of_it(path: Path, known: bool) -> None:
    bad = Rejected(2, "train", "r2" if known else "r9", "the text is empty")
    fill(path, [*RECORDS[:2], bad, *RECORDS[3:]], StubEncoder())
    assert ids(path) == [f"r{i}" for i in range(6) if known or i != 2]


@pytest.mark.parametrize("window", [10, 1], ids=["in-one-window", "across-windows"])
@pytest.mark.parametrize("first", ["rejected", "good"])
def test_a_known_id_that_is_rejected_and_good_is_stored_once(path: Path, window: int, first: str) -> None:
    good, bad = replace(RECORDS[2], text="a new text"), Rejected(0, "train", "r2", "the text is empty")
    both = [bad, good] if first == "rejected" else [good, replace(bad, position=1)]
    fill(path, both, StubEncoder(), window=window)
    with Store.open(path) as store:
        (record,) = store.records(store.rows())
    assert record == (RECORDS[2] if first == "rejected" else good)


def test_a_build_knows_whether_the_store_shows_a_record_of_it(path: Path) -> None:
    with open_writer(path, StubEncoder()) as writer:
        build = writer.begin_build("data", "2", keep_others=True)
        assert build.keep_others
        assert not writer.has_records(build)
        commit(writer, [RECORDS[0]], StubEncoder(), build)
        assert writer.has_records(build)
        writer.finish_build(build)
        nothing = writer.begin_build("data", "3", keep_others=False)
        assert writer.finish_build(nothing) == 6
        assert not writer.has_records(build)


@pytest.mark.parametrize("extra", ["no JSON", "[1]"])
def test_extra_columns_that_cannot_be_read_are_damage_to_a_writer_too(path: Path, extra: str) -> None:
    with sqlite3.connect(path / "records.db") as database:
        database.execute("UPDATE records SET extra = ? WHERE row = 2", [extra])
    database.close()
    with pytest.raises(StoreDamaged, match="extra columns of row 2"):
        fill(path, RECORDS, StubEncoder(), fingerprint="2")
