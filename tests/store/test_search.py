"""Search against NumPy: every row compared in float64, ties by ascending row."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embstore.errors import InvalidInput, NotFound, StoreDamaged
from embstore.records import Record
from embstore.store import Store, shards
from embstore.store import search as search_module
from embstore.store.graph import graph_of
from store import building
from store.building import GivenEncoder, fill, numbered
from store.oracle import TOLERANCE, brute_force

N = 300


def remove_index(path: Path) -> None:
    for file in (path / "index").iterdir():
        file.unlink()


def damage_index(path: Path) -> None:
    (file,) = (path / "index").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def spread(n: int, dim: int, seed: int) -> np.ndarray:
    """Return embeddings of lengths from 0.01 to 100, every tenth the same as an earlier one."""
    random = np.random.default_rng(seed)
    embeddings = random.standard_normal((n, dim)) * 10 ** random.uniform(-2, 2, (n, 1))
    embeddings[10::10] = embeddings[random.integers(0, 10, len(embeddings[10::10]))]
    return embeddings.astype(np.float32)


def make(path: Path, dim: int) -> tuple[Path, np.ndarray]:
    """Return a store of N records in several shards, a tenth of them dead, and the embeddings by row."""
    encoder = GivenEncoder(spread(N, dim, dim))
    fill(path, numbered(N), encoder, window=70)
    fill(path, [one for i, one in enumerate(numbered(N)) if i % 10 != 5], encoder, fingerprint="2")
    return path, encoder.table


@pytest.fixture(scope="module", params=[1, 3, 16, 384], ids=lambda dim: f"dim-{dim}")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    with pytest.MonkeyPatch.context() as patch:
        # Two windows a shard.
        patch.setattr(shards, "SHARD_BYTES", shards.HEADER_SIZE + 150 * 4 * request.param)
        return make(tmp_path_factory.mktemp("search") / "store", request.param)


def queries_for(embeddings: np.ndarray) -> np.ndarray:
    """Return new directions and stored embeddings: those that have ties."""
    fresh = np.random.default_rng(7).standard_normal((4, embeddings.shape[1]))
    return np.concatenate([fresh, embeddings[[0, 3, 10]]]).astype(np.float32)


def assert_as_oracle(store: Store, embeddings: np.ndarray, k: int, **where: str) -> None:
    allowed = np.zeros(len(embeddings), dtype=bool)
    allowed[store.rows(**where)] = True
    queries = queries_for(embeddings)
    similarities, rows = store.search(queries, k, **where)
    wanted, wanted_rows = brute_force(queries, embeddings, k, allowed)
    assert similarities.dtype == np.float32
    assert rows.dtype == np.int64
    np.testing.assert_allclose(similarities, wanted, rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(rows, wanted_rows)


def test_the_stores_searched_here_have_several_shards(made: tuple[Path, np.ndarray]) -> None:
    assert len(list((made[0] / "embeddings").iterdir())) > 2


@pytest.mark.parametrize("k", [1, 10, 1000])
@pytest.mark.parametrize(
    "where", [{}, {"split": "test"}, {"label": "b"}, {"split": "train", "label": "c"}], ids=str
)
def test_search_is_the_brute_force(made: tuple[Path, np.ndarray], k: int, where: dict[str, str]) -> None:
    with Store.open(made[0]) as store:
        assert_as_oracle(store, made[1], k, **where)
        assert store.index_problem == ""


@pytest.mark.parametrize("n", [1, 2, 5, 11, 12, 40])
@pytest.mark.parametrize("where", [{}, {"split": "test"}], ids=str)
def test_any_number_of_queries_is_answered_alike(
    made: tuple[Path, np.ndarray], n: int, where: dict[str, str]
) -> None:
    queries = np.resize(queries_for(made[1]), (n, made[1].shape[1]))
    with Store.open(made[0]) as store:
        similarities, rows = store.search(queries, 10, **where)
        for place, query in enumerate(queries):
            alone, its_rows = store.search(query[np.newaxis], 10, **where)
            np.testing.assert_array_equal(similarities[place], alone[0])
            np.testing.assert_array_equal(rows[place], its_rows[0])


@pytest.mark.parametrize("change", [remove_index, damage_index])
def test_search_without_a_usable_index_is_the_brute_force(
    made: tuple[Path, np.ndarray], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    with Store.open(building.copy(made[0], tmp_path / "copy", change)) as store:
        assert_as_oracle(store, made[1], 10)
        assert "g000001" in store.index_problem


def test_a_store_that_never_had_an_index_is_searched(tmp_path: Path) -> None:
    encoder = GivenEncoder(spread(50, 16, 1))
    with Store.open(fill(tmp_path / "store", numbered(50), encoder, window=20, index=False)) as store:
        assert_as_oracle(store, encoder.table, 10)
        assert store.index_problem == "it has not been built yet"


def test_rows_newer_than_the_index_are_found(tmp_path: Path) -> None:
    encoder = GivenEncoder(spread(90, 16, 2))
    path = fill(tmp_path / "store", numbered(50), encoder, window=20)
    fill(path, numbered(90), encoder, window=13, fingerprint="2", index=False)
    with Store.open(path) as store:
        assert store.snapshot.index is not None
        assert store.snapshot.index.ntotal == 50
        assert_as_oracle(store, encoder.table, 10, split="test")
        assert store.search(encoder.table[77:78], 1)[1].tolist() == [[77]]


def test_rows_that_are_searched_in_several_blocks_are_all_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BLOCK_ROWS", 7)
    encoder = GivenEncoder(spread(60, 3, 3))
    with Store.open(fill(tmp_path / "store", numbered(60), encoder, index=False)) as store:
        assert_as_oracle(store, encoder.table, 10, label="a")


@pytest.mark.parametrize("index", [True, False], ids=["index", "no-index"])
def test_ties_are_listed_by_row_also_at_the_last_place(tmp_path: Path, index: bool) -> None:
    table = np.ones((200, 4), dtype=np.float32)
    table[50] = 2.0  # the same direction, and in float32 the same similarity
    table[::3] = [1.0, 0.0, 0.0, 0.0]
    path = fill(tmp_path / "store", numbered(200), GivenEncoder(table), index=index)
    with Store.open(path) as store:
        similarities, rows = store.search(np.ones((1, 4), dtype=np.float32), 100)
    assert rows[0].tolist() == [row for row in range(200) if row % 3][:100]
    assert set(similarities[0].tolist()) == {1.0}


def test_a_batch_is_answered_as_its_queries_one_by_one(made: tuple[Path, np.ndarray]) -> None:
    queries = queries_for(made[1])
    with Store.open(made[0]) as store:
        similarities, rows = store.search(queries, 10)
        single = [store.search(query[np.newaxis], 10) for query in queries]
    np.testing.assert_array_equal(rows, np.concatenate([one[1] for one in single]))
    np.testing.assert_array_equal(similarities, np.concatenate([one[0] for one in single]))


def test_threads_that_share_a_store_get_the_same_answers(small_store: Path) -> None:
    queries = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    with Store.open(small_store) as store, ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda query: store.search(query[np.newaxis], 5, split="train")[1][0], queries)
        )
        np.testing.assert_array_equal(answers, store.search(queries, 5, split="train")[1])


def test_the_scale_of_a_query_does_not_matter(small_store: Path) -> None:
    query = np.random.default_rng(0).standard_normal((1, 8)).astype(np.float32)
    with Store.open(small_store) as store:
        wanted = store.search(query, 40)
        for scale in (1e-30, 1e-20, 1e-4, 1e18, 1e30):
            similarities, rows = store.search((query.astype(np.float64) * scale).astype(np.float32), 40)
            np.testing.assert_array_equal(rows, wanted[1])
            np.testing.assert_allclose(similarities, wanted[0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e30, 1e38])
@pytest.mark.parametrize("index", [True, False], ids=["index", "no-index"])
def test_embeddings_whose_square_is_no_float32_are_found(tmp_path: Path, scale: float, index: bool) -> None:
    table = (np.eye(6) * scale).astype(np.float32)
    with Store.open(fill(tmp_path / "store", numbered(6), GivenEncoder(table), index=index)) as store:
        similarities, rows = store.search(np.eye(6, dtype=np.float32), 1)
    assert rows.ravel().tolist() == list(range(6))
    assert similarities.ravel().tolist() == [1.0] * 6


def test_search_never_returns_minus_one(small_store: Path) -> None:
    with Store.open(small_store) as store:
        for k in (1, 39, 40, 41, 10**9):
            similarities, rows = store.search(np.ones((2, 8), dtype=np.float32), k)
            assert rows.shape == similarities.shape == (2, min(k, 40))
            assert rows.min() == 0 or k < 40
            assert rows.min() >= 0


def test_a_filter_that_few_records_pass_gives_all_of_them(small_store: Path) -> None:
    with Store.open(small_store) as store:
        rows = store.search(np.ones((1, 8), dtype=np.float32), 30, split="test", label="a")[1][0]
        assert sorted(rows.tolist()) == store.rows(split="test", label="a").tolist() == [3, 15, 27, 39]


def test_a_filter_that_no_record_passes_gives_none(tmp_path: Path) -> None:
    records = [Record("x", "train", "a", "0"), Record("y", "test", "b", "1")]
    with Store.open(fill(tmp_path / "store", records, building.given(2, 4))) as store:
        similarities, rows = store.search(np.ones((3, 4), dtype=np.float32), 5, split="train", label="b")
    assert similarities.shape == rows.shape == (3, 0)


@pytest.mark.parametrize(
    "where", [{"split": "dev"}, {"label": "z"}, {"split": "train", "label": "z"}], ids=str
)
def test_an_unknown_name_is_not_found(small_store: Path, where: dict[str, str]) -> None:
    with Store.open(small_store) as store, pytest.raises(NotFound, match=r"(?s)has no .*It has: "):
        store.search(np.ones((1, 8), dtype=np.float32), 5, **where)


def test_no_queries_give_no_answers(small_store: Path) -> None:
    with Store.open(small_store) as store:
        similarities, rows = store.search(np.empty((0, 8), dtype=np.float32), 5)
    assert similarities.shape == rows.shape == (0, 5)


def test_an_empty_store_answers_with_nothing(tmp_path: Path) -> None:
    with Store.open(fill(tmp_path / "store", [], building.given(1, 4))) as store:
        assert len(store) == 0
        assert store.search(np.ones((2, 4), dtype=np.float32), 3)[1].shape == (2, 0)


BAD_QUERIES = {
    "NaN": np.full((1, 8), np.nan, dtype=np.float32),
    "infinite": np.full((1, 8), np.inf, dtype=np.float32),
    "beyond float32": np.full((1, 8), 1e300),
    "zero": np.zeros((1, 8), dtype=np.float32),
    "one zero among others": np.array([[1.0] * 8, [0.0] * 8], dtype=np.float32),
    "dim 7": np.ones((1, 7), dtype=np.float32),
    "rank 1": np.ones(8, dtype=np.float32),
    "rank 3": np.ones((1, 1, 8), dtype=np.float32),
    "complex": np.ones((1, 8), dtype=np.complex64),
    "bool": np.ones((1, 8), dtype=np.bool_),
    "text": np.full((1, 8), "x"),
    "object": np.full((1, 8), None),
}


@pytest.mark.parametrize("queries", BAD_QUERIES.values(), ids=BAD_QUERIES.keys())
def test_a_query_without_a_direction_is_refused(small_store: Path, queries: np.ndarray) -> None:
    with Store.open(small_store) as store, pytest.raises(InvalidInput):
        store.search(queries, 5)


@pytest.mark.parametrize("k", [0, -1, 2.5])
def test_k_is_a_whole_number_from_one_on(small_store: Path, k: int) -> None:
    with Store.open(small_store) as store, pytest.raises(InvalidInput, match=f"k is {k}"):
        store.search(np.ones((1, 8), dtype=np.float32), k)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
@pytest.mark.parametrize("n", [1, 40])
def test_k_may_be_an_integer_of_numpy(made: tuple[Path, np.ndarray], dtype: type, n: int) -> None:
    queries = np.resize(queries_for(made[1]), (n, made[1].shape[1]))
    with Store.open(made[0]) as store:
        for where in ({}, {"split": "test"}):
            wanted = store.search(queries, 3, **where)[1]
            np.testing.assert_array_equal(store.search(queries, dtype(3), **where)[1], wanted)
        name = store.split("test").ids[0]
        # One more is asked for, and int8 ends at 127.
        found = store.neighbors_of_record(name, dtype(127))
        assert [one.record.id for one in found] == [
            one.record.id for one in store.neighbors_of_record(name, 127)
        ]


def test_integers_and_float64_are_searched_as_float32(small_store: Path) -> None:
    with Store.open(small_store) as store:
        wanted = store.search(np.ones((1, 8), dtype=np.float32), 5)[1]
        for dtype in (np.int64, np.float64, np.uint8):
            np.testing.assert_array_equal(store.search(np.ones((1, 8), dtype=dtype), 5)[1], wanted)


@pytest.mark.parametrize("bad", [np.nan, 0.0], ids=["NaN", "zero"])
def test_stored_embeddings_that_lost_their_direction_are_damage(
    small_store: Path, tmp_path: Path, bad: float
) -> None:
    path = building.copy(small_store, tmp_path / "copy", remove_index)
    file = path / "embeddings" / "000001.f32"
    data = bytearray(file.read_bytes())
    data[4096 + 32 : 4096 + 64] = np.full(8, bad, dtype="<f4").tobytes()
    file.write_bytes(data)
    with Store.open(path) as store, pytest.raises(StoreDamaged, match="Only 39 of 40") as caught:
        store.search(np.ones((1, 8), dtype=np.float32), 40)
    assert caught.value.fix == f"embstore verify -s {path}"
    with Store.open(path) as store, pytest.raises(StoreDamaged, match="zero, NaN or infinite") as caught:
        graph_of(store)
    assert caught.value.fix == f"embstore verify -s {path}"


@given(order=st.permutations(range(25)), split=st.sampled_from([None, "train"]))
@settings(max_examples=6, deadline=None, derandomize=True)
def test_permuted_rows_give_a_permuted_answer(
    order: list[int], split: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    records, encoder = numbered(25), building.given(25, 6)
    plain, mixed = (
        fill(tmp_path_factory.mktemp("permuted") / "store", entries, encoder)
        for entries in (records, [records[i] for i in order])
    )
    query = np.random.default_rng(5).standard_normal((3, 6)).astype(np.float32)
    with Store.open(plain) as one, Store.open(mixed) as other:
        wanted, rows = one.search(query, 10, split=split)
        found, mixed_rows = other.search(query, 10, split=split)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.array(order)[mixed_rows], rows)


def test_a_similarity_does_not_depend_on_what_else_is_searched() -> None:
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((500, 33)).astype(np.float32)
    directions = np.repeat(random.standard_normal((1, 33)), 500, axis=0)
    lengths = np.linalg.norm(directions, axis=1)
    together = search_module.cosines(directions, embeddings, lengths)
    alone = [search_module.cosines(directions[:1], embeddings[i : i + 1], lengths[:1])[0] for i in range(500)]
    np.testing.assert_array_equal(together, alone)
