"""The audit beside cleanlab: published counts, votes of people, flipped labels, and its time on emotion.

cleanlab ranks by self-confidence on cross-validated `LogisticRegression` over the same embeddings, as its
tutorials do. IMDB and 20news are counted from their published probabilities, and the candidates that people
voted on ranked by them. Which row of IMDB is which review is told by a file of the repository
cleanlab/label-errors, ``dataset_indexing/imdb_test_set_index_to_filename.json``; the votes on IMDB are left
out unless it lies beside the others.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from cleanlab.count import num_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict

import embstore
from common import reference, spread, table
from embstore.learn.audit import confident_joint, rank_by_loss
from embstore.learn.out_of_fold import out_of_fold
from embstore.store.graph import graph_of

FLIPPED = 0.03
# Published test sets, and how many wrong labels they are known to have by the same rule.
SETS = {"imdb": 1309, "20news": 95}


def main() -> None:
    """Print every figure beside its peer's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for name, known in SETS.items():
        codes, probabilities = published(name)
        joint = confident_joint(codes, probabilities)
        theirs = num_label_issues(codes, probabilities, estimation_method="off_diagonal_calibrated")
        rows.append((f"{name}: label errors counted, {known:,} known", theirs, joint.n_errors))
    rows += votes()
    with tempfile.TemporaryDirectory() as home:
        embstore.build_store(reference("emotion"), "emotion", home=home)
        rows += flips(home, arguments.seeds)
        print(table(["what", "cleanlab", "embstore"], rows))
        timed(home)


def published(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and out-of-sample probabilities of a published test set."""
    folder = reference("label-errors")
    probabilities = np.load(folder / f"{name}_test_set_pyx.npy").astype(np.float64)
    labels = np.load(folder / f"{name}_test_set_original_labels.npy").astype(np.int64)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def votes() -> list[tuple[str, str, str]]:
    """Rank the candidates that people voted on: the area under precision and recall."""
    folder = reference("label-errors")
    voted = {name: json.loads((folder / f"{name}_mturk.json").read_text()) for name in SETS}
    places = {"20news": [one["id"] for one in voted["20news"]]}
    index = folder / "imdb_test_set_index_to_filename.json"
    if index.exists():
        # Reviews of the same text share a name there; each has the probabilities of the first.
        rows: dict[str, int] = {}
        for row, name in enumerate(json.loads(index.read_text())):
            rows.setdefault(f"test/{name}", row)
        places["imdb"] = [rows[f"{one['id']}.txt"] for one in voted["imdb"]]
    found = []
    for name, ranked in places.items():
        codes, probabilities = published(name)
        wrong = np.array([one["mturk"]["given"] < 3 for one in voted[name]])
        _, losses = rank_by_loss(codes, probabilities)
        theirs = -get_label_quality_scores(codes, probabilities)
        ours, peer = (average_precision_score(wrong, one[ranked]) for one in (losses, theirs))
        what = f"{name} candidates, ranked: average precision for the {wrong.sum()} that lost the vote"
        found.append((f"{what}; chance {wrong.mean():.4f}", f"{peer:.4f}", f"{ours:.4f}"))
    return found


def flips(home: str, seeds: int) -> list[tuple[str, str, str]]:
    """Flip 3 % of emotion's training labels; return the share that the top 3 % of each ranking holds."""
    with embstore.Store.open("emotion", home=home) as store:
        train = store.split("train")
        similarities, rows = graph_of(store).within(train.rows, splits=["train"], k=50)
    names, codes = np.unique(np.array(train.labels), return_inverse=True)
    embeddings, positions = np.array(train.embeddings), np.searchsorted(train.rows, rows)
    n = round(FLIPPED * len(codes))
    shares: dict[str, list[float]] = {"embstore": [], "cleanlab": [], "cleanlab, our probabilities": []}
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        flipped = generator.choice(len(codes), n, replace=False)
        noisy = codes.copy()
        noisy[flipped] = (codes[flipped] + generator.integers(1, len(names), n)) % len(names)
        probabilities, _ = out_of_fold(embeddings, names[noisy], neighbors=(similarities, positions))
        order, _ = rank_by_loss(noisy, probabilities)
        # As its tutorials do: cross-validated logistic regression on the embeddings, self-confidence.
        plain = cross_val_predict(
            LogisticRegression(max_iter=400), embeddings, noisy, cv=5, method="predict_proba"
        )
        rankings = {
            "embstore": order[:n],
            "cleanlab": np.argsort(get_label_quality_scores(noisy, plain))[:n],
            "cleanlab, our probabilities": np.argsort(
                get_label_quality_scores(noisy, probabilities, method="normalized_margin")
            )[:n],
        }
        for name, top in rankings.items():
            shares[name].append(np.isin(flipped, top).mean())
    ours, theirs, mixed = (spread(values, ".4f") for values in shares.values())
    what = f"emotion, 3 % of training labels flipped, {seeds} seeds: share in the top 3 %"
    return [(what, theirs, ours), (f"{what}, both on our probabilities", mixed, ours)]


def timed(home: str) -> None:
    """Print the seconds of an audit, with a new graph and with the kept one."""
    seconds: dict[str, list[float]] = {"new": [], "kept": []}
    for _ in range(3):
        for graph, values in seconds.items():
            if graph == "new":
                for file in (Path(home) / "emotion" / "graph").glob("*"):
                    file.unlink()
            begun = time.perf_counter()
            content = embstore.audit_store("emotion", home=home).content
            values.append(time.perf_counter() - begun)
    rows = [(f"{graph} graph", spread(values, ".1f")) for graph, values in seconds.items()]
    print(table([f"audit of {content['records']:,} records of emotion", "seconds, median (range)"], rows))


if __name__ == "__main__":
    main()
