"""The graph against brute force, and when it is computed again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as given_values
from hypothesis import settings
from hypothesis import strategies as st

from embstore.errors import InvalidInput, NotFound
from embstore.records import Record
from embstore.store import Store
from embstore.store.derived import list_derived
from embstore.store.files import writer_lock
from embstore.store.graph import Graph, build_graph, graph_of
from store.building import GivenEncoder, copy, fill, given, numbered


def brute_force(
    embeddings: np.ndarray, rows: np.ndarray, allowed: np.ndarray, position: int, k: int
) -> tuple[list[float], list[int]]:
    wide = embeddings.astype(np.float64)
    unit = wide / np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    cosines = np.clip((unit * unit[position]).sum(axis=1), -1, 1).astype(np.float32)
    others = [i for i in np.flatnonzero(allowed) if i != position]
    best = sorted(others, key=lambda i: (-cosines[i], rows[i]))[:k]
    return [float(cosines[i]) for i in best], [int(rows[i]) for i in best]


def check(graph: Graph, embeddings: np.ndarray, names: np.ndarray, splits: list[str] | None, k: int) -> None:
    allowed = np.ones(len(names), dtype=bool) if splits is None else np.isin(names, splits)
    similarities, found = graph.within(graph.rows, splits=splits, k=k)
    for position in range(len(names)):
        values, rows = brute_force(embeddings, graph.rows, allowed, position, found.shape[1])
        assert found[position].tolist() == rows
        # float64 sums in another order may round to the next float32.
        np.testing.assert_allclose(similarities[position], values, rtol=0, atol=1.2e-7)


@pytest.mark.parametrize("splits", [None, ["train"], ["test"], ["train", "test"]], ids=str)
@pytest.mark.parametrize("k", [1, 7, 50])
def test_neighbors_are_those_of_brute_force(splits: list[str] | None, k: int) -> None:
    embeddings = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    names = np.array(["train", "train", "test"] * 100)
    check(build_graph(np.arange(300) * 3, names, embeddings, 50), embeddings, names, splits, k)


@settings(max_examples=60, deadline=None)
@given_values(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=2, max_size=60), st.integers(1, 8)
)
def test_ties_are_settled_by_row(points: list[tuple[int, int]], k: int) -> None:
    embeddings = np.array(points, dtype=np.float32)
    names = np.array(["train" if i % 3 else "test" for i in range(len(points))])
    check(build_graph(np.arange(len(points)), names, embeddings, k), embeddings, names, None, k)


def test_more_equal_texts_than_neighbors_are_listed_by_row() -> None:
    embeddings = np.ones((200, 4), dtype=np.float32)
    graph = build_graph(np.arange(200), np.array(["train"] * 200), embeddings, 5)
    assert graph.within(np.array([3]))[1].tolist() == [[0, 1, 2, 4, 5]]


def test_a_split_of_one_has_no_neighbor_for_its_own() -> None:
    graph = build_graph(np.arange(3), np.array(["a", "b", "b"]), np.eye(3, dtype=np.float32), 2)
    assert graph.within(np.array([0]), splits=["a"])[1].shape == (1, 0)
    assert graph.within(np.array([1]), splits=["a"])[1].tolist() == [[0]]


def test_the_graph_is_kept_and_read_again(small_store: Path, tmp_path: Path) -> None:
    path = copy(small_store, tmp_path / "s")
    with Store.open(path) as store:
        made = graph_of(store, 5)
        kept = graph_of(store, 3)
        assert kept.k == 5
        for split, (similarities, rows) in made.neighbors.items():
            assert np.array_equal(kept.neighbors[split][0], similarities)
            assert np.array_equal(kept.neighbors[split][1], rows)


def made_at(path: Path) -> int:
    with Store.open(path) as store:
        graph_of(store, 5)
        return list_derived(store.reader, "graph")[0].sequence


def test_a_changed_label_keeps_the_graph_and_a_changed_text_does_not(tmp_path: Path) -> None:
    encoder, records = given(50, 8), numbered(40)
    path = fill(tmp_path / "s", records, encoder)
    first = made_at(path)
    records[3] = Record("r3", records[3].split, "new", "3")
    fill(path, records, encoder, fingerprint="2")
    assert made_at(path) == first
    records[3] = Record("r3", records[3].split, "new", "45")
    fill(path, records, encoder, fingerprint="3")
    assert made_at(path) > first


def test_a_damaged_graph_is_computed_again(small_store: Path, tmp_path: Path) -> None:
    path = copy(small_store, tmp_path / "s")
    first = made_at(path)
    (file,) = (path / "graph").iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert made_at(path) > first


def test_a_store_that_is_being_written_gives_its_graph_without_keeping_it(
    small_store: Path, tmp_path: Path
) -> None:
    path = copy(small_store, tmp_path / "s")
    with writer_lock(path), Store.open(path) as store:
        assert len(graph_of(store, 5).rows) == 40
    assert not list((path / "graph").glob("*")) if (path / "graph").exists() else True


def test_removed_records_are_not_in_the_graph(tmp_path: Path) -> None:
    encoder, records = given(40, 8), numbered(40)
    path = fill(tmp_path / "s", records, encoder)
    fill(path, records[:20], encoder, fingerprint="2")
    with Store.open(path) as store:
        graph = graph_of(store, 50)
        assert len(graph.rows) == 20
        assert set(graph.within(graph.rows)[1].ravel().tolist()) <= set(graph.rows.tolist())


@pytest.mark.parametrize("k", [0, 6])
def test_more_neighbors_than_are_kept_are_refused(small_store: Path, k: int) -> None:
    with Store.open(small_store) as store:
        graph = graph_of(store, 5, keep=False)
    with pytest.raises(InvalidInput):
        graph.within(graph.rows, k=k)


@pytest.mark.parametrize("splits", [["nowhere"], None], ids=["split", "row"])
def test_unknown_splits_and_rows_are_refused(small_store: Path, splits: list[str] | None) -> None:
    with Store.open(small_store) as store:
        graph = graph_of(store, 5, keep=False)
    with pytest.raises(NotFound):
        graph.within(np.array([0 if splits else 999]), splits=splits)


def test_a_zero_embedding_is_damage() -> None:
    from embstore.errors import StoreDamaged

    with pytest.raises(StoreDamaged, match="row 1"):
        build_graph(np.arange(2), np.array(["a", "a"]), np.array([[1, 0], [0, 0]], dtype=np.float32), 1)


def test_the_encoder_is_not_needed(tmp_path: Path) -> None:
    path = fill(tmp_path / "s", numbered(4), GivenEncoder(np.eye(4, dtype=np.float32)))
    with Store.open(path) as store:
        assert graph_of(store, 2).within(np.array([0]), splits=["test"])[1].tolist() == [[3]]
