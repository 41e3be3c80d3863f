"""The typed API: search, classification, embeddings, records, stores."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from embstore.errors import NotFound
from embstore.records import Embeddings, Encoded, Neighbor
from embstore.service import schemas
from embstore.service.desk import Desk, direction_of
from embstore.service.limits import check_dim, check_k, check_texts
from embstore.service.opened import Opened
from embstore.service.places import within
from embstore.service.questions import Question, Search

router = APIRouter(prefix="/v1")
# Those that `embstore fit` knows; the module that fits them would load scikit-learn.
_HEADS = ("knn", "logistic")


def desk_of(request: Request) -> Desk:
    """Return the desk of the app that answers."""
    desk: Desk = request.app.state.desk
    return desk


@router.post("/search", response_model=schemas.SearchAnswer)
async def search(body: schemas.SearchRequest, request: Request) -> Response:
    """Return the records most similar to a text, an embedding or a stored record."""
    desk = desk_of(request)
    check_k(body.k, desk.options)
    with desk.live.lease() as opened:
        if isinstance(body, schemas.IdSearch):
            return await _near_record(desk, opened, body.id, body)

        def near(query: Embeddings) -> Search:
            return Search(opened, query, body.k, body.split, body.label)

        if isinstance(body, schemas.TextSearch):
            check_texts([body.text], desk.options)
            found = await desk.ask_of(opened, [body.text], lambda encoded: near(encoded.embeddings))
        else:
            check_dim(len(body.embedding), opened.store.dim)
            found = await desk.ask(near(direction_of(body.embedding)))
        return _found(opened, body, found)


@router.get("/records/{record_id:path}/neighbors", response_model=schemas.SearchAnswer)
async def record_neighbors(
    record_id: str, query: Annotated[schemas.NeighborQuery, Query()], request: Request
) -> Response:
    """Return the records most similar to a stored one, itself left out."""
    desk = desk_of(request)
    check_k(query.k, desk.options)
    with desk.live.lease() as opened:
        return await _near_record(desk, opened, record_id, query)


@router.get("/records/{record_id:path}", response_model=schemas.RecordAnswer)
async def record(record_id: str, request: Request) -> dict[str, Any]:
    """Return a stored record."""
    desk = desk_of(request)
    with desk.live.lease() as opened:
        store = opened.store

        def found() -> Any:
            return store.reader.records([store.reader.row_of(record_id, store.snapshot)])[0]

        one = await desk.ask(found)
        return {
            "id": one.id,
            "split": one.split,
            "label": one.label,
            "text": one.text,
            "extra": dict(one.extra),
        }


@router.post("/classify", response_model=schemas.ClassifyAnswer)
async def classify(body: schemas.ClassifyRequest, request: Request) -> dict[str, Any]:
    """Return what a head says of texts: label, probabilities, whether it abstains, and its evidence."""
    desk = desk_of(request)
    check_texts(body.texts, desk.options)
    check_k(body.evidence, desk.options, "evidence")
    with desk.live.lease() as opened:
        classifier = opened.classifiers.get(body.head or next(reversed(opened.classifiers), ""))
        if classifier is None:
            raise _no_head(opened, body.head)

        def classified(encoded: Encoded) -> Question:
            return lambda: classifier.classify_encoded(body.texts, encoded, evidence=body.evidence)

        answers = await desk.ask_of(opened, body.texts, classified)
        return {
            **_where(opened),
            "head": classifier.head,
            "note": within(opened.store.path, answers[0].note),
            "answers": [{**one.as_json(), "probabilities": one.probabilities} for one in answers],
        }


@router.post("/embeddings", response_model=schemas.EmbeddingsAnswer)
async def embeddings(body: schemas.EmbeddingsRequest, request: Request) -> Response:
    """Return the embeddings of texts, in OpenAI's shapes; ``model`` is the store's name or its encoder's."""
    desk = desk_of(request)
    texts = [body.input] if isinstance(body.input, str) else body.input
    check_texts(texts, desk.options)
    with desk.live.lease() as opened:
        _check_model(opened, body.model)
        if body.dimensions is not None:
            check_dim(body.dimensions, opened.store.dim)
        encoded = await desk.encode(opened, texts)
    tokens = int(encoded.tokens.sum())
    written = enumerate(_written(encoded, body.encoding_format))
    return _unchecked(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": place, "embedding": embedding}
                for place, embedding in written
            ],
            "model": body.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


@router.get("/stores", response_model=schemas.StoresAnswer)
async def stores(request: Request) -> dict[str, Any]:
    """Return what is served: records, splits, labels, heads, encoder, index."""
    return {"stores": [desk_of(request).live.current.facts]}


async def _near_record(
    desk: Desk, opened: Opened, record_id: str, asked: schemas.Filters | schemas.NeighborQuery
) -> Response:
    store, k = opened.store, asked.k
    found = await desk.ask(
        lambda: store.neighbors_of_record(record_id, k, split=asked.split, label=asked.label)
    )
    return _found(opened, asked, found)


def _found(
    opened: Opened, asked: schemas.Filters | schemas.NeighborQuery, neighbors: list[Neighbor]
) -> Response:
    # A filtered search is exact; of any other the certificate stands in memory.
    recall = None if asked.split or asked.label else opened.store.recall(asked.k)
    listed = [one.as_json() for one in neighbors]
    said = {"exact": recall is None, "recall": 1.0 if recall is None else recall.value}
    return _unchecked({**_where(opened), **said, "neighbors": listed})


def _unchecked(answer: dict[str, Any]) -> Response:
    """Return an answer as it is: what came from us need not be checked value by value on its way out."""
    return Response(to_json(answer, inf_nan_mode="null"), media_type="application/json")


def _where(opened: Opened) -> dict[str, Any]:
    # Not the store's own property, which asks the disk.
    return {"store": opened.facts["name"], "generation": opened.facts["generation"]}


def _no_head(opened: Opened, head: str | None) -> NotFound:
    name = opened.name
    known = ", ".join(opened.classifiers) or "none"
    return NotFound(
        f"The store {name} has no head{f' {head!r}' if head else ''}.",
        why=opened.problems.get(head or "") or f"It has: {known}.",
        fix=f"embstore fit -s {name}{f' --head {head}' if head in _HEADS else ''}",
    )


def _check_model(opened: Opened, model: str) -> None:
    encoder = str(opened.facts["encoder"]["model"])
    served = dict.fromkeys([opened.name, encoder, encoder.rsplit("/", 1)[-1]])
    if model not in served:
        raise NotFound(
            f"This service has no model {model!r}.",
            why=f"It has: {', '.join(served)}.",
            fix=f'"model": "{opened.name}"',
        )


def _written(encoded: Encoded, form: str) -> list[Any]:
    if form == "float":
        numbers: list[Any] = encoded.embeddings.tolist()
        return numbers
    return [base64.b64encode(np.asarray(row, dtype="<f4").tobytes()).decode() for row in encoded.embeddings]
