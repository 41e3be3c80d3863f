"""What is held out of labelled texts is fair to each label."""

from __future__ import annotations

import pytest

from embstore.learn.sampling import hold_out


@pytest.mark.parametrize("seed", range(5))
def test_a_label_that_stands_once_is_kept_and_each_other_gives_its_share(seed: int) -> None:
    labels = ["a"] * 10 + ["odd"] + ["b"] * 20
    kept, held = hold_out(labels, 0.2, seed)
    assert sorted([*kept, *held]) == list(range(31))
    assert [labels[place] for place in held] == ["a"] * 2 + ["b"] * 4


def test_labels_that_all_stand_once_are_held_out_nonetheless() -> None:
    kept, held = hold_out([str(i) for i in range(10)], 0.2, 0)
    assert (len(kept), len(held)) == (8, 2)
