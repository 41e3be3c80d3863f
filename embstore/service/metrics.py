"""What is counted, for Prometheus; the door to prometheus_client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
#: Where the workers of one service leave their numbers for each other; prometheus_client reads it at import.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The numbers of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "embstore_requests", "Answers.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "embstore_request_seconds",
            "Time to answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.admitted = Gauge(
            "embstore_requests_admitted",
            "Requests that are admitted and not yet answered.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self.batch_texts = Histogram(
            "embstore_batch_texts", "Texts encoded together.", buckets=_SIZES, registry=self._registry
        )
        self.encode_seconds = Histogram(
            "embstore_encode_seconds", "Time to encode a batch.", buckets=_SECONDS, registry=self._registry
        )
        self.reloads = Counter(
            "embstore_reloads", "Times that a newer store was taken.", registry=self._registry
        )

    def answered(self, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        """Count an answer by its route, so that ids in paths make no series of their own."""
        route = getattr(scope.get("route"), "path", "other")
        # A method is the caller's to invent.
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        self._answers.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def response(self) -> Response:
        """Return all numbers in Prometheus' text format."""
        registry = self._registry
        if os.environ.get(FOLDER):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
