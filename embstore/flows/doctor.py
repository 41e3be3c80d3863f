"""Doctor: how fast and how faithful each way to run the encoder is, on the user's own texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from embstore.data import ReadOptions, open_dataset
from embstore.encode.forward import PaddedForward
from embstore.encode.gate import parity
from embstore.encode.int8 import NAME as INT8
from embstore.encode.onnx_encoder import OnnxEncoder, load_exported
from embstore.encode.paths import race, run, timed, write_choice
from embstore.encode.torch_encoder import TorchEncoder, calibrating
from embstore.errors import InvalidData, InvalidInput
from embstore.flows.encoders import EncoderChoice, encoder_for
from embstore.learn.logistic import LogisticHead
from embstore.learn.sampling import hold_out
from embstore.records import Embeddings, Record, Rejected, check_seed
from embstore.store import Store, find_store

Runner = Callable[[], tuple[Embeddings, float]]

#: Fewer texts say nothing about speed or neighbors.
LEAST_TEXTS = 64


@dataclass(frozen=True)
class PathReport:
    """One way to run the encoder.

    Parameters
    ----------
    name : str
        Of the path.
    texts_per_second : float
        On the texts at hand, in the quickest of rounds in which the paths take turns; of torch and the fused
        paths without tokenization.
    least_cosine, mean_cosine, overlap : float
        To the first path, see `embstore.encode.gate.Parity`.
    gate : {'neighbors', 'heads'}
        Which gate it faces; that of heads is for int8 alone, which ``--dtype auto`` never takes.
    passes : bool
        Whether that gate opens.
    accuracy : float or None
        Of a logistic head on held-out texts, 0 to 1; None without labels.
    """

    name: str
    texts_per_second: float
    least_cosine: float
    mean_cosine: float
    overlap: float
    gate: str
    passes: bool
    accuracy: float | None


@dataclass(frozen=True)
class Examination:
    """What `examine_encoder` found.

    Parameters
    ----------
    model, fingerprint, device : str
        The encoder and where it ran.
    texts, held_out : int
        Texts that were embedded; those of them that the heads were judged on.
    paths : tuple of PathReport
        The model as transformers runs it first: the reference.
    choice : str
        What long builds take on this machine from now on.
    token_budget : int
        Tokens of a batch.
    why : str
        Why it was chosen.
    """

    model: str
    fingerprint: str
    device: str
    texts: int
    held_out: int
    paths: tuple[PathReport, ...]
    choice: str
    token_budget: int
    why: str

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def examine_encoder(
    dataset: str | Path | Sequence[str] | None = None,
    store: str | Path | None = None,
    *,
    home: str | Path | None = None,
    encoder: EncoderChoice = None,
    options: ReadOptions | None = None,
    device: str = "auto",
    n_texts: int = 1000,
    seed: int = 0,
) -> Examination:
    """Run texts through every way that this machine has to run an encoder, and settle ``--dtype auto``.

    Parameters
    ----------
    dataset : str, Path or sequence of str, optional
        Whose first texts are taken; by default those of the store.
    store : str or Path, optional
        A name under the home, or a path; its encoder is examined unless one is named.
    home, encoder, options, device
        As in `build_store`.
    n_texts : int
        Texts at most; more of them take longer and say more.
    seed : int
        Of the held-out fifth.

    Raises
    ------
    InvalidInput
        Fewer than 64 texts are asked for, or a seed that cannot be.
    InvalidData
        There are fewer than 64 texts.
    NotFound, InvalidModel, HubUnreachable
        Store, dataset or model cannot be used.
    """
    if n_texts < LEAST_TEXTS:
        raise InvalidInput(
            f"{n_texts} texts are too few.", why=f"It takes {LEAST_TEXTS} or more.", fix="--texts 1000"
        )
    check_seed(seed)
    path: Path | None
    if dataset is None:
        path = find_store(store, home)
        records = _of_store(path, n_texts)
    else:
        path = None if store is None else find_store(store, home)
        records = _of_dataset(dataset, options, n_texts)
    if len(records) < LEAST_TEXTS:
        raise InvalidData(
            f"There are only {len(records)} texts.",
            why=f"It takes {LEAST_TEXTS} to compare speed and neighbors.",
            fix="embstore doctor sample",
        )
    chosen = encoder_for(encoder, path, device)
    if not isinstance(chosen, TorchEncoder):
        raise InvalidInput("Only encoders that torch runs are examined.", fix="encoder='all-MiniLM-L6-v2'")
    return _examine(chosen, records, seed)


def _examine(encoder: TorchEncoder, records: Sequence[Record], seed: int) -> Examination:
    texts = [record.text for record in records]
    device = encoder.model.device.type
    choice = encoder.try_paths(texts)
    write_choice(encoder.fingerprint, device, choice)
    judge = _Judge([record.label for record in records], seed)
    ids = encoder.token_ids(texts)
    config = encoder.config
    reference = PaddedForward(encoder.model, config["pooling"], normalize=config["normalize"])
    forwards = [reference, *(one for one in encoder.paths() if one.name != reference.name)]
    forwards += filter(None, [encoder.int8(calibrating(ids))])
    runners: dict[str, Runner] = {one.name: partial(run, one, ids, encoder.token_budget) for one in forwards}
    exported = load_exported(encoder.fingerprint) if device == "cpu" else None
    if exported is not None:
        runners["onnxruntime float32"] = partial(_run_exported, exported, texts)
    embeddings = [one()[0] for one in runners.values()]
    reports = [
        _report(name, embeddings[0], found, spent, judge)
        for name, found, spent in zip(runners, embeddings, race(list(runners.values())), strict=True)
    ]
    return Examination(
        model=str(config["model"]),
        fingerprint=encoder.fingerprint,
        device=device,
        texts=len(texts),
        held_out=judge.n,
        paths=tuple(reports),
        choice=choice.name,
        token_budget=choice.token_budget,
        why=choice.why,
    )


def _run_exported(exported: OnnxEncoder, texts: Sequence[str]) -> tuple[Embeddings, float]:
    encoded, seconds = timed(lambda: exported.encode(texts))
    return encoded.embeddings, seconds


def _report(name: str, known: Embeddings, found: Embeddings, seconds: float, judge: _Judge) -> PathReport:
    close = parity(known, found)
    return PathReport(
        name=name,
        texts_per_second=round(len(found) / seconds, 1),
        least_cosine=close.least_cosine,
        mean_cosine=close.mean_cosine,
        overlap=close.overlap,
        gate="heads" if name == INT8 else "neighbors",
        passes=close.passes_for_heads if name == INT8 else close.passes,
        accuracy=judge.accuracy(found),
    )


class _Judge:
    """Fits the same head on the same texts of each path."""

    def __init__(self, labels: Sequence[str | None], seed: int) -> None:
        self._rows = np.array([row for row, label in enumerate(labels) if label is not None], dtype=np.int64)
        names = [label for label in labels if label is not None]
        self._labels = np.array(names, dtype=object)
        self.n = 0
        if len(set(names)) < 2:
            return
        self._train, self._held_out = hold_out(names, 0.2, seed)
        # Of two texts of two labels one is held out, and one label is left to learn.
        if len(set(self._labels[self._train])) > 1:
            self.n = len(self._held_out)

    def accuracy(self, embeddings: Embeddings) -> float | None:
        """Return the share of held-out texts that a logistic head is right about."""
        if not self.n:
            return None
        labelled = embeddings[self._rows]
        head = LogisticHead(C=0.1).fit(labelled[self._train], self._labels[self._train])
        right = head.predict(labelled[self._held_out]) == self._labels[self._held_out]
        return float(np.mean(right))


def _of_store(path: Path, n_texts: int) -> list[Record]:
    with Store.open(path) as store:
        counts = store.reader.counts("split")
        if not counts:
            return []
        largest = max(counts.items(), key=lambda one: one[1])[0]
        split = store.split(str(largest))
        n = min(n_texts, len(split.ids))
        chosen = np.unique(np.linspace(0, len(split.ids) - 1, n).astype(int)).tolist()
        return [
            Record(id=split.ids[one], text=split.texts[one], label=split.labels[one], split=str(largest))
            for one in chosen
        ]


def _of_dataset(
    dataset: str | Path | Sequence[str], options: ReadOptions | None, n_texts: int
) -> list[Record]:
    source = open_dataset(dataset, options or ReadOptions())
    records = (record for record in source if not isinstance(record, Rejected))
    return list(islice(records, n_texts))
