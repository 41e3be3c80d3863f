"""API keys: read once, compared in constant time, before anything of a request's body is read."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from embstore.errors import InvalidInput, NotFound
from embstore.service.problems import Problem

# Shorter keys can be guessed.
_SHORTEST = 16


def read_keys(file: str | Path) -> tuple[bytes, ...]:
    """Return the SHA-256 of each key of a file: one a line, empty lines and those that begin with # left out.

    Raises
    ------
    NotFound
        The file cannot be read.
    InvalidInput
        It has no key, or one of fewer than 16 characters or with others than ASCII.
    """
    path = Path(file)
    fix = f"python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > {path}; chmod 600 {path}"
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path} has characters that no key has.", why="Keys are ASCII.", fix=fix
        ) from error
    except OSError as error:
        raise NotFound(f"The keys in {path} cannot be read: {error.strerror}.", fix=fix) from error
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    shortest = min(map(len, keys), default=0)
    if shortest < _SHORTEST:
        why = f"A key has at least {_SHORTEST} characters; the shortest has {shortest}."
        what = f"{path} has a key that is too short." if keys else f"{path} has no key."
        raise InvalidInput(what, why=why, fix=fix)
    return tuple(hashlib.sha256(key.encode()).digest() for key in keys)


class KeyMiddleware:
    """Refuses requests below ``/v1`` and to ``/metrics`` that carry no known key.

    Parameters
    ----------
    app : ASGIApp
        What answers the others.
    keys : tuple of bytes
        SHA-256 of each key; none lets everybody in.
    """

    def __init__(self, app: ASGIApp, keys: tuple[bytes, ...]) -> None:
        self.app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or answer 401."""
        if scope["type"] == "http" and self._keys and is_guarded(scope["path"]) and not self._knows(scope):
            await _refusal()(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        given = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        # All of them, so that the time does not tell which one it was.
        known = [hmac.compare_digest(given, one) for one in self._keys]
        return scheme.lower() == "bearer" and any(known)


def is_guarded(path: str) -> bool:
    """Tell whether a path needs a key: all that shows the store; not the page's files nor the probes."""
    return path.startswith("/v1/") or path in ("/v1", "/metrics")


def _refusal() -> Problem:
    return Problem(
        401,
        "unauthorized",
        "This service needs a key.",
        why="The request has no known one.",
        fix="Authorization: Bearer KEY",
        headers={"WWW-Authenticate": "Bearer"},
    )
