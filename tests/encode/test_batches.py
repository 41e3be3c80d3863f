"""Batches hold every text once, keep the budget, and are mostly of one length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embstore.encode.batches import pack_rows, plan_batches, positions_of

LENGTHS = st.lists(st.integers(1, 512), max_size=200)
BUDGETS = st.integers(1, 4096)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(LENGTHS, BUDGETS)
def test_every_position_stands_in_exactly_one_batch(lengths: list[int], budget: int) -> None:
    positions = [int(row) for batch in plan_batches(lengths, budget) for row in batch]
    assert sorted(positions) == list(range(len(lengths)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(LENGTHS, BUDGETS)
def test_only_a_single_text_exceeds_the_token_budget(lengths: list[int], budget: int) -> None:
    for batch in plan_batches(lengths, budget):
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget


@settings(max_examples=100, deadline=None, derandomize=True)
@given(LENGTHS, BUDGETS)
def test_the_longest_text_comes_first(lengths: list[int], budget: int) -> None:
    planned = [lengths[row] for batch in plan_batches(lengths, budget) for row in batch]
    assert planned == sorted(lengths, reverse=True)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(LENGTHS, BUDGETS)
def test_a_batch_of_mixed_lengths_was_not_a_third_full_where_they_change(
    lengths: list[int], budget: int
) -> None:
    for batch in plan_batches(lengths, budget):
        sizes = [lengths[row] for row in batch]
        changes = [i for i in range(1, len(sizes)) if sizes[i] != sizes[i - 1]]
        assert all(3 * sizes[0] * i < budget for i in changes)


def test_most_batches_of_a_usual_dataset_have_one_exact_length() -> None:
    lengths = np.random.default_rng(0).integers(4, 60, size=4096).tolist()
    batches = plan_batches(lengths, 512)
    exact = [batch for batch in batches if len({lengths[row] for row in batch}) == 1]
    assert len(exact) > 0.8 * len(batches)


def test_texts_of_equal_length_keep_their_order() -> None:
    assert [batch.tolist() for batch in plan_batches([5, 5, 5, 5], 10)] == [[0, 1], [2, 3]]


def test_a_budget_of_one_token_gives_one_text_a_batch() -> None:
    assert [batch.tolist() for batch in plan_batches([2, 9, 4], 1)] == [[1], [2], [0]]


def test_no_texts_give_no_batches() -> None:
    assert plan_batches([], 512) == []


@pytest.mark.parametrize("as_kind", [list, tuple, np.array], ids=["list", "tuple", "array"])
def test_positions_are_int64(as_kind: type) -> None:
    assert plan_batches(as_kind([3, 4]), 8)[0].dtype == np.int64


@settings(max_examples=100, deadline=None, derandomize=True)
@given(LENGTHS, st.integers(0, 600))
def test_texts_in_rows_do_not_overlap_and_leave_no_gap(lengths: list[int], wider: int) -> None:
    width = max([wider, *lengths])
    taken: dict[int, list[tuple[int, int]]] = {}
    for row, start, length in zip(*pack_rows(lengths, width), lengths, strict=True):
        taken.setdefault(row, []).append((start, start + length))
    assert sorted(taken) == list(range(len(taken)))
    for spans in taken.values():
        starts, ends = zip(*sorted(spans), strict=True)
        assert starts == (0, *ends[:-1])
        assert ends[-1] <= width


def test_positions_count_from_behind_the_padding_token() -> None:
    assert list(positions_of([5, 6, 7], None)) == [0, 1, 2]
    assert list(positions_of([5, 1, 7], 1)) == [2, 1, 3]
