"""Confident learning against published counts and a plain loop; groups against brute force."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embstore.errors import InvalidData, InvalidInput
from embstore.learn.audit import blend, confident_joint, outliers, rank_by_loss, suspects
from embstore.learn.groups import exact_groups, near_groups
from embstore.learn.out_of_fold import out_of_fold


def published(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    labels = np.load(folder / "label-errors" / f"{name}_test_set_original_labels.npy")
    probabilities = np.load(folder / "label-errors" / f"{name}_test_set_pyx.npy")
    return labels.astype(np.int64), probabilities.astype(np.float64)


def test_imdb_has_the_published_label_errors(reference_data: Path) -> None:
    joint = confident_joint(*published(reference_data, "imdb"))
    assert joint.counts.tolist() == [[9774, 587], [489, 9682]]
    assert joint.n_errors == 1309


def test_20news_has_the_published_label_errors(reference_data: Path) -> None:
    assert confident_joint(*published(reference_data, "20news")).n_errors == 95


def test_20news_ranks_what_people_voted_against_above_chance(reference_data: Path) -> None:
    codes, probabilities = published(reference_data, "20news")
    votes = json.loads((reference_data / "label-errors" / "20news_mturk.json").read_text())
    places = np.array([one["id"] for one in votes])
    wrong = np.array([one["mturk"]["given"] < 3 for one in votes])
    _, losses = rank_by_loss(codes, probabilities)
    ranks = losses[places].argsort().argsort()
    # The area under the ROC curve, as the share of pairs in the right order.
    area = (ranks[wrong].sum() - wrong.sum() * (wrong.sum() - 1) / 2) / (wrong.sum() * (~wrong).sum())
    assert area > 0.6


def loop(codes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    n_classes = probabilities.shape[1]
    thresholds = [
        probabilities[codes == j, j].mean() if (codes == j).any() else np.inf for j in range(n_classes)
    ]
    counts = np.zeros((n_classes, n_classes), dtype=int)
    for code, row in zip(codes, probabilities, strict=True):
        reached = [j for j in range(n_classes) if row[j] >= thresholds[j] - 1e-6]
        if reached:
            counts[code, max(reached, key=lambda j: row[j])] += 1
    return counts


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(3, 60))
def test_the_joint_equals_a_plain_loop(seed: int, n_classes: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(n_classes, 0.5), n)
    codes = generator.integers(0, n_classes, n)
    joint = confident_joint(codes, probabilities)
    np.testing.assert_array_equal(joint.counts, loop(codes, probabilities))
    np.testing.assert_allclose(joint.scaled.sum(axis=1), np.bincount(codes, minlength=n_classes))


@given(st.integers(0, 10_000))
def test_the_order_of_records_does_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities, codes = generator.dirichlet(np.ones(3), 40), generator.integers(0, 3, 40)
    order = generator.permutation(40)
    again = confident_joint(codes[order], probabilities[order])
    np.testing.assert_array_equal(again.counts, confident_joint(codes, probabilities).counts)
    found = suspects(codes[order], probabilities[order])
    assert sorted(order[found]) == sorted(suspects(codes, probabilities))


def test_suspects_are_the_records_of_largest_loss_whose_label_is_not_the_most_probable() -> None:
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.2, 0.8], [0.1, 0.9], [0.97, 0.03]])
    codes = np.array([0, 0, 1, 1, 1])
    assert suspects(codes, probabilities).tolist() == [4]
    order, losses = rank_by_loss(codes, probabilities)
    assert order[0] == 4
    np.testing.assert_allclose(losses, -np.log([0.9, 0.95, 0.8, 0.9, 0.03]))


@pytest.mark.parametrize(
    ("codes", "probabilities"),
    [
        (np.array([0, 1]), np.array([[0.5, 0.5]])),
        (np.array([2]), np.array([[0.5, 0.5]])),
        (np.array([0]), np.array([[np.nan, 0.5]])),
        (np.array([], dtype=int), np.empty((0, 2))),
    ],
)
def test_what_cannot_be_judged_is_refused(codes: np.ndarray, probabilities: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        confident_joint(codes, probabilities)


def test_a_blend_is_the_normalized_geometric_mean() -> None:
    one, other = np.array([[0.8, 0.2]]), np.array([[0.5, 0.5]])
    np.testing.assert_allclose(blend([one, other]), [[2 / 3, 1 / 3]])


def test_flipped_labels_come_first() -> None:
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(3, 8)) * 3
    codes = np.repeat(np.arange(3), 60)
    embeddings = (centers[codes] + generator.normal(size=(180, 8))).astype(np.float32)
    flipped = generator.choice(180, 9, replace=False)
    codes[flipped] = (codes[flipped] + 1) % 3
    labels = np.array(["a", "b", "c"])[codes]
    probabilities, known = out_of_fold(embeddings, labels)
    assert known.all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    order, _ = rank_by_loss(codes, probabilities)
    assert set(order[:9]) == set(flipped)


def test_the_only_record_of_a_class_is_not_judged() -> None:
    generator = np.random.default_rng(1)
    embeddings = generator.normal(size=(21, 4)).astype(np.float32)
    labels = np.array(["a"] * 10 + ["b"] * 10 + ["alone"])
    probabilities, known = out_of_fold(embeddings, labels)
    assert known.tolist() == [True] * 20 + [False]
    assert np.isfinite(probabilities).all()


def test_outliers_lie_far_below_the_median() -> None:
    similarities = np.full((100, 5), 0.7, dtype=np.float32) + np.linspace(-0.05, 0.05, 100)[:, None].astype(
        "f4"
    )
    similarities[7] = 0.1
    flags, means = outliers(similarities, deviations=3.5)
    assert np.flatnonzero(flags).tolist() == [7]
    assert means[7] == pytest.approx(0.1)
    with pytest.raises(InvalidData):
        outliers(np.empty((1, 0), dtype=np.float32), deviations=3.5)


def test_exact_groups_fold_case_and_space() -> None:
    groups = exact_groups(["a b", "c", "A  B", "c ", "d", "a\tb\n"])
    assert [group.positions for group in groups] == [(0, 2, 5), (1, 3)]
    assert all(group.exact for group in groups)


def test_near_groups_equal_the_components_of_all_pairs() -> None:
    generator = np.random.default_rng(2)
    embeddings = np.repeat(generator.normal(size=(12, 6)), 3, axis=0) + generator.normal(size=(36, 6)) * 0.1
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = embeddings @ embeddings.T
    np.fill_diagonal(cosines, -2)
    neighbors = np.argsort(-cosines, axis=1)[:, :35]
    similarities = np.take_along_axis(cosines, neighbors, axis=1).astype(np.float32)
    groups = near_groups([str(i) for i in range(36)], similarities, neighbors, 0.97)
    seen: list[set[int]] = []
    for i in range(36):
        linked = [group for group in seen if any(cosines[i, j] >= np.float32(0.97) for j in group)]
        seen = [group for group in seen if group not in linked] + [set.union({i}, *linked)]
    assert {frozenset(group.positions) for group in groups} == {frozenset(g) for g in seen if len(g) > 1}
    assert [group.similarity for group in groups] == sorted((g.similarity for g in groups), reverse=True)


def test_exact_copies_come_before_nearly_equal_texts() -> None:
    similarities = np.array([[0.99], [0.99], [0.5], [0.5]], dtype=np.float32)
    neighbors = np.array([[1], [0], [3], [2]])
    groups = near_groups(["x", "y", "Same", "same"], similarities, neighbors, 0.95)
    assert [(group.positions, group.exact) for group in groups] == [((2, 3), True), ((0, 1), False)]
    assert groups[1].similarity == pytest.approx(0.99)
    assert groups[0].values(["a", "b", None, "c"]) == ["c"]
