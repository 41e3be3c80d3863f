"""The page's files, from the package."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
# A browser asks whether a file has changed, so that page and service are of the same version.
_FRESH = {"Cache-Control": "no-cache"}


def page_routes() -> list[BaseRoute]:
    """Return ``/`` and the files of the page."""
    return [Route("/", _index), Mount("/static", _Files(directory=STATIC))]


class _Files(StaticFiles):
    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers.update(_FRESH)
        return response


async def _index(_: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers=_FRESH)
