"""What every answer carries: an id, headers that keep a browser strict, and a place in the metrics."""

from __future__ import annotations

import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embstore.service.metrics import Metrics
from embstore.service.problems import problem_of_status

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class EnvelopeMiddleware:
    """Adds request id and headers, counts the answer, and turns a plain-text refusal into a problem.

    Parameters
    ----------
    app : ASGIApp
        What answers.
    metrics : Metrics
        Where answers are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        sender = _Sender(send, Headers(scope=scope).get("x-request-id", ""))
        try:
            await self.app(scope, receive, sender)
        finally:
            self._metrics.answered(scope, sender.status, time.perf_counter() - begun)


class _Sender:
    """Passes an answer on with the headers that every one has."""

    def __init__(self, send: Send, asked_id: str) -> None:
        self._send = send
        self._id = asked_id if _ID.fullmatch(asked_id) else uuid4().hex
        self._replaced = False
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif not self._replaced:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        self.status = message["status"]
        # A copy: a refusal that is made once answers many requests.
        headers = MutableHeaders(raw=list(message["headers"]))
        # What starlette's own middlewares refuse: a foreign host, a body that is too large.
        self._replaced = self.status >= 400 and headers.get("content-type", "").startswith("text/plain")
        if self._replaced:
            problem = problem_of_status(self.status)
            headers = MutableHeaders(raw=problem.raw_headers)
        for name, value in _HEADERS.items():
            headers[name] = value
        headers["X-Request-Id"] = self._id
        headers.setdefault("Cache-Control", "no-store")
        await self._send({**message, "headers": headers.raw})
        if self._replaced:
            await self._send({"type": "http.response.body", "body": problem.body})
