"""Every structure and storage: candidates that certainly hold the nearest, proposals that mostly do."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embstore.directions import is_unit, unit
from embstore.errors import StoreDamaged
from embstore.store.allowed import Allowed
from embstore.store.index import SimilarityIndex
from embstore.store.index_options import STORAGES, STRUCTURES, IndexKind
from embstore.store.structures.exact import exact_pairs
from embstore.store.structures.faiss_index import storage_error
from embstore.store.structures.files import read_index
from embstore.store.structures.making import make_index

N, DIM = 2000, 12
KINDS = [IndexKind(*pair) for pair in product(STRUCTURES, STORAGES)]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
exact = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.exact], ids=lambda kind: kind.name)
approximate = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if not kind.exact], ids=lambda kind: kind.name
)


def clustered(n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centers = random.standard_normal((20, DIM))
    return (centers[random.integers(0, 20, n)] + 0.5 * random.standard_normal((n, DIM))).astype(np.float32)


EMBEDDINGS = clustered(N, 0)
UNIT = unit(EMBEDDINGS)
ALL = Allowed(np.ones(N, dtype=bool), filtered=False)


@pytest.fixture(scope="module")
def indexes() -> dict[str, SimilarityIndex]:
    # Lengths other than 1, in several blocks: an index normalizes what it is given.
    def blocks() -> list[np.ndarray]:
        return [3 * EMBEDDINGS[:700], EMBEDDINGS[700:]]

    return {kind.name: make_index(kind, DIM, N, lambda: iter(blocks()), UNIT[::2]) for kind in KINDS}


def nearest(query: np.ndarray, k: int, mask: np.ndarray) -> set[int]:
    rows = np.flatnonzero(mask)
    return set(rows[np.argsort(-(UNIT[rows].astype(np.float64) @ query))][:k].tolist())


@every_kind
@pytest.mark.parametrize("k", [1, 10, 1999, 10**9])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.01, 0.0])
def test_candidates_certainly_hold_the_nearest_allowed_rows(
    indexes: dict[str, SimilarityIndex], kind: IndexKind, k: int, share: float
) -> None:
    mask = np.random.default_rng(1).random(N) < share
    for query in unit(clustered(5, 2)):
        found = indexes[kind.name].candidates(query, k, Allowed(mask)).tolist()
        assert nearest(query, k, mask) <= set(found) <= set(np.flatnonzero(mask).tolist())
        assert len(found) == len(set(found))


@every_kind
def test_candidates_hold_all_that_tie_with_the_last(kind: IndexKind) -> None:
    embeddings = np.repeat(np.eye(2, dtype=np.float32), 500, axis=0)
    index = make_index(kind, 2, 1000, lambda: iter([embeddings]), embeddings)
    found = index.candidates(np.array([1, 0], dtype=np.float32), 3, Allowed(np.ones(1000, dtype=bool)))
    assert set(range(500)) <= set(found.tolist())


@exact
@pytest.mark.parametrize("k", [1, 10, 10**9])
@pytest.mark.parametrize("share", [1.0, 0.01, 0.0])
def test_what_is_proposed_by_an_exact_index_are_the_candidates(kind: IndexKind, k: int, share: float) -> None:
    # Equal rows, and of every second query: one scan is not enough for these alone.
    embeddings = np.concatenate([np.repeat(UNIT[:1], 400, axis=0), UNIT[:600]])
    embeddings[5] = np.nan
    index = make_index(kind, DIM, len(embeddings), lambda: iter([embeddings]), UNIT[:600])
    allowed = Allowed(np.random.default_rng(1).random(len(embeddings)) < share)
    queries = np.concatenate([UNIT[:1], unit(clustered(3, 2)), UNIT[:1], UNIT[9:10]])
    near = index.near(queries, k, allowed)
    for query, rows in zip(queries, near, strict=True):
        assert sorted(rows[rows >= 0]) == sorted(index.candidates(query, k, allowed))


@approximate
def test_what_is_proposed_holds_most_of_the_nearest(
    indexes: dict[str, SimilarityIndex], kind: IndexKind
) -> None:
    index = indexes[kind.name]
    index.effort = index.most_effort  # type: ignore[attr-defined]
    queries = unit(clustered(50, 3))
    near = index.near(queries, 10, ALL)
    shares = [
        len(nearest(query, 10, ALL.mask) & set(rows)) / 10 for query, rows in zip(queries, near, strict=True)
    ]
    assert np.mean(shares) >= 0.99


@approximate
def test_no_row_is_proposed_that_may_not_be_returned(
    indexes: dict[str, SimilarityIndex], kind: IndexKind
) -> None:
    mask = np.arange(N) % 3 == 0
    near = indexes[kind.name].near(unit(clustered(20, 4)), 10, Allowed(mask, filtered=False))
    assert mask[near[near >= 0]].all()


@every_kind
def test_a_written_index_is_read_back_with_its_effort(
    indexes: dict[str, SimilarityIndex], kind: IndexKind, tmp_path: Path
) -> None:
    index = indexes[kind.name]
    if not index.exact:
        index.effort = 7  # type: ignore[attr-defined]
    with (tmp_path / "index").open("wb") as file:
        size, sha256 = index.write(file)
    read = read_index(tmp_path / "index", size, sha256, dim=DIM, ntotal=N)
    assert (read.factory, read.ntotal, read.exact) == (index.factory, N, kind.exact)
    assert getattr(read, "effort", 7) == 7
    query = UNIT[5]
    found, wanted = (sorted(one.candidates(query, 10, ALL).tolist()) for one in (read, index))
    assert found == wanted


@every_kind
def test_an_index_is_read_from_a_folder_whose_name_is_no_utf8(
    indexes: dict[str, SimilarityIndex], kind: IndexKind, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    with (folder / "index").open("wb") as file:
        size, sha256 = indexes[kind.name].write(file)
    read = read_index(folder / "index", size, sha256, dim=DIM, ntotal=N)
    assert (read.factory, read.ntotal) == (indexes[kind.name].factory, N)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.structure != "hnsw"], ids=lambda kind: kind.name
)
def test_the_same_embeddings_give_the_same_file(kind: IndexKind) -> None:
    files = []
    for _ in range(2):
        index = make_index(kind, DIM, N, lambda: iter([EMBEDDINGS]), UNIT[:800])
        files.append(index.write(io.BytesIO()))
    assert files[0] == files[1]


@pytest.mark.parametrize("storage", STORAGES)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(-3, 3))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_similarities_of_few_bits_are_as_near_as_is_said(storage: str, seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    # Some components far larger than the others, as language models have them.
    embeddings = unit((random.standard_normal((60, 9)) * 10 ** (scale * random.random(9))).astype(np.float32))
    index = make_index(IndexKind("flat", storage), 9, 60, lambda: iter([embeddings]), embeddings)
    found, rows = index._index.search(embeddings[:5], 60)
    true = np.take_along_axis(
        embeddings[:5].astype(np.float64) @ embeddings.T.astype(np.float64), rows, axis=1
    )
    # float32 sums of 9 products.
    assert np.abs(found - true).max() <= storage_error(index._index) + 1e-6


def test_an_index_of_another_program_is_damage(tmp_path: Path) -> None:
    other = faiss.IndexLSH(DIM, 8)
    other.add(UNIT)
    faiss.write_index(other, str(tmp_path / "index"))
    data = (tmp_path / "index").read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    with pytest.raises(StoreDamaged, match="none that embstore writes"):
        read_index(tmp_path / "index", len(data), sha256, dim=DIM, ntotal=N)


@pytest.mark.parametrize("k", [1, 10, N])
@pytest.mark.parametrize("block", [N, 333, 7])
def test_exact_pairs_hold_the_nearest_of_all_blocks(k: int, block: int) -> None:
    queries = unit(clustered(9, 6))
    starts = range(0, N, block)
    places, rows = exact_pairs(
        queries, k, N, lambda: ((np.arange(i, min(i + block, N)), UNIT[i : i + block]) for i in starts)
    )
    for place, query in enumerate(queries):
        assert nearest(query, k, ALL.mask) <= set(rows[places == place].tolist())


def test_exact_pairs_hold_all_that_tie_with_the_last() -> None:
    embeddings = np.repeat(np.eye(2, dtype=np.float32), 500, axis=0)
    places, rows = exact_pairs(embeddings[:1], 3, 1000, lambda: iter([(np.arange(1000), embeddings)]))
    assert sorted(rows[places == 0].tolist()) == list(range(500))


@pytest.mark.parametrize(
    ("embeddings", "expected"),
    [(UNIT, True), (EMBEDDINGS, False), (UNIT * np.nan, False), (UNIT[:0], False)],
    ids=["unit", "any length", "not finite", "none"],
)
def test_unit_length_is_told(embeddings: np.ndarray, expected: bool) -> None:
    assert is_unit(embeddings) is expected


def test_faiss_multiplies_by_the_instructions_that_the_processor_has() -> None:
    # In a process of its own: OpenBLAS looks once, when faiss is first imported.
    code = """if True:
        import json, os
        import embstore.store.structures
        from numpy._core._multiarray_umath import __cpu_features__ as features
        from threadpoolctl import threadpool_info
        cores = [one["architecture"] for one in threadpool_info() if "faiss_cpu.libs" in one["filepath"]
                 and one["internal_api"] == "openblas"]
        print(json.dumps([features.get("AVX2", False), cores, os.environ.get("OPENBLAS_CORETYPE")]))
    """
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    has_avx2, cores, left = json.loads(done.stdout)
    assert left is None
    if has_avx2 and cores:
        assert cores[0] in ("Haswell", "SkylakeX")
