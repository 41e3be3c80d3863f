"""Refusing what another site's page makes a browser ask."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from embstore.service.problems import Problem


class SameSiteMiddleware:
    """Refuses requests that a browser sends for a page of another origin.

    A program sends neither ``Sec-Fetch-Site`` nor ``Origin`` and passes. Following a link to the page itself
    is allowed; it shows nothing to the site that it comes from.

    Parameters
    ----------
    app : ASGIApp
        What answers the others.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or answer 403."""
        if scope["type"] == "http" and _is_foreign(scope["path"], Headers(scope=scope)):
            refusal = Problem(
                403,
                "foreign-origin",
                "Pages of other sites may not ask this service.",
                why="The browser says that the request comes from one.",
                fix="open the service's own page, or ask from a program",
            )
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _is_foreign(path: str, headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is not None and _host_of(origin) != headers.get("host", "").lower():
        return True
    site = headers.get("sec-fetch-site", "none")
    followed = headers.get("sec-fetch-mode") == "navigate" and path == "/"
    return site not in ("same-origin", "none") and not followed


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        # ``http://[``: no browser's own.
        return None
