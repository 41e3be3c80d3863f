"""Search beside its peers: exact batches, one query over a large store, filters.

The embeddings are synthetic and clustered (seed 0), 384 floats; queries are drawn likewise and are not in the
store. A store is made of them with the project's own writer, its index by `--index auto`. hnswlib and usearch
build with 16 links a row and an effort of 100, and search with the least effort, a quarter more each time,
that reaches the recall of 0.95. One query at a time, on one thread. The truth is raw faiss over all rows.
Raw faiss is timed as it is installed, and once more told of the processor, as embstore's import tells it: its
OpenBLAS is older than many processors. Batches run in fresh processes, a median each: where the memory of a
process lies moves its times by more than rounds do.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

# First, as it tells faiss's OpenBLAS which processor it runs on.
from embstore.store import Store
from embstore.store.index_options import IndexOptions

# isort: split
import faiss
import hnswlib
import numpy as np
from usearch.index import Index

from clustered import DIM, SEED, Clustered, made, nearest
from common import RATIOS, interleaved, note, spread, table, times_as_fast

# Queries one by one and at once, and their seed; rows have others.
N_QUERIES, N_BATCH, QUERIES = 1000, 2000, 10**9
RECALL = 0.95
SHARES = (0.001, 0.01, 0.1, 0.5)
LINKS, EFFORT = 16, 100
# Raw faiss: by itself, and told the processor as embstore tells it on import.
INSTALLED, TOLD = "faiss as installed", "faiss told of the processor"
_ROUNDS = 6
# Returns the similarities of the 10 nearest that it finds, (10,).
Search = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Print a table a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch-rows", type=int, nargs="+", default=[16_000, 200_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true", help="leave hnswlib and usearch out")
    parser.add_argument("--home", type=Path, help="folder that keeps the stores for the next run")
    arguments = parser.parse_args()
    source = Clustered()
    queries = source.draw(N_QUERIES, QUERIES)
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or Path(folder)
        flat = IndexOptions("flat,fp16")
        stores = [made(home, source, n, flat) for n in arguments.batch_rows]
        large = made(home, source, arguments.rows, None)
        sizes = [f"{n:,} rows" for n in arguments.batch_rows]
        exact = {size: batches(path, arguments.rounds) for size, path in zip(sizes, stores, strict=True)}
        found = contest(large, queries, arguments.rounds, peers=not arguments.no_peers)
        tell_speed(exact, found, f"{arguments.rows:,} rows")
        print(table(["certificate", "figure"], certificate(large)))
        heads = ["rows allowed", "says", "recall at 10", "p50, ms", "first, ms", "scan of all, p50, ms"]
        print(table(heads, filters(large, queries[:20])))


def tell_speed(exact: dict[str, dict[str, list[float]]], found: list[Contestant], rows: str) -> None:
    """Print ratios, batches by size, and contestants over so many rows."""
    at_once = f"{N_BATCH:,} queries at once"
    ours, *others = found
    ratios = [
        times_as_fast(f"{name}, {at_once}, exact, {size}", one[name], one["embstore"], 0.95)
        for size, one in exact.items()
        for name in (INSTALLED, TOLD)
    ]
    ratios += [times_as_fast(f"{one.name}, one query, {rows}", one.seconds, ours.seconds) for one in others]
    print(table(RATIOS, ratios))
    names = ("embstore", INSTALLED, TOLD)
    seconds = [(size, *(spread(one[name], ".3f") for name in names)) for size, one in exact.items()]
    print(table([at_once, *(f"{name}, s" for name in names)], seconds))
    heads = ["recall at 10", "p50 of one query, ms", "effort of a search", "build, s"]
    print(table([f"one query, {rows}", *heads], [one.row() for one in found]))


@dataclass
class Contestant:
    """A way to search, at the effort that reaches the recall.

    Parameters
    ----------
    name : str
        What searches.
    search : callable
        Query to similarities.
    recall : float
        At 10, over all queries.
    effort, build : str
        As the table shows them.
    p50 : list of float
        Median milliseconds of one query, by round.
    seconds : list of float
        Of all queries, by round.
    """

    name: str
    search: Search
    recall: float
    effort: str
    build: str
    p50: list[float]
    seconds: list[float]

    def row(self) -> tuple[str, ...]:
        """Return the row of the table."""
        return self.name, f"{self.recall:.4f}", spread(self.p50, ".3f"), self.effort, self.build


def batches(path: Path, processes: int) -> dict[str, list[float]]:
    """Return the seconds of all queries at once, ours and raw faiss's, by process."""
    fresh = ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with fresh as pool, tempfile.TemporaryDirectory() as folder:
        with Store.open(path) as store:
            np.save(Path(folder, "rows.npy"), store.embeddings(store.rows()))
        np.save(Path(folder, "queries.npy"), Clustered().draw(N_BATCH, QUERIES))
        # In turn, so that both meet the same noise.
        found = [(pool.submit(batch, path).result(), installed(folder)) for _ in range(processes)]
    told = {name: [one[name] for one, _ in found] for name in found[0][0]}
    return {**told, INSTALLED: [seconds for _, seconds in found]}


def installed(folder: str) -> float:
    """Return the median seconds of raw faiss in a process without embstore."""
    command = [sys.executable, str(Path(__file__).with_name("raw_faiss.py")), folder, str(_ROUNDS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return statistics.median([float(line) for line in done.stdout.split()][1:])


def batch(path: Path) -> dict[str, float]:
    """Return the median seconds of all queries at once, beside raw faiss's ``IndexFlatIP.search``."""
    queries = Clustered().draw(N_BATCH, QUERIES)
    with Store.open(path) as store:
        note(f"batches over {len(store):,} rows")
        raw = faiss.IndexFlatIP(DIM)
        raw.add(np.ascontiguousarray(store.embeddings(store.rows())))
        both = {"embstore": lambda: store.search(queries, 10), TOLD: lambda: raw.search(queries, 10)}
        # The first round warms up.
        seconds = interleaved(both, _ROUNDS)
        return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def contest(path: Path, queries: np.ndarray, rounds: int, *, peers: bool) -> list[Contestant]:
    """Return embstore and its peers over the same rows, timed in turn."""
    truth = nearest(path, queries)
    with Store.open(path) as store:

        def ours(query: np.ndarray) -> np.ndarray:
            return store.search(query[np.newaxis], 10)[0][0]

        entry = store.snapshot.index
        build = f"{entry.certificate.seconds:.0f}, {entry.factory}, {entry.bytes / 2**20:.0f} MiB"
        recall = recall_of(ours, queries, truth)
        found = [Contestant("embstore", ours, recall, str(entry.certificate.effort), build, [], [])]
        if peers:
            rows = np.ascontiguousarray(store.embeddings(store.rows()))
            found += [hnswlib_over(rows, queries, truth), usearch_over(rows, queries, truth)]
        for _ in range(rounds):
            for one in found:
                taken = [timed(lambda one=one, query=query: one.search(query)) for query in queries]
                one.p50.append(1000 * statistics.median(taken))
                one.seconds.append(sum(taken))
    return found


def hnswlib_over(rows: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> Contestant:
    """Build hnswlib's index."""
    note(f"building hnswlib over {len(rows):,} rows")
    graph = hnswlib.Index(space="ip", dim=DIM)
    graph.init_index(max_elements=len(rows), M=LINKS, ef_construction=EFFORT, random_seed=SEED)
    seconds = timed(lambda: graph.add_items(rows))

    def search(query: np.ndarray) -> np.ndarray:
        return 1 - graph.knn_query(query, 10, num_threads=1)[1][0]

    return least("hnswlib", search, graph.set_ef, queries, truth, seconds)


def usearch_over(rows: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> Contestant:
    """Build usearch's index."""
    note(f"building usearch over {len(rows):,} rows")
    graph = Index(ndim=DIM, metric="ip", dtype="f32", connectivity=LINKS, expansion_add=EFFORT)
    seconds = timed(lambda: graph.add(np.arange(len(rows)), rows))

    def search(query: np.ndarray) -> np.ndarray:
        return 1 - graph.search(query, 10, threads=1).distances

    def set_effort(effort: int) -> None:
        graph.expansion_search = effort

    return least("usearch", search, set_effort, queries, truth, seconds)


def least(
    name: str,
    search: Search,
    set_effort: Callable[[int], None],
    queries: np.ndarray,
    truth: np.ndarray,
    seconds: float,
) -> Contestant:
    """Set the least effort, a quarter more each time, that reaches the recall."""
    effort = 10
    while True:
        set_effort(effort)
        recall = recall_of(search, queries, truth)
        if recall >= RECALL or effort > 1000:
            return Contestant(name, search, recall, str(effort), f"{seconds:.0f}", [], [])
        effort += max(1, effort // 4)


def recall_of(search: Search, queries: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of the 10 nearest that are found; as near as the tenth counts."""
    shares = [(search(query) >= best[-1] - 1e-5).mean() for query, best in zip(queries, truth, strict=True)]
    return float(np.mean(shares))


def certificate(path: Path) -> list[tuple[str, str]]:
    """Return what the store says of its own index."""
    with Store.open(path) as store:
        found = store.snapshot.index.certificate
    said = found.recall_at(10)
    return [
        ("recall at 10, 95 % interval", f"{said.value:.4f} ({said.low:.4f} to {said.high:.4f})"),
        ("p50 of one query, ms; 1.5 wanted", f"{found.p50_ms:.3f}"),
    ]


def filters(path: Path, queries: np.ndarray) -> list[tuple[str, ...]]:
    """Compare filtered searches, one query each, with raw faiss over all rows and with the truth."""
    with Store.open(path) as store:
        note("filters")
        raw = faiss.IndexFlatIP(DIM)
        raw.add(np.ascontiguousarray(store.embeddings(store.rows())))
        names = [{"label": "0.001"}, {"label": "0.01"}, {"label": "0.1"}, {"split": "half"}]
        return [filtered(store, raw, queries, share, name) for share, name in zip(SHARES, names, strict=True)]


def filtered(
    store: Store, raw: faiss.IndexFlatIP, queries: np.ndarray, share: float, name: dict[str, str]
) -> tuple[str, ...]:
    """Return the row of one filter."""
    first = timed(lambda: store.search(queries[:1], 10, **name))
    allowed = store.rows(**name)
    part = np.ascontiguousarray(store.embeddings(allowed))
    wanted = faiss.knn(queries, part, 10, metric=faiss.METRIC_INNER_PRODUCT)[0]
    shares, ours, full = [], [], []
    for query, best in zip(queries, wanted, strict=True):
        begun = time.perf_counter()
        found, _ = store.search(query[np.newaxis], 10, **name)
        ours.append(1000 * (time.perf_counter() - begun))
        shares.append(float((found[0] >= best[-1] - 1e-5).mean()))
        full.append(1000 * min(exact_scan(raw, query, n) for n in (1, 2)))
    return (
        f"{100 * share:g} %: {len(allowed):,}",
        "exact" if store.recall(10, **name) is None else "recall",
        f"{np.mean(shares):.4f}",
        spread(ours),
        f"{1000 * first:.1f}",
        spread(full),
    )


def exact_scan(raw: faiss.IndexFlatIP, query: np.ndarray, n_threads: int) -> float:
    """Return the seconds of one query over all rows with so many threads."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n_threads)
    seconds = timed(lambda: raw.search(query[np.newaxis], 10))
    faiss.omp_set_num_threads(before)
    return seconds


def timed(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
