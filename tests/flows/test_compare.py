"""Comparing heads on a store: the figures are those of the parts, and bad data is told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as oracle

import embstore
from embstore.errors import InvalidData, InvalidInput, NotFound
from embstore.flows.heads import HeadOptions, fit_on
from embstore.flows.labelled import labelled_split, training_split, validation_split
from embstore.flows.outcomes import Task, head_outcome
from embstore.learn.knn import KNNHead
from embstore.learn.logistic import LogisticHead
from embstore.learn.sampling import few_shots
from flows.test_classify import build, rows


def records(n: int = 60, splits: tuple[str, ...] = ("train", "train", "train", "validation", "test")):
    found = rows(n)
    for i, row in enumerate(found):
        row["split"] = splits[i % len(splits)]
    return found


@pytest.fixture
def compared(tmp_path: Path, tiny_bert: Path) -> dict:
    build(tmp_path, tiny_bert, records())
    return embstore.compare_methods("mine").as_json()


def test_heads_that_nothing_was_held_out_of_are_compared_all_the_same(
    tmp_path: Path, tiny_bert: Path
) -> None:
    texts = {"train": [("sad", "the cat"), ("happy", "so late")], "test": [("sad", "why"), ("happy", "feel")]}
    found = [
        {"id": text, "split": split, "label": label, "text": text}
        for split, labelled in texts.items()
        for label, text in labelled
    ]
    build(tmp_path, tiny_bert, found)
    logistic = embstore.compare_methods("mine").as_json()["methods"][2]
    assert (logistic["name"], logistic["tuned_on"]) == ("logistic", "nothing")


def test_the_three_methods_are_judged_by_test_and_tuned_on_validation(compared: dict) -> None:
    assert [one["name"] for one in compared["methods"]] == ["dummy", "knn", "logistic"]
    assert compared["splits"]["evaluated"] == {"name": "test", "n": 12}
    assert compared["splits"]["tuned_on"] == "validation"


def test_scores_are_scikit_learns_on_the_same_heads(compared: dict) -> None:
    with embstore.Store.open("mine") as store:
        train, validation, test = (store.split(name) for name in ("train", "validation", "test"))
        head = embstore.LogisticHead().fit(
            train.embeddings,
            np.array(train.labels),
            validation=(validation.embeddings, np.array(validation.labels)),
        )
        predicted = head.predict(test.embeddings)
    found = compared["methods"][2]
    assert found["scores"]["accuracy"]["value"] == pytest.approx(
        oracle.accuracy_score(test.labels, predicted), abs=1e-5
    )
    assert found["scores"]["macro_f1"]["value"] == pytest.approx(
        oracle.f1_score(test.labels, predicted, average="macro"), abs=1e-5
    )
    assert found["confusion"] == oracle.confusion_matrix(test.labels, predicted).tolist()


def test_pairs_count_the_texts_that_one_method_alone_has_right(compared: dict) -> None:
    accuracies = {one["name"]: one["scores"]["accuracy"]["value"] for one in compared["methods"]}
    assert len(compared["pairs"]) == 3
    for pair in compared["pairs"]:
        difference = accuracies[pair["second"]] - accuracies[pair["first"]]
        assert pair["difference"] == pytest.approx(difference, abs=1e-4)
        assert (pair["second_only"] - pair["first_only"]) / 12 == pytest.approx(difference, abs=1e-4)


def test_the_verdict_is_one_of_three_with_a_reason(compared: dict) -> None:
    answers = {"frozen is enough", "fine-tune", "cannot say from this data"}
    assert compared["verdict"]["answer"] in answers
    assert compared["verdict"]["reason"]


def test_two_runs_say_the_same(compared: dict) -> None:
    again = embstore.compare_methods("mine").as_json()
    for one, other in zip(compared["methods"], again["methods"], strict=True):
        assert one["scores"] == other["scores"]
        assert one["confusion"] == other["confusion"]
    assert compared["pairs"] == again["pairs"]
    assert compared["changed"] == again["changed"]


def test_leaked_texts_are_counted_and_left_out_of_the_clean_scores(tmp_path: Path, tiny_bert: Path) -> None:
    found = records()
    texts = {split: [row for row in found if row["split"] == split] for split in ("train", "test")}
    texts["test"][0]["text"] = str(texts["train"][0]["text"]).upper()
    build(tmp_path, tiny_bert, found)
    said = embstore.compare_methods("mine").as_json()
    assert said["duplicates"] == {"train": 0, "evaluated": 0, "leaked": 1}
    assert all(one["clean_scores"] for one in said["methods"])


def test_texts_that_stand_in_train_do_not_count_for_the_verdict(tmp_path: Path, tiny_bert: Path) -> None:
    found = records(100)
    train = [row for row in found if row["split"] == "train"]
    for place, row in enumerate(row for row in found if row["split"] == "test"):
        if place % 4:
            row["text"] = train[place]["text"].upper()
    build(tmp_path, tiny_bert, found)
    compared = embstore.compare_methods("mine")
    assert any("15 evaluated texts of 20" in note for note in compared.notes)
    # Three in five texts: so much may be left to gain where five new ones are right.
    assert compared.verdict.reason.startswith("Up to 60.0 points")


def test_where_every_evaluated_text_stands_in_train_nothing_is_said(tmp_path: Path, tiny_bert: Path) -> None:
    found = records()
    train = [row for row in found if row["split"] == "train"]
    for place, row in enumerate(row for row in found if row["split"] == "test"):
        row["text"], row["label"] = train[place]["text"], train[place]["label"]
    build(tmp_path, tiny_bert, found)
    compared = embstore.compare_methods("mine", options=embstore.CompareOptions(worth=0.5))
    assert compared.verdict.answer == "cannot say from this data"
    assert "leave it out" in compared.verdict.reason
    assert all(one["clean_scores"] is None for one in compared.content["methods"])


@pytest.mark.parametrize("validated", [True, False], ids=["by validation", "by train"])
def test_the_better_head_is_chosen_by_texts_that_neither_was_fitted_on(
    tmp_path: Path, tiny_bert: Path, validated: bool
) -> None:
    found = records(90, ("train", "train", "train", "validation" if validated else "train", "test"))
    copies = [{**row, "id": f"copy {row['id']}"} for row in found[:40] if row["split"] == "train"]
    build(tmp_path, tiny_bert, [*found, *copies])
    with embstore.Store.open("mine") as store:
        train = training_split(store, "train")
        held = validation_split(store, but=["train", "test"])
        task = Task(train, held, labelled_split(store, "test"))
        once = np.array([train.texts.count(text) == 1 for text in train.texts])
        assert 0 < once.sum() < len(train)
        for name in ("knn", "logistic"):
            fitted = fit_on(store, name, train, held, HeadOptions())
            right = fitted.head.held_out_.correct
            wanted = (
                (fitted.head.predict(held.embeddings) == np.array(held.labels)).mean()
                if held
                else right[once].mean()
            )
            assert head_outcome(store, name, task, HeadOptions()).held_out == pytest.approx(wanted)


def test_a_store_with_train_alone_holds_a_fifth_out(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, records(splits=("train",)))
    said = embstore.compare_methods("mine").as_json()
    assert said["splits"]["evaluated"] == {"name": "a fifth of train, held out", "n": 12}
    assert said["splits"]["train"]["n"] == 48


def test_a_label_that_train_lacks_counts_as_wrong_and_is_named(tmp_path: Path, tiny_bert: Path) -> None:
    found = records()
    next(row for row in found if row["split"] == "test")["label"] = "new"
    build(tmp_path, tiny_bert, found)
    said = embstore.compare_methods("mine").as_json()
    assert "new" in said["labels"]
    assert "counted as wrong (new)" in said["notes"][0]
    row = said["methods"][2]["confusion"][said["labels"].index("new")]
    assert row[said["labels"].index("new")] == 0


def test_a_label_with_one_text_is_named(tmp_path: Path, tiny_bert: Path) -> None:
    found = records()
    next(row for row in found if row["split"] == "train")["label"] = "rare"
    build(tmp_path, tiny_bert, found)
    assert "one training text" in embstore.compare_methods("mine").notes[0]


@pytest.mark.parametrize("protocol", ["mteb", "setfit"])
def test_a_curve_has_a_point_for_each_head_and_size(tmp_path: Path, tiny_bert: Path, protocol: str) -> None:
    build(tmp_path, tiny_bert, records())
    options = embstore.CompareOptions(shots=[2, 4], seeds=3, protocol=protocol)
    curve = embstore.compare_methods("mine", options=options).as_json()["curve"]
    assert [(one["method"], one["shots"]) for one in curve["points"]] == [
        ("knn", 2), ("logistic", 2), ("knn", 4), ("logistic", 4),
    ]  # fmt: skip
    assert all(len(one["values"]) == 3 for one in curve["points"])
    for one in curve["points"]:
        # The values are rounded to five decimals, and so is their deviation.
        assert one["deviation"] == pytest.approx(np.std(one["values"], ddof=1), abs=2e-5)


def test_more_shots_than_any_label_has_are_refused_before_anything_is_fitted(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, tiny_bert, records())
    monkeypatch.setattr("embstore.flows.compare.head_outcome", pytest.fail)
    with embstore.Store.open("mine") as store:
        most = max(Counter(labelled_split(store, "train").labels).values())
    with pytest.raises(InvalidInput, match="No label has 1,000 texts to learn from") as caught:
        embstore.compare_methods("mine", options=embstore.CompareOptions(shots=[2, 1000]))
    assert caught.value.fix == f"--shots {most}"


def test_the_heads_of_a_curve_are_fitted_like_those_that_are_compared(
    tmp_path: Path, tiny_bert: Path
) -> None:
    found = records(200)
    for row in found[::3]:  # labels that nothing explains, so that how a head is fitted tells
        row["label"] = found[0]["label"]
    build(tmp_path, tiny_bert, found)
    heads = HeadOptions(k=3, weighting="uniform", balanced=True, seed=7)
    options = embstore.CompareOptions(shots=[1, 20], seeds=2, heads=heads, seed=7)
    points = embstore.compare_methods("mine", options=options).as_json()["curve"]["points"]
    with embstore.Store.open("mine") as store:
        train, test = (labelled_split(store, name) for name in ("train", "test"))
        y = np.array(train.labels)
        for size, knn, logistic in ((1, *points[:2]), (20, *points[2:])):
            wanted = {"knn": [], "logistic": []}
            for chosen in few_shots(train.labels, size, 2, "mteb"):
                # Where fewer others are there than should vote, all of them do.
                k = min(3, len(chosen) - 1)
                both = (
                    KNNHead(k=k, weighting="uniform"),
                    LogisticHead(class_weight="balanced", random_state=7),
                )
                for name, head in zip(wanted, both, strict=True):
                    found = head.fit(train.embeddings[chosen], y[chosen]).predict(test.embeddings)
                    wanted[name].append(round(float(np.mean(found == np.array(test.labels))), 5))
            assert (knn["values"], logistic["values"]) == (wanted["knn"], wanted["logistic"])


@pytest.mark.parametrize(
    "wrong", [{"worth": 2.0}, {"shots": [0]}, {"seeds": 0}, {"protocol": "x"}, {"seed": -1}], ids=str
)
def test_settings_that_cannot_be_are_refused_before_any_fit(wrong: dict) -> None:
    with pytest.raises(InvalidInput):
        embstore.CompareOptions(**wrong)


def test_a_split_cannot_judge_what_learned_from_it(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, records())
    with pytest.raises(InvalidData, match="--on test"):
        embstore.compare_methods("mine", options=embstore.CompareOptions(on="train"))
    with pytest.raises(NotFound, match="nowhere"):
        embstore.compare_methods("mine", options=embstore.CompareOptions(on="nowhere"))
    with pytest.raises(NotFound, match="--train"):
        embstore.compare_methods("mine", options=embstore.CompareOptions(train="nowhere"))


def test_a_split_without_labels_is_named(tmp_path: Path, tiny_bert: Path) -> None:
    found = [{**row, "label": None} if row["split"] == "test" else row for row in records()]
    build(tmp_path, tiny_bert, found)
    assert embstore.compare_methods("mine").as_json()["splits"]["evaluated"]["name"] == "validation"
    with pytest.raises(InvalidData, match="split test"):
        embstore.compare_methods("mine", options=embstore.CompareOptions(on="test"))


def test_more_neighbors_than_training_texts_are_refused(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, records())
    options = embstore.CompareOptions(heads=embstore.HeadOptions(k=36))
    with pytest.raises(InvalidInput, match="1 to 35"):
        embstore.compare_methods("mine", options=options)


def test_an_empty_name_is_no_split_to_judge_by(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, records())
    with pytest.raises(NotFound, match="no split ''"):
        embstore.compare_methods("mine", options=embstore.CompareOptions(on=""))
