"""The app: routes, and around them everything that a request passes before it is read."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from embstore import __version__
from embstore.service import probes, reports, routes
from embstore.service.admission import AdmissionMiddleware
from embstore.service.desk import Desk
from embstore.service.envelope import EnvelopeMiddleware
from embstore.service.keys import KeyMiddleware, read_keys
from embstore.service.live import LiveStore
from embstore.service.metrics import Metrics
from embstore.service.openapi import describe
from embstore.service.options import ServeOptions
from embstore.service.page import page_routes
from embstore.service.problems import handle_problems
from embstore.service.reports import Reports
from embstore.service.same_site import SameSiteMiddleware

#: How a worker process learns what it serves.
OPTIONS, STORE = "EMBSTORE_SERVICE_OPTIONS", "EMBSTORE_SERVICE_STORE"


def create_app(store: Path, options: ServeOptions) -> FastAPI:
    """Return the app that serves a store; the store is opened when the app starts.

    Parameters
    ----------
    store : Path
        The store's folder.
    options : ServeOptions
        Limits, keys and hosts.

    Raises
    ------
    NotFound, InvalidInput
        The file of keys cannot be used.
    """
    keys = () if options.api_key_file is None else read_keys(options.api_key_file)
    metrics = Metrics()
    desk = Desk(options, LiveStore(store, metrics), metrics)
    made = Reports(desk.live)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await desk.start()
        except Exception as error:
            app.state.problem = error
            raise
        try:
            yield
        finally:
            await made.stop()
            await desk.stop()

    app = FastAPI(
        title="embstore",
        version=__version__,
        summary="Search, classification and embeddings from one store.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.desk, app.state.reports, app.state.problem = desk, made, None
    handle_problems(app)
    for part in (routes, reports, probes):
        app.include_router(part.router)
    app.router.routes.extend(page_routes())
    app.openapi = _described(app, desk)  # type: ignore[method-assign]
    inner = app.build_middleware_stack

    def guarded() -> ASGIApp:
        """Return everything that a request passes, the last one first."""
        stack: ASGIApp = RequestBodyLimitMiddleware(inner(), max_body_size=options.max_body)
        # Behind the key: who has none takes no place in the queue.
        stack = AdmissionMiddleware(stack, desk.storm, options.queue, options.deadline, metrics)
        stack = KeyMiddleware(stack, keys=keys)
        stack = SameSiteMiddleware(stack)
        stack = TrustedHostMiddleware(stack, allowed_hosts=options.hosts, www_redirect=False)
        return EnvelopeMiddleware(stack, metrics=metrics)

    # Around FastAPI's own: what is refused passes little, and a failure that it answers for has an id too.
    app.build_middleware_stack = guarded  # type: ignore[method-assign]
    return app


def app_from_environment() -> FastAPI:
    """Return the app of a worker process."""
    return create_app(Path(os.environ[STORE]), ServeOptions.from_json(os.environ[OPTIONS]))


def _described(app: FastAPI, desk: Desk) -> Any:
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        dim = None if desk.live.problem else desk.live.current.store.dim
        return describe(plain(), desk.options, dim)

    return openapi
