"""A store with an encoder that costs nothing, and services over it."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

import embstore
from embstore.service.app import create_app
from stub_encoder import StubEncoder

KEY = "a-key-of-more-than-sixteen-characters"
LABELS = ("happy", "sad")


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
    """Return a copy of that store under the home; whoever opens it gets the stub encoder."""
    monkeypatch.setattr(embstore.Store, "load_encoder", staticmethod(lambda *_: StubEncoder()))
    return Path(shutil.copytree(built, tmp_path / "home" / "mine"))


@pytest.fixture
def client(store: Path) -> Iterator[TestClient]:
    """Return a client of a service with default options."""
    with client_of(store) as opened:
        yield opened


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
