"""Errors as RFC 9457 problem documents: the one place where an error becomes an HTTP answer."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from embstore.errors import DiskFailure, EmbstoreError, NotReady
from embstore.service.places import within

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: How OpenAPI describes the header of an answer that is worth asking for again.
RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds until it is worth asking again.",
        "schema": {"type": "integer", "minimum": 0},
    }
}
# What is told where the server that we build on tells the status alone.
_TOLD_ALONE = {
    400: ("The request names a host that the service does not know.", "embstore serve --allow-host HOST"),
    404: ("Nothing has this path.", "see /openapi.json"),
    405: ("This path has another method.", "see /openapi.json"),
}
# Errors of a request that are told; a body of a thousand wrong numbers is wrong at the first of them.
_TOLD = 10


class Problem(Response):
    """A problem document: ``type``, ``title``, ``status``, ``detail``, and ``what``, ``why``, ``fix``.

    Parameters
    ----------
    status : int
        HTTP status.
    kind : str
        Last part of the type: stable, for programs.
    what, why, fix : str
        As `EmbstoreError` has them.
    errors : sequence of dict, optional
        ``where`` and ``message`` of each wrong field.
    headers : mapping of str to str, optional
        Beside the content type.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        kind: str,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        errors: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        content: dict[str, Any] = {
            "type": f"urn:embstore:problem:{kind}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": " ".join(part for part in (what, why) if part),
            "what": what,
            "why": why,
            "fix": fix,
        }
        if errors is not None:
            content["errors"] = errors
        # ASCII: a name in the request may hold half of a surrogate pair, which UTF-8 cannot.
        super().__init__(json.dumps(content).encode(), status, dict(headers or {}))


def problem_of(error: EmbstoreError, store: Path) -> Problem:
    """Return an error of the family about a store as a problem; its type is the name of its class."""
    retry = {"Retry-After": str(error.retry_after)} if isinstance(error, NotReady) else {}
    kind = kind_of(type(error).__name__)
    what, why, fix = told(error, store)
    return Problem(error.http_status, kind, what, why=why, fix=fix, headers=retry)


def told(error: EmbstoreError, store: Path, look: str = "see the log of the service") -> tuple[str, str, str]:
    """Return what, why and fix of an error as callers may know them; ``look`` says where the rest is."""
    if isinstance(error, DiskFailure):
        # Whose the files and the folders above them are is for who runs the service.
        why, fix = "The service cannot use its disk.", look
    else:
        why, fix = within(store, error.why), within(store, error.fix)
    return within(store, error.what), why, fix


def problem_of_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Problem:
    """Return a problem that has no error of ours behind it: no such path, method or body."""
    phrase = HTTPStatus(status).phrase
    kind = kind_of(phrase.title())
    if detail and detail != phrase:
        return Problem(status, kind, detail, headers=headers)
    why, fix = _TOLD_ALONE.get(status, ("", ""))
    return Problem(status, kind, f"{phrase}.", why=why, fix=fix, headers=headers)


def kind_of(name: str) -> str:
    """Return ``NotFound`` or ``Not Found`` as ``not-found``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z]+", "-", name).strip("-").lower()


def handle_problems(app: FastAPI) -> None:
    """Make an app answer every error with a problem document."""
    app.add_exception_handler(EmbstoreError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


async def _ours(request: Request, error: Exception) -> Response:
    if not isinstance(error, EmbstoreError):
        raise error
    if error.http_status >= 500 and not isinstance(error, NotReady):
        logger.warning("%s %s: %s", request.method, request.url.path, error)
    return problem_of(error, request.app.state.desk.live.path)


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    # Not the input itself: it may be megabytes, or no Unicode.
    errors = [
        {"where": ".".join(map(str, one["loc"]))[:200], "message": str(one["msg"])[:300]}
        for one in error.errors()[:_TOLD]
    ]
    first = errors[0]
    kind = request.headers.get("content-type", "")
    if request.method == "POST" and "json" not in kind.lower():
        return Problem(
            422,
            "invalid-input",
            "The body was not read as JSON.",
            why=f"Its content type is {kind[:100] or 'missing'}.",
            fix="-H 'Content-Type: application/json'",
            errors=errors,
        )
    return Problem(
        422,
        "invalid-input",
        f"The request is not valid: {first['where']}.",
        why=f"{first['message']}.",
        fix="see /openapi.json for the fields and their limits",
        errors=errors,
    )


async def _http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem_of_status(error.status_code, str(error.detail), error.headers)


async def _unforeseen(_: Request, __: Exception) -> Response:
    # The server logs the traceback; the caller learns the request's id and nothing of the inside.
    return Problem(
        500,
        "internal",
        "The service failed.",
        why="This is a defect, not a mistake of the request.",
        fix="report the header X-Request-Id with the log of that moment",
    )
