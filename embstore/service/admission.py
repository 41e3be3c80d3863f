"""Admission: how many requests are worked on at a time, and for how long each."""

from __future__ import annotations

import math

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embstore.service.metrics import Metrics
from embstore.service.problems import Problem
from embstore.service.storm import Storm

# What takes a thread's time. What is only read from memory or a file is always admitted.
_QUEUED = ("/v1/search", "/v1/classify", "/v1/embeddings", "/v1/records/")


class AdmissionMiddleware:
    """Admits a bounded number of requests that take work and gives each a deadline.

    What is refused costs next to nothing: neither its body nor its route is looked at. In a storm a quarter
    of the queue is used: who is admitted then waits for little more than the request that is worked on.

    Parameters
    ----------
    app : ASGIApp
        What answers.
    storm : Storm
        Is asked and told of every request that takes work.
    queue : int
        Requests that are admitted and not yet answered, at most.
    deadline : float
        Seconds until one is given up.
    metrics : Metrics
        Where they are counted.
    """

    def __init__(self, app: ASGIApp, storm: Storm, queue: int, deadline: float, metrics: Metrics) -> None:
        self.app = app
        self._queue = queue
        self._deadline = deadline
        self._metrics = metrics
        self._admitted = 0
        self._storm = storm
        # Made once: at ten times capacity nine of ten answers are this one.
        self._full = Problem(
            429,
            "too-many-requests",
            "The service has as many requests as it takes.",
            why=f"It works on {queue} at a time, and in a storm on fewer.",
            fix="ask again after the seconds of Retry-After",
            headers={"Retry-After": "1"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, refuse it with 429, or give it up with 504."""
        if scope["type"] != "http" or not scope["path"].startswith(_QUEUED):
            await self.app(scope, receive, send)
        elif self._is_full(scope):
            await self._full(scope, receive, send)
        else:
            self._count(1)
            try:
                await self._in_time(scope, receive, send)
            finally:
                self._count(-1)

    def _is_full(self, scope: Scope) -> bool:
        """Tell whether a request is refused now."""
        limit = max(1, self._queue // 4) if self._storm.is_there() else self._queue
        full = self._admitted >= limit
        self._storm.saw(scope.get("client"), refused=full)
        return full

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_started(message: Message) -> None:
            # An answer that has begun is not cut off.
            limit.deadline = math.inf
            await send(message)

        with anyio.move_on_after(self._deadline) as limit:
            await self.app(scope, receive, send_started)
        if limit.cancelled_caught:
            await self._late()(scope, receive, send)

    def _count(self, change: int) -> None:
        self._admitted += change
        self._metrics.admitted.set(self._admitted)

    def _late(self) -> Problem:
        return Problem(
            504,
            "deadline-passed",
            "The request was not answered in time.",
            why=f"Its deadline is {self._deadline:g} s.",
            fix="ask for fewer texts at once, or later",
        )
