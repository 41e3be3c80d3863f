"""Admission: full means 429 at once, late means 504, probes pass always."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import embstore
from embstore.records import Encoded
from embstore.service.storm import Storm
from embstore.store.structures.exact import n_threads
from service.conftest import KEY, client_of
from service.test_live import until
from stub_encoder import StubEncoder


class SlowEncoder(StubEncoder):
    """An encoder that waits at the word ``slow`` until it is let go."""

    go = threading.Event()
    began = threading.Event()

    def encode(self, texts: Sequence[str]) -> Encoded:
        if "slow" in texts:
            self.began.set()
            self.go.wait(20)
        return super().encode(texts)


@pytest.fixture
def slow(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SlowEncoder]]:
    monkeypatch.setattr(embstore.Store, "load_encoder", staticmethod(lambda *_: SlowEncoder()))
    SlowEncoder.go.clear()
    SlowEncoder.began.clear()
    yield SlowEncoder
    SlowEncoder.go.set()


def test_a_full_queue_refuses_and_probes_still_pass(store: Path, slow: type[SlowEncoder]) -> None:
    with client_of(store, queue=1) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.post, "/v1/search", json={"text": "slow"})
        assert slow.began.wait(10)
        refused = client.post("/v1/search", json={"id": "r1"})
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["type"] == "urn:embstore:problem:too-many-requests"
        again = client.post("/v1/search", json={"id": "r1"}, headers={"X-Request-Id": "again"})
        assert again.headers["x-request-id"] == "again" != refused.headers["x-request-id"]
        assert len(again.headers.multi_items()) == len(refused.headers.multi_items())
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/stores").status_code == 200
        assert client.get("/readyz").status_code == 200
        slow.go.set()
        assert waiting.result(10).status_code == 200
        assert client.post("/v1/search", json={"id": "r1"}).status_code == 200


def test_in_a_storm_a_quarter_of_the_queue_is_used(
    store: Path, slow: type[SlowEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    raging = True
    monkeypatch.setattr(Storm, "is_there", lambda _: raging)
    with client_of(store, queue=8) as client, ThreadPoolExecutor(8) as others:
        for n in (2, 8):
            slow.go.clear()
            waiting = [others.submit(client.post, "/v1/search", json={"text": "slow"}) for _ in range(n)]
            until(lambda n=n: f"embstore_requests_admitted {n}.0" in client.get("/metrics").text)
            assert client.post("/v1/search", json={"id": "r1"}).status_code == 429
            slow.go.set()
            assert [one.result(10).status_code for one in waiting] == [200] * n
            raging = False


def test_in_a_storm_the_encoder_is_allowed_one_thread(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []

    class Counting(StubEncoder):
        def encode(self, texts: Sequence[str]) -> Encoded:
            counts.append(n_threads())
            return super().encode(texts)

    course = iter([False, True, False])

    def is_there(storm: Storm) -> bool:
        storm.was_there = next(course)
        return storm.was_there

    monkeypatch.setattr(embstore.Store, "load_encoder", staticmethod(lambda *_: Counting()))
    monkeypatch.setattr(Storm, "is_there", is_there)
    with client_of(store) as client:
        for _ in range(3):
            assert client.post("/v1/search", json={"text": "a text"}).status_code == 200
    usual = counts[0]
    assert counts[-3:] == [usual, 1, usual]


def test_who_has_no_key_takes_no_place_in_the_queue(store: Path, slow: type[SlowEncoder], keyed: str) -> None:
    known = {"Authorization": f"Bearer {KEY}"}
    with client_of(store, queue=1, api_key_file=keyed) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.post, "/v1/search", json={"text": "slow"}, headers=known)
        assert slow.began.wait(10)
        assert client.post("/v1/search", json={"id": "r1"}).status_code == 401
        assert client.post("/v1/search", json={"id": "r1"}, headers=known).status_code == 429
        slow.go.set()
        assert waiting.result(10).status_code == 200


def test_past_the_deadline_the_request_is_given_up_and_the_next_is_answered(
    store: Path, slow: type[SlowEncoder]
) -> None:
    with client_of(store, deadline=0.2) as client:
        late = client.post("/v1/search", json={"text": "slow"})
        assert late.status_code == 504
        assert late.json()["why"] == "Its deadline is 0.2 s."
        slow.go.set()
        assert client.post("/v1/search", json={"text": "quick"}).status_code == 200


def test_a_search_without_text_does_not_wait_for_the_encoder(store: Path, slow: type[SlowEncoder]) -> None:
    with client_of(store) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.post, "/v1/search", json={"text": "slow"})
        assert slow.began.wait(10)
        assert client.post("/v1/search", json={"id": "r1"}).status_code == 200
        slow.go.set()
        assert waiting.result(10).status_code == 200
