"""A model and dataset hub on this machine: what ``huggingface_hub`` asks for, served from folders on disk.

The libraries read ``HF_ENDPOINT`` when they are imported, so a test runs what it tests in another process,
with ``hub.environment(folder)`` as its environment.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections import Counter
from dataclasses import dataclass
from hashlib import sha1
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

_NAME = r"(?P<name>[^/]+/[^/]+?)"
_API = re.compile(
    rf"/api/(?P<kind>models|datasets)/{_NAME}(?:/(?P<call>revision|tree|paths-info)/(?P<revision>[^/]+)(?P<path>/.*)?)?"
)
_FILE = re.compile(rf"/(?:(?P<kind>datasets)/)?{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_UNSET = {"HF_TOKEN", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"}
_PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


def hub_environment(endpoint: str, home: Path) -> dict[str, str]:
    """Return an environment whose hub is at an address and whose cache is an empty folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _UNSET and name.lower() not in _PROXIES
    }
    return kept | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "*",
    }


@dataclass(frozen=True)
class Repository:
    """One repository at its only commit."""

    kind: str
    name: str
    folder: Path
    gated: bool = False

    @property
    def commit(self) -> str:
        """40 hex digits that depend on the repository's kind and name alone."""
        return sha1(f"{self.kind}/{self.name}".encode()).hexdigest()

    def files(self) -> dict[str, Path]:
        """Return the files by their path in the repository."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}

    def info(self) -> dict[str, object]:
        """Return what the hub tells about it."""
        return {
            "_id": self.commit[:24],
            "id": self.name,
            "sha": self.commit,
            "private": False,
            "gated": "auto" if self.gated else False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": [{"rfilename": path} for path in self.files()],
        }

    def tree(self, under: str, *, recursive: bool) -> list[dict[str, object]]:
        """Return files and folders below a folder, all or only the next ones."""
        prefix = f"{under}/" if under else ""
        entries: dict[str, dict[str, object]] = {}
        for path, file in self.files().items():
            if not path.startswith(prefix):
                continue
            steps = path.removeprefix(prefix).split("/")
            for depth in range(1, len(steps)):
                folder = prefix + "/".join(steps[:depth])
                entries[folder] = {
                    "type": "directory",
                    "oid": _oid(folder.encode()),
                    "size": 0,
                    "path": folder,
                }
            entries[path] = _entry(path, file)
        if recursive:
            return list(entries.values())
        return [entry for path, entry in entries.items() if "/" not in path.removeprefix(prefix)]


class LoopbackHub:
    """A hub at an address of its own, for the length of a ``with`` block.

    Attributes
    ----------
    requests : Counter of str
        Method and path of each request to how often it came.
    broken : int or None
        Status that every request is answered with, when set.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.broken: int | None = None
        self._repositories: dict[tuple[str, str], Repository] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> LoopbackHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        """The hub's address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, home: Path) -> dict[str, str]:
        """Return the environment of a process that shall use this hub, with its cache in a folder."""
        return hub_environment(self.endpoint, home)

    def add_dataset(self, name: str, folder: Path, *, gated: bool = False) -> Repository:
        """Serve a folder as the dataset ``owner/name``."""
        return self._add(Repository("datasets", name, folder, gated))

    def add_model(self, name: str, folder: Path, *, gated: bool = False) -> Repository:
        """Serve a folder as the model ``owner/name``."""
        return self._add(Repository("models", name, folder, gated))

    def find(self, kind: str, name: str) -> Repository | None:
        """Return a repository, or None."""
        return self._repositories.get((kind, name))

    def _add(self, repository: Repository) -> Repository:
        self._repositories[repository.kind, repository.name] = repository
        return repository


def _handler(hub: LoopbackHub) -> type[_Handler]:
    return type("Handler", (_Handler,), {"hub": hub})


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests[f"{self.command} {unquote(url.path)}"] += 1
        if self.hub.broken is not None:
            self._refuse(self.hub.broken, "Broken")
        elif match := _API.fullmatch(url.path):
            self._answer_api(match, parse_qs(url.query), body)
        elif match := _FILE.fullmatch(url.path):
            self._answer_file(match)
        else:
            self._refuse(404, "NotFound")

    def _find(self, match: re.Match[str]) -> Repository | None:
        repository = self.hub.find(match["kind"] or "models", unquote(match["name"]))
        if repository is None:
            self._refuse(404, "RepoNotFound")
            return None
        if unquote(match["revision"] or "main") not in ("main", repository.commit):
            self._refuse(404, "RevisionNotFound")
            return None
        return repository

    def _answer_api(self, match: re.Match[str], query: dict[str, list[str]], body: bytes) -> None:
        repository = self._find(match)
        if repository is None:
            return
        path = unquote(match["path"] or "").strip("/")
        if match["call"] == "tree":
            recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            entries = repository.tree(path, recursive=recursive)
            if path and not entries:
                self._refuse(404, "EntryNotFound")
            else:
                self._send_json(entries)
        elif match["call"] == "paths-info":
            self._send_json(_paths_info(repository, body))
        else:
            self._send_json(repository.info())

    def _answer_file(self, match: re.Match[str]) -> None:
        repository = self._find(match)
        if repository is None:
            return
        if repository.gated:
            self._refuse(401, "GatedRepo")
            return
        file = repository.files().get(unquote(match["path"]))
        if file is None:
            self._refuse(404, "EntryNotFound", commit=repository.commit)
        else:
            self._send_file(file.read_bytes(), repository.commit)

    def _send_file(self, content: bytes, commit: str) -> None:
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            self._send(200, content, headers)
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self._send(206, content[first : last + 1], headers)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code} | (
            {"X-Repo-Commit": commit} if commit else {}
        )
        self._send(status, b"", headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status, HTTPStatus(status).phrase)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _paths_info(repository: Repository, body: bytes) -> list[dict[str, object]]:
    # A form from one version of the client, JSON from another.
    asked = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode()).get("paths", [])
    entries = {str(entry["path"]): entry for entry in repository.tree("", recursive=True)}
    return [entries[path] for path in asked if path in entries]


def _entry(path: str, file: Path) -> dict[str, object]:
    return {"type": "file", "oid": _oid(file.read_bytes()), "size": file.stat().st_size, "path": path}


def _oid(content: bytes) -> str:
    return sha1(content).hexdigest()
