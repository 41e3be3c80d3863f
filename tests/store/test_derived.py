"""Derived things are kept whole or not at all, and damage is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from embstore.errors import DiskFailure, InvalidInput, NotFound, StoreDamaged, StoreLocked
from embstore.store import Store, verify_store
from embstore.store.database import RecordsWriter
from embstore.store.derived import list_derived, read_derived
from embstore.store.files import writer_lock
from embstore.store.keeping import drop_derived, write_derived
from store.building import copy
from store.test_golden import GOLDEN
from store.test_verify import change

TENSORS = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3)}
FACTS = {"kind": "logistic", "classes": ["größe", "b"]}


@pytest.fixture
def path(small_store: Path, tmp_path: Path) -> Path:
    return copy(small_store, tmp_path / "s")


def read(path: Path, name: str = "one"):
    with Store.open(path) as store:
        return read_derived(path, store.reader, "head", name)


def test_what_is_kept_is_read_again(path: Path) -> None:
    write_derived(path, "head", "one", TENSORS, FACTS)
    found = read(path)
    assert np.array_equal(found.tensors["weights"], TENSORS["weights"])
    assert found.facts == FACTS


def test_a_new_one_takes_the_place_of_the_old(path: Path) -> None:
    write_derived(path, "head", "one", TENSORS, FACTS)
    write_derived(path, "head", "one", {"weights": TENSORS["weights"] + 1}, FACTS)
    assert read(path).tensors["weights"][0, 0] == 1
    assert len(list((path / "heads").iterdir())) == 1


def test_names_come_in_the_order_in_which_they_were_made(path: Path) -> None:
    for name in ("b", "a", "b"):
        write_derived(path, "head", name, {"x": np.random.default_rng(0).random(2)}, {})
    with Store.open(path) as store:
        assert [entry.name for entry in list_derived(store.reader, "head")] == ["a", "b"]


def test_a_store_of_the_first_version_has_none_and_takes_one(tmp_path: Path) -> None:
    path = copy(GOLDEN / "v1", tmp_path / "v1")
    assert read(path) is None
    write_derived(path, "head", "one", TENSORS, FACTS)
    assert read(path).facts == FACTS
    assert verify_store(path).problems == ()


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + b"?"], ids=["cut", "changed"])
def test_damage_is_told_by_reading_and_by_verify(path: Path, damage) -> None:
    write_derived(path, "head", "one", TENSORS, FACTS)
    (file,) = (path / "heads").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StoreDamaged, match="embstore fit"):
        read(path)
    assert "heads" in verify_store(path).problems[0]


EDITS = {
    "another class": """facts = replace(facts, '"b"', '"c"')""",
    "no JSON": "facts = replace(facts, ':', '')",
    "no object": "facts = '[]'",
    "no UTF-8": "facts = CAST(x'7bff7d' AS TEXT)",
    "none": "facts = NULL",
    "a file's name in bytes": "file = CAST(file AS BLOB)",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_a_damaged_row_is_told_by_reading_and_by_verify_and_hides_no_other(path: Path, edit: str) -> None:
    write_derived(path, "head", "one", TENSORS, FACTS)
    write_derived(path, "head", "knn", TENSORS, {**FACTS, "kind": "knn"})
    change(path, f"UPDATE derived SET {edit} WHERE name = 'knn'")
    with pytest.raises(StoreDamaged) as caught:
        read(path, "knn")
    assert caught.value.fix == f"embstore fit -s {path} --head knn"
    (problem,) = verify_store(path).problems
    assert caught.value.what in problem
    assert read(path).facts == FACTS


def test_a_name_that_is_bytes_hides_no_other(path: Path) -> None:
    for name in ("knn", "one"):
        write_derived(path, "head", name, TENSORS, FACTS)
    change(path, "UPDATE derived SET name = CAST(name AS BLOB) WHERE name = 'knn'")
    verify_store(path)
    assert read(path).facts == FACTS


def test_the_line_that_makes_a_damaged_head_again_makes_one_of_its_kind(path: Path) -> None:
    write_derived(path, "head", "mine", TENSORS, {**FACTS, "kind": "knn"})
    next((path / "heads").glob("mine-*")).write_bytes(b"")
    with pytest.raises(StoreDamaged) as caught:
        read(path, "mine")
    assert caught.value.fix == f"embstore fit -s {path} --head knn --name mine"


def test_a_file_that_this_user_may_not_read_is_not_damaged(
    path: Path, forbid: Callable[[Path, int], None]
) -> None:
    write_derived(path, "head", "one", TENSORS, FACTS)
    file = next((path / "heads").glob("one-*"))
    forbid(file, 0o000)
    with pytest.raises(DiskFailure) as caught:
        read(path)
    assert caught.value.fix == f"chmod u+rX {file}"
    (problem,) = verify_store(path).problems
    assert caught.value.fix in problem


def kept_before_facts_had_checksums(path: Path) -> None:
    content = save(TENSORS)
    (path / "heads").mkdir()
    (path / "heads" / "old.safetensors").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    values = {"kind": "head", "name": "one", "file": "old.safetensors", "bytes": len(content)}
    database = RecordsWriter(path / "records.db")
    database.put_derived({**values, "sha256": sha256, "facts": json.dumps(FACTS)})
    database.close()


def test_what_was_kept_before_facts_had_checksums_is_read(path: Path) -> None:
    kept_before_facts_had_checksums(path)
    assert read(path).facts == FACTS
    assert verify_store(path).problems == ()


def test_facts_without_a_checksum_that_are_no_json_are_damage(path: Path) -> None:
    kept_before_facts_had_checksums(path)
    change(path, "UPDATE derived SET facts = '{'")
    with pytest.raises(StoreDamaged, match="its facts of the head 'one'"):
        read(path)
    assert "its facts of the head 'one'" in verify_store(path).problems[0]


def test_a_missing_file_is_damage(path: Path) -> None:
    write_derived(path, "head", "one", TENSORS, FACTS)
    next((path / "heads").iterdir()).unlink()
    with pytest.raises(StoreDamaged):
        read(path)


def test_a_dropped_one_is_gone_with_its_file(path: Path) -> None:
    write_derived(path, "head", "one", TENSORS, FACTS)
    drop_derived(path, "head", "one")
    assert read(path) is None
    assert not list((path / "heads").iterdir())
    with pytest.raises(NotFound):
        drop_derived(path, "head", "one")


def test_a_locked_store_keeps_what_it_has(path: Path) -> None:
    write_derived(path, "head", "one", TENSORS, FACTS)
    with writer_lock(path), pytest.raises(StoreLocked):
        write_derived(path, "head", "one", {}, {})
    assert read(path).facts == FACTS


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "x" * 65])
def test_a_name_that_could_be_a_path_is_refused(path: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        write_derived(path, "head", name, TENSORS, FACTS)
