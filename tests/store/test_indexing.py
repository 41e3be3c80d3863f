"""The index of a store: made when it must be, tuned, certified, and never the reason for a wrong answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embstore.errors import InvalidInput
from embstore.store import Store, measuring, verify_store
from embstore.store.certificate import Certificate, recall_of
from embstore.store.index_options import IndexOptions
from embstore.store.writer import open_writer
from store.building import GivenEncoder, copy, fill, numbered, write
from store.oracle import TOLERANCE, brute_force
from store.test_verify import change

N, DIM = 1500, 16
APPROXIMATE = ["ivf", "ivf,fp16", "ivf,sq8", "hnsw", "hnsw,fp16", "hnsw,sq8"]


def clustered(n: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng([seed, 1])
    centers = np.random.default_rng(0).standard_normal((30, DIM))
    return (centers[random.integers(0, 30, n)] + 0.6 * random.standard_normal((n, DIM))).astype(np.float32)


ENCODER = GivenEncoder(clustered(N + 200))


def indexed(path: Path, options: IndexOptions | None, n: int = N, fingerprint: str = "1") -> bool:
    """Bring a store to n records and its index up to date; return whether that was made anew."""
    with open_writer(path, ENCODER) as writer:
        write(writer, numbered(n), ENCODER, window=500, fingerprint=fingerprint, index=False)
        return writer.write_index(options)


@pytest.fixture(scope="module", params=APPROXIMATE)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("indexed") / "store"
    indexed(path, IndexOptions(request.param))
    return path


def recall_on_new_queries(store: Store, k: int = 10) -> float:
    queries = clustered(300, seed=9)
    found, _ = store.search(queries, k)
    wanted, _ = brute_force(queries, ENCODER.table[:N], k, np.ones(N, dtype=bool))
    return float((found >= wanted[:, -1:] - 1e-6).mean())


def test_the_target_is_reached_on_queries_that_were_never_seen(path: Path) -> None:
    with Store.open(path) as store:
        assert store.index is not None
        assert recall_on_new_queries(store) >= 0.95


def test_the_certificate_holds_the_truth_within_its_interval(path: Path) -> None:
    with Store.open(path) as store:
        said = store.recall(10)
        assert said is not None
        # The queries here are 300 others: their own mean lies within some hundredths of the truth.
        assert said.low - 0.02 <= recall_on_new_queries(store) <= said.high + 0.02
        certificate = store.snapshot.index.certificate  # type: ignore[union-attr]
        assert certificate is not None
        assert (certificate.n_tuning, certificate.n_queries) == (250, 750)
        assert [one.k for one in certificate.recalls] == [1, 10, 100]
        assert certificate.p50_ms > 0
        assert not certificate.exact


@pytest.mark.parametrize("k", [10, 100])
def test_a_query_is_answered_alike_alone_and_among_others(path: Path, k: int) -> None:
    queries = np.vstack([clustered(40, seed=6), np.random.default_rng(7).standard_normal((40, DIM))])
    with Store.open(path) as store:
        together, rows = store.search(queries.astype(np.float32), k)
        for place, query in enumerate(queries.astype(np.float32)):
            similarities, alone = store.search(query[np.newaxis], k)
            np.testing.assert_array_equal(rows[place], alone[0])
            np.testing.assert_array_equal(together[place], similarities[0])


@pytest.mark.parametrize("k", [1, 10, 100])
def test_an_approximate_answer_shows_true_similarities_in_order(path: Path, k: int) -> None:
    queries = clustered(20, seed=5)
    with Store.open(path) as store:
        found, rows = store.search(queries, k)
        assert found.shape == (20, k)
        true = brute_force(queries, ENCODER.table[:N], N, np.ones(N, dtype=bool))
    for place in range(20):
        by_row = dict(zip(true[1][place].tolist(), true[0][place].tolist(), strict=True))
        np.testing.assert_allclose(found[place], [by_row[row] for row in rows[place]], rtol=0, atol=TOLERANCE)
        assert (np.diff(found[place]) <= 0).all()
        assert len(set(rows[place].tolist())) == k


@pytest.mark.parametrize(
    "where", [{"split": "test"}, {"label": "b"}, {"split": "train", "label": "c"}], ids=str
)
@pytest.mark.parametrize("n_queries", [1, 40])
def test_a_filtered_answer_is_exact(path: Path, where: dict[str, str], n_queries: int) -> None:
    queries = clustered(n_queries, seed=6)
    with Store.open(path) as store:
        allowed = np.zeros(N, dtype=bool)
        allowed[store.rows(**where)] = True
        assert store.recall(10, **where) is None
        found, rows = store.search(queries, 10, **where)
    wanted, wanted_rows = brute_force(queries, ENCODER.table[:N], 10, allowed)
    np.testing.assert_array_equal(rows, wanted_rows)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("k", [101, N, 10 * N])
def test_more_neighbors_than_were_measured_are_found_exactly(path: Path, k: int) -> None:
    queries = clustered(3, seed=7)
    with Store.open(path) as store:
        assert store.recall(k) is None
        rows = store.search(queries, k)[1]
    np.testing.assert_array_equal(rows, brute_force(queries, ENCODER.table[:N], k, np.ones(N, dtype=bool))[1])


def test_a_record_is_no_neighbor_of_its_own(path: Path) -> None:
    with Store.open(path) as store:
        for row in (0, 700, N - 1):
            near = store.neighbors_of_record(f"r{row}", 10)
            assert len(near) == 10
            assert f"r{row}" not in [one.record.id for one in near]


def test_removed_records_are_never_found(path: Path, tmp_path: Path) -> None:
    changed = copy(path, tmp_path / "store")
    kept = [record for i, record in enumerate(numbered(N)) if i % 5]
    fill(changed, kept, ENCODER, fingerprint="2")
    with Store.open(changed) as store:
        rows = store.search(clustered(50, seed=8), 10)[1]
        assert rows.shape == (50, 10)
        assert (rows % 5).all()
        assert store.recall(10) is not None


@pytest.mark.parametrize(("n", "few"), [(740, 1000), (740, 10)], ids=["few-left", "most-removed"])
def test_an_index_of_which_most_was_removed_makes_no_promise_and_misses_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, few: int
) -> None:
    monkeypatch.setattr("embstore.store.search.FEW_ROWS", few)
    changed = copy(path, tmp_path / "store")
    fill(changed, numbered(N)[-n:], ENCODER, fingerprint="2")
    queries, live = clustered(50, seed=8), np.arange(N) >= N - n
    with Store.open(changed) as store:
        assert store.recall(10) is None
        rows = store.search(queries, 10)[1]
    np.testing.assert_array_equal(rows, brute_force(queries, ENCODER.table[:N], 10, live)[1])


def test_rows_behind_the_index_are_found_until_they_are_many(path: Path, tmp_path: Path) -> None:
    changed = copy(path, tmp_path / "store")
    assert indexed(changed, None, N + 30, "2") is False
    with Store.open(changed) as store:
        assert store.snapshot.index is not None
        assert store.snapshot.index.ntotal == N
        nearest = store.search(ENCODER.table[N : N + 30], 1)[1]
        assert nearest[:, 0].tolist() == list(range(N, N + 30))
    assert indexed(changed, None, N + 40, "3") is True
    with Store.open(changed) as store:
        assert store.snapshot.index is not None
        assert store.snapshot.index.ntotal == N + 40
        assert store.recall(10) is not None


def test_a_damaged_index_makes_search_exact_and_is_named(path: Path, tmp_path: Path) -> None:
    def cut(store: Path) -> None:
        (file,) = (store / "index").iterdir()
        file.write_bytes(file.read_bytes()[:-9])

    changed = copy(path, tmp_path / "store", cut)
    (problem,) = verify_store(changed).problems
    assert "search stays exact" in problem
    with Store.open(changed) as store:
        assert store.recall(10) is None
        assert "g000001" in store.index_problem
        queries = clustered(4, seed=3)
        wanted = brute_force(queries, ENCODER.table[:N], 10, np.ones(N, dtype=bool))[1]
        np.testing.assert_array_equal(store.search(queries, 10)[1], wanted)
    assert indexed(changed, None) is True


@pytest.mark.parametrize("kind", ["flat", "flat,fp16", "flat,sq8"])
def test_a_flat_index_is_exact_in_few_bits_too(tmp_path: Path, kind: str) -> None:
    indexed(tmp_path / "store", IndexOptions(kind))
    queries = clustered(6, seed=4)
    with Store.open(tmp_path / "store") as store:
        assert store.recall(10) is None
        single = np.concatenate([store.search(query[np.newaxis], 10)[1] for query in queries])
        certificate = store.snapshot.index.certificate  # type: ignore[union-attr]
        assert certificate is not None
        assert certificate.exact
    np.testing.assert_array_equal(
        single, brute_force(queries, ENCODER.table[:N], 10, np.ones(N, dtype=bool))[1]
    )


def test_another_wish_makes_the_index_anew_and_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "store"
    assert indexed(path, None) is True
    assert indexed(path, IndexOptions("ivf", recall=0.9)) is True
    assert indexed(path, IndexOptions("ivf", recall=0.9)) is False
    assert indexed(path, None) is False
    with Store.open(path) as store:
        assert store.index is not None
        assert store.index.factory.startswith("IVF")


def test_a_higher_target_takes_more_effort(tmp_path: Path) -> None:
    efforts = []
    for target in (0.5, 0.99):
        indexed(tmp_path / "store", IndexOptions("ivf,sq8", recall=target))
        with Store.open(tmp_path / "store") as store:
            efforts.append(store.index.effort)  # type: ignore[union-attr]
    assert efforts[0] < efforts[1]


def test_a_target_that_is_not_reached_says_what_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embstore.store.structures.hnsw.HnswIndex.most_effort", 1)
    monkeypatch.setattr("embstore.store.structures.hnsw.wide", lambda k, n: k)
    path = tmp_path / "store"
    with pytest.raises(InvalidInput, match=r"No index hnsw reaches recall 0\.9999 at 10") as caught:
        indexed(path, IndexOptions("hnsw", recall=0.9999))
    assert "With all effort it reaches 0." in caught.value.why
    assert "--index flat,fp16" in caught.value.fix
    with Store.open(path) as store:
        assert len(store) == N
        assert store.recall(10) is None


def test_an_index_beyond_the_memory_leaves_the_records(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="fits into 10K"):
        indexed(tmp_path / "store", IndexOptions(memory=10 * 1024))
    with Store.open(tmp_path / "store") as store:
        assert len(store.neighbors_of_record("r3", 5)) == 5


@pytest.mark.parametrize("kind", ["ivf,sq8", "hnsw"])
@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_a_store_of_few_records_can_have_any_index(tmp_path: Path, kind: str, n: int) -> None:
    indexed(tmp_path / "store", IndexOptions(kind), n)
    with Store.open(tmp_path / "store") as store:
        rows = store.search(ENCODER.table[:1], 20)[1]
        assert sorted(rows[0].tolist()) == list(range(n))


def test_queries_to_tune_on_are_not_those_of_the_certificate() -> None:
    rows = np.arange(1000)
    queries = measuring.Queries(rows, np.zeros((1000, 1), np.float32), np.zeros((1000, 0), np.float32))
    tuning, checked = measuring.tuning_part(queries)
    assert len(tuning.rows) == 250
    assert not set(tuning.rows.tolist()) & set(checked.rows.tolist())


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("certificate = replace(certificate, 'exact', 'exalt')", "is not what was written"),
        ("certificate = NULL", "is not what was written"),
        ("certificate = '{', certificate_sha256 = NULL", "cannot be read"),
    ],
    ids=["changed", "missing", "before-checksums"],
)
def test_an_index_whose_certificate_is_damaged_is_not_searched_until_it_is_made_again(
    tmp_path: Path, edit: str, said: str
) -> None:
    path = tmp_path / "store"
    indexed(path, IndexOptions("ivf"), 50)
    change(path, f"UPDATE indexes SET {edit}")
    with Store.open(path) as store:
        assert store.index is None
        assert said in store.index_problem
        assert store.recall(10) is None
        found, _ = store.search(ENCODER.table[:5], 10)
    wanted, _ = brute_force(ENCODER.table[:5], ENCODER.table[:50], 10, np.ones(50, dtype=bool))
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE)
    (problem,) = verify_store(path).problems
    assert said in problem
    assert "embstore build writes it again" in problem
    assert indexed(path, None, 50)
    assert verify_store(path).problems == ()
    with Store.open(path) as store:
        assert store.index is not None


@pytest.mark.parametrize("without", ["SET certificate_sha256 = NULL", "DROP COLUMN certificate_sha256"])
def test_a_certificate_of_before_it_had_a_checksum_is_read(tmp_path: Path, without: str) -> None:
    indexed(tmp_path / "store", None, 50)
    verb = "ALTER TABLE" if "DROP" in without else "UPDATE"
    change(tmp_path / "store", f"{verb} indexes {without}")
    assert verify_store(tmp_path / "store").problems == ()
    with Store.open(tmp_path / "store") as store:
        assert store.snapshot.index is not None
        assert store.snapshot.index.certificate is not None


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97, 1.0])
def test_the_interval_of_a_recall_holds_the_truth_nineteen_times_in_twenty(share: float) -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        # Queries differ: some find all, others little, as clusters make it.
        chances = random.beta(8 * share, 8 * (1 - share), 750) if share < 1 else np.ones(750)
        found = recall_of(10, random.binomial(10, chances) / 10)
        held += found.low - 1e-9 <= share <= found.high + 1e-9
    assert held / 400 >= 0.93


def test_a_certificate_survives_json() -> None:
    known = (recall_of(1, np.array([1.0, 0.0])), recall_of(10, np.array([0.9, 1.0])))
    certificate = Certificate(False, known, 0.5, 2, 1, "which", 8, "auto", 0.95, None, 1.0, "now")
    assert Certificate.from_json(certificate.as_json()) == certificate
    assert certificate.recall_at(5) == known[1]
    assert certificate.recall_at(11) is None
