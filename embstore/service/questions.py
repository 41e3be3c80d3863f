"""Questions to a store: those that search alike are searched together, each answer stays its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from embstore.errors import EmbstoreError
from embstore.records import Embeddings, Neighbor
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


def answer_all(questions: Sequence[Question]) -> list[Any]:
    """Return the answer to each question, or the error that it raises.

    A search reads the whole index, whose bytes take longer to arrive than to compare: eight together cost
    little more than one.
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


def _neighbors(searches: Sequence[Search]) -> list[list[Neighbor]] | list[EmbstoreError]:
    first = searches[0]
    queries = np.concatenate([one.query for one in searches])
    try:
        return first.opened.store.neighbors_of(queries, first.k, split=first.split, label=first.label)
    except EmbstoreError as error:
        # A query that is refused is refused before it comes here; what is left concerns them all.
        return [error] * len(searches)


def _answer(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except EmbstoreError as error:
        return error
