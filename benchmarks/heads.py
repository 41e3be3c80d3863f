"""Heads beside scikit-learn's on the frozen embeddings of emotion: fit on train, score on validation.

Ours choose their settings inside `fit` (number and weights of neighbors by leave-one-out, the strength of
regularization by cross-validation) and calibrate; scikit-learn's have fixed settings. The embeddings are
the default encoder's in float32; nothing is encoded in the measured time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import embstore
from common import RATIOS, note, reference, spread, table, times_as_fast

# Embeddings and labels; seconds of fit and of predict, and the accuracy.
Part = tuple[np.ndarray, np.ndarray]
Figures = tuple[float, float, float]
# A head of ours, then the peers that it is compared with.
HEADS: tuple[dict[str, Callable[[], Any]], ...] = (
    {
        "embstore: `KNNHead()`": embstore.KNNHead,
        '`KNeighborsClassifier(metric="cosine")`': lambda: KNeighborsClassifier(metric="cosine"),
    },
    {
        "embstore: `LogisticHead()`": embstore.LogisticHead,
        "`LogisticRegression(max_iter=3000)`": lambda: LogisticRegression(max_iter=3000),
        "`LogisticRegression(max_iter=3000)`, standardized": lambda: make_pipeline(
            StandardScaler(), LogisticRegression(max_iter=3000)
        ),
    },
)


def main() -> None:
    """Print seconds and accuracy, and the ratios of the same rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, help="of train; all where it is not given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="folder that keeps the store for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        train, held = splits(arguments.home or Path(folder), arguments.texts)
    found = [contest(heads, train, held, arguments.rounds) for heads in HEADS]
    n_train, n_held = len(train[1]), len(held[1])
    print(f"{n_train:,} embeddings of train, {n_held:,} of validation, {arguments.rounds} rounds.\n")
    rows = [(name, *row(figures)) for heads in found for name, figures in heads.items()]
    print(table(["", "fit, s", "predict, s", "accuracy"], rows))
    ratios = []
    for heads in found:
        (_, ours), *peers = ((name, [one[0] + one[1] for one in figures]) for name, figures in heads.items())
        ratios += [times_as_fast(f"{peer}, fit and predict", theirs, ours) for peer, theirs in peers]
    print(table(RATIOS, ratios))


def contest(
    heads: dict[str, Callable[[], Any]], train: Part, held: Part, rounds: int
) -> dict[str, list[Figures]]:
    """Return what each head took, by round."""
    found: dict[str, list[Figures]] = {name: [] for name in heads}
    for _ in range(rounds):
        for name, make in heads.items():
            note(name)
            found[name].append(measured(make(), train, held))
    return found


def row(figures: list[Figures]) -> tuple[str, str, str]:
    """Return what the table shows of a head."""
    fit, predict, accuracy = zip(*figures, strict=True)
    return spread(fit), spread(predict, ".3f"), f"{accuracy[0]:.4f}"


def splits(home: Path, n: int | None) -> tuple[Part, Part]:
    """Return embeddings and labels of train (or its first n) and validation."""
    options = embstore.EncoderOptions(dtype="float32")
    embstore.build_store(reference("emotion"), "emotion-mean", home=home, encoder=options)
    with embstore.Store.open("emotion-mean", home=home) as store:
        train, held = store.split("train"), store.split("validation")
        return (
            (np.array(train.embeddings[:n]), np.array(train.labels[:n])),
            (np.array(held.embeddings), np.array(held.labels)),
        )


def measured(head: Any, train: Part, held: Part) -> Figures:
    """Return the seconds of fit and of predict, and the accuracy."""
    begun = time.perf_counter()
    head.fit(*train)
    fitted = time.perf_counter()
    found = head.predict(held[0])
    return fitted - begun, time.perf_counter() - fitted, float((found == held[1]).mean())


if __name__ == "__main__":
    main()
