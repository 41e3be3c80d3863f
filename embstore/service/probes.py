"""Probes: is the process alive, can it answer, and its numbers."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from embstore.errors import NotReady
from embstore.service.routes import desk_of

router = APIRouter()


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer as long as the process lives."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> dict[str, str]:
    """Answer 200 while there is a store to ask and an encoder that reads texts, else 503."""
    desk = desk_of(request)
    if problem := desk.problem:
        raise NotReady(problem, why="The service logs why, and goes on trying.")
    return {"status": "ready", "store": str(desk.live.current.facts["name"])}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Return counts and times in Prometheus' text format."""
    return desk_of(request).metrics.response()
