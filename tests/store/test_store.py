"""A store as a notebook uses it: splits, records, neighbors, and no encoder until a text is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from embstore.errors import InvalidInput, NotFound
from embstore.records import Record
from embstore.store import Store
from store.building import fill, given, numbered
from stub_encoder import StubEncoder

ENCODER = given(40, 8)
SPLIT_IN_TWO = [
    Record(f"r{i}", "train" if i < 25 else "test", None if i % 2 else "a", str(i)) for i in range(40)
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store whose splits are contiguous, written in windows that are not."""
    path = fill(tmp_path_factory.mktemp("splits") / "two", SPLIT_IN_TWO, ENCODER, window=9)
    with Store.open(path) as opened:
        yield opened


def test_a_split_is_its_records_in_the_order_of_the_dataset(store: Store) -> None:
    split = store.split("test")
    wanted = SPLIT_IN_TWO[25:]
    assert len(split) == 15
    assert split.ids == [one.id for one in wanted]
    assert split.texts == [one.text for one in wanted]
    assert split.labels == [one.label for one in wanted]
    assert split.rows.tolist() == list(range(25, 40))


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_embeddings_of_a_contiguous_split_are_a_view_of_the_file(store: Store, name: str) -> None:
    split = store.split(name)
    assert not split.embeddings.flags.writeable
    assert np.shares_memory(split.embeddings, store.embeddings(split.rows[3:5]))
    np.testing.assert_array_equal(split.embeddings, ENCODER.table[split.rows])


def test_a_view_cannot_be_written_to(store: Store) -> None:
    with pytest.raises(ValueError, match="read-only"):
        store.split("train").embeddings[0] = 0


def test_the_embeddings_of_a_scattered_split_are_a_copy(small_store: Path) -> None:
    with Store.open(small_store) as store:
        split = store.split("test")
        assert split.embeddings.flags.writeable
        np.testing.assert_array_equal(split.embeddings, ENCODER.table[3::4])


def test_an_unknown_split_is_not_found_and_the_known_ones_are_named(store: Store) -> None:
    with pytest.raises(NotFound, match="no split 'validation'") as caught:
        store.split("validation")
    assert caught.value.why == "It has: train, test."


def test_records_come_in_the_order_asked_for(store: Store) -> None:
    assert store.records(np.array([30, 2, 30])) == [SPLIT_IN_TWO[30], SPLIT_IN_TWO[2], SPLIT_IN_TWO[30]]


def test_rows_may_be_a_list_and_a_mask_is_refused(store: Store) -> None:
    assert store.records([30, 2]) == [SPLIT_IN_TWO[30], SPLIT_IN_TWO[2]]
    assert store.records([]) == []
    assert store.embeddings([30, 2]).shape == (2, store.dim)
    for rows in (np.arange(40) > 37, np.array([0.0, 1.7]), np.array([[1]])):
        for read in (store.records, store.embeddings):
            with pytest.raises(InvalidInput, match="whole numbers"):
                read(rows)


def test_more_records_than_are_fetched_at_once_come_in_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embstore.store.snapshot.FETCH_ROWS", 7)
    assert store.records(np.arange(39, -1, -1)) == SPLIT_IN_TWO[::-1]
    assert store.split("train").texts == [str(i) for i in range(25)]


def test_a_store_needs_no_encoder_for_the_neighbors_of_a_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "load_encoder", None)
    neighbors = store.neighbors_of_record("r4", 40)
    assert [one.rank for one in neighbors] == list(range(1, 40))
    assert "r4" not in {one.record.id for one in neighbors}
    assert neighbors == sorted(neighbors, key=lambda one: -one.similarity)


def test_a_text_that_is_stored_twice_is_its_own_nearest_neighbor(tmp_path: Path) -> None:
    records = [*numbered(5), Record("twin", "train", None, "3")]
    with Store.open(fill(tmp_path / "store", records, ENCODER)) as store:
        (nearest,) = store.neighbors_of_record("r3", 1)
    assert (nearest.record.id, nearest.similarity) == ("twin", 1.0)


def test_neighbors_of_an_unknown_record_are_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="no record 'r99'") as caught:
        store.neighbors_of_record("r99")
    assert caught.value.why == "Its ids look like r0, r1, r2."
    assert caught.value.fix == "--id r0"


def test_a_text_without_an_encoder_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "load_encoder", None)
    with pytest.raises(InvalidInput, match="opened without an encoder"):
        store.neighbors("text")


@pytest.mark.parametrize("text", ["", "  \n", "some poison"])
def test_a_text_that_cannot_be_embedded_is_refused(tmp_path: Path, text: str) -> None:
    encoder = StubEncoder()
    path = fill(tmp_path / "store", [Record("x", "train", None, "a text")], encoder)
    with Store.open(path, encoder=encoder) as store, pytest.raises(InvalidInput):
        store.neighbors(text)


def test_labels_none_and_empty_survive(tmp_path: Path) -> None:
    labels = [None, "", "a", None]
    records = [Record(str(i), "train", label, "0") for i, label in enumerate(labels)]
    with Store.open(fill(tmp_path / "store", records, ENCODER)) as store:
        assert store.split("train").labels == labels
        assert store.reader.counts("label") == {None: 2, "": 1, "a": 1}
        assert store.rows(label="").tolist() == [1]


def test_an_empty_store_is_opened(tmp_path: Path) -> None:
    with Store.open(fill(tmp_path / "store", [], ENCODER)) as store:
        assert len(store) == 0
        assert store.rows().tolist() == []
        assert store.records(store.rows()) == []
        assert store.embeddings(store.rows()).shape == (0, 8)
        with pytest.raises(NotFound, match="no split"):
            store.split("train")


@pytest.mark.parametrize("where", [{"split": "\ud800"}, {"label": "x\udfff"}], ids=["split", "label"])
def test_a_name_that_is_no_unicode_is_refused(store: Store, where: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="is not valid Unicode"):
        store.rows(**where)


def test_an_id_that_is_no_unicode_is_refused(store: Store) -> None:
    with pytest.raises(InvalidInput, match="is not valid Unicode"):
        store.neighbors_of_record("\ud800")


def test_why_the_index_is_not_used_is_known_before_the_first_query(tmp_path: Path) -> None:
    with Store.open(fill(tmp_path / "store", numbered(3), ENCODER, index=False)) as store:
        assert store.index_problem == "it has not been built yet"


@pytest.mark.parametrize(
    "texts",
    [np.array(["one text", "another"]), pd.Series(["one text", "another"], index=["x", "y"])],
    ids=["array", "Series"],
)
def test_columns_of_texts_are_embedded_by_position(tmp_path: Path, texts: Any) -> None:
    encoder = StubEncoder()
    path = fill(tmp_path / "store", [Record("x", "train", None, "a text")], encoder)
    with Store.open(path, encoder=encoder) as store:
        assert np.array_equal(store.embed(texts), store.embed(["one text", "another"]))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("hello world", "not the string 'hello world'"),
        (["a text", float("nan")], "position 1(.|\n)*float"),
        ([b"a text"], "position 0(.|\n)*bytes"),
    ],
    ids=["one string", "not a number", "bytes"],
)
def test_what_is_no_sequence_of_texts_is_refused(tmp_path: Path, texts: Any, said: str) -> None:
    encoder = StubEncoder()
    path = fill(tmp_path / "store", [Record("x", "train", None, "a text")], encoder)
    with Store.open(path, encoder=encoder) as store, pytest.raises(InvalidInput, match=said):
        store.embed(texts)
