"""Upsert: what a build encodes, copies, changes, buries and sets aside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embstore.errors import EncoderMismatch, InvalidInput
from embstore.records import Encoded, Record, Rejected
from embstore.store import Store, verify_store
from embstore.store.snapshot import RecordsReader
from embstore.store.writer import open_writer
from store.building import GivenEncoder, fill, ids, write
from stub_encoder import StubEncoder

RECORDS = [Record(f"r{i}", "train", "a", f"text {i}", {"n": i}) for i in range(6)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return fill(tmp_path / "store", RECORDS, StubEncoder(), window=4)


def refill(path: Path, records: list[Record | Rejected], **options: object) -> StubEncoder:
    """Build again and return the encoder, which tells what was encoded; the store must be whole."""
    encoder = StubEncoder()
    fill(path, records, encoder, **options)
    assert verify_store(path).problems == ()
    return encoder


def quarantined(path: Path) -> list[tuple[int, str, str]]:
    reader = RecordsReader(path / "records.db")
    last = reader.last_build() or {}
    found = reader.quarantined(int(last["build"]), 100)
    reader.close()
    return [(one["position"], one["id"], one["error"]) for one in found]


def sequence(path: Path) -> int:
    with Store.open(path) as store:
        return store.snapshot.sequence


def test_the_same_records_again_encode_nothing_and_add_no_row(path: Path) -> None:
    before = (path / "embeddings" / "000001.f32").read_bytes()
    assert refill(path, RECORDS).encoded == []
    assert (path / "embeddings" / "000001.f32").read_bytes() == before
    with Store.open(path) as store:
        assert store.snapshot.n_rows == len(store) == 6


@pytest.mark.parametrize(
    "change", [{"label": "b"}, {"label": None}, {"split": "test"}, {"extra": {"n": [1, "é"]}}], ids=str
)
def test_a_change_beside_the_text_encodes_nothing_and_keeps_the_row(
    path: Path, change: dict[str, object]
) -> None:
    changed = replace(RECORDS[2], **change)  # type: ignore[arg-type]
    assert refill(path, [*RECORDS[:2], changed, *RECORDS[3:]]).encoded == []
    with Store.open(path) as store:
        assert store.snapshot.n_rows == 6
        assert store.records(np.array([2])) == [changed]


def test_a_changed_text_is_a_new_row_and_the_old_one_is_never_found_again(path: Path) -> None:
    changed = replace(RECORDS[2], text="another text")
    assert refill(path, [*RECORDS[:2], changed, *RECORDS[3:]]).encoded == ["another text"]
    encoder = StubEncoder()
    with Store.open(path, encoder=encoder) as store:
        assert store.snapshot.n_rows == 7
        assert store.snapshot.dead.tolist() == [2]
        assert 2 not in store.search(encoder.embed("text 2")[np.newaxis], 100)[1]
        assert store.neighbors("another text", 1)[0].record == changed
        assert [one.record.id for one in store.neighbors("text 2", 100)].count("r2") == 1


def test_texts_that_change_places_are_copied_not_encoded(path: Path) -> None:
    swapped = [replace(RECORDS[0], text="text 1"), replace(RECORDS[1], text="text 0"), *RECORDS[2:]]
    assert refill(path, swapped).encoded == []
    with Store.open(path, encoder=StubEncoder()) as store:
        assert store.neighbors("text 0", 1)[0].record.id == "r1"
        assert store.neighbors("text 0", 1)[0].similarity == pytest.approx(1.0)


def test_a_text_that_comes_back_is_copied_from_its_dead_row(path: Path) -> None:
    refill(path, [replace(RECORDS[0], text="meanwhile"), *RECORDS[1:]])
    assert refill(path, RECORDS).encoded == []
    with Store.open(path) as store:
        row = store.reader.row_of("r0", store.snapshot)
        np.testing.assert_array_equal(
            store.embeddings(np.array([row])), store.embeddings(np.array([0], dtype=np.int64))
        )


def test_one_text_of_many_records_is_encoded_once(tmp_path: Path) -> None:
    encoder = StubEncoder()
    records = [Record(f"r{i}", "train", None, f"text {i % 2}") for i in range(10)]
    fill(tmp_path / "store", records, encoder, window=3)
    assert encoder.encoded == ["text 0", "text 1"]


def test_that_a_text_was_truncated_is_copied_with_it(tmp_path: Path) -> None:
    encoder = StubEncoder()
    path = fill(tmp_path / "store", [Record("x", "train", None, "long " * 50)], encoder)
    fill(path, [Record(one, "train", None, "long " * 50) for one in "xyz"], encoder, fingerprint="2")
    with Store.open(path) as store:
        assert store.reader.truncated() == 3
    assert len(encoder.encoded) == 1


@pytest.mark.parametrize("window", [10, 1], ids=["in-one-window", "across-windows"])
def test_an_id_that_comes_twice_is_quarantined(tmp_path: Path, window: int) -> None:
    twice = [*RECORDS, replace(RECORDS[1], text="a second text")]
    path = fill(tmp_path / "store", twice, StubEncoder(), window=window)
    assert quarantined(path) == [(6, "r1", "the id 'r1' stands in the dataset twice")]
    with Store.open(path) as store:
        assert store.records(store.rows()) == RECORDS


@pytest.mark.parametrize("window", [10, 1], ids=["in-one-window", "across-windows"])
def test_an_id_that_comes_twice_in_a_rebuild_is_quarantined(path: Path, window: int) -> None:
    refill(path, [*RECORDS, replace(RECORDS[1], label="z")], window=window)
    assert [one[:2] for one in quarantined(path)] == [(6, "r1")]
    with Store.open(path) as store:
        assert store.records(store.rows()) == RECORDS


@pytest.mark.parametrize("word", ["poison", "nan"])
def test_a_text_that_fails_is_quarantined_and_the_rest_is_stored(tmp_path: Path, word: str) -> None:
    bad = replace(RECORDS[2], text=f"some {word} here")
    path = fill(tmp_path / "store", [*RECORDS[:2], bad, *RECORDS[3:]], StubEncoder(), window=10)
    assert [one[:2] for one in quarantined(path)] == [(2, "r2")]
    assert ids(path) == ["r0", "r1", "r3", "r4", "r5"]


@pytest.mark.parametrize("word", ["poison", "nan"])
def test_a_text_that_fails_leaves_the_older_text_in_place(path: Path, word: str) -> None:
    refill(path, [*RECORDS[:2], replace(RECORDS[2], text=f"now {word}"), *RECORDS[3:]])
    assert [one[:2] for one in quarantined(path)] == [(2, "r2")]
    with Store.open(path) as store:
        assert store.records(store.rows()) == RECORDS


def test_two_records_of_a_text_that_fails_are_both_quarantined(tmp_path: Path) -> None:
    records = [Record(one, "train", None, "poison") for one in "xy"]
    path = fill(tmp_path / "store", records, StubEncoder())
    assert [one[1] for one in quarantined(path)] == ["x", "y"]
    assert ids(path) == []


def test_records_rejected_by_the_dataset_are_quarantined(path: Path) -> None:
    refill(path, [*RECORDS, Rejected(6, "train", None, "the text is empty")])
    assert quarantined(path) == [(6, None, "the text is empty")]


def test_records_that_the_dataset_no_longer_has_are_removed(path: Path) -> None:
    with open_writer(path, StubEncoder()) as writer:
        assert write(writer, RECORDS[3:], StubEncoder(), fingerprint="2") == 3
    assert ids(path) == ["r3", "r4", "r5"]
    assert verify_store(path).records == 3


def test_other_records_are_kept_on_request(path: Path) -> None:
    with open_writer(path, StubEncoder()) as writer:
        new = [Record("new", "train", None, "new")]
        assert write(writer, new, StubEncoder(), fingerprint="2", keep_others=True) == 0
    assert ids(path) == [*(f"r{i}" for i in range(6)), "new"]


def test_records_that_were_removed_come_back_without_encoding(path: Path) -> None:
    refill(path, [])
    assert ids(path) == []
    assert refill(path, RECORDS).encoded == []
    assert ids(path) == [f"r{i}" for i in range(6)]


@pytest.mark.parametrize(
    "embeddings",
    [np.ones((6, 15), np.float32), np.ones((5, 16), np.float32), np.ones((6, 16)), np.ones(6, np.float32)],
    ids=["dim", "number", "dtype", "rank"],
)
def test_embeddings_of_another_shape_are_refused_before_a_byte_is_written(
    tmp_path: Path, embeddings: np.ndarray
) -> None:
    with open_writer(tmp_path / "store", StubEncoder()) as writer:
        build = writer.begin_build("data", "1", keep_others=False)
        before = sequence(tmp_path / "store")
        with pytest.raises(InvalidInput, match="The encoder returned"):
            writer.commit(writer.plan(RECORDS, 0, build), Encoded(embeddings, np.zeros(6, np.bool_)), build)
    assert sequence(tmp_path / "store") == before
    assert list((tmp_path / "store" / "embeddings").iterdir()) == []


def test_a_zero_embedding_is_quarantined(tmp_path: Path) -> None:
    table = np.eye(3, dtype=np.float32)
    table[1] = 0
    records = [Record(f"r{i}", "train", None, str(i)) for i in range(3)]
    path = fill(tmp_path / "store", records, GivenEncoder(table))
    assert quarantined(path) == [(1, "r1", "its embedding is zero, NaN or infinite")]


def test_an_index_that_covers_all_rows_is_not_written_again(path: Path) -> None:
    with open_writer(path, StubEncoder()) as writer:
        assert writer.write_index() is False
    assert [file.name[:7] for file in (path / "index").iterdir()] == ["g000001"]


@pytest.mark.parametrize("damage", ["flipped", "truncated", "removed"])
def test_a_damaged_index_is_written_again(path: Path, damage: str) -> None:
    (file,) = (path / "index").iterdir()
    data = file.read_bytes()
    file.unlink()
    if damage != "removed":
        file.write_bytes(data[:-4] if damage == "truncated" else data[:-1] + bytes([data[-1] ^ 1]))
    assert verify_store(path).problems != ()
    refill(path, RECORDS)
    with Store.open(path) as store:
        assert store.index is not None
        assert store.index_problem == ""


def test_another_encoder_is_refused_and_nothing_changes(path: Path) -> None:
    before = sequence(path)
    with (
        pytest.raises(EncoderMismatch, match="another encoder") as caught,
        open_writer(path, StubEncoder(name="b")),
    ):
        pytest.fail("it was opened")
    assert caught.value.exit_code == 7
    assert "'b'" in caught.value.why
    assert sequence(path) == before


@pytest.mark.parametrize("name", ["notes.txt", "embeddings", ".git"])
def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with (
        pytest.raises(InvalidInput, match="is no store and is not empty"),
        open_writer(tmp_path, StubEncoder()),
    ):
        pytest.fail("it was opened")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInput), open_writer(tmp_path / "file", StubEncoder()):
        pytest.fail("it was opened")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_folder_and_what_an_interrupted_creation_left_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "store.json").write_text("{")
    (tmp_path / "lock").write_text("999")
    (tmp_path / "records.db").touch()
    assert ids(fill(tmp_path, RECORDS, StubEncoder())) == [f"r{i}" for i in range(6)]
    assert list((tmp_path / "tmp").iterdir()) == []
