"""A store that is open shows one moment, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embstore.errors import NotFound
from embstore.records import Record
from embstore.store import Store
from embstore.store.writer import StoreWriter, open_writer
from store.building import commit, fill, given, numbered, write
from store.workers import build_revision, hear, read_until_told, running

ENCODER = given(60, 8)
BEFORE = numbered(40)
# The next build changes the texts of r0 to r9, loses r10 to r19 and adds r40 to r49.
AFTER = [
    *(replace(one, text=str(int(one.text) + 50)) for one in BEFORE[:10]),
    *BEFORE[20:],
    *numbered(10, first=40),
]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    with Store.open(fill(tmp_path / "store", BEFORE, ENCODER, window=7)) as store:
        yield store


@pytest.fixture
def writer(opened: Store) -> Iterator[StoreWriter]:
    with open_writer(opened.path, ENCODER) as writer:
        yield writer


def answers(store: Store) -> list[object]:
    """Return all that a store can be asked, but the names of labels and splits."""
    similarities, rows = store.search(ENCODER.table[:5], 100)
    filtered = store.search(ENCODER.table[:5], 100, split="test")[1]
    near = store.neighbors_of_record("r10", 5, label="a")
    split = store.split("train")
    return [
        len(store),
        similarities.tolist(),
        rows.tolist(),
        filtered.tolist(),
        store.rows().tolist(),
        store.rows(label="b").tolist(),
        [(one.rank, one.similarity, one.record) for one in near],
        (split.ids, split.texts, split.labels, split.embeddings.tolist()),
    ]


def test_answers_do_not_change_while_a_build_goes_on(opened: Store, writer: StoreWriter) -> None:
    before = answers(opened)
    build = writer.begin_build("data", "2", keep_others=False)
    assert answers(opened) == before
    for first in range(0, 40, 13):
        commit(writer, AFTER[first : first + 13], ENCODER, build, first)
        assert answers(opened) == before
    writer.finish_build(build)
    assert answers(opened) == before
    writer.write_index()
    assert answers(opened) == before


def test_a_store_opened_after_a_commit_shows_it(opened: Store, writer: StoreWriter) -> None:
    write(writer, AFTER, ENCODER, fingerprint="2")
    with Store.open(opened.path) as store:
        assert {one.id: one.text for one in store.records(store.rows())} == {
            one.id: one.text for one in AFTER
        }


def test_a_record_that_is_newer_than_the_snapshot_is_not_found(opened: Store, writer: StoreWriter) -> None:
    write(writer, AFTER, ENCODER, fingerprint="2")
    with pytest.raises(NotFound, match="no record 'r40'"):
        opened.neighbors_of_record("r40")


def test_a_record_that_was_changed_since_is_found_as_it_was(opened: Store, writer: StoreWriter) -> None:
    wanted = [one.record.id for one in opened.neighbors_of_record("r3", 5)]
    write(writer, AFTER, ENCODER, fingerprint="2")
    assert [one.record.id for one in opened.neighbors_of_record("r3", 5)] == wanted


def test_a_split_that_is_newer_than_the_snapshot_is_not_found(opened: Store, writer: StoreWriter) -> None:
    write(writer, [*BEFORE, Record("new", "validation", "z", "55")], ENCODER, fingerprint="2")
    for where in ({"split": "validation"}, {"label": "z"}):
        with pytest.raises(NotFound):
            opened.search(ENCODER.table[:1], 3, **where)


def test_a_split_that_is_gone_since_is_still_shown(opened: Store, writer: StoreWriter) -> None:
    write(writer, [one for one in BEFORE if one.split == "train"], ENCODER, fingerprint="2")
    assert len(opened.split("test")) == 10


def test_changed_labels_are_shown_as_they_are_now(opened: Store, writer: StoreWriter) -> None:
    write(writer, [replace(one, label="z") for one in BEFORE], ENCODER, fingerprint="2")
    assert set(opened.split("train").labels) == {"z"}


@pytest.mark.parametrize("generations", [1, 2, 3])
def test_a_reader_whose_index_was_replaced_answers_the_same(
    opened: Store, writer: StoreWriter, generations: int
) -> None:
    with Store.open(opened.path) as other:
        wanted = other.search(ENCODER.table[:5], 20)[1].tolist()
    for i in range(generations):
        write(writer, numbered(41 + i), ENCODER, fingerprint=str(i))
    assert opened.search(ENCODER.table[:5], 20)[1].tolist() == wanted
    assert (opened.index is None) == (generations > 1)


def test_a_reader_in_another_process_never_sees_half_a_commit(tmp_path: Path) -> None:
    path = tmp_path / "store"
    build_revision(path, 0)
    with running(read_until_told, path) as (_, pipe):
        assert hear(pipe) == "reading"
        for number in range(1, 4):
            build_revision(path, number)
        pipe.send("enough")
        times, wrong = hear(pipe)
    assert wrong == []
    assert times > 3


def test_rows_that_the_store_does_not_have_are_not_found(opened: Store) -> None:
    for rows in ([-1], [40], [0, 99]):
        for read in (opened.records, opened.embeddings):
            with pytest.raises(NotFound, match="The rows of store are 0 to 39"):
                read(np.array(rows))


def test_a_label_alone_is_looked_up_without_reading_texts(opened: Store) -> None:
    connection, asked = opened.reader._connection, []
    connection.set_trace_callback(asked.append)
    rows = opened.rows(label="a")
    connection.set_trace_callback(None)
    assert [one.label for one in opened.records(rows)] == ["a"] * len(rows)
    plan = "\n".join(row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[0]}"))
    assert "SEARCH records USING INDEX live_split_label (split=? AND label=?" in plan
    assert "PRIMARY KEY" not in plan
