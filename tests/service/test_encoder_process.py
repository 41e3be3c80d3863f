"""The encoder in a process of its own: it answers as it would here, and is started anew where it ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
import torch

import embstore
from embstore.errors import InvalidInput, NotReady
from embstore.records import Encoded
from embstore.service import encoder_process, opened
from embstore.service.encoder_process import EncoderProcess, answer, load_for_service
from embstore.store.structures.exact import threads
from service.conftest import client_of, until
from stub_encoder import StubEncoder

TEXTS = ["the cat sat", "a", "the cat sat on the mat " * 30]


class Panic(BaseException):
    """What libraries written in Rust raise; it holds what no other process can have."""

    def __init__(self) -> None:
        super().__init__("it is ours")
        self.lock = threading.Lock()


class Failing(StubEncoder):
    """An encoder that fails as its text says, and tells its threads as a count of tokens."""

    def encode(self, texts: Sequence[str]) -> Encoded:
        if "refused" in texts:
            raise InvalidInput("No such text.", why="It is refused.")
        if "strange" in texts:
            raise Panic
        if "disk" in texts:
            raise OSError("no space left")
        found = super().encode(texts)
        return Encoded(found.embeddings, found.truncated, tokens=np.full(len(texts), torch.get_num_threads()))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Sequence[str]], Encoded]:
    """Return a function that asks the other half, which runs in a thread of this process."""
    monkeypatch.setattr(encoder_process, "load_for_service", lambda _: Failing())
    ours, theirs = Pipe()
    other = threading.Thread(target=answer, args=(theirs, tmp_path), daemon=True)
    here = EncoderProcess.__new__(EncoderProcess)
    here._connection, here.problem = ours, ""
    other.start()
    assert ours.recv()[0] == 16
    return here.encode


def test_it_encodes_as_the_encoder_does(tiny: Path) -> None:
    here, there = load_for_service(tiny), EncoderProcess(tiny)
    assert (there.dim, there.fingerprint, there.config) == (here.dim, here.fingerprint, here.config)
    for texts in (TEXTS, [], ["the cat"] * 40):
        wanted, found = here.encode(texts), there.encode(texts)
        np.testing.assert_array_equal(found.embeddings, wanted.embeddings)
        np.testing.assert_array_equal(found.truncated, wanted.truncated)
        np.testing.assert_array_equal(found.tokens, wanted.tokens)
    there.close()
    with pytest.raises(ProcessLookupError):
        os.kill(there.pid, 0)


def test_it_ends_with_the_last_reference(tiny: Path) -> None:
    encoder = EncoderProcess(tiny)
    pid = encoder.pid
    del encoder
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_service_that_stops_ends_it(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = []

    def begun(path: Path) -> EncoderProcess:
        encoder = EncoderProcess(path)
        pids.append(encoder.pid)
        return encoder

    monkeypatch.setattr(opened, "EncoderProcess", begun)
    with client_of(tiny) as client:
        assert client.post("/v1/search", json={"text": "the cat"}).status_code == 200
        os.kill(pids[0], 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_another_is_started_where_it_is_killed(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = EncoderProcess(tiny)
    wanted, first = encoder.encode(TEXTS), encoder.pid
    os.kill(first, signal.SIGKILL)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(encoder.encode(TEXTS).embeddings, wanted.embeddings)
    assert encoder.pid != first
    assert "ended" in caplog.text


def test_a_service_has_it_started_again_before_a_text_asks_and_is_not_ready_until_then(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[EncoderProcess] = []

    def begin(path: Path) -> EncoderProcess:
        begun.append(EncoderProcess(path))
        return begun[0]

    monkeypatch.setattr(opened, "EncoderProcess", begin)
    with client_of(tiny) as client:
        first = begun[0].pid
        os.kill(first, signal.SIGKILL)
        until(lambda: begun[0].pid != first and not begun[0].ended)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/bin/false")
            os.kill(begun[0].pid, signal.SIGKILL)
            until(lambda: client.get("/readyz").status_code == 503)
            refused = client.post("/v1/search", json={"text": "the cat"})
            assert (refused.status_code, refused.json()["type"]) == (503, "urn:embstore:problem:not-ready")
            assert client.post("/v1/search", json={"id": "r1"}).status_code == 200
            assert client.get("/healthz").status_code == 200
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/search", json={"text": "the cat"}).status_code == 200


def test_a_signal_before_it_listens_to_one_does_not_end_it(tiny: Path) -> None:
    connection, process = encoder_process._started(tiny)
    process.send_signal(signal.SIGTERM)
    try:
        dim, _, _ = connection.recv()
    finally:
        encoder_process._end(process, connection)
    assert dim == load_for_service(tiny).dim
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_what_keeps_another_from_starting_is_told_as_not_ready(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = EncoderProcess(tiny)
    wanted = encoder.encode(TEXTS)
    os.kill(encoder.pid, signal.SIGKILL)
    aside = tiny.rename(tmp_path / "aside")
    with caplog.at_level(logging.WARNING), pytest.raises(NotReady, match="cannot be started again") as told:
        encoder.encode(TEXTS)
    aside.rename(tiny)
    # The path is for the log.
    assert str(tiny) in caplog.text
    assert str(tiny) not in str(told.value)
    for program, said in (
        ("/bin/false", "while it loaded"),
        ("/nowhere/python", "process cannot be started"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", program)
            assert not encoder.revive()
            # Nobody waits for what was tried in vain just now.
            with pytest.raises(NotReady, match=said):
                encoder.encode(TEXTS)
    assert encoder.ended
    assert encoder.revive()
    assert not encoder.ended
    np.testing.assert_array_equal(encoder.encode(TEXTS).embeddings, wanted.embeddings)


def test_a_process_that_ends_again_over_the_same_texts_is_told(tiny: Path) -> None:
    encoder = EncoderProcess(tiny)
    ask = encoder._ask

    def killing(asked: encoder_process.Asked) -> Encoded | Exception:
        os.kill(encoder.pid, signal.SIGKILL)
        return ask(asked)

    encoder._ask = killing  # type: ignore[method-assign]
    with pytest.raises(NotReady, match="ended again") as told:
        encoder.encode(TEXTS)
    assert "memory" in told.value.why
    del encoder._ask
    assert len(encoder.encode(TEXTS).embeddings) == len(TEXTS)


def test_another_encoder_never_answers_for_it(tiny: Path, tiny_distilbert: Path) -> None:
    encoder = EncoderProcess(tiny)
    before = encoder.fingerprint
    os.kill(encoder.pid, signal.SIGKILL)
    embstore.delete_store(tiny)
    embstore.build_store(tiny.parent.parent / "tiny.jsonl", "tiny", encoder=str(tiny_distilbert))
    for _ in range(2):
        with pytest.raises(NotReady, match="another encoder"):
            encoder.encode(TEXTS)
    assert encoder.fingerprint == before


def test_what_the_encoder_raises_comes_through(asked: Callable[[Sequence[str]], Encoded]) -> None:
    with pytest.raises(InvalidInput, match="No such text") as told:
        asked(["refused"])
    assert told.value.why == "It is refused."
    for text, said in (("disk", "OSError: no space left"), ("strange", "Panic: it is ours")):
        with pytest.raises(RuntimeError, match=said):
            asked([text])
    np.testing.assert_array_equal(asked(["a", "b"]).embeddings, StubEncoder().encode(["a", "b"]).embeddings)


def test_it_uses_as_many_threads_as_faiss_would_here(asked: Callable[[Sequence[str]], Encoded]) -> None:
    usual = asked(["a"]).tokens[0]
    with threads(1):
        assert asked(["a"]).tokens[0] == 1
    assert asked(["a"]).tokens[0] == usual
