"""The service under load from another process, beside a plain FastAPI + sentence-transformers server.

The emotion store is taken from ``--home`` or built, and copied, so that records can be added to it. Latency
is in milliseconds. ``--soak`` seconds of load watch the memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import embstore
from common import machine, reference
from embstore.encode.model_files import find_model
from embstore.encode.onnx_export import export_encoder

LOAD = Path(__file__).with_name("load.py")
SHORT = ["i feel so lonely", "what a wonderful day", "the train was late again", "i am scared of this"]
Taken = dict[str, list[float]]


def main() -> None:
    """Print one line a scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of the stores")
    parser.add_argument("--seconds", type=float, default=10, help="of a scene")
    parser.add_argument("--overload", type=float, default=60, help="seconds at 10 times capacity")
    parser.add_argument("--soak", type=float, default=600, help="seconds of load that watch the memory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "stores"
        prepare(arguments.home or Path(folder) / "built", home)
        print(machine())
        peer = [sys.executable, str(Path(__file__).with_name("peer_service.py")), model_folder()]
        ours = [sys.executable, "-m", "embstore_cli", "serve", "-s", "emotion", "--home", str(home)]
        with served([*ours, "--port"], "/readyz") as (address, process):
            texts, vectors = questions(home)
            rate, calm = search_scenes(address, texts, vectors, arguments.seconds)
            overload(address, texts, 10 * rate, calm, arguments.overload)
            with served(peer, "/openapi.json") as (other, _):
                embeddings_beside(address, other, arguments.seconds)
            building(address, texts, home, arguments.seconds * 3)
            soak(address, texts, process.pid, arguments.soak)


def prepare(source: Path, home: Path) -> None:
    """Build, fit and export what is missing, and copy the store."""
    os.environ["EMBSTORE_ONNX"] = "off"
    embstore.build_store(reference("emotion"), "emotion", home=source)
    if problem := export_encoder(embstore.load_encoder(device="cpu")):
        raise SystemExit(f"The encoder cannot be exported: {problem}.")
    os.environ["EMBSTORE_ONNX"] = "on"
    shutil.copytree(source / "emotion", home / "emotion")


def model_folder() -> str:
    """Return the folder of the default model."""
    return str(find_model("all-MiniLM-L6-v2").folder)


@contextmanager
def served(command: Sequence[str], path: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a server, its port put last, until it answers; stop it at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    begun = time.perf_counter()
    process = subprocess.Popen([*command, str(port)], stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - begun < 120:
            try:
                urllib.request.urlopen(address + path, timeout=5).close()
                break
            except OSError:
                time.sleep(0.02)
        print(f"{' '.join(command[1:4])}: ready after {time.perf_counter() - begun:.1f} s")
        yield address, process
    finally:
        process.terminate()
        process.wait(60)


def questions(home: Path) -> tuple[list[str], list[str]]:
    """Return bodies of searches by text and by embedding, of the texts of test."""
    with embstore.Store.open("emotion", home=home) as store:
        rows = store.rows(split="test")[:500]
        texts = store.reader.column("text", rows)
        found = np.asarray(store.embeddings(rows))
    by_vector = [json.dumps({"embedding": one.tolist()}) for one in found[:100]]
    return [json.dumps({"text": text}) for text in texts], by_vector


def play(address: str, bodies: list[str], clients: int, seconds: float, **scene: Any) -> tuple[Taken, float]:
    """Return milliseconds by status, and the seconds that the scene took."""
    asked = {
        "address": address,
        "path": "/v1/search",
        "bodies": bodies,
        "clients": clients,
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, str(LOAD)],
        input=json.dumps({**asked, **scene}),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return found["taken"], found["seconds"]


def tell(name: str, taken: Taken, seconds: float) -> float:
    """Print a scene; return its answers of status 200 a second."""
    statuses = ", ".join(f"{status}: {len(values):,}" for status, values in sorted(taken.items()))
    good = sorted(taken.get("200", [float("nan")]))
    rate = len(good) / seconds
    print(f"{name:<34}{rate:>8.1f}/s   p50 {at(good, 0.5):>7.1f}   p99 {at(good, 0.99):>7.1f}   {statuses}")
    return rate


def at(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of ascending values lies."""
    return values[min(len(values) - 1, int(len(values) * share))]


def search_scenes(address: str, texts: list[str], vectors: list[str], seconds: float) -> tuple[float, float]:
    """Search with one and with eight clients; return the rate of eight, and one's p99, by text."""
    tell("search by embedding, 1 client", *play(address, vectors, 1, seconds))
    short = [json.dumps({"text": text}) for text in SHORT]
    found = {}
    for name, bodies in (("text", texts), ("short text", short)):
        taken, took = play(address, bodies, 1, seconds)
        found[name] = tell(f"search by {name}, 1 client", taken, took), at(sorted(taken["200"]), 0.99)
        eight = tell(f"search by {name}, 8 clients", *play(address, bodies, 8, seconds))
        print(f"  8 clients have {eight / found[name][0]:.2f} times the rate of one")
        found[name] = eight, found[name][1]
    return found["text"]


def overload(address: str, texts: list[str], rate: float, calm: float, seconds: float) -> None:
    """Ask at ten times what eight clients got, and look at the probe meanwhile."""
    with ThreadPoolExecutor(1) as beside:
        probe = beside.submit(play, address, [], 1, seconds, path="/healthz", rate=20.0)
        taken, took = play(address, texts, 256, seconds, rate=rate)
        tell(f"10 times capacity ({rate:,.0f}/s asked)", taken, took)
        tell("  /healthz meanwhile", *probe.result())
    print(f"  accepted p99 is {at(sorted(taken['200']), 0.99) / calm:.2f} times the unloaded {calm:.1f}")


def embeddings_beside(address: str, other: str, seconds: float) -> None:
    """Embed 32 short texts a request with 8 clients, here and there in turn."""
    ratios = []
    for _ in range(3):
        rates = []
        for name, where in (("embstore", address), ("FastAPI + sentence-transformers", other)):
            body = json.dumps({"input": SHORT * 8, "model": "emotion"})
            taken, took = play(where, [body], 8, seconds, path="/v1/embeddings", warm=1)
            rates.append(32 * tell(f"32 embeddings, {name}"[:33], taken, took))
        ratios.append(rates[0] / rates[1])
    least, most = min(ratios), max(ratios)
    print(f"  {statistics.median(ratios):.2f} ({least:.2f} to {most:.2f}) times the peer's texts a second")


def building(address: str, texts: list[str], home: Path, seconds: float) -> None:
    """Add records while 8 clients search."""
    before = generation(address)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as beside:
        path = Path(folder) / "more.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            more = [[f"one more text {i}", "joy"] for i in range(300)]
            csv.writer(file).writerows([["text", "label"], *more])
        searching = beside.submit(play, address, texts, 8, seconds)
        embstore.build_store(path, "emotion", home=home, add=True)
        tell("8 clients while a build adds 300", *searching.result())
    print(f"  generation {before} answered first, {generation(address)} last")


def generation(address: str) -> int:
    """Return the number of the store's state that answers."""
    with urllib.request.urlopen(f"{address}/v1/stores", timeout=20) as answer:
        return int(json.load(answer)["stores"][0]["generation"])


def soak(address: str, texts: list[str], pid: int, seconds: float) -> None:
    """Load with 8 clients and watch the memory that is the process's own."""
    if not seconds:
        return
    with ThreadPoolExecutor(1) as beside:
        searching = beside.submit(play, address, texts, 8, seconds)
        sizes = []
        while not searching.done():
            sizes.append(resident(pid))
            time.sleep(1)
        tell(f"{seconds:.0f} s of 8 clients", *searching.result())
    settled = sizes[min(len(sizes) - 1, max(1, min(120, len(sizes) // 5)))]
    first, last, most = sizes[0], sizes[-1], max(sizes)
    print(f"  memory, MB: {first:.0f} at first, {settled:.0f} settled, {last:.0f} last, {most:.0f} at most")


def resident(pid: int) -> float:
    """Return the MB of a process's resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    main()
