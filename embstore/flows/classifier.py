"""A store and one of its heads, opened to classify texts and to show what speaks for each answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import embstore.flows.opening  # noqa: F401  (a store opened here can load its encoder)
from embstore.errors import EncoderMismatch, InvalidData, InvalidInput, NotFound
from embstore.learn.scorers import LinearScorer, Scorer, VoteScorer, scorer_from
from embstore.records import Embeddings, Encoded, Neighbor, Prediction, Probabilities
from embstore.store import Store
from embstore.store.allowed import Allowed
from embstore.store.derived import Derived, fit_line, list_derived, read_derived
from embstore.store.queries import encode_queries
from embstore.store.search import search

HEAD = "head"


@dataclass(frozen=True)
class Classification:
    """The answer to one text.

    Parameters
    ----------
    text : str
        What was classified.
    prediction : Prediction
        Label, probability, runner-up, and whether the head abstains.
    evidence : list of Neighbor
        The training texts with the predicted label that are most similar to the text, most similar first.
    truncated : bool
        The text is longer than the encoder reads; the rest was not seen.
    store, head : str
        Path of the store and name of the head that answered.
    note : str
        What a person should know about the head, or the empty string.
    probabilities : dict of str to float
        Calibrated, of each class, by ascending name.
    """

    text: str
    prediction: Prediction
    evidence: list[Neighbor]
    truncated: bool
    store: str
    head: str
    note: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        said = self.prediction
        return {
            "text": self.text,
            "label": said.label,
            "probability": round(said.probability, 6),
            "runner_up": said.runner_up,
            "runner_up_probability": round(said.runner_up_probability, 6),
            "abstain": said.abstain,
            "truncated": self.truncated,
            "head": self.head,
            "evidence": [
                {
                    "similarity": round(one.similarity, 6),
                    "id": one.record.id,
                    "label": one.record.label,
                    "text": one.record.text,
                }
                for one in self.evidence
            ],
        }


class Classifier:
    """A store and one of its heads, opened to classify.

    Made by `Classifier.open`; close it, or use it in a ``with`` statement.

    Parameters
    ----------
    store : Store
        Where the training texts are.
    head : str
        Name of the head.
    scorer : LinearScorer or VoteScorer
        The fitted head.
    facts : dict
        What the store keeps beside the head: split, dataset and settings that it was fitted with.
    """

    def __init__(self, store: Store, head: str, scorer: Scorer, facts: dict[str, Any]) -> None:
        self.store = store
        self.head = head
        self.scorer = scorer
        self.facts = facts

    @classmethod
    def open(
        cls, store: str | Path | None = None, *, home: str | Path | None = None, head: str | None = None
    ) -> Classifier:
        """Open a store and one of its heads.

        Parameters
        ----------
        store, home
            See `Store.open`.
        head : str, optional
            Name of the head; None takes the one fitted last.

        Raises
        ------
        NotFound
            There is no such store or head.
        StoreDamaged
            The files of the store contradict each other, or the head's file its checksum.
        EncoderMismatch
            The head was fitted on embeddings of another encoder.
        """
        with ExitStack() as unfinished:
            opened = unfinished.enter_context(Store.open(store, home=home))
            classifier = cls.of(opened, head)
            unfinished.pop_all()
        return classifier

    @classmethod
    def of(cls, store: Store, head: str | None = None) -> Classifier:
        """Open one of the heads of an open store; raises as `open` does."""
        name = _head_name(store, head)
        derived = read_derived(store.path, store.reader, HEAD, name)
        if derived is None:
            raise NotFound(f"The store {store.name} has no head {name!r}.", fix=fit_line(store.path, name))
        _check_encoder(store, name, derived.facts)
        scorer = _scorer(store, name, derived)
        _check_rows(store, name, scorer)
        return cls(store, name, scorer, dict(derived.facts))

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def note(self) -> str:
        """What a person should know about the head, or the empty string."""
        if self.facts.get("content") in (None, self.store.reader.content_key()):
            return ""
        return (
            f"The head {self.head} was fitted before {self.store.name} was last changed: "
            f"{fit_line(self.store.path, self.head, self.facts)}"
        )

    def classify(self, texts: Sequence[str], *, evidence: int = 3) -> list[Classification]:
        """Classify texts.

        Parameters
        ----------
        texts : sequence of str
            Each of them not empty.
        evidence : int
            Training texts shown for each answer, at least 0.

        Returns
        -------
        list of Classification
            In the order of the texts.

        Raises
        ------
        InvalidInput
            One string where a sequence is due, an empty or endless text, or ``evidence < 0``.
        EncoderMismatch
            The model is no longer the one that built the store.
        """
        if isinstance(texts, str):
            raise InvalidInput("classify takes a sequence of texts, and got one str.", fix="classify([text])")
        if not len(texts):
            return []
        return self.classify_encoded(texts, encode_queries(self.store.encoder, texts), evidence=evidence)

    def classify_encoded(
        self, texts: Sequence[str], encoded: Encoded, *, evidence: int = 3
    ) -> list[Classification]:
        """Classify texts that the store's encoder has embedded already; see `classify`."""
        if evidence < 0:
            raise InvalidInput(
                f"{evidence} training texts cannot be shown.", why="It is 0 or more.", fix="-k 3"
            )
        probabilities = self.probabilities(encoded.embeddings)
        said = predictions(probabilities, self.scorer)
        shown = self._evidence(encoded.embeddings, [one.label for one in said], evidence)
        known = [dict(zip(self.scorer.classes, row, strict=True)) for row in probabilities.tolist()]
        answers = zip(texts, said, shown, encoded.truncated.tolist(), known, strict=True)
        where = str(self.store.path), self.head
        note = self.note
        return [Classification(*answer[:4], *where, note, answer[4]) for answer in answers]

    def probabilities(self, embeddings: Embeddings) -> Probabilities:
        """Return the calibrated probabilities, (n, n_classes), of embeddings of shape (n, dim), float32."""
        if isinstance(self.scorer, LinearScorer):
            return self.scorer.probabilities(embeddings)
        rows = self.scorer.rows
        allowed = np.zeros(self.store.snapshot.n_rows, dtype=np.bool_)
        allowed[rows] = True
        similarities, found = search(
            embeddings,
            self.scorer.k,
            index=self.store.index,
            shards=self.store.shards,
            segments=self.store.snapshot.segments,
            allowed=Allowed(allowed),
        )
        return self.scorer.probabilities(similarities, np.searchsorted(rows, found))

    def _evidence(self, embeddings: Embeddings, labels: list[str], k: int) -> list[list[Neighbor]]:
        if not k:
            return [[] for _ in labels]
        found: list[list[Neighbor]] = [[] for _ in labels]
        split = str(self.facts["split"])
        # The split or a label may have left the store since the fit, or have come since the store was opened:
        # the head answers all the same.
        reader, snapshot = self.store.reader, self.store.snapshot
        if split not in reader.counts("split", snapshot):
            return found
        known = reader.counts("label", snapshot)
        for label in set(labels) & set(known):
            asked = [position for position, one in enumerate(labels) if one == label]
            neighbors = self.store.neighbors_of(embeddings[asked], k, split=split, label=label)
            for position, near in zip(asked, neighbors, strict=True):
                found[position] = near
        return found


def predictions(probabilities: Probabilities, scorer: Scorer) -> list[Prediction]:
    """Return for each row of (n, n_classes) the two most probable classes, ties by the class's name."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    best = np.take_along_axis(probabilities, order, axis=1)
    return [
        Prediction(
            scorer.classes[first], probability, scorer.classes[second], other, probability < scorer.threshold
        )
        for (first, second), (probability, other) in zip(order.tolist(), best.tolist(), strict=True)
    ]


def _head_name(store: Store, head: str | None) -> str:
    names = [entry.name for entry in list_derived(store.reader, HEAD)]
    if head is None and names:
        return names[-1]
    if head in names:
        return str(head)
    what = f"The store {store.name} has no head{'' if head is None else f' {head!r}'}."
    why = f"It has: {', '.join(names)}." if names else "None was fitted yet."
    raise NotFound(what, why=why, fix=f"--head {names[-1]}" if names else fit_line(store.path, head or ""))


def _check_encoder(store: Store, name: str, facts: dict[str, Any]) -> None:
    if facts.get("fingerprint") != store.manifest.fingerprint:
        raise EncoderMismatch(
            f"The head {name} of {store.name} was fitted on embeddings of another encoder.",
            why=f"Its fingerprint is {str(facts.get('fingerprint'))[:12]}, "
            f"the store's is {store.manifest.fingerprint[:12]}.",
            fix=fit_line(store.path, name, facts),
        )


def _scorer(store: Store, name: str, derived: Derived) -> Scorer:
    try:
        return scorer_from(derived.tensors, derived.facts)
    except InvalidData as error:
        line = fit_line(store.path, name, derived.facts)
        raise InvalidData(
            f"The head {name} of {store.name}: {error.what}", why=error.why, fix=line
        ) from error


def _check_rows(store: Store, name: str, scorer: Scorer) -> None:
    """Refuse a head that was fitted on records which this opened store does not show."""
    last = scorer.rows.max(initial=-1) if isinstance(scorer, VoteScorer) else -1
    if last >= store.snapshot.n_rows:
        raise NotFound(
            f"The head {name} of {store.name} was fitted after the store was opened.",
            why=f"It was fitted on row {last}; the store had rows 0 to {store.snapshot.n_rows - 1} then.",
            fix="open the store again",
        )
