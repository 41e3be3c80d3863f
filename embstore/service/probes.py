"""Probes: is the process alive, can it answer, and its numbers."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from embstore.service.routes import desk_of

router = APIRouter()


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer as long as the process lives."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> dict[str, str]:
    """Answer 200 while there is a store to ask, else 503."""
    return {"status": "ready", "store": str(desk_of(request).live.current.facts["name"])}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Return counts and times in Prometheus' text format."""
    return desk_of(request).metrics.response()
