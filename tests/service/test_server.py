"""The command: it starts, drains when it is stopped, and tells what keeps it from starting."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

import embstore
from embstore.service import server
from embstore_cli.main import run

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that runs the command and returns its process and address."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "embstore_cli", "serve", "--port", "0", *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stderr is not None
        said = [process.stderr.readline(), process.stderr.readline()]
        found = re.search(r"http://\S+", "".join(said))
        assert found, said
        address = found[0]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{address}/readyz", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        return process, address

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    # By thread: each lists its own.
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(one) for file in found for one in file.read_text(encoding="utf-8").split())


def ignored(pid: int) -> int:
    """Return the signals that a process, and what it starts, ignores: a bit each."""
    found = re.search(r"SigIgn:\s+(\w+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found
    return int(found[1], 16)


def maps_of(pid: int) -> str:
    """Return what a process has in its memory; nothing where it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    except OSError:
        return ""


def test_sigterm_finishes_what_is_in_progress(tiny: Path, start: Start) -> None:
    process, address = start("-s", "tiny")
    texts = [f"the cat sat on the mat {i} " * 40 for i in range(32)]
    found: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=address, timeout=30) as client:
            for _ in range(200):
                try:
                    response = client.post("/v1/embeddings", json={"input": texts, "model": "tiny"})
                except httpx.ConnectError:
                    return
                found.append(response.status_code)
                if response.headers.get("connection") == "close":
                    return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(found) < 4:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    assert process.wait(30) in (0, -signal.SIGTERM)
    assert set(found) == {200}


def test_json_says_where_it_listens(tiny: Path) -> None:
    command = [sys.executable, "-m", "embstore_cli", "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        process.terminate()
    assert told["store"] == str(tiny.resolve())
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", told["address"])


def test_it_answers_without_torch(tiny: Path, start: Start) -> None:
    process, address = start("-s", "tiny")
    for path, body in (
        ("search", {"text": "the cat"}),
        ("classify", {"texts": ["the cat"]}),
        ("embeddings", {"input": "the cat", "model": "tiny"}),
    ):
        assert httpx.post(f"{address}/v1/{path}", json=body, timeout=20).status_code == 200
    processes = [process.pid, *children(process.pid)]
    mapped = [maps_of(pid) for pid in processes]
    assert ["onnxruntime" in one for one in mapped] == [False, True]
    assert not any("/torch/" in one for one in mapped)


def test_no_request_fails_where_the_encoder_is_killed_and_it_ends_with_the_service(
    tiny: Path, start: Start
) -> None:
    process, address = start("-s", "tiny")
    encoders = set()
    with httpx.Client(base_url=address, timeout=60) as client:
        for _ in range(2):
            (encoder,) = children(process.pid)
            encoders.add(encoder)
            # A service manager tells every process to end, and the requests in progress are still finished.
            os.kill(encoder, signal.SIGTERM)
            # Ignored by a handler: an export that it starts is to end when it is told.
            assert not ignored(encoder) >> (signal.SIGTERM - 1) & 1
            assert client.post("/v1/search", json={"text": "the cat"}).status_code == 200
            assert children(process.pid) == [encoder]
            os.kill(encoder, signal.SIGKILL)
            assert client.post("/v1/search", json={"text": "the cat"}).status_code == 200
    encoders.update(children(process.pid))
    assert len(encoders) == 3
    process.kill()
    deadline = time.monotonic() + 30
    while any(map(maps_of, encoders)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(maps_of, encoders))


@pytest.mark.parametrize(
    ("workers", "said"),
    # A worker of several logs what is wrong, with a traceback.
    [("1", "Error: "), ("2", "A worker could not start")],
)
def test_an_encoder_that_cannot_be_loaded_is_told(
    tiny: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, workers: str, said: str
) -> None:
    monkeypatch.setenv("EMBSTORE_ONNX", "off")
    aside = tiny_bert.rename(tiny_bert.with_name("aside"))
    command = [sys.executable, "-m", "embstore_cli", "serve", "--port", "0", "--workers", workers]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        aside.rename(tiny_bert)
    assert done.returncode == 1
    assert said in done.stderr
    assert str(tiny_bert) in done.stderr
    assert ("Traceback" in done.stderr) == (workers == "2")


def test_usage_counts_the_tokens_that_were_read(tiny: Path, start: Start) -> None:
    _, address = start("-s", "tiny")
    answer = httpx.post(f"{address}/v1/embeddings", json={"input": ["the cat sat", "a"], "model": "tiny"})
    # Each word is one token of this vocabulary; two special tokens go around each text.
    assert answer.json()["usage"] == {"prompt_tokens": 8, "total_tokens": 8}


def test_several_workers_answer_and_count_together(tiny: Path, start: Start) -> None:
    process, address = start("-s", "tiny", "--workers", "2")
    for _ in range(10):
        # A connection each, so that both workers get some.
        assert httpx.post(f"{address}/v1/search", json={"id": "r1"}, timeout=20).status_code == 200
    numbers = httpx.get(f"{address}/metrics", timeout=20).text
    assert 'route="/v1/search",status="200"} 10.0' in numbers
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--host", "0.0.0.0"], 2, "without a key"),
        (
            ["--host", "0.0.0.0", "--api-key-file", "nowhere", "--allow-host", "a.example"],
            1,
            "cannot be read",
        ),
        (["--host", "203.0.113.7", "--api-key-file", "{keys}"], 2, "cannot listen"),
        (["-s", "nobody"], 1, "no store nobody"),
        (["--queue", "0"], 2, "--queue 0 cannot be"),
        (["--port", "x"], 2, "not a valid integer"),
    ],
    ids=str,
)
def test_what_keeps_it_from_starting_is_told(
    store: Path, keyed: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert run(["serve", *(one.format(keys=keyed) for one in arguments)]) == code
    assert said in capsys.readouterr().err


def test_a_port_in_use_is_told(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["serve", "--port", str(port)]) == 2
    told = capsys.readouterr().err
    assert f"port {port}" in told
    assert os.strerror(98) in told
    assert "--port 0" in told


def test_a_damaged_store_is_told(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "store.json").write_text("{}")
    assert run(["serve", "-s", "mine"]) == 5
    assert "damaged" in capsys.readouterr().err


def test_whoever_is_told_the_address_can_connect(tiny: Path) -> None:
    class Connected(Exception):
        pass

    def connect(_: str, address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        raise Connected

    with pytest.raises(Connected):
        embstore.serve(tiny, options=embstore.ServeOptions(port=0), ready=connect)


def test_asyncio_is_told_that_answers_are_tcp() -> None:
    # Else it leaves Nagle's algorithm on, and each answer waits 40 ms; uvloop turns it off by itself.
    with server._bind(embstore.ServeOptions(port=0)) as bound:
        assert bound.proto == socket.IPPROTO_TCP
