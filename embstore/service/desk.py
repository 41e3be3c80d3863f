"""The desk: what the routes ask; it hands questions to the one thread that encodes and searches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from embstore.errors import InvalidInput
from embstore.records import Embeddings, Encoded
from embstore.service.batching import Batcher
from embstore.service.live import LiveStore
from embstore.service.metrics import Metrics
from embstore.service.opened import Opened
from embstore.service.options import ServeOptions
from embstore.service.questions import Question, Texts, answer_all, encode_all

# Tokens of a batch: more gain no speed and make the next request wait.
_TOKEN_BUDGET = 1024
# Characters of a token, about, of English text.
_CHARACTERS = 4
# A search without a text, in tokens that take as long.
_SEARCH = 16


class Desk:
    """Everything that a route needs: options, the live store, and a thread that works for it.

    Encoding and searching take turns in that thread. Side by side they took longer: each has threads of its
    own for its arithmetic, which are more than the cores and wait for each other. Requests that are answered
    together also come again together, so that their texts make one batch.

    Parameters
    ----------
    options : ServeOptions
        Limits.
    live : LiveStore
        The store.
    metrics : Metrics
        Where batches are counted.
    """

    def __init__(self, options: ServeOptions, live: LiveStore, metrics: Metrics) -> None:
        self.options = options
        self.live = live
        self.metrics = metrics
        self._work: Batcher[Texts | Question, Any] = Batcher(
            self._answer, weigh=_weight, budget=_TOKEN_BUDGET, wait=options.wait / 1000, name="work"
        )
        live.in_working_thread = self._work.run
        # A request that was given up may still be asking: in the same thread its store is closed after it.
        live.close = lambda opened: self._work.leave(opened.store.close)

    async def start(self) -> None:
        """Open the store and start the thread; raises as `LiveStore.start` does."""
        await self.live.start()
        self._work.start()

    async def stop(self) -> None:
        """Stop the thread and close the store."""
        await self.live.rest()
        await self._work.stop()
        await self.live.stop()

    async def encode(self, opened: Opened, texts: list[str]) -> Encoded:
        """Embed the texts of a request, together with those of others.

        Raises
        ------
        InvalidInput
            The encoder fails on a text.
        """
        encoded: Encoded = await self._work.ask(Texts(opened, texts))
        return encoded

    async def ask_of(self, opened: Opened, texts: list[str], then: Callable[[Encoded], Question]) -> Any:
        """Return what a question about texts returns, once they are encoded; raises as `encode` and `ask`."""
        return await self._work.ask(Texts(opened, texts, then))

    async def ask(self, question: Question) -> Any:
        """Return what a question to the store returns, or raise what it raises."""
        return await self._work.ask(question)

    def _answer(self, batch: Sequence[Texts | Question]) -> list[Any]:
        answers: list[Any] = [None] * len(batch)
        questions = {place: one for place, one in enumerate(batch) if not isinstance(one, Texts)}
        texts = {place: one for place, one in enumerate(batch) if isinstance(one, Texts)}
        for (place, one), encoded in zip(texts.items(), self._encode(list(texts.values())), strict=True):
            if one.then is None or isinstance(encoded, BaseException):
                answers[place] = encoded
            else:
                questions[place] = one.then(encoded)
        for place, answer in zip(questions, answer_all(list(questions.values())), strict=True):
            answers[place] = answer
        return answers

    def _encode(self, requests: Sequence[Texts]) -> list[Encoded | BaseException]:
        if not requests:
            return []
        begun = time.perf_counter()
        encoded = encode_all(requests)
        self.metrics.batch_texts.observe(sum(len(one.texts) for one in requests))
        self.metrics.encode_seconds.observe(time.perf_counter() - begun)
        return encoded


def _weight(item: Texts | Question) -> float:
    if not isinstance(item, Texts):
        return _SEARCH
    return sum(_SEARCH + len(text) / _CHARACTERS for text in item.texts)


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
