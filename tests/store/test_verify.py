"""Damage: whatever happens to a file, opening or verifying says so, and no answer is wrong."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from embstore.errors import EmbstoreError, NotFound, StoreDamaged
from embstore.records import Record
from embstore.store import Store, verify_store
from embstore.store.writer import open_writer
from store.building import content, copy, fill, given, numbered, write

ENCODER = given(40, 8)
SHARD = "embeddings/000001.f32"


@pytest.fixture
def path(small_store: Path, tmp_path: Path) -> Path:
    return copy(small_store, tmp_path / "copy")


@pytest.fixture(scope="module")
def answers(small_store: Path) -> list[object]:
    return ask(small_store)


def ask(path: Path) -> list[object]:
    """Return what a store answers to some of everything."""
    with Store.open(path) as store:
        neighbors = store.neighbors_of(ENCODER.table[:3], 40, split="train")
        near = store.neighbors_of_record("r7", 5, label="b")
        return [neighbors, near, store.split("test").texts, content(path), store.reader.counts("label")]


def is_noticed(path: Path) -> bool:
    """Tell whether opening or verifying a store says that it is damaged; any other error is a failure."""
    try:
        with Store.open(path):
            pass
        return verify_store(path).problems != ()
    except StoreDamaged:
        return True


def change(path: Path, *statements: str) -> None:
    """Edit records.db behind the store's back."""
    database = sqlite3.connect(path / "records.db")
    with database:
        for statement in statements:
            database.execute(statement)
    database.close()


def test_a_store_that_is_whole_has_no_problems(small_store: Path) -> None:
    found = verify_store(small_store)
    assert (found.records, found.segments, found.problems) == (40, 5, ())


def test_an_empty_store_has_no_problems(tmp_path: Path) -> None:
    assert verify_store(fill(tmp_path / "store", [], ENCODER)).problems == ()


FILES = ["store.json", "records.db", SHARD, "index"]


def file_of(path: Path, name: str) -> Path:
    return next((path / "index").iterdir()) if name == "index" else path / name


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noticed(path: Path, name: str) -> None:
    file_of(path, name).unlink()
    if name == "store.json":
        with pytest.raises(NotFound, match="There is no store"):
            verify_store(path)
    else:
        assert is_noticed(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.9])
def test_a_truncated_file_is_noticed(path: Path, name: str, share: float) -> None:
    file = file_of(path, name)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    assert is_noticed(path)


@pytest.mark.parametrize("name", ["store.json", SHARD, "index"])
def test_a_flipped_bit_is_noticed_wherever_it_is(path: Path, name: str) -> None:
    file = file_of(path, name)
    whole = file.read_bytes()
    positions = random.Random(0).sample(range(len(whole)), 60)
    for position in {0, len(whole) - 2, *positions}:
        data = bytearray(whole)
        data[position] ^= 1 << position % 8
        if name == "store.json" and data.split() == whole.split():
            continue  # white space between values means nothing
        file.write_bytes(data)
        assert is_noticed(path), position
    file.write_bytes(whole)
    assert not is_noticed(path)


def test_a_smashed_database_is_noticed_or_harmless(path: Path, answers: list[object]) -> None:
    file = path / "records.db"
    whole = file.read_bytes()
    places = random.Random(1)
    for _ in range(80):
        position, length = places.randrange(len(whole)), places.choice([1, 2, 40])
        data = bytearray(whole)
        data[position : position + length] = places.randbytes(len(data[position : position + length]))
        file.write_bytes(data)
        (path / "records.db-journal").unlink(missing_ok=True)
        if not is_noticed(path):
            assert ask(path) == answers, position


def test_a_smashed_database_never_crashes_a_reader(path: Path) -> None:
    file = path / "records.db"
    whole = file.read_bytes()
    places = random.Random(2)
    for _ in range(80):
        position = places.randrange(len(whole))
        data = bytearray(whole)
        data[position] ^= 1 << places.randrange(8)
        file.write_bytes(data)
        with suppress(EmbstoreError):
            ask(path)


EDITS = {
    "label": "UPDATE records SET label = 'z' WHERE row = 9",
    "no label": "UPDATE records SET label = NULL WHERE row = 9",
    "split": "UPDATE records SET split = 'z' WHERE row = 9",
    "text": "UPDATE records SET text = '10' WHERE row = 9",
    "id": "UPDATE records SET id = 'z' WHERE row = 9",
    "extra": """UPDATE records SET extra = '{"a": 1}' WHERE row = 9""",
    "extra that is no JSON": "UPDATE records SET extra = 'z' WHERE row = 9",
    "extra that is no object": "UPDATE records SET extra = '[1]' WHERE row = 9",
    "a record less": "DELETE FROM records WHERE row = 9",
    "the last record less": "DELETE FROM records WHERE row = 39",
    "a record more": "INSERT INTO records (row, id, split, text, extra, text_sha256, truncated, build)"
    " SELECT 40, 'z', split, text, extra, text_sha256, truncated, build FROM records WHERE row = 9",
    "two texts swapped": "UPDATE records SET text = 17 - row WHERE row IN (8, 9)",
    "a segment less": "DELETE FROM segments WHERE first_row = 8",
    "the last segment less": "DELETE FROM segments WHERE first_row = 32",
    "no segment": "DELETE FROM segments",
    "a segment's length": "UPDATE segments SET n = 7 WHERE first_row = 8",
    "a segment's place": "UPDATE segments SET offset = offset + 32 WHERE first_row = 8",
    "a segment's place in a row": "UPDATE segments SET offset = offset + 1 WHERE first_row = 8",
    "a segment's place in the header": "UPDATE segments SET offset = 32 WHERE first_row = 8",
    "a segment's shard": "UPDATE segments SET shard = 2 WHERE first_row = 8",
    "a segment's checksum": "UPDATE segments SET crc32 = crc32 + 1 WHERE first_row = 8",
    "a segment's digest": "UPDATE segments SET digest = x'00' WHERE first_row = 8",
    "a segment's number as text": "UPDATE segments SET crc32 = 'z' WHERE first_row = 8",
    "the index's checksum": "UPDATE indexes SET sha256 = 'z'",
    "the index's file": "UPDATE indexes SET file = 'z'",
    "no state": "DELETE FROM state",
    "a table less": "DROP TABLE segments",
    "a column less": "ALTER TABLE records RENAME COLUMN label TO z",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_behind_the_stores_back_is_noticed(path: Path, edit: str) -> None:
    change(path, edit)
    assert is_noticed(path)


@pytest.mark.parametrize("edit", [EDITS["label"], EDITS["text"]], ids=["label", "text"])
def test_verify_names_the_segment_of_an_edited_record(path: Path, edit: str) -> None:
    change(path, edit)
    assert verify_store(path).problems == (
        "records.db: the records from row 8 on are not those that were written",
    )


def test_verify_names_the_rows_of_a_damaged_shard(path: Path) -> None:
    data = bytearray((path / SHARD).read_bytes())
    data[4096 + 32 * 17] ^= 1
    (path / SHARD).write_bytes(data)
    assert verify_store(path).problems == (
        "000001.f32: the embeddings of rows 16 to 23 do not have their checksum",
    )


def test_verify_goes_on_behind_the_first_problem(path: Path) -> None:
    change(path, EDITS["label"])
    (path / SHARD).write_bytes((path / SHARD).read_bytes()[:-1])
    file_of(path, "index").unlink()
    assert len(verify_store(path).problems) == 3


@pytest.mark.parametrize(("index", "key"), [("live_id", b"r39"), ("live_split_label", b"traina")])
def test_verify_finds_an_index_of_the_database_that_lies(path: Path, index: str, key: bytes) -> None:
    database = sqlite3.connect(path / "records.db")
    (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [index]).fetchone()
    (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    data = (path / "records.db").read_bytes()
    place = data.index(key, (page - 1) * size, page * size) + len(key) - 1
    (path / "records.db").write_bytes(data[:place] + b"~" + data[place + 1 :])
    assert any(f"missing from index {index}" in problem for problem in verify_store(path).problems)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "removed"])
def test_a_damaged_index_is_not_used_and_the_answers_stay(
    path: Path, answers: list[object], damage: str
) -> None:
    file = file_of(path, "index")
    data = bytearray(file.read_bytes())
    file.unlink()
    if damage != "removed":
        data[50] ^= damage == "flipped"
        file.write_bytes(data[: len(data) // 2] if damage == "truncated" else data)
    assert ask(path) == answers
    with Store.open(path) as store:
        assert store.index is None
        assert file.name in store.index_problem
    assert "search stays exact" in verify_store(path).problems[0]


def test_a_changed_label_does_not_look_like_damage(path: Path) -> None:
    records = [Record(one.id, "dev", "z", one.text, {"x": [1, None, "ü"]}) for one in numbered(40)]
    for number, changed in enumerate([records[:20] + numbered(20, first=20), records, numbered(40)]):
        fill(path, changed, ENCODER, fingerprint=str(number))
        assert verify_store(path).problems == ()


DAMAGED: dict[str, Callable[[Path], object]] = {
    "database missing": lambda path: (path / "records.db").unlink(),
    "database empty": lambda path: (path / "records.db").write_bytes(b""),
    "database garbage": lambda path: (path / "records.db").write_bytes(b"garbage " * 2000),
    "shard missing": lambda path: (path / SHARD).unlink(),
    "shard cut": lambda path: (path / SHARD).write_bytes((path / SHARD).read_bytes()[:-1]),
    "segment missing": lambda path: change(path, "DELETE FROM segments WHERE first_row = 8"),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_writer_refuses_a_damaged_store_and_writes_nothing(
    path: Path, damage: Callable[[Path], object]
) -> None:
    damage(path)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "lock"}
    with pytest.raises(StoreDamaged), open_writer(path, ENCODER) as writer:
        write(writer, numbered(3), ENCODER, fingerprint="2")
    assert before == {
        file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "lock"
    }


def test_a_wrong_hash_of_a_text_is_noticed(path: Path) -> None:
    change(path, "UPDATE records SET text_sha256 = zeroblob(32) WHERE row = 9")
    assert verify_store(path).problems == (
        "records.db: the records from row 8 on are not those that were written",
    )


def test_an_index_that_faiss_cannot_read_is_not_used_and_the_answers_stay(
    path: Path, answers: list[object]
) -> None:
    file = file_of(path, "index")
    file.write_bytes(b"ZZZZ" + file.read_bytes()[4:])
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    change(path, f"UPDATE indexes SET sha256 = '{sha256}'")
    assert ask(path) == answers
    with Store.open(path) as store:
        assert "cannot be read by faiss" in store.index_problem
