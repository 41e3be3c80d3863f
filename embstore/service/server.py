"""Serving: the address is listened on, then uvicorn runs the app; the door to uvicorn."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from embstore.errors import InvalidInput, NotReady
from embstore.service.app import OPTIONS, STORE, create_app
from embstore.service.keys import read_keys
from embstore.service.metrics import FOLDER
from embstore.service.options import ServeOptions
from embstore.store import Store

_BACKLOG = 2048
# Exit status of a worker of uvicorn whose app did not start.
_DID_NOT_START = 3


def serve(
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    options: ServeOptions | None = None,
    ready: Callable[[str, str], None] | None = None,
) -> None:
    """Serve a store over HTTP until the process is told to stop; requests in progress are finished.

    Parameters
    ----------
    store, home
        See `Store.open`.
    options : ServeOptions, optional
        Address, limits, keys.
    ready : callable, optional
        Called with the store's path and the service's address once the address is listened on.

    Raises
    ------
    NotFound
        No such store, or no file of keys.
    InvalidInput
        The address cannot be bound, or the file of keys cannot be used.
    StoreDamaged
        The store's files contradict each other.
    EmbstoreError
        The store's encoder cannot be loaded, where there is one worker.
    NotReady
        One of several workers could not start; it logs why.
    """
    chosen = options or ServeOptions()
    # Before anything is bound: what is wrong with store or keys is told at once.
    if chosen.api_key_file is not None:
        read_keys(chosen.api_key_file)
    with Store.open(store, home=home) as opened:
        path = opened.path.resolve()
    with ExitStack() as cleanup:
        bound = cleanup.enter_context(_bind(chosen))
        if chosen.workers > 1:
            # Before prometheus_client is imported by a worker.
            os.environ[FOLDER] = cleanup.enter_context(tempfile.TemporaryDirectory())
            cleanup.callback(os.environ.pop, FOLDER, None)
            for name, value in ((OPTIONS, chosen.to_json()), (STORE, str(path))):
                os.environ[name] = value
                cleanup.callback(os.environ.pop, name, None)
        if ready is not None:
            ready(str(path), _address(bound))
        _run(chosen, bound, path)


def _run(options: ServeOptions, bound: socket.socket, store: Path) -> None:
    app = None if options.workers > 1 else create_app(store, options)
    config = uvicorn.Config(
        app or "embstore.service.app:app_from_environment",
        factory=app is None,
        workers=options.workers,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        # Only a proxy on this machine is believed about the caller's address.
        forwarded_allow_ips="127.0.0.1",
        timeout_graceful_shutdown=max(1, round(options.drain)),
        backlog=_BACKLOG,
    )
    if app is None:
        workers = Multiprocess(config, sockets=[bound])
        workers.run()
        # uvicorn stops all where one cannot start: another try would end alike.
        if any(one.exitcode == _DID_NOT_START for one in workers.processes):
            raise NotReady(
                "A worker could not start, and so the service ended.",
                why="What the worker says stands above.",
                fix="embstore serve --workers 1   # says what is wrong alone",
            )
        return
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    # uvicorn ends the process where the app does not start; whoever called is told why instead.
    with suppress(SystemExit):
        uvicorn.Server(config).run(sockets=[bound])
    if app.state.problem is not None:
        raise app.state.problem


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether uvicorn says what is not said better: an error of ours is raised again, as a message."""
    said = record.getMessage()
    return not (said.startswith("Traceback") and "\nembstore.errors." in said)


def _bind(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # The protocol is named for asyncio, which else leaves Nagle's algorithm on: 40 ms an answer.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((options.host, options.port))
        # Now, not once the app has started: whoever is told the address connects at once, and waits.
        bound.listen(_BACKLOG)
        bound.set_inheritable(True)
    except OSError as error:
        bound.close()
        raise InvalidInput(
            f"The service cannot listen on {options.host}, port {options.port}.",
            why=f"{error.strerror}.",
            fix="--port 0   # takes any free port",
        ) from error
    return bound


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
