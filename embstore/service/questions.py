"""Questions to a store: texts are encoded together, and searches alike made together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from embstore.errors import EmbstoreError, InvalidInput
from embstore.records import Embeddings, Encoded, Neighbor, TextEncoder
from embstore.service.opened import Opened


@dataclass(frozen=True)
class Search:
    """Neighbors of one embedding.

    Parameters
    ----------
    opened : Opened
        The generation that answers.
    query : ndarray of shape (1, dim), float32
        Not zero.
    k : int
        Neighbors, at least 1.
    split, label : str or None
        Which records may be neighbors.
    """

    opened: Opened
    query: Embeddings
    k: int
    split: str | None
    label: str | None

    @property
    def alike(self) -> tuple[Any, ...]:
        """What searches must share to be one."""
        return id(self.opened), self.k, self.split, self.label


#: A search, or anything else that is asked with the store in hand.
Question: TypeAlias = Search | Callable[[], Any]


@dataclass(frozen=True)
class Texts:
    """Texts of one request, and what is asked once they are encoded.

    Parameters
    ----------
    opened : Opened
        The generation whose encoder embeds them.
    texts : list of str
        At least one.
    then : callable, optional
        Returns the question from what was encoded; without it that is the answer.
    """

    opened: Opened
    texts: list[str]
    then: Callable[[Encoded], Question] | None = None


def encode_all(requests: Sequence[Texts]) -> list[Encoded | BaseException]:
    """Return what each request's texts are encoded to, or the error that one of them makes."""
    answers: dict[int, Encoded | BaseException] = {}
    # Nearly always one: a store that was built anew with another encoder makes a second for a moment.
    for encoder in {id(one.opened.encoder): one.opened.encoder for one in requests}.values():
        places = [place for place, one in enumerate(requests) if one.opened.encoder is encoder]
        try:
            found = _encoded(encoder, [requests[place].texts for place in places])
        except EmbstoreError as error:
            found = [error] * len(places)
        answers.update(zip(places, found, strict=True))
    return [answers[place] for place in range(len(requests))]


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


def answer_all(questions: Sequence[Question]) -> list[Any]:
    """Return the answer to each question, or the error that it raises.

    Searches alike are made at once: by all threads, and their records are read together.
    """
    answers: list[Any] = [None] * len(questions)
    alike: dict[tuple[Any, ...], list[int]] = {}
    searches: dict[int, Search] = {}
    for place, question in enumerate(questions):
        if isinstance(question, Search):
            searches[place] = question
            alike.setdefault(question.alike, []).append(place)
        else:
            answers[place] = _answer(question)
    for places in alike.values():
        for place, answer in zip(places, _neighbors([searches[place] for place in places]), strict=True):
            answers[place] = answer
    return answers


def _neighbors(searches: Sequence[Search]) -> list[list[Neighbor]] | list[Exception]:
    first = searches[0]
    queries = np.concatenate([one.query for one in searches])
    try:
        return first.opened.store.neighbors_of(queries, first.k, split=first.split, label=first.label)
    except Exception as error:  # noqa: BLE001 - others of the batch must not fail with it
        # A query that is refused is refused before it comes here; what is left concerns them all.
        return [error] * len(searches)


def _answer(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except Exception as error:  # noqa: BLE001 - whatever it is, others of the batch must not fail with it
        return error
