"""A store with an encoder that costs nothing, and services over it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient

import embstore
from chromium import chromium
from embstore.service import opened, report
from embstore.service.app import create_app
from embstore.service.encoder_process import load_for_service
from embstore.service.reports import report_file
from service.explorer_page import records
from stub_encoder import StubEncoder

KEY = "a-key-of-more-than-sixteen-characters"
LABELS = ("happy", "sad")
# Seconds that tests wait for what another thread or process does.
WAIT = 20


def rows(n: int = 60) -> list[dict[str, Any]]:
    """Return n records: two labels, three of five in train, one each in validation and test."""
    splits = ("train", "train", "train", "validation", "test")
    return [
        {"id": f"r{i}", "split": splits[i % 5], "label": LABELS[i % 2], "text": f"text number {i}", "n": i}
        for i in range(n)
    ]


def build(folder: Path, records: list[dict[str, Any]], name: str = "mine") -> Path:
    """Build a store, or bring it up to date, and return its folder."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
    return Path(embstore.build_store(path, name, encoder=StubEncoder()).store)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store with both heads, which no test may change."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBSTORE_HOME", str(folder / "home"))
        path = build(folder, rows())
    for head in ("knn", "logistic"):
        embstore.fit_head(path, head=head)
    return path


@pytest.fixture
def store(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that store under the home; whoever opens it gets the stub encoder, in this process."""
    monkeypatch.setattr(embstore.Store, "load_encoder", staticmethod(lambda *_: StubEncoder()))
    monkeypatch.setattr(opened, "EncoderProcess", load_for_service)
    return Path(shutil.copytree(built, tmp_path / "home" / "mine"))


@pytest.fixture
def tiny(tmp_path: Path, tiny_bert: Path, tiny_exports: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a store of a real encoder whose export is there."""
    path = tmp_path / "tiny.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    store = Path(embstore.build_store(path, "tiny", encoder=str(tiny_bert)).store)
    embstore.fit_head(store, head="knn")
    monkeypatch.setenv("EMBSTORE_CACHE", str(tiny_exports))
    monkeypatch.setenv("EMBSTORE_ONNX", "on")
    return store


@pytest.fixture
def client(store: Path) -> Iterator[TestClient]:
    """Return a client of a service with default options."""
    with client_of(store) as asking:
        yield asking


def client_of(store: Path, **options: Any) -> TestClient:
    """Return a client that starts and stops a service as a context manager."""
    app = create_app(store, embstore.ServeOptions(**options))
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture
def keyed(tmp_path: Path) -> str:
    """Return a file with one key."""
    file = tmp_path / "keys"
    file.write_text(f"# of the tests\n{KEY}\n")
    return str(file)


@pytest.fixture
def listening(store: Path) -> Iterator[Callable[..., str]]:
    """Return a function that starts a service on a port of its own and returns its address."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**options: Any) -> str:
        config = uvicorn.Config(
            create_app(store, embstore.ServeOptions(**options)), port=0, log_level="warning"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        deadline = time.monotonic() + 30
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(timeout=30)


# Not for the session: while it is open its event loop runs, and other tests could run none of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a Chromium, or skip."""
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Iterator[str]:
    """Return the address of a service, in a process of its own, whose heads and reports are made already."""
    folder = tmp_path_factory.mktemp("explored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBSTORE_CACHE", str(folder / "cache"))
        patch.setenv("EMBSTORE_ONNX", "off")
        store = explored_store(folder, "mine", tiny_bert, records())
        embstore.fit_head(store, head="logistic")
        for kind in ("map", "compare", "audit"):
            report.main(kind, str(store), str(report_file(store, kind)))
    with serving(store, folder / "cache") as address:
        yield address


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Iterator[str]:
    """Return the address of a service that needs a key; it has a kNN head, and no report yet."""
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys"
    keys.write_text(f"{KEY}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBSTORE_ONNX", "off")
        store = explored_store(folder, "guarded", tiny_bert, records())
    with serving(store, folder / "cache", "--api-key-file", str(keys)) as address:
        yield address


def explored_store(folder: Path, name: str, model: Path, made: list[dict[str, Any]]) -> Path:
    """Build a store of a real encoder with a kNN head and return its folder."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    store = Path(embstore.build_store(path, name, home=folder / "home", encoder=str(model)).store)
    embstore.fit_head(store, head="knn")
    return store


@contextmanager
def serving(store: Path, cache: Path, *options: str) -> Iterator[str]:
    """Run the command over a store and yield its address."""
    command = [sys.executable, "-m", "embstore_cli", "serve", "-s", str(store), "--port", "0", *options]
    environment = {**os.environ, "EMBSTORE_CACHE": str(cache), "EMBSTORE_ONNX": "off"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said = [process.stderr.readline(), process.stderr.readline()]
        found = re.search(r"http://\S+", "".join(said))
        assert found, said
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if httpx.get(f"{found[0]}/readyz", timeout=5).status_code == 200:
                    break
            time.sleep(0.05)
        try:
            yield found[0]
        finally:
            process.kill()
            process.communicate()


def until(found: Callable[[], Any]) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"It did not come true in {WAIT} s.")
