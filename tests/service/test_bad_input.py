"""Whatever a request holds, the answer is a problem document and never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

JSON = {"Content-Type": "application/json"}
DEEP = b"[" * 100_000 + b"]" * 100_000

BODIES = {
    "malformed": (b"{", 422),
    "no body": (b"", 422),
    "not an object": (b"[]", 422),
    "NaN": (b'{"embedding": [NaN, 1]}', 422),
    "infinity": (b'{"embedding": [1e999, 1]}', 422),
    "huge number": (b'{"k": ' + b"9" * 5000 + b', "text": "a"}', 400),
    "deep": (b'{"embedding": ' + DEEP + b"}", 400),
    "deep alone": (DEEP, 400),
    "surrogate": (b'{"text": "\\ud800"}', 422),
    "surrogate in a name": (b'{"text": "a", "\\ud800": 1}', 422),
    "surrogate id": (b'{"id": "\\udc00"}', 422),
    "not UTF-8": (b'{"text": "\xff"}', 400),
    "unknown field": (b'{"text": "a", "path": "/etc/passwd"}', 422),
    "two queries": (b'{"text": "a", "id": "r1"}', 422),
    "no query": (b'{"k": 3}', 422),
    "text that is a number": (b'{"text": 3}', 422),
    "k that is a text": (b'{"text": "a", "k": "3"}', 422),
    "k that is true": (b'{"text": "a", "k": true}', 422),
    "k of 0": (b'{"text": "a", "k": 0}', 422),
    "huge k": (b'{"text": "a", "k": 1001}', 422),
    "empty text": (b'{"text": ""}', 422),
    "blank text": (b'{"text": " \\n\\u2003\\u001c"}', 422),
    "long text": (json.dumps({"text": "a" * 32_769}).encode(), 422),
    "wrong dim": (b'{"embedding": [1, 2, 3]}', 422),
    "zeros": (json.dumps({"embedding": [0.0] * 16}).encode(), 422),
    "no such id": (b'{"id": "nobody"}', 404),
    "no such split": (b'{"text": "a", "split": "nowhere"}', 404),
    "no such label": (b'{"text": "a", "label": "nothing"}', 404),
    "failing text": (b'{"text": "poison"}', 422),
}


def check(response: Any, status: int) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:embstore:problem:")
    assert problem["what"]


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES)
def test_a_bad_search_is_a_problem(client: TestClient, body: bytes, status: int) -> None:
    check(client.post("/v1/search", content=body, headers=JSON), status)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "\t;="])
def test_a_wrong_content_type_is_a_problem(client: TestClient, kind: str) -> None:
    response = client.post("/v1/search", content=b'{"text": "a"}', headers={"Content-Type": kind})
    check(response, 422)
    assert response.json()["fix"] == "-H 'Content-Type: application/json'"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/search", 405), ("GET", "/nope", 404)])
def test_a_path_or_method_that_is_not_there_says_where_to_look(
    client: TestClient, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    check(response, status)
    assert response.json()["why"]
    assert response.json()["fix"] == "see /openapi.json"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/classify", {"texts": ["a"] * 33}, 422),
        ("/v1/classify", {"texts": []}, 422),
        ("/v1/classify", {"texts": ["a", ""]}, 422),
        ("/v1/classify", {"texts": "a"}, 422),
        ("/v1/classify", {"texts": ["a"], "head": "nobody"}, 404),
        ("/v1/classify", {"texts": ["a"], "evidence": -1}, 422),
        ("/v1/embeddings", {"input": ["a"] * 33, "model": "mine"}, 422),
        ("/v1/embeddings", {"input": [[1, 2]], "model": "mine"}, 422),
        ("/v1/embeddings", {"input": "a"}, 422),
        ("/v1/embeddings", {"input": "a", "model": "/etc/passwd"}, 404),
        ("/v1/embeddings", {"input": "a", "model": "mine", "dimensions": 3}, 422),
        ("/v1/embeddings", {"input": "a", "model": "mine", "encoding_format": "hex"}, 422),
        ("/v1/embeddings", {"input": ["a", "poison"], "model": "mine"}, 422),
    ],
    ids=str,
)
def test_a_bad_body_is_a_problem(client: TestClient, path: str, body: Any, status: int) -> None:
    check(client.post(path, json=body), status)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/records/nobody", 404),
        ("GET", "/v1/records/%00", 404),
        ("GET", "/v1/records/%ff%fe", 404),
        ("GET", "/v1/records/", 404),
        ("GET", "/v1/records/r1/neighbors?k=1001", 422),
        ("GET", "/v1/records/r1/neighbors?k=x", 422),
        ("GET", "/v1/records/r1/neighbors?other=1", 422),
        ("GET", "/v1/records/nobody/neighbors", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e/app.py", 404),
        ("DELETE", "/v1/search", 405),
        ("POST", "/healthz", 405),
    ],
)
def test_a_bad_address_is_a_problem(client: TestClient, method: str, path: str, status: int) -> None:
    check(client.request(method, path), status)


def test_a_body_over_the_limit_is_413_with_and_without_its_length(client: TestClient) -> None:
    big = b'{"text": "' + b"a" * 2_000_000 + b'"}'
    check(client.post("/v1/search", content=big, headers=JSON), 413)
    pieces = (big[start : start + 65_536] for start in range(0, len(big), 65_536))
    check(client.post("/v1/search", content=pieces, headers=JSON), 413)
    check(client.request("GET", "/nothing", content=big), 413)


def test_one_bad_text_does_not_harm_those_encoded_with_it(client: TestClient) -> None:
    check(client.post("/v1/classify", json={"texts": ["poison"]}), 422)
    assert client.post("/v1/classify", json={"texts": ["good"]}).status_code == 200
