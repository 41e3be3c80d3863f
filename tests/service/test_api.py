"""The API answers what the store answers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import embstore
from stub_encoder import StubEncoder

TEXT = "text number 7"


def shown(neighbors: list[embstore.Neighbor]) -> list[tuple[int, str, float]]:
    return [(one.rank, one.record.id, round(one.similarity, 6)) for one in neighbors]


def answered(response: Any) -> list[tuple[int, str, float]]:
    assert response.status_code == 200, response.text
    return [(one["rank"], one["id"], one["similarity"]) for one in response.json()["neighbors"]]


@pytest.mark.parametrize("filters", [{}, {"split": "train"}, {"label": "sad", "split": "test"}], ids=str)
def test_search_by_text_gives_the_neighbors_of_the_store(
    client: TestClient, store: Path, filters: dict[str, str]
) -> None:
    with embstore.Store.open(store) as opened:
        wanted = shown(opened.neighbors(TEXT, 5, **filters))
    assert answered(client.post("/v1/search", json={"text": TEXT, "k": 5, **filters})) == wanted


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300], ids=str)
def test_search_by_embedding_gives_the_same_at_any_scale(
    client: TestClient, store: Path, scale: float
) -> None:
    with embstore.Store.open(store) as opened:
        wanted = shown(opened.neighbors(TEXT, 5))
    body = {"embedding": [float(value) * scale for value in StubEncoder().embed(TEXT)], "k": 5}
    found = answered(client.post("/v1/search", json=body))
    assert [one[1] for one in found] == [one[1] for one in wanted]
    # float32 embeddings, rounded once more where they are scaled
    np.testing.assert_allclose([one[2] for one in found], [one[2] for one in wanted], atol=2e-6)


def test_neighbors_of_a_record_are_the_same_by_search_and_by_address(client: TestClient, store: Path) -> None:
    with embstore.Store.open(store) as opened:
        wanted = shown(opened.neighbors_of_record("r7", 4, split="train"))
    assert answered(client.post("/v1/search", json={"id": "r7", "k": 4, "split": "train"})) == wanted
    assert answered(client.get("/v1/records/r7/neighbors", params={"k": 4, "split": "train"})) == wanted


def test_a_record_is_shown_with_its_other_columns(client: TestClient) -> None:
    wanted = {"id": "r7", "split": "train", "label": "sad", "text": TEXT, "extra": {"n": 7}}
    assert client.get("/v1/records/r7").json() == wanted


@pytest.mark.parametrize("head", ["knn", "logistic", None])
def test_classify_gives_what_the_head_says(client: TestClient, store: Path, head: str | None) -> None:
    texts = [TEXT, "something else"]
    answer = client.post("/v1/classify", json={"texts": texts, "head": head}).json()
    wanted = embstore.classify_texts(texts, store, head=head)
    assert answer["head"] == wanted[0].head == (head or "logistic")
    for one, other in zip(answer["answers"], wanted, strict=True):
        said = other.as_json()
        assert {name: one[name] for name in ("label", "abstain", "evidence")} == {
            name: said[name] for name in ("label", "abstain", "evidence")
        }
        assert sum(one["probabilities"].values()) == pytest.approx(1)
        assert max(one["probabilities"].values()) == pytest.approx(one["probability"], abs=1e-6)


def test_embeddings_are_those_of_the_encoder_as_numbers_and_as_base64(client: TestClient) -> None:
    body = {"input": [TEXT, "b"], "model": "mine"}
    numbers = client.post("/v1/embeddings", json=body).json()["data"]
    coded = client.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()["data"]
    for one, other, text in zip(numbers, coded, body["input"], strict=True):
        wanted = StubEncoder().embed(text)
        np.testing.assert_array_equal(np.array(one["embedding"], dtype=np.float32), wanted)
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(other["embedding"]), "<f4"), wanted)


def test_the_store_is_described(client: TestClient) -> None:
    (facts,) = client.get("/v1/stores").json()["stores"]
    assert (facts["name"], facts["n"], facts["dim"]) == ("mine", 60, 16)
    assert facts["splits"] == [
        {"name": "train", "n": 36},
        {"name": "validation", "n": 12},
        {"name": "test", "n": 12},
    ]
    assert [one["name"] for one in facts["heads"]] == ["knn", "logistic"]
    assert (facts["index"]["kind"], facts["index"]["recall"], facts["index"]["problem"]) == (
        "SQfp16",
        1.0,
        "",
    )


def test_the_page_is_served_from_the_package(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script>" not in page.text
    assert client.get("/static/page.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/static/page.css").headers["cache-control"] == "no-cache"


def test_probes_and_metrics_answer(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready", "store": "mine"}
    client.post("/v1/search", json={"text": TEXT})
    numbers = client.get("/metrics").text
    assert 'embstore_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in numbers
    assert "embstore_batch_texts_count 1.0" in numbers


def test_the_document_names_the_limits_however_often_it_is_asked(client: TestClient) -> None:
    first, second = (client.get("/openapi.json").json() for _ in range(2))
    assert first == second
    models = first["components"]["schemas"]
    assert models["TextSearch"]["properties"]["k"]["maximum"] == 1000
    assert models["EmbeddingSearch"]["properties"]["embedding"]["maxItems"] == 16
    assert models["ClassifyRequest"]["properties"]["texts"]["maxItems"] == 32
