"""The desk: what the routes ask; it hands texts to the encoder's thread and questions to the store's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from threading import Lock
from typing import Any

import numpy as np

from embstore.errors import InvalidInput
from embstore.records import Embeddings, Encoded
from embstore.service.batching import Batcher
from embstore.service.encoder_process import EncoderProcess
from embstore.service.live import LiveStore
from embstore.service.metrics import Metrics
from embstore.service.opened import Opened
from embstore.service.options import ServeOptions
from embstore.service.questions import Question, Texts, answer_all, encode_all
from embstore.service.storm import Storm
from embstore.store.structures.exact import threads

# Tokens of a batch: more gain no speed and make the next request wait.
_TOKEN_BUDGET = 1024
# Characters of a token, about, of English text.
_CHARACTERS = 4


class Desk:
    """Everything that a route needs: options, the live store, and two threads that work for it.

    One encodes texts and asks the store about them, so that requests that were encoded together are answered
    together and come again together, as one batch. The other asks what needs no encoder, and never waits for
    it. The store is asked by one of them at a time.

    Parameters
    ----------
    options : ServeOptions
        Limits.
    live : LiveStore
        The store.
    metrics : Metrics
        Where batches are counted.

    Attributes
    ----------
    storm : Storm
        In one, torch encodes and faiss searches by a single thread each. The cores are busy with refusals
        then; threads that wait for each other at each step wait for these, and a text took twice as long.
        ONNX Runtime has threads of its own, which are left as they are.
    """

    def __init__(self, options: ServeOptions, live: LiveStore, metrics: Metrics) -> None:
        self.options = options
        self.live = live
        self.metrics = metrics
        self.storm = Storm(options.queue)
        self._encoding: Batcher[Texts, Any] = Batcher(
            self._answer_texts, weigh=_tokens, budget=_TOKEN_BUDGET, wait=options.wait / 1000, name="encode"
        )
        self._asking: Batcher[Question, Any] = Batcher(self._answer, budget=64, name="ask")
        self._store = Lock()
        self._closing: set[asyncio.Task[None]] = set()
        live.close, live.mend = self._close, self._mend

    async def start(self) -> None:
        """Open the store and start the threads; raises as `LiveStore.start` does."""
        await self.live.start()
        self._encoding.start()
        self._asking.start()

    async def stop(self) -> None:
        """Stop the threads and close the store."""
        await self.live.rest()
        await asyncio.gather(*self._closing)
        await self._encoding.stop()
        await self._asking.stop()
        await self.live.stop()

    @property
    def problem(self) -> str:
        """Why texts cannot be encoded now, or the empty string; raises as `LiveStore.current` does."""
        encoder = self.live.current.encoder
        return encoder.problem if isinstance(encoder, EncoderProcess) else ""

    async def encode(self, opened: Opened, texts: list[str]) -> Encoded:
        """Embed the texts of a request, together with those of others.

        Raises
        ------
        InvalidInput
            The encoder fails on a text.
        """
        encoded: Encoded = await self._encoding.ask(Texts(opened, texts))
        return encoded

    async def ask_of(self, opened: Opened, texts: list[str], then: Callable[[Encoded], Question]) -> Any:
        """Return what a question about texts returns, once they are encoded; raises as `encode` and `ask`."""
        return await self._encoding.ask(Texts(opened, texts, then))

    async def ask(self, question: Question) -> Any:
        """Return what a question to the store returns, or raise what it raises."""
        return await self._asking.ask(question)

    def _close(self, opened: Opened) -> None:
        """Close a generation once no thread can be asking it for a request that was given up."""

        async def close() -> None:
            await self._encoding.run(lambda: None)
            await self._asking.run(opened.store.close)

        task = asyncio.get_running_loop().create_task(close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _mend(self, opened: Opened) -> bool:
        """Have an encoder whose process ended started anew; return whether it answers."""
        encoder = opened.encoder
        if not isinstance(encoder, EncoderProcess) or not encoder.ended:
            return True
        return await self._encoding.run(encoder.revive)

    def _answer(self, questions: Sequence[Question]) -> list[Any]:
        with self._store:
            return answer_all(questions)

    def _answer_texts(self, batch: Sequence[Texts]) -> list[Any]:
        with threads(1) if self.storm.was_there else nullcontext():
            return self._answer_encoded(batch)

    def _answer_encoded(self, batch: Sequence[Texts]) -> list[Any]:
        begun = time.perf_counter()
        answers: list[Any] = encode_all(batch)
        self.metrics.batch_texts.observe(sum(len(one.texts) for one in batch))
        self.metrics.encode_seconds.observe(time.perf_counter() - begun)
        questions = {
            place: one.then(answers[place])
            for place, one in enumerate(batch)
            if one.then is not None and not isinstance(answers[place], BaseException)
        }
        for place, answer in zip(questions, self._answer(list(questions.values())), strict=True):
            answers[place] = answer
        return answers


def _tokens(item: Texts) -> float:
    return sum(2 + len(text) / _CHARACTERS for text in item.texts)


def direction_of(values: Sequence[float]) -> Embeddings:
    """Return an embedding of a request, (1, dim), float32, scaled where it would not fit into float32.

    Raises
    ------
    InvalidInput
        All values are zero.
    """
    wide = np.asarray(values, dtype=np.float64)
    largest = float(np.abs(wide).max(initial=0.0))
    if largest == 0.0:
        raise InvalidInput("The embedding is zero.", why="It has no direction to be similar to.")
    if not 1e-15 < largest < 1e15:
        wide = wide / largest
    return wide.astype(np.float32)[np.newaxis]
