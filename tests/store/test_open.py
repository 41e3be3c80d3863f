"""Stores that are damaged or changed while they are opened, read or verified."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embstore.errors import StoreDamaged
from embstore.store import Store, verify_store
from embstore.store.snapshot import RecordsReader
from embstore.store.writer import open_writer
from store.building import copy, fill, given, numbered

ENCODER = given(40, 8)
SHARD = "embeddings/000001.f32"


@pytest.fixture
def path(small_store: Path, tmp_path: Path) -> Path:
    return copy(small_store, tmp_path / "copy")


def test_a_store_that_cannot_be_opened_leaves_no_connection_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[RecordsReader] = []

    def close(reader: RecordsReader) -> None:
        closed.append(reader)

    monkeypatch.setattr(RecordsReader, "close", close)
    (path / SHARD).unlink()
    with pytest.raises(StoreDamaged):
        Store.open(path)
    with pytest.raises(StoreDamaged), open_writer(path, ENCODER):
        pytest.fail("it was opened")
    assert len(closed) == 2


def test_a_shard_that_is_cut_before_it_is_mapped_is_noticed(path: Path) -> None:
    with Store.open(path) as store:
        (path / SHARD).write_bytes((path / SHARD).read_bytes()[:-100])
        with pytest.raises(StoreDamaged, match="it was cut"):
            store.embeddings(np.array([39]))


def test_a_shard_that_is_cut_while_it_is_open_is_noticed(path: Path) -> None:
    next((path / "index").iterdir()).unlink()
    with Store.open(path) as store:
        (path / SHARD).write_bytes((path / SHARD).read_bytes()[:-100])
        with pytest.raises(StoreDamaged, match="it was cut"):
            store.search(np.ones((1, 8), dtype=np.float32), 3)


@pytest.mark.parametrize("kept", [5000, 100, 0], ids=["some-rows", "half-a-header", "nothing"])
def test_a_shard_that_is_cut_after_it_was_read_is_noticed_before_it_is_touched(path: Path, kept: int) -> None:
    query, last = np.ones((1, 8), dtype=np.float32), np.array([39])
    with Store.open(path) as store:
        store.search(query, 3)
        whole = store.embeddings(last).copy()
        data = (path / SHARD).read_bytes()
        os.truncate(path / SHARD, kept)
        for use in (lambda: store.search(query, 3), lambda: store.embeddings(last)):
            with pytest.raises(StoreDamaged, match="it was cut"):
                use()
        (path / SHARD).write_bytes(data)
        np.testing.assert_array_equal(store.embeddings(last), whole)


def test_a_label_that_changes_while_it_is_verified_is_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_database = RecordsReader._all
    rebuilt: list[str] = []

    def rebuild_then_ask(reader: RecordsReader, query: str, *parameters: Any) -> Any:
        if not reader._connection.in_transaction and len(rebuilt) < 12:
            rebuilt.append(label := str(len(rebuilt)))
            with monkeypatch.context() as patch:
                patch.setattr(RecordsReader, "_all", ask_database)
                changed = [replace(one, label=label) for one in numbered(40)]
                fill(path, changed, ENCODER, fingerprint=label, index=False)
        return ask_database(reader, query, *parameters)

    monkeypatch.setattr(RecordsReader, "_all", rebuild_then_ask)
    assert verify_store(path).problems == ()
    assert len(rebuilt) > 6
