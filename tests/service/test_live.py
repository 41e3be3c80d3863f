"""The live store: newer generations take over, requests go on, a store that is gone is told."""

from __future__ import annotations

import json
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from starlette.testclient import TestClient

import embstore
from embstore.service import live
from service.conftest import WAIT, build, client_of, rows, until
from stub_encoder import StubEncoder


def generation(client: TestClient) -> int:
    return int(client.get("/v1/stores").json()["stores"][0]["generation"])


def test_a_finished_build_answers_without_a_restart(client: TestClient, store: Path, tmp_path: Path) -> None:
    assert client.get("/v1/records/r60").status_code == 404
    build(tmp_path, rows(61))
    until(lambda: client.get("/v1/records/r60").status_code == 200)
    assert client.get("/v1/stores").json()["stores"][0]["n"] == 61
    assert "embstore_reloads_total 1.0" in client.get("/metrics").text


def test_a_new_head_answers_without_a_restart(client: TestClient, store: Path) -> None:
    before = generation(client)
    embstore.fit_head(store, head="knn", name="mine")
    until(lambda: generation(client) > before)
    assert client.post("/v1/classify", json={"texts": ["a"], "head": "mine"}).status_code == 200


def test_a_generation_that_cannot_be_opened_is_told_once_and_tried_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with client_of(store) as client:
        with monkeypatch.context() as patch:
            patch.setattr(live, "open_generation", Mock(side_effect=MemoryError("no room")))
            build(tmp_path, rows(61))
            until(lambda: "MemoryError: no room" in caplog.text)
            assert client.post("/v1/search", json={"id": "r1"}).status_code == 200
        until(lambda: client.get("/v1/records/r60").status_code == 200)
    assert caplog.text.count("no room") == 1


def test_a_generation_that_nobody_asks_is_let_go_with_its_encoder(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(*_: object) -> StubEncoder:
        encoder = StubEncoder(name=names[-1])
        loaded.append(weakref.ref(encoder))
        return encoder

    names = ["stub"]
    monkeypatch.setattr(embstore.Store, "load_encoder", staticmethod(load))
    with client_of(store) as client:
        assert client.post("/v1/search", json={"text": "a"}).status_code == 200
        assert client.post("/v1/search", json={"id": "r1"}).status_code == 200
        names.append("other")
        embstore.delete_store(store)
        path = tmp_path / "mine.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows(61)), encoding="utf-8")
        embstore.build_store(path, "mine", encoder=StubEncoder(name="other"))
        until(lambda: len(loaded) == 2 and client.get("/v1/records/r60").status_code == 200)
        until(lambda: loaded[0]() is None)


def test_no_request_fails_while_generations_follow_each_other(
    listening: Callable[..., str], store: Path, tmp_path: Path
) -> None:
    address, stop = listening(), threading.Event()
    found: list[tuple[int, int, list[str]]] = []

    def ask() -> None:
        with httpx.Client(base_url=address, timeout=20) as client:
            while not stop.is_set():
                body = {"text": "text number 7", "k": 1000}
                response = client.post("/v1/search", json=body)
                ids = [one["id"] for one in response.json().get("neighbors", [])]
                found.append((response.status_code, response.json().get("generation", -1), ids))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in (80, 50, 70):
        build(tmp_path, rows(n))
        time.sleep(1.3)
    stop.set()
    for thread in threads:
        thread.join(WAIT)
    assert {status for status, _, _ in found} == {200}
    # Each generation has one set of records, whoever asked and whenever.
    by_generation: dict[int, set[frozenset[str]]] = {}
    for _, number, ids in found:
        by_generation.setdefault(number, set()).add(frozenset(ids))
    assert len(by_generation) > 1
    assert all(len(sets) == 1 for sets in by_generation.values())


def test_a_store_that_was_removed_is_told_and_found_again(store: Path, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    with client_of(store) as client:
        store.rename(aside)
        until(lambda: client.get("/readyz").status_code == 503)
        for response in (client.get("/v1/stores"), client.post("/v1/search", json={"text": "a"})):
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
            assert response.json()["type"] == "urn:embstore:problem:not-ready"
        assert client.get("/healthz").status_code == 200
        aside.rename(store)
        until(lambda: client.get("/readyz").status_code == 200)


def test_a_store_that_is_built_anew_under_the_same_name_answers(store: Path, tmp_path: Path) -> None:
    with client_of(store) as client:
        shutil.rmtree(store)
        build(tmp_path, rows(5))
        until(lambda: client.get("/v1/stores").json().get("stores", [{}])[0].get("n") == 5)
        assert client.get("/v1/records/r4").status_code == 200


def test_a_damaged_newer_state_leaves_the_one_before_answering(
    client: TestClient, store: Path, tmp_path: Path
) -> None:
    (store / "records.db").rename(tmp_path / "kept.db")
    (store / "records.db").write_bytes(b"no database at all" * 500)
    time.sleep(1.5)
    (store / "records.db").unlink()
    (tmp_path / "kept.db").rename(store / "records.db")
    until(lambda: client.get("/readyz").status_code == 200)
    assert client.post("/v1/search", json={"text": "a"}).status_code == 200


def test_a_service_without_its_store_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(embstore.EmbstoreError), client_of(tmp_path / "nowhere"):
        pass


def test_a_generation_is_closed_after_a_request_that_was_given_up(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, began = threading.Event(), threading.Event()
    real = embstore.Store.neighbors_of_record

    def slow(self: embstore.Store, *arguments: Any, **options: Any) -> Any:
        began.set()
        go.wait(WAIT)
        return real(self, *arguments, **options)

    monkeypatch.setattr(embstore.Store, "neighbors_of_record", slow)
    with client_of(store, deadline=0.3) as client:
        assert client.post("/v1/search", json={"id": "r1"}).status_code == 504
        assert began.is_set()
        before = generation(client)
        build(tmp_path, rows(61))
        until(lambda: generation(client) > before)
        go.set()
        monkeypatch.undo()
        # The thread went on with the older generation, closed it, and answers from the newer one.
        assert until(lambda: client.get("/v1/records/r60").status_code == 200)
        assert 'status="500"' not in client.get("/metrics").text
