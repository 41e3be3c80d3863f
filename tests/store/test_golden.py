"""Stores of every format version that was ever released open, verify and answer as on their first day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embstore.records import Record
from embstore.store import Store, verify_store
from store.building import GivenEncoder, copy, fill

GOLDEN = Path(__file__).parent / "golden"
EMBEDDINGS = [[1, 0, 0, 0], [3, 4, 0, 0], [0, 0, 2, 0], [0, 0.5, 0.5, 0], [-1, 0, 0, 1]]
RECORDS = [
    Record("a", "train", "anger", "0", {"source": "mail"}),
    Record("b", "train", "joy", "1", {"n": 2, "list": [1, None, True]}),
    Record("ç", "train", None, "2"),
    Record("d", "test", "größe", "3"),
    Record("e", "test", "joy", "4", {"emoji": "🙂"}),
]


@pytest.fixture(params=sorted(path.name for path in GOLDEN.iterdir()))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return copy(GOLDEN / request.param, tmp_path / request.param)


def test_there_is_a_golden_store_of_the_first_version() -> None:
    assert (GOLDEN / "v1" / "store.json").is_file()


def test_a_golden_store_is_whole(path: Path) -> None:
    found = verify_store(path)
    assert (found.records, found.segments, found.problems) == (5, 2, ())


def test_a_golden_store_has_its_records_and_embeddings(path: Path) -> None:
    with Store.open(path) as store:
        assert store.records(store.rows()) == RECORDS
        np.testing.assert_array_equal(store.embeddings(store.rows()), np.array(EMBEDDINGS, dtype=np.float32))


def test_a_golden_store_answers_with_the_same_neighbors(path: Path) -> None:
    with Store.open(path) as store:
        neighbors = store.neighbors_of(np.array([[2, 1, 0, 0]], dtype=np.float32), 10)[0]
        assert store.index_problem == ""
    assert [one.record.id for one in neighbors] == ["a", "b", "d", "ç", "e"]
    wanted = [0.894427191, 0.894427191, 0.316227766, 0.0, -0.632455532]
    # float32: a few units in the last place of 1.0.
    assert [one.similarity for one in neighbors] == pytest.approx(wanted, rel=0, abs=5e-7)


def test_a_golden_store_can_be_written_to(path: Path) -> None:
    encoder = GivenEncoder(np.array([*EMBEDDINGS, [0, 0, 0, 0], [9, 9, 9, 9]], dtype=np.float32))
    fill(path, [*RECORDS, Record("new", "train", "joy", "6")], encoder, fingerprint="3")
    assert encoder.encoded == ["6"]
    assert verify_store(path).problems == ()
