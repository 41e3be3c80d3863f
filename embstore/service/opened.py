"""One generation of a store, opened with all that answers need."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embstore.errors import EmbstoreError
from embstore.flows.classifier import HEAD, Classifier
from embstore.records import TextEncoder
from embstore.service.encoder_process import EncoderProcess
from embstore.service.places import within, without_folders
from embstore.store import Store, read_manifest
from embstore.store.derived import list_derived


@dataclass
class Opened:
    """A store at one moment: never changed once it is made, replaced as a whole.

    Parameters
    ----------
    store : Store
        Open, its index and its encoder read.
    classifiers : dict of str to Classifier
        By the head's name, oldest first; a head that cannot be used is left out.
    problems : dict of str to str
        By the head's name, why it is left out.
    facts : dict
        What ``/v1/stores`` tells.
    content : str
        A digest of records and labels.
    users : int
        Requests that are being answered from it.
    """

    store: Store
    classifiers: dict[str, Classifier]
    problems: dict[str, str]
    facts: dict[str, Any]
    content: str
    users: int = field(default=0)

    @property
    def name(self) -> str:
        """The store's name as answers tell it."""
        return str(self.facts["name"])

    @property
    def encoder(self) -> TextEncoder:
        """The store's encoder, loaded when it was opened."""
        return self.store.encoder


def open_encoder(path: Path, loaded: TextEncoder | None = None) -> TextEncoder:
    """Return a store's encoder, warm; takes some seconds where torch must be loaded.

    Parameters
    ----------
    path : Path
        The store's folder.
    loaded : TextEncoder, optional
        One that is loaded already; returned where it is the store's.

    Raises
    ------
    NotFound, StoreDamaged, EncoderMismatch
        See `Store.open`.
    NotReady
        See `EncoderProcess`.
    """
    if loaded is not None and loaded.fingerprint == read_manifest(path).fingerprint:
        return loaded
    return EncoderProcess(path)


def open_generation(path: Path, encoder: TextEncoder) -> Opened:
    """Open a store and read what its answers need; takes a second at most.

    Parameters
    ----------
    path : Path
        The store's folder.
    encoder : TextEncoder
        Of the store, see `open_encoder`.

    Raises
    ------
    NotFound, StoreDamaged, EncoderMismatch
        See `Store.open`.
    """
    store = Store.open(path, encoder=encoder)
    try:
        classifiers, problems = _classifiers(store)
        content = store.reader.content_key()
        facts = _facts(store, classifiers, problems, content)
        return Opened(store, classifiers, problems, facts, content)
    except EmbstoreError:
        store.close()
        raise


def _classifiers(store: Store) -> tuple[dict[str, Classifier], dict[str, str]]:
    classifiers, problems = {}, {}
    for entry in list_derived(store.reader, HEAD):
        try:
            classifiers[entry.name] = Classifier.of(store, entry.name)
        except EmbstoreError as error:
            problems[entry.name] = within(store.path, error.what)
    return classifiers, problems


def _facts(
    store: Store, classifiers: dict[str, Classifier], problems: dict[str, str], content: str
) -> dict[str, Any]:
    index = store.snapshot.index
    labels = store.reader.counts("label")
    last = store.reader.last_build() or {}
    return {
        # A folder's name may be no UTF-8, as an answer must be.
        "name": store.name.encode(errors="replace").decode(),
        "dataset": without_folders(str(last.get("dataset", ""))),
        "n": len(store),
        "dim": store.dim,
        "splits": [{"name": name, "n": n} for name, n in store.reader.counts("split").items()],
        "labels": [{"name": name, "n": n} for name, n in labels.items() if name is not None],
        "unlabelled": labels.get(None, 0),
        "heads": [_head(name, one) for name, one in classifiers.items()],
        "head_problems": problems,
        "encoder": {
            "model": without_folders(str(store.manifest.encoder.get("model", ""))),
            "pooling": str(store.manifest.encoder.get("pooling", "")),
            "max_length": store.manifest.encoder.get("max_length"),
            "fingerprint": store.manifest.fingerprint,
        },
        "index": {
            "generation": index.generation if index else 0,
            "kind": index.factory if index and store.index else "none",
            "recall": index.recall if index and store.index else 1.0,
            "problem": within(store.path, store.index_problem),
        },
        "generation": store.snapshot.sequence,
        # A store that was deleted and built again of the same records may have another encoder.
        "content": f"{store.manifest.uuid}-{content}",
    }


def _head(name: str, classifier: Classifier) -> dict[str, Any]:
    facts = classifier.facts
    return {
        "name": name,
        "kind": str(facts.get("kind", "")),
        "split": str(facts.get("split", "")),
        "classes": list(classifier.scorer.classes),
        "threshold": float(classifier.scorer.threshold),
        "note": within(classifier.store.path, classifier.note),
    }
