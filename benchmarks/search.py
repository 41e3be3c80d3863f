"""Search beside its peers: exact batches, one query over a large store, filters.

The embeddings are synthetic and clustered, so that any number of rows can be had offline: unit directions
around random centers, the spectrum falling as those of language models do. Queries are drawn likewise and
are not in the store. A store is made of them with the project's own writer, its index by ``--index auto``.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import hnswlib
import numpy as np
from usearch.index import Index

from common import interleaved, machine, ratio
from embstore.records import Encoded, Record
from embstore.store import Store
from embstore.store.index_options import IndexOptions
from embstore.store.writer import open_writer

DIM, CLUSTERS, SEED = 384, 2000, 0
WINDOW = 16_384
N_QUERIES = 1000
SHARES = (0.001, 0.01, 0.1, 0.5)


class Clustered:
    """Directions around random centers; also the encoder of the texts ``"0"``, ``"1"``..."""

    dim = DIM
    fingerprint = "clustered"

    def __init__(self) -> None:
        self.config = {"model": "clustered"}
        random = np.random.default_rng(SEED)
        self._spectrum = (np.arange(1, DIM + 1) ** -0.5).astype(np.float32)
        self._turn = np.linalg.qr(random.standard_normal((DIM, DIM)))[0].astype(np.float32)
        self._centers = random.standard_normal((CLUSTERS, DIM), dtype=np.float32) * self._spectrum
        self._weights = random.dirichlet(np.ones(CLUSTERS))

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return n new directions, (n, dim), float32."""
        random = np.random.default_rng([SEED, seed])
        which = random.choice(CLUSTERS, n, p=self._weights)
        noise = random.standard_normal((n, DIM), dtype=np.float32)
        found = (self._centers[which] + 0.7 * self._spectrum * noise) @ self._turn
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Embed a window of consecutive numbers."""
        return Encoded(self.draw(len(texts), 1 + int(texts[0])), np.zeros(len(texts), dtype=np.bool_))


def main() -> None:
    """Print JSON: figures by part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch-rows", type=int, nargs="+", default=[16_000, 200_000])
    parser.add_argument("--peer-rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--home", type=Path, help="folder that keeps the stores for the next run")
    arguments = parser.parse_args()
    source = Clustered()
    queries = source.draw(2000, 10**9)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or Path(folder)
        for n in arguments.batch_rows:
            say("batch", batch(made(home, source, n, IndexOptions("flat,fp16")), queries, arguments.rounds))
        large = made(home, source, arguments.rows, None)
        truth = nearest(large, queries[:N_QUERIES])
        say("one query", one_query(large, queries[:N_QUERIES], truth))
        say("filters", filters(large, queries[:20]))
        store = made(home, source, arguments.peer_rows, None)
        say("peers", peers(store, queries[:N_QUERIES]))


def say(part: str, figures: object) -> None:
    """Print one part as a line."""
    print(json.dumps({part: figures}), flush=True)


def made(home: Path, source: Clustered, n: int, options: IndexOptions | None) -> Path:
    """Return a store of n rows: every thousandth has label ``1``, every hundredth ``2``, and so on."""
    path = home / f"clustered-{n}-{options.kind if options else 'auto'}"
    if (path / "store.json").exists():
        return path
    begun = time.perf_counter()
    with open_writer(path, source) as writer:
        build = writer.begin_build(path.name, path.name, keep_others=False)
        for first in range(0, n, WINDOW):
            rows = range(first, min(first + WINDOW, n))
            records = [Record(f"r{i}", split_of(i), label_of(i), str(i)) for i in rows]
            window = writer.plan(records, first, build)
            writer.commit(window, source.encode(list(window.to_encode.values())), build)
        writer.finish_build(build)
        written = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        writer.write_index(options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = {"rows": round(written - begun, 1), "index": round(time.perf_counter() - written, 1)}
    say(f"build {n}", {**seconds, "MiB before and at peak": [before // 1024, peak // 1024]})
    return path


def split_of(row: int) -> str:
    """Return a split that half of the rows have."""
    return "half" if row % 2 else "other"


def label_of(row: int) -> str:
    """Return a label that 0.1 %, 1 %, 10 % or the rest of the rows have."""
    place = row % 1000
    return "0.001" if place == 0 else "0.01" if place <= 10 else "0.1" if place <= 110 else "rest"


def nearest(path: Path, queries: np.ndarray) -> np.ndarray:
    """Return the similarities of the 10 nearest, (n, 10), from raw faiss over all embeddings."""
    heap = faiss.ResultHeap(len(queries), 10, keep_max=True)
    with Store.open(path) as store:
        for start, block in store.shards.blocks(0, store.snapshot.segments):
            found, rows = faiss.knn(queries, block, 10, metric=faiss.METRIC_INNER_PRODUCT)
            heap.add_result(found, rows + start)
    heap.finalize()
    return heap.D


def batch(path: Path, queries: np.ndarray, rounds: int) -> dict[str, object]:
    """Compare 2,000 queries at once with raw faiss's ``IndexFlatIP.search``."""
    with Store.open(path) as store:
        raw = faiss.IndexFlatIP(DIM)
        raw.add(np.ascontiguousarray(store.embeddings(store.rows())))
        block = faiss.cvar.distance_compute_blas_database_bs

        def stock() -> None:
            # As faiss comes: embstore sets a larger block for its own products.
            faiss.cvar.distance_compute_blas_database_bs = 1024
            raw.search(queries, 10)
            faiss.cvar.distance_compute_blas_database_bs = block

        seconds = interleaved({"embstore": lambda: store.search(queries, 10), "faiss": stock}, rounds + 1)
        one = [timed(lambda query=query: store.search(query[np.newaxis], 10)) for query in queries[:500]]
        speed = ratio(seconds["faiss"][1:], seconds["embstore"][1:])
        medians = {name: round(statistics.median(values[1:]), 3) for name, values in seconds.items()}
        return {
            "rows": len(store),
            "seconds": medians,
            "speed of embstore by that of faiss": [round(value, 3) for value in speed],
            "one query, p50 ms": round(1000 * statistics.median(one), 3),
        }


def one_query(path: Path, queries: np.ndarray, truth: np.ndarray) -> dict[str, object]:
    """Return recall and latency over queries that are not in the store, beside the certificate."""
    with Store.open(path) as store:
        store.search(queries[:1], 10)
        entry = store.snapshot.index
        certificate = entry.certificate
        seconds, shares = [], []
        for query, wanted in zip(queries, truth, strict=True):
            begun = time.perf_counter()
            found, _ = store.search(query[np.newaxis], 10)
            seconds.append(time.perf_counter() - begun)
            shares.append(float((found[0] >= wanted[-1] - 1e-5).mean()))
        said = certificate.recall_at(10)
        return {
            "rows": len(store),
            "index": [entry.factory, certificate.effort, f"{entry.bytes / 2**20:.0f} MiB"],
            "recall at 10": round(float(np.mean(shares)), 4),
            "certificate": [said.value, said.low, said.high],
            "p50 and p95 ms": [round(1000 * float(np.percentile(seconds, p)), 3) for p in (50, 95)],
            "certificate's p50 ms": certificate.p50_ms,
            "index seconds": certificate.seconds,
        }


def filters(path: Path, queries: np.ndarray) -> list[dict[str, object]]:
    """Compare filtered searches, one query each, with raw faiss over all rows and with the truth."""
    answers = []
    with Store.open(path) as store:
        everything = np.ascontiguousarray(store.embeddings(store.rows()))
        raw = faiss.IndexFlatIP(DIM)
        raw.add(everything)
        del everything
        names = [{"label": "0.001"}, {"label": "0.01"}, {"label": "0.1"}, {"split": "half"}]
        for share, name in zip(SHARES, names, strict=True):
            first = timed(lambda name=name: store.search(queries[:1], 10, **name))
            allowed = store.rows(**name)
            part = np.ascontiguousarray(store.embeddings(allowed))
            wanted = faiss.knn(queries, part, 10, metric=faiss.METRIC_INNER_PRODUCT)[0]
            shares, ours, full = [], [], []
            for query, best in zip(queries, wanted, strict=True):
                begun = time.perf_counter()
                found, _ = store.search(query[np.newaxis], 10, **name)
                ours.append(time.perf_counter() - begun)
                shares.append(float((found[0] >= best[-1] - 1e-5).mean()))
                full.append(min(exact_scan(raw, query, n) for n in (1, 2)))
            answers.append(
                {
                    "share": share,
                    "rows": len(allowed),
                    "says": "exact" if store.recall(10, **name) is None else "recall",
                    "recall at 10": float(np.mean(shares)),
                    "p50 ms": round(1000 * statistics.median(ours), 2),
                    "first ms": round(1000 * first, 1),
                    "exact scan of everything, p50 ms": round(1000 * statistics.median(full), 2),
                }
            )
    return answers


def exact_scan(raw: faiss.IndexFlatIP, query: np.ndarray, n_threads: int) -> float:
    """Return the seconds of one query over all rows with so many threads."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n_threads)
    seconds = timed(lambda: raw.search(query[np.newaxis], 10))
    faiss.omp_set_num_threads(before)
    return seconds


def peers(path: Path, queries: np.ndarray) -> dict[str, object]:
    """Build hnswlib and usearch over the same rows; find the least effort that reaches 0.95."""
    truth = nearest(path, queries)
    with Store.open(path) as store:
        rows = np.ascontiguousarray(store.embeddings(store.rows()))
        measured = store.snapshot.index.certificate
        figures: dict[str, object] = {"rows": len(rows)}
        found = [timed_search(lambda query: store.search(query[np.newaxis], 10)[0][0], queries)]
        figures["embstore"] = {**recall_and_speed(*found[0], truth), "build s": measured.seconds}
    graph = hnswlib.Index(space="ip", dim=DIM)
    graph.init_index(max_elements=len(rows), M=32, ef_construction=80, random_seed=SEED)
    seconds = timed(lambda: graph.add_items(rows))

    def ask_hnswlib(effort: int) -> Callable[[np.ndarray], np.ndarray]:
        graph.set_ef(effort)
        return lambda query: 1 - graph.knn_query(query, 10, num_threads=1)[1][0]

    figures["hnswlib"] = {**least(ask_hnswlib, queries, truth), "build s": round(seconds, 1)}
    other = Index(ndim=DIM, metric="ip", dtype="f32", connectivity=32, expansion_add=80)
    seconds = timed(lambda: other.add(np.arange(len(rows)), rows))

    def ask_usearch(effort: int) -> Callable[[np.ndarray], np.ndarray]:
        other.expansion_search = effort
        return lambda query: 1 - other.search(query, 10).distances

    figures["usearch"] = {**least(ask_usearch, queries, truth), "build s": round(seconds, 1)}
    return figures


def least(
    ask: Callable[[int], Callable[[np.ndarray], np.ndarray]], queries: np.ndarray, truth: np.ndarray
) -> dict[str, object]:
    """Return recall and speed at the least effort, doubled each time, that reaches 0.95."""
    for effort in (16, 32, 64, 128, 256, 512):
        figures = recall_and_speed(*timed_search(ask(effort), queries), truth)
        if float(str(figures["recall at 10"])) >= 0.95:
            break
    return {**figures, "effort": effort}


def timed_search(
    search: Callable[[np.ndarray], np.ndarray], queries: np.ndarray
) -> tuple[list[np.ndarray], list[float]]:
    """Return the similarities that each query finds, and its seconds."""
    found, seconds = [], []
    for query in queries:
        begun = time.perf_counter()
        found.append(search(query))
        seconds.append(time.perf_counter() - begun)
    return found, seconds


def recall_and_speed(found: list[np.ndarray], seconds: list[float], truth: np.ndarray) -> dict[str, object]:
    """Return recall at 10 and the median milliseconds of one query."""
    shares = [float((one >= best[-1] - 1e-5).mean()) for one, best in zip(found, truth, strict=True)]
    return {
        "recall at 10": round(float(np.mean(shares)), 4),
        "p50 ms": round(1000 * statistics.median(seconds), 3),
    }


def timed(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
