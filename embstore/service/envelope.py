"""What every answer carries: an id, headers that keep a browser strict, and a place in the metrics."""

from __future__ import annotations

import re
import time
from secrets import token_hex

from starlette.datastructures import Headers
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
# Written once, as they are sent: at ten times capacity nine of ten answers are refusals.
_HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
}
_PLAIN = b"text/plain"


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
        self._id = asked_id if _ID.fullmatch(asked_id) else token_hex(16)
        self._replaced = False
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif not self._replaced:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        self.status = message["status"]
        # Names are in lower case, as ASGI has them, and none of ours stands twice.
        headers = dict(message["headers"])
        # What starlette's own middlewares refuse: a foreign host, a body that is too large.
        self._replaced = self.status >= 400 and headers.get(b"content-type", b"").startswith(_PLAIN)
        if self._replaced:
            problem = problem_of_status(self.status)
            headers = dict(problem.raw_headers)
        headers.setdefault(b"cache-control", b"no-store")
        headers |= {**_HEADERS, b"x-request-id": self._id.encode()}
        await self._send({**message, "headers": list(headers.items())})
        if self._replaced:
            await self._send({"type": "http.response.body", "body": problem.body})
