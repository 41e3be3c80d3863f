"""Classify: what a head says of texts, or of the records of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import embstore
from embstore.flows.classifier import Classification, Classifier
from embstore.records import Encoded, Record, Rejected

if TYPE_CHECKING:
    from embstore.data import ReadOptions

# Texts of a dataset that are encoded together.
_WINDOW = 1024
_COLUMNS = (
    *("id", "split", "given", "label", "probability", "runner_up", "runner_up_probability", "abstain"),
    *("truncated", "head", "text", "evidence", "error"),
)


def classify_texts(
    texts: Sequence[str],
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    head: str | None = None,
    evidence: int = 3,
) -> list[Classification]:
    """Classify texts with a head of a store; see `Classifier.open` and `Classifier.classify`."""
    with Classifier.open(store, home=home, head=head) as classifier:
        return classifier.classify(texts, evidence=evidence)


def classify_dataset(
    dataset: str | Path | Sequence[str],
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    head: str | None = None,
    evidence: int = 0,
    options: ReadOptions | None = None,
) -> Iterator[dict[str, Any]]:
    """Classify the texts of a dataset, window by window.

    Parameters
    ----------
    dataset, options
        As `build_store` takes them; a label that the dataset has is passed on as ``given``.
    store, home, head, evidence
        See `Classifier.open` and `Classifier.classify`.

    Yields
    ------
    dict
        JSON values of one record, in the order of the dataset: ``id``, ``split``, ``given``, what
        `Classification.as_json` gives, and ``error``, which is empty unless the record cannot be classified.
    """
    source = embstore.open_dataset(
        dataset, options or embstore.ReadOptions()
    )  # lazily: most calls read no dataset
    with Classifier.open(store, home=home, head=head) as classifier:
        records = iter(source)
        while window := list(islice(records, _WINDOW)):
            good = [one for one in window if isinstance(one, Record)]
            answers = _answers(classifier, good, evidence)
            for one in window:
                yield _rejected(one) if isinstance(one, Rejected) else next(answers)


def _answers(classifier: Classifier, records: list[Record], evidence: int) -> Iterator[dict[str, Any]]:
    """Yield the row of each record; one that the encoder fails on says why and costs the others nothing."""
    if not records:
        return
    encoded = classifier.store.encoder.encode([one.text for one in records])
    good = [place for place in range(len(records)) if place not in encoded.errors]
    usable = Encoded(encoded.embeddings[good], encoded.truncated[good])
    texts = [records[place].text for place in good]
    answers = iter(classifier.classify_encoded(texts, usable, evidence=evidence) if good else ())
    for place, one in enumerate(records):
        error = encoded.errors.get(place)
        yield _answered(one, next(answers)) if error is None else _failed(one, error)


def _answered(record: Record, answer: Classification) -> dict[str, Any]:
    said = {"id": record.id, "split": record.split, "given": record.label, **answer.as_json(), "error": ""}
    return {name: said[name] for name in _COLUMNS}


def _failed(record: Record, error: str) -> dict[str, Any]:
    known = {"id": record.id, "split": record.split, "given": record.label, "text": record.text}
    said: dict[str, Any] = {**known, "evidence": [], "error": f"the text cannot be embedded: {error}"}
    return {name: said.get(name) for name in _COLUMNS}


def _rejected(one: Rejected) -> dict[str, Any]:
    known: dict[str, Any] = {"id": one.id, "split": one.split, "error": one.error, "evidence": []}
    return {name: known.get(name) for name in _COLUMNS}
