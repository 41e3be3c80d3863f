"""Who may ask: hosts, origins, keys; and what a browser is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import embstore
from embstore.errors import InvalidInput, NotFound
from embstore.service.app import create_app
from embstore.service.desk import Desk
from service.conftest import KEY, client_of

ASK = {"text": "text number 7"}


@pytest.fixture
def guarded(store: Path, keyed: str) -> Iterator[TestClient]:
    with client_of(store, api_key_file=keyed) as opened:
        yield opened


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {KEY}",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        KEY,
        "Bearer \xff",
    ],
    ids=str,
)
def test_without_a_known_key_nothing_is_read(guarded: TestClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}

    def body() -> Iterator[bytes]:
        yield b"not even JSON"

    response = guarded.post("/v1/search", content=body(), headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["type"] == "urn:embstore:problem:unauthorized"


@pytest.mark.parametrize("path", ["/v1/stores", "/v1/records/r1", "/v1/map", "/metrics", "/v1/nothing"])
def test_all_that_shows_the_store_needs_a_key(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/static/page.js", "/openapi.json"])
def test_page_and_probes_need_none(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_a_key_it_answers(guarded: TestClient, scheme: str) -> None:
    response = guarded.post("/v1/search", json=ASK, headers={"Authorization": f"{scheme} {KEY}"})
    assert response.status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "[::1", "a b"])
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    response = client.get("/v1/stores", headers={"Host": host})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert "--allow-host" in response.json()["fix"]


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "LOCALHOST", "[::1]:80"])
def test_the_machines_own_names_are_hosts(client: TestClient, host: str) -> None:
    assert client.get("/v1/stores", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_pages_of_other_origins_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    response = client.get("/v1/stores", headers=headers)
    assert response.status_code == 403
    assert response.json()["type"] == "urn:embstore:problem:foreign-origin"
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/stores", {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}),
        ("/v1/stores", {"Sec-Fetch-Site": "none"}),
        ("/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}),
    ],
    ids=str,
)
def test_the_own_page_and_a_followed_link_pass(
    client: TestClient, path: str, headers: dict[str, str]
) -> None:
    assert client.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/v1/stores", "/v1/nothing", "/healthz"])
def test_every_answer_keeps_a_browser_strict(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"]


def test_a_request_keeps_its_own_id_if_that_is_one(client: TestClient) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/healthz", headers={"X-Request-Id": "a b\tc"}).headers["x-request-id"] != "a b\tc"


def test_an_origin_that_is_none_is_foreign(client: TestClient) -> None:
    answer = client.get("/v1/stores", headers={"Origin": "http://["})
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:embstore:problem:foreign-origin"


def test_a_failure_of_ours_carries_its_id_and_says_nothing_of_the_inside(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Desk, __: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(Desk, "ask", fail)
    answer = client.post("/v1/search", json={"id": "r1"}, headers={"X-Request-Id": "abc-1"})
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:embstore:problem:internal"
    assert "inside" not in answer.text
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert 'status="500"' in client.get("/metrics").text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_loads_scripts_from_elsewhere(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "options",
    [
        {"host": "0.0.0.0"},
        {"host": "192.168.1.2"},
        {"host": "example.org"},
        {"host": "0.0.0.0", "api_key_file": "keys"},
        {"host": "0.0.0.0", "allow_hosts": ("127.0.0.1",), "api_key_file": ""},
        {"api_key_file": ""},
        {"port": 70_000},
        {"port": -1},
        {"workers": 0},
        {"queue": 0},
        {"deadline": 0},
        {"deadline": float("nan")},
        {"max_k": 0},
        {"wait": 1000},
        {"wait": -1},
        {"wait": 50, "deadline": 0.05},
        {"max_characters": 100, "max_body": 50},
    ],
    ids=str,
)
def test_options_that_contradict_are_refused_at_start(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        embstore.ServeOptions(**options)
    assert caught.value.why
    assert caught.value.fix


def test_options_survive_the_way_to_a_worker() -> None:
    options = embstore.ServeOptions(host="0.0.0.0", api_key_file="keys", allow_hosts=("a.example",), wait=1)
    assert embstore.ServeOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    "content", [None, "", "# nothing\n", "short\n", "ключ из шестнадцати букв\n"], ids=repr
)
def test_keys_that_protect_nothing_are_refused_at_start(
    store: Path, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises((InvalidInput, NotFound)) as caught:
        create_app(store, embstore.ServeOptions(api_key_file=str(file)))
    assert "chmod 600" in caught.value.fix


def test_one_string_of_hosts_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"not the string 'example\.org'"):
        embstore.ServeOptions(allow_hosts="example.org")
