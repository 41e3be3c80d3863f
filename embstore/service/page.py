"""The page's files: from the package, and plotly's script from its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
# A browser asks whether a file has changed, so that page and service are of the same version.
_FRESH = {"Cache-Control": "no-cache"}


def page_routes() -> list[BaseRoute]:
    """Return ``/``, ``/static/plotly.min.js`` and the files of the page."""
    return [
        Route("/", _index),
        Route("/static/plotly.min.js", _plotly),
        Mount("/static", _Files(directory=STATIC)),
    ]


class _Files(StaticFiles):
    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers.update(_FRESH)
        return response


async def _index(_: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers=_FRESH)


async def _plotly(_: Request) -> Response:
    return FileResponse(plotly_script(), media_type="text/javascript", headers=_FRESH)


def plotly_script() -> Path:
    """Return plotly's script as its package brings it; the package itself is not imported."""
    found = find_spec("plotly")
    folders = list(found.submodule_search_locations or ()) if found else []
    return Path(folders[0]) / "package_data" / "plotly.min.js"
