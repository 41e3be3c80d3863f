"""The service under load from another process, beside a plain FastAPI + sentence-transformers server.

The emotion store is taken from `--home` or built, and copied, so that records can be added to it. One worker,
bfloat16 where a build chose it, requests in a seeded random order; client, peer and service share the cores.
The service runs in a memory cgroup of 1.5 GiB where one can be made. Latency is in milliseconds, wanted
figures in brackets.

One text keeps the encoder's arithmetic busy already, so eight together gain what is not arithmetic: more for
short texts, less for texts of 22 tokens. At ten times capacity client and refusals need the same two cores,
so what is admitted is answered at about half of the rate of eight clients.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import embstore
from common import RATIOS, note, reference, table, times_as_fast
from embstore.encode.model_files import find_model
from embstore.encode.onnx_export import export_encoder
from memory import Limit, limit, resident

LOAD = Path(__file__).with_name("load.py")
SHORT = ["i feel so lonely", "what a wonderful day", "the train was late again", "i am scared of this"]
Taken = dict[str, list[float]]


def main() -> None:
    """Print a row a scene, the peer, and the memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of the stores")
    parser.add_argument("--seconds", type=float, default=10, help="of a scene")
    parser.add_argument("--overload", type=float, default=60, help="seconds at 10 times capacity")
    parser.add_argument("--building", type=float, default=60, help="seconds of load beside a build")
    parser.add_argument("--soak", type=float, default=600, help="seconds of load that watch the memory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, limit(1536 << 20) as held:
        home = Path(folder) / "stores"
        prepare(arguments.home or Path(folder) / "built", home)
        peer = [sys.executable, str(Path(__file__).with_name("peer_service.py")), model_folder()]
        ours = [sys.executable, "-m", "embstore_cli", "serve", "-s", "emotion", "--home", str(home)]
        ours = held.inside(ours) if held else ours
        with served([*ours, "--port"], "/readyz") as (address, process):
            texts, vectors = questions(home)
            scenes = Scenes()
            rate, calm = search_scenes(scenes, address, texts, vectors, arguments.seconds)
            overload(scenes, address, texts, 10 * rate, calm, arguments.overload)
            with served(peer, "/openapi.json") as (other, _):
                ratios = embeddings_beside(scenes, address, other, arguments.seconds)
            building(scenes, address, texts, home, arguments.building)
            memory = soak(scenes, address, texts, process.pid, arguments.soak, held)
    print(scenes.table())
    print(table(RATIOS, [ratios]))
    print(memory)


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
        note(f"{' '.join(command[1:4])}: ready after {time.perf_counter() - begun:.1f} s")
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


@dataclass
class Scenes:
    """The rows of the table: what was asked, and how it was answered."""

    rows: list[list[str]] = field(default_factory=list)

    def add(
        self, name: str, taken: Taken, seconds: float, wanted: tuple[str, str, str] = ("", "", "")
    ) -> float:
        """Add a scene, with what is wanted of its columns; return its answers of status 200 a second."""
        statuses = ", ".join(f"{status}: {len(values):,}" for status, values in sorted(taken.items()))
        good = sorted(taken.get("200", [float("nan")]))
        rate = len(good) / seconds
        figures = (f"{rate:.1f}", f"{at(good, 0.5):.1f}", f"{at(good, 0.99):.1f}")
        shown = [f"{one} ({other})" if other else one for one, other in zip(figures, wanted, strict=True)]
        self.rows.append([name, *shown, statuses])
        note(" | ".join(self.rows[-1]))
        return rate

    def table(self) -> str:
        """Return all of them."""
        return table(["scene", "answers/s", "p50", "p99", "statuses"], self.rows)


def at(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of ascending values lies."""
    return values[min(len(values) - 1, int(len(values) * share))]


def search_scenes(
    scenes: Scenes, address: str, texts: list[str], vectors: list[str], seconds: float
) -> tuple[float, float]:
    """Search with one and with eight clients; return the rate of eight, and one's p99, by text."""
    scenes.add("search by embedding, 1 client", *play(address, vectors, 1, seconds), ("", "10", ""))
    short = [json.dumps({"text": text}) for text in SHORT]
    found = {}
    for name, bodies in (("text of emotion", texts), ("short text", short)):
        taken, took = play(address, bodies, 1, seconds)
        one = scenes.add(f"search by {name}, 1 client", taken, took, ("", "25", ""))
        wanted = (f"3 times one: {3 * one:.1f}", "", "")
        eight = scenes.add("the same, 8 clients", *play(address, bodies, 8, seconds), wanted)
        scenes.rows[-1][0] += f": {eight / one:.2f} times one"
        found[name] = eight, at(sorted(taken["200"]), 0.99)
    return found["text of emotion"]


def overload(
    scenes: Scenes, address: str, texts: list[str], rate: float, calm: float, seconds: float
) -> None:
    """Ask at ten times what eight clients got, and look at the probe meanwhile."""
    with ThreadPoolExecutor(1) as beside:
        probe = beside.submit(play, address, [], 1, seconds, path="/healthz", rate=20.0)
        taken, took = play(address, texts, 256, seconds, rate=rate)
        wanted = ("", "", f"4 times one client's: {4 * calm:.1f}")
        scenes.add(
            f"text of emotion, 10 times capacity ({rate:,.0f}/s), {seconds:.0f} s", taken, took, wanted
        )
        scenes.rows[-1][0] += f": p99 {at(sorted(taken['200']), 0.99) / calm:.2f} times one client's"
        scenes.add("`/healthz` meanwhile", *probe.result(), ("", "", "100"))


def embeddings_beside(scenes: Scenes, address: str, other: str, seconds: float) -> tuple[str, str, str]:
    """Embed 32 short texts a request with 8 clients, here and there in turn; return how they compare."""
    peer = "FastAPI + sentence-transformers"
    per_text: dict[str, list[float]] = {"embstore": [], peer: []}
    for _ in range(3):
        for name, where in (("embstore", address), (peer, other)):
            body = json.dumps({"input": SHORT * 8, "model": "emotion"})
            taken, took = play(where, [body], 8, seconds, path="/v1/embeddings", warm=1)
            per_text[name].append(1 / scenes.add(f"32 texts a request, 8 clients, {name}", taken, took))
    return times_as_fast(f"{peer}, 32 embeddings a request", per_text[peer], per_text["embstore"], 2.5)


def building(scenes: Scenes, address: str, texts: list[str], home: Path, seconds: float) -> None:
    """Add records while 8 clients search; look whether answers of one generation are the same."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as beside:
        path = Path(folder) / "more.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            more = [[f"one more text {i}", "joy"] for i in range(1000)]
            csv.writer(file).writerows([["text", "label"], *more])
        searching = beside.submit(play, address, texts, 8, seconds)
        # A ninth client fits into the queue beside the eight. It asks by an embedding: a text's is rounded
        # one way or another by what is encoded beside it, and then near ties change places.
        asked = {"embedding": embstore.load_encoder(device="cpu").encode([more[7][0]]).embeddings[0].tolist()}
        found = {nearest(address, asked)}
        adding = threading.Thread(
            target=embstore.build_store, args=(path, "emotion"), kwargs={"home": home, "add": True}
        )
        adding.start()
        while not searching.done():
            found.add(nearest(address, asked))
            time.sleep(0.1)
        adding.join()
        scenes.add(f"8 clients, {seconds:.0f} s, while a build adds 1,000 records", *searching.result())
    generations = sorted(generation for generation, _ in found)
    if len(generations) != len(set(generations)):
        raise SystemExit(f"answers of one generation differ: {found}")
    scenes.rows[-1][0] += f": generations {', '.join(map(str, generations))}, each with answers of its own"


def nearest(address: str, asked: dict[str, list[float]]) -> tuple[int, tuple[str, ...]]:
    """Return which generation answered, and the records that it named."""
    body = json.dumps(asked).encode()
    request = urllib.request.Request(f"{address}/v1/search", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        found = json.load(answer)
    return found["generation"], tuple(one["id"] for one in found["neighbors"])


def soak(scenes: Scenes, address: str, texts: list[str], pid: int, seconds: float, held: Limit | None) -> str:
    """Load with 8 clients; return how the memory that is the process's own went."""
    if not seconds:
        return "The memory was not watched."
    with ThreadPoolExecutor(1) as beside:
        searching = beside.submit(play, address, texts, 8, seconds)
        sizes = []
        while not searching.done():
            sizes.append(resident(pid))
            time.sleep(1)
        scenes.add(f"8 clients, {seconds:.0f} s", *searching.result())
    # Behind the second minute, where there is one, it must not grow.
    place = min(120, len(sizes) // 5)
    course = f"{sizes[0]:.0f} MB at first, {sizes[place]:.0f} after {place} s, {sizes[-1]:.0f} last"
    enforced = held or "No cgroup could be made here, so no limit was enforced."
    whole = f"Resident memory over these {seconds:.0f} s, after all scenes above"
    return f"{whole}: {course}, {max(sizes):.0f} at most. {enforced}"


if __name__ == "__main__":
    main()
