"""The desk: what the routes ask; it hands texts to the encoder's thread and questions to the store's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embstore.errors import InvalidInput
from embstore.records import Embeddings, Encoded, TextEncoder
from embstore.service.batching import Batcher
from embstore.service.live import LiveStore
from embstore.service.metrics import Metrics
from embstore.service.opened import Opened
from embstore.service.options import ServeOptions
from embstore.service.questions import Question, answer_all

# Tokens of a batch: more gain no speed and make the next request wait.
_TOKEN_BUDGET = 1024
# Characters of a token, about, of English text.
_CHARACTERS = 4


@dataclass(frozen=True)
class _Texts:
    """Texts of one request and the encoder of its generation."""

    encoder: TextEncoder
    texts: list[str]


class Desk:
    """Everything that a route needs: options, the live store, and two threads that work for it.

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
        self._encoding: Batcher[_Texts, Encoded] = Batcher(
            self._encode, weigh=_tokens, budget=_TOKEN_BUDGET, wait=options.wait / 1000, name="encode"
        )
        # SQLite's connection is one thread's at a time, so all questions to the store go through this one.
        self._asking: Batcher[Question, Any] = Batcher(answer_all, budget=64, name="ask")
        live.in_encoding_thread = self._encoding.run
        # A request that was given up may still be asking: in the same thread its store is closed after it.
        live.close = lambda opened: self._asking.leave(opened.store.close)

    async def start(self) -> None:
        """Open the store and start the threads; raises as `LiveStore.start` does."""
        await self.live.start()
        self._encoding.start()
        self._asking.start()

    async def stop(self) -> None:
        """Stop the threads and close the store."""
        await self.live.rest()
        await self._encoding.stop()
        await self._asking.stop()
        await self.live.stop()

    async def encode(self, opened: Opened, texts: list[str]) -> Encoded:
        """Embed the texts of a request, together with those of others.

        Raises
        ------
        InvalidInput
            The encoder fails on a text.
        """
        return await self._encoding.ask(_Texts(opened.encoder, texts))

    async def ask(self, question: Question) -> Any:
        """Return what a question to the store returns, or raise what it raises."""
        return await self._asking.ask(question)

    def _encode(self, batch: Sequence[_Texts]) -> list[Encoded | BaseException]:
        begun = time.perf_counter()
        answers: dict[int, Encoded | BaseException] = {}
        # Nearly always one: a store that was built anew with another encoder makes a second for a moment.
        for encoder in {id(one.encoder): one.encoder for one in batch}.values():
            places = [place for place, one in enumerate(batch) if one.encoder is encoder]
            found = _encoded(encoder, [batch[place].texts for place in places])
            answers.update(zip(places, found, strict=True))
        self.metrics.batch_texts.observe(sum(len(one.texts) for one in batch))
        self.metrics.encode_seconds.observe(time.perf_counter() - begun)
        return [answers[place] for place in range(len(batch))]


def _encoded(encoder: TextEncoder, requests: list[list[str]]) -> list[Encoded | BaseException]:
    found = encoder.encode([text for texts in requests for text in texts])
    answers: list[Encoded | BaseException] = []
    start = 0
    for texts in requests:
        end = start + len(texts)
        failed = next((found.errors[place] for place in range(start, end) if place in found.errors), None)
        if failed is None:
            rows = slice(start, end)
            answers.append(Encoded(found.embeddings[rows], found.truncated[rows], tokens=found.tokens[rows]))
        else:
            answers.append(InvalidInput("A text cannot be embedded.", why=f"{failed}."))
        start = end
    return answers


def _tokens(item: _Texts) -> float:
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
