"""Queries run the exported encoder where there is one to trust, else torch; the answers are the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embstore
from embstore.encode.onnx_cache import cache_folder, export_folder, was_chosen
from embstore.encode.onnx_encoder import OnnxEncoder
from embstore.encode.paths import Choice, write_choice
from embstore.encode.torch_encoder import TorchEncoder
from embstore.errors import EncoderMismatch, InvalidInput
from embstore.flows import build, opening
from embstore.service.encoder_process import load_for_service
from embstore.service.opened import open_generation
from embstore.store import read_manifest

ROWS = [
    ("t1", "train", "sad", "the train was late again"),
    ("t2", "train", "happy", "i feel so happy"),
    ("t3", "train", "happy", "a cat sat on a mat"),
    ("t4", "train", "sad", "why is it so sad"),
    ("t5", "train", "sad", "angry train"),
]
QUERIES = ["why was the train so late", "a happy cat", "i feel " * 90]


@pytest.fixture
def model(tiny_bert: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny BERT that the test may take away."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "model"))


@pytest.fixture
def store(model: Path, tmp_path: Path) -> str:
    table = tmp_path / "mine.jsonl"
    keys = ("id", "split", "label", "text")
    table.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in ROWS))
    embstore.build_store(table, "mine", encoder=str(model))
    return "mine"


@pytest.fixture
def _exported(store: str, tiny_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny_exports, cache_folder())
    monkeypatch.setenv("EMBSTORE_ONNX", "on")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Switch exports on, and return the list of those that would have been started."""
    calls: list[Any] = []
    monkeypatch.setenv("EMBSTORE_ONNX", "on")
    for flow in (build, opening):
        monkeypatch.setattr(flow, "start_export", lambda *asked: calls.append(asked))
    return calls


def encoder_of(store: str) -> embstore.TextEncoder:
    with embstore.Store.open(store) as opened:
        return opened.encoder


def answers(store: str) -> list[list[tuple[str, float]]]:
    found = embstore.find_neighbors(QUERIES, store, k=3)
    return [[(one.record.id, one.similarity) for one in each.neighbors] for each in found]


def test_the_first_query_is_answered_by_torch_and_starts_the_export(store: str, started: list[Any]) -> None:
    encoder = encoder_of(store)
    assert isinstance(encoder, TorchEncoder)
    assert started == [(encoder.config, encoder.fingerprint)]


@pytest.mark.usefixtures("_exported")
def test_once_it_is_there_the_export_answers_as_torch_did(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(encoder_of(store), OnnxEncoder)
    ours = answers(store)
    monkeypatch.setenv("EMBSTORE_ONNX", "off")
    assert isinstance(encoder_of(store), TorchEncoder)
    theirs = answers(store)
    assert [[name for name, _ in each] for each in ours] == [[name for name, _ in each] for each in theirs]
    # float32 embeddings through other kernels
    np.testing.assert_allclose(similarities(ours), similarities(theirs), rtol=0, atol=1e-5)


def similarities(found: list[list[tuple[str, float]]]) -> np.ndarray:
    return np.array([[similarity for _, similarity in each] for each in found])


@pytest.mark.usefixtures("_exported")
def test_the_export_needs_the_models_files_no_more(store: str, model: Path) -> None:
    before = answers(store)
    shutil.rmtree(model)
    assert answers(store) == before


@pytest.mark.usefixtures("_exported")
def test_over_a_damaged_export_torch_answers_and_it_is_made_again(store: str, started: list[Any]) -> None:
    for weights in cache_folder().rglob("weights.bin"):
        weights.write_bytes(weights.read_bytes()[:-1])
    assert isinstance(encoder_of(store), TorchEncoder)
    assert len(started) == 1


def test_where_the_models_files_have_changed_nothing_is_exported(
    store: str, model: Path, started: list[Any]
) -> None:
    (model / "tokenizer_config.json").write_text("{}")
    with pytest.raises(EncoderMismatch):
        encoder_of(store)
    assert started == []


@pytest.mark.usefixtures("_exported")
@pytest.mark.parametrize("text", ["", " \n", "\ud800"], ids=["empty", "blank", "surrogate"])
def test_what_torch_refuses_the_export_refuses(store: str, text: str) -> None:
    with pytest.raises(InvalidInput):
        embstore.find_neighbors([text], store)


def test_a_build_starts_the_export_once_its_lock_is_free(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[embstore.FitReport] = []
    monkeypatch.setattr(build, "start_export", lambda *_: reports.append(embstore.fit_head(store)))
    embstore.build_store(tmp_path / "mine.jsonl", store)
    assert len(reports) == 1


def test_a_build_asks_for_the_export_of_its_own_encoder(
    store: str, tmp_path: Path, started: list[Any]
) -> None:
    embstore.build_store(tmp_path / "mine.jsonl", store)
    assert [fingerprint for _, fingerprint in started] == [encoder_of(store).fingerprint]


@pytest.mark.usefixtures("_exported")
def test_a_cold_query_loads_neither_torch_nor_what_learns(store: str) -> None:
    embstore.fit_head(store)
    script = (
        "import sys; from embstore_cli.main import run\n"
        "assert run(['neighbors', 'the cat', '-s', 'mine']) == 0\n"
        "assert run(['classify', 'the cat', '-s', 'mine']) == 0\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'datasets', 'sqlite_utils', 'onnx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "a cat sat on a mat" in done.stdout
    assert done.stderr == "exact\n"


def test_two_first_queries_leave_one_export_behind_them(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBSTORE_ONNX", "on")
    first, second = encoder_of(store), encoder_of(store)
    assert isinstance(first, TorchEncoder)
    assert isinstance(second, TorchEncoder)
    made = export_folder(first.fingerprint)
    deadline = time.monotonic() + 120
    while not made.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert isinstance(encoder_of(store), OnnxEncoder)
    assert sorted(path.suffix for path in made.parent.iterdir()) == ["", ".lock"]


@pytest.mark.usefixtures("_exported", "has_bfloat16")
@pytest.mark.parametrize(
    ("chosen", "runs"),
    [("fused bfloat16", "fused bfloat16"), ("fused float32", "exported"), (None, "exported")],
)
def test_a_process_that_answers_many_runs_what_was_chosen_on_this_machine(
    store: str, chosen: str | None, runs: str
) -> None:
    path = embstore.find_store(store)
    fingerprint = read_manifest(path).fingerprint
    if chosen:
        write_choice(fingerprint, "cpu", Choice(chosen, 1024, "it was told so", ()))
    opened = open_generation(path, load_for_service(path))
    encoder = opened.encoder
    opened.store.close()
    assert (encoder.forward.name if isinstance(encoder, TorchEncoder) else "exported") == runs
    # Alone and among others a text is encoded alike, and near what the store holds.
    alone = np.vstack([encoder.encode([text]).embeddings for text in QUERIES])
    np.testing.assert_allclose(encoder.encode(QUERIES).embeddings, alone, rtol=0, atol=2e-2)


@pytest.mark.usefixtures("_exported")
def test_a_process_that_answers_many_starts_without_the_models_files(store: str, model: Path) -> None:
    path = embstore.find_store(store)
    fingerprint = read_manifest(path).fingerprint
    write_choice(fingerprint, "cpu", Choice("fused bfloat16", 1024, "it was told so", ()))
    shutil.rmtree(model)
    opened = open_generation(path, load_for_service(path))
    assert isinstance(opened.encoder, OnnxEncoder)
    opened.store.close()


def test_what_is_no_fingerprint_was_chosen_by_nobody() -> None:
    assert not was_chosen("../*")
