"""What is said at the end, and the texts and samples that it rests on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas
import pytest

from embstore.errors import InvalidInput
from embstore.learn.duplicates import leaked, repeated
from embstore.learn.metrics import Pair, Score, compare_pair
from embstore.learn.sampling import few_shots
from embstore.learn.verdict import FINE_TUNE, FROZEN, UNKNOWN, judge


def pair(low: float, difference: float, high: float) -> Pair:
    return Pair("logistic", "fine-tuned", 0, 0, 0.0, difference, low, high)


@pytest.mark.parametrize(
    ("low", "difference", "high", "answer"),
    [
        (0.201, 0.219, 0.237, FINE_TUNE),
        (0.021, 0.03, 0.04, FINE_TUNE),
        (0.01, 0.03, 0.05, UNKNOWN),
        (-0.01, 0.005, 0.019, FROZEN),
        (-0.2, -0.1, -0.05, FROZEN),
    ],
)
def test_the_interval_of_the_gain_decides(low: float, difference: float, high: float, answer: str) -> None:
    found = judge(
        Score(0.7, 0.68, 0.72), pair(low, difference, high), n=2000, frozen_seconds=4, finetune_seconds=380
    )
    assert found.answer == answer


def test_the_sentence_has_gain_interval_and_both_costs() -> None:
    found = judge(
        Score(0.7, 0.68, 0.72), pair(0.201, 0.219, 0.237), n=2000, frozen_seconds=4, finetune_seconds=380
    )
    assert found.sentence == "fine-tuning gains 21.9 +- 1.8 points for 380 s against 4 s"


def test_a_loss_reads_as_one() -> None:
    found = judge(
        Score(0.7, 0.6, 0.8), pair(-0.02, -0.01, 0.0), n=2000, frozen_seconds=4, finetune_seconds=380
    )
    assert found.sentence.startswith("fine-tuning loses 1.0 +- 1.0 points")


def test_without_fine_tuning_only_a_near_perfect_head_is_enough() -> None:
    assert judge(Score(0.995, 0.99, 1.0), None, n=2000, frozen_seconds=4).answer == FROZEN
    found = judge(Score(0.7, 0.68, 0.72), None, n=2000, frozen_seconds=4)
    assert found.answer == UNKNOWN
    assert "--finetune" in found.reason


@pytest.mark.parametrize(("n", "answer"), [(5, UNKNOWN), (149, UNKNOWN), (150, FROZEN)])
def test_few_texts_rule_no_gain_out(n: int, answer: str) -> None:
    """All right, or none on which the methods differ, gives an interval of no width however few they are."""
    assert judge(Score(1.0, 1.0, 1.0), None, n=n, frozen_seconds=4).answer == answer
    same = judge(Score(1.0, 1.0, 1.0), pair(0.0, 0.0, 0.0), n=n, frozen_seconds=4, finetune_seconds=9)
    assert same.answer == answer
    assert ("takes 150 texts" in same.reason) == (answer == UNKNOWN)


def test_a_gain_that_chance_explains_is_not_advised() -> None:
    same = np.zeros(5, dtype=bool)
    gain = compare_pair("logistic", "fine-tuned", same, ~same)
    assert (gain.low, gain.p_value) == (1.0, 0.0625)
    found = judge(Score(0.0, 0.0, 0.0), gain, n=5, frozen_seconds=4, finetune_seconds=9)
    assert found.answer == UNKNOWN
    assert "McNemar's p of 0.062" in found.reason


def test_what_is_worth_it_is_the_users_to_say() -> None:
    gain = pair(0.01, 0.03, 0.05)
    score = Score(0.7, 0.68, 0.72)
    assert judge(score, gain, n=2000, frozen_seconds=1, finetune_seconds=2, worth=0.005).answer == FINE_TUNE
    assert judge(score, gain, n=2000, frozen_seconds=1, finetune_seconds=2, worth=0.06).answer == FROZEN
    with pytest.raises(InvalidInput):
        judge(score, gain, n=2000, frozen_seconds=1, finetune_seconds=2, worth=0)


def test_repeated_and_leaked_texts_differ_by_case_and_space_only() -> None:
    assert repeated(["a b", "A  b", "ab", "a b "]).tolist() == [False, True, False, True]
    assert leaked(["x", " A B"], ["a b", "c"]).tolist() == [False, True]


def test_emotion_has_the_known_duplicates(reference_data: Path) -> None:
    texts = {}
    for split in ("train", "test"):
        with (reference_data / "emotion" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            texts[split] = [row["text"] for row in csv.DictReader(file)]
    assert int((~repeated(texts["train"])).sum()) == 15969
    assert int(leaked(texts["test"], texts["train"]).sum()) == 11


LABELS = ["a", "b", "a", "c", "b", "a", "a", "b", "c", "a"]


@pytest.mark.parametrize("protocol", ["mteb", "setfit"])
def test_each_class_gives_its_shots_or_all(protocol: str) -> None:
    for chosen in few_shots(LABELS, 3, 4, protocol):
        counts = pandas.Series(LABELS).iloc[chosen].value_counts()
        assert counts.to_dict() == {"a": 3, "b": 3, "c": 2}
        assert len(set(chosen.tolist())) == len(chosen)


def test_mteb_shuffles_the_list_that_the_experiment_before_left() -> None:
    order = list(range(len(LABELS)))
    for chosen in few_shots(LABELS, 1, 3):
        np.random.RandomState(42).shuffle(order)
        firsts = {LABELS[i]: i for i in reversed(order)}
        assert sorted(chosen.tolist()) == sorted(firsts.values())


def test_setfit_samples_each_class_as_pandas_does() -> None:
    frame = pandas.DataFrame({"label": LABELS})
    for seed, chosen in enumerate(few_shots(LABELS, 2, 5, "setfit")):
        wanted = [group.sample(2, random_state=seed).index.tolist() for _, group in frame.groupby("label")]
        assert chosen.tolist() == [i for group in wanted for i in group]


@pytest.mark.parametrize("arguments", [(0, 1, "mteb"), (1, 0, "mteb"), (1, 1, "other")])
def test_impossible_samples_are_refused(arguments: tuple[int, int, str]) -> None:
    with pytest.raises(InvalidInput):
        few_shots(LABELS, *arguments)


@pytest.mark.parametrize(("arguments", "fix"), [((0, 1), "--shots 8"), ((1, 0), "--seeds 5")])
def test_the_number_that_cannot_be_is_the_one_to_change(arguments: tuple[int, int], fix: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        few_shots(LABELS, *arguments)
    assert caught.value.fix == fix
