"""Map, comparison and audit: made once in the background for each state of the store, then kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, JSONResponse, Response

from embstore.encode.onnx_cache import cache_folder
from embstore.errors import NotReady
from embstore.service.live import LiveStore
from embstore.service.problems import RETRY_AFTER, Problem
from embstore.service.schemas import MakingAnswer
from embstore.store import Store

router = APIRouter(prefix="/v1")
# Raise it when kept reports have another form than before.
_VERSION = 5
# Seconds after which a report that failed is tried again.
_NOT_BEFORE = 600
# The lowest priority: requests go first.
_NICE = 19
_JSON: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}},
    202: {"model": MakingAnswer, "description": "Being made: ask again later", "headers": RETRY_AFTER},
}
# Seconds until it is worth asking again for what is being made.
_AGAIN = 5
_COMMANDS = {"map": "umap", "compare": "compare", "audit": "audit"}
_NAMES = {"map": "map", "compare": "comparison", "audit": "audit"}


class Reports:
    """Where reports are kept, and the one process that makes them, at the lowest priority.

    Parameters
    ----------
    live : LiveStore
        What they are about.
    """

    def __init__(self, live: LiveStore) -> None:
        self._live = live
        self._making: dict[Path, asyncio.Task[None]] = {}
        # Why, and until when it is not tried again.
        self._failed: dict[Path, tuple[str, float]] = {}
        # One at a time: each takes all the memory and time that it can get.
        self._turn = asyncio.Semaphore(1)

    async def answer(self, kind: str) -> Response:
        """Return a report, or 202 while it is being made.

        Parameters
        ----------
        kind : {'map', 'compare', 'audit'}
            Which one.

        Raises
        ------
        NotReady
            It cannot be made.
        """
        opened = self._live.current
        file = _file(opened.store.manifest.uuid, opened.content, kind)
        if file.is_file():
            return FileResponse(file, media_type="application/json", headers={"Cache-Control": "no-cache"})
        failed = file.with_suffix(".problem")
        if failed.is_file():
            return _problem(failed)
        why, until = self._failed.get(file, ("", 0.0))
        if (left := until - time.monotonic()) > 0:
            raise NotReady(
                f"The {_NAMES[kind]} of {opened.name} cannot be made.",
                why=why,
                fix=f"embstore {_COMMANDS[kind]} -s {opened.name}   # says why",
                retry_after=math.ceil(left),
            )
        if file not in self._making:
            self._making[file] = asyncio.create_task(self._make(kind, opened.store.path, file))
        # Not an error: a browser would write each into its console.
        told = MakingAnswer(
            what=f"The {_NAMES[kind]} of {opened.name} is being made.",
            why="It is made once for each state of the store, in the background.",
        )
        return JSONResponse(told.model_dump(), 202, headers={"Retry-After": str(_AGAIN)})

    async def stop(self) -> None:
        """End what is being made."""
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    async def _make(self, kind: str, store: Path, file: Path) -> None:
        try:
            async with self._turn:
                if why := await _ended(kind, store, file):
                    # Not begun again at each request: what failed would most likely fail again, but memory
                    # that was short may be there later.
                    self._failed[file] = why, time.monotonic() + _NOT_BEFORE
        finally:
            del self._making[file]


async def _ended(kind: str, store: Path, file: Path) -> str:
    """Have a process make a report; return why there is none, or the empty string."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "embstore.service.report", kind, str(store.absolute()), str(file)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            # `-m` would import from the current folder, where anybody's json.py may stand.
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
    except OSError as error:
        return f"The process that makes it could not be started: {error.strerror}."
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
    try:
        code = await process.wait()
        return f"The process that makes it ended with code {code}." if code else ""
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        # So that it is gone, and no zombie, when the service is.
        await process.wait()


def reports_of(request: Request) -> Reports:
    """Return the reports of the app that answers."""
    reports: Reports = request.app.state.reports
    return reports


@router.get("/map", response_class=Response, responses=_JSON)
async def projected(request: Request) -> Response:
    """Return where each record lies, column by column in the order of the rows."""
    return await reports_of(request).answer("map")


@router.get("/compare", response_class=Response, responses=_JSON)
async def compared(request: Request) -> Response:
    """Return what ``embstore compare --json`` prints, paths left out."""
    return await reports_of(request).answer("compare")


@router.get("/audit", response_class=Response, responses=_JSON)
async def audited(request: Request) -> Response:
    """Return what ``embstore audit --json`` prints, paths left out, and ``label_probabilities`` by id."""
    return await reports_of(request).answer("audit")


def report_file(store: Path, kind: str) -> Path:
    """Return where the report of a store is kept, or would be, in the state that the store has now."""
    with Store.open(store) as opened:
        return _file(opened.manifest.uuid, opened.reader.content_key(), kind)


def _file(uuid: str, content: str, kind: str) -> Path:
    key = hashlib.sha256(f"{_VERSION} {kind} {content}".encode()).hexdigest()[:16]
    return cache_folder() / "reports" / f"{uuid}-{kind}-{key}.json"


def _problem(file: Path) -> Problem:
    told = json.loads(file.read_text(encoding="utf-8"))
    return Problem(told["status"], told["kind"], told["what"], why=told["why"], fix=told["fix"])
