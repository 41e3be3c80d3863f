"""Fit and classify through the public names, on a store built by a real transformer."""

from __future__ import annotations

import csv
import inspect
import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embstore
import stub_store
from embstore.errors import EncoderMismatch, InvalidData, InvalidInput, NotFound
from embstore.records import Encoded, TextEncoder
from embstore.store.derived import fit_line, list_derived, read_derived
from embstore.store.keeping import write_derived
from embstore_cli.commands.fit import fit
from embstore_cli.main import run
from store.test_verify import change
from stub_encoder import StubEncoder

WORDS = {"sad": ["sad", "late", "why"], "happy": ["happy", "so", "feel"]}


def rows(n: int = 40) -> list[dict[str, str | None]]:
    generator = np.random.default_rng(0)
    found: list[dict[str, str | None]] = []
    for i in range(n):
        label = "sad" if i % 2 else "happy"
        split = "validation" if i % 5 == 0 else "train"
        text = " ".join(generator.choice([*WORDS[label] * 3, "the", "train", "cat"], 6))
        found.append({"id": f"{i}", "split": split, "label": label, "text": f"{text} {i}"})
    return found


def build(tmp_path: Path, model: Path, records: list[dict[str, str | None]], name: str = "mine") -> None:
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in records))
    embstore.build_store(path, name, encoder=str(model))


@pytest.fixture
def store(tmp_path: Path, tiny_bert: Path) -> str:
    build(tmp_path, tiny_bert, rows())
    return "mine"


@pytest.mark.parametrize("head", ["logistic", "knn"])
def test_a_fitted_head_classifies_as_its_estimator(store: str, head: str) -> None:
    report = embstore.fit_head(store, head=head, precision=0.0)
    assert report.labels == ["happy", "sad"]
    with embstore.Store.open(store) as opened:
        train = opened.split("train")
        estimator = embstore.KNNHead() if head == "knn" else embstore.LogisticHead()
        options = {} if head == "knn" else {"validation": labelled(opened.split("validation"))}
        estimator.fit(train.embeddings, np.array(train.labels), **options)
        texts = [str(row["text"]) for row in rows(9)]
        wanted = estimator.predict_proba(opened.embed(texts)).max(axis=1)
    answers = embstore.classify_texts(texts, store)
    # float32 embeddings of other batches.
    np.testing.assert_allclose([one.prediction.probability for one in answers], wanted, atol=2e-3)
    assert not any(one.prediction.abstain for one in answers)


def labelled(split: embstore.Split) -> tuple[np.ndarray, np.ndarray]:
    return split.embeddings, np.array(split.labels)


def test_evidence_are_the_nearest_training_texts_of_the_predicted_label(store: str) -> None:
    embstore.fit_head(store)
    (answer,) = embstore.classify_texts(["sad why late"], store, evidence=4)
    with embstore.Store.open(store) as opened:
        label = answer.prediction.label
        wanted = opened.neighbors("sad why late", 4, split="train", label=label)
    assert answer.evidence == wanted


def test_the_head_fitted_last_answers_unless_one_is_named(store: str) -> None:
    for head in ("knn", "logistic"):
        embstore.fit_head(store, head=head)
    assert embstore.classify_texts(["sad"], store)[0].head == "logistic"
    assert embstore.classify_texts(["sad"], store, head="knn")[0].head == "knn"


def test_the_head_fitted_last_is_that_of_the_last_commit_whatever_the_clock_said(tmp_path: Path) -> None:
    stub_store.build(tmp_path, [*"ab"] * 10)
    for head in ("knn", "logistic"):
        embstore.fit_head("mine", head=head)
    change(tmp_path / "home" / "mine", "UPDATE derived SET made = '2001-01-01' WHERE name = 'logistic'")
    with embstore.Store.open("mine") as opened:
        assert embstore.Classifier.of(opened).head == "logistic"


def test_a_threshold_that_is_out_of_reach_abstains_and_says_so(tmp_path: Path, tiny_bert: Path) -> None:
    records = rows(100)
    for i, row in enumerate(records):
        row["label"] = "ab"[(i // 2) % 2]
    build(tmp_path, tiny_bert, records)
    report = embstore.fit_head("mine", precision=1.0)
    assert "lower --precision" in report.note
    assert embstore.classify_texts(["sad"], "mine")[0].prediction.abstain


def test_too_few_held_out_texts_for_any_threshold_are_told(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, rows(8))
    report = embstore.fit_head("mine")
    assert report.held_out < 10
    assert f"10 held-out texts, and there are {report.held_out}" in report.note
    assert "--precision 0" in report.note
    assert not embstore.fit_head("mine", precision=0).note


def test_a_store_that_changed_since_is_noted(tmp_path: Path, tiny_bert: Path, store: str) -> None:
    embstore.fit_head(store)
    assert embstore.classify_texts(["sad"], store)[0].note == ""
    changed = rows()
    changed[1]["label"] = "happy"
    build(tmp_path, tiny_bert, changed)
    assert "embstore fit" in embstore.classify_texts(["sad"], store)[0].note


@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("knn", {"options": embstore.HeadOptions(k=3, weighting="uniform")}),
        ("logistic", {"options": embstore.HeadOptions(balanced=True), "precision": 0.0}),
        ("knn", {"name": "knn", "precision": 0.55}),
        ("logistic", {"train": "validation"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["mine", None])
def test_the_line_that_a_stale_head_names_makes_it_anew(
    tmp_path: Path, head: str, options: dict[str, Any], name: str | None
) -> None:
    records = [{**row, "split": "validation" if i % 3 else "train"} for i, row in enumerate(rows())]
    stub_store.build_records(tmp_path, records)
    embstore.fit_head("mine", head=head, **{"name": name, **options})
    before = facts_of_heads("mine")
    stub_store.build_records(tmp_path, [*records, {**records[1], "id": "new", "text": "new"}])
    with embstore.Store.open("mine", encoder=StubEncoder()) as opened:
        line = embstore.Classifier.of(opened).note.split(": ")[1]
    program, *arguments = shlex.split(line)
    assert (program, run(arguments)) == ("embstore", 0)
    assert facts_of_heads("mine") == before


def facts_of_heads(store: str) -> dict[str, dict[str, Any]]:
    """Return what was asked for of each head, by its name."""
    asked = ("kind", "split", "precision", "options")
    with embstore.Store.open(store) as opened:
        entries = list_derived(opened.reader, "head")
        return {one.name: {fact: (one.facts or {})[fact] for fact in asked} for one in entries}


@pytest.mark.parametrize("head", ["knn", "logistic"])
def test_a_head_fitted_after_the_store_was_opened_answers_or_says_so(tmp_path: Path, head: str) -> None:
    stub_store.build(tmp_path, [*"ab"] * 30)
    with embstore.Store.open("mine", encoder=StubEncoder()) as opened:
        stub_store.build(tmp_path, [*[*"ab"] * 30, *["c"] * 30])
        embstore.fit_head("mine", head=head, precision=0)
        texts = [f"text {i}" for i in range(60, 90)]
        if head == "knn":
            with pytest.raises(NotFound, match="fitted on row 89; the store had rows 0 to 59"):
                embstore.Classifier.of(opened)
        else:
            answers = embstore.Classifier.of(opened).classify(texts)
            assert "c" in {one.prediction.label for one in answers}
            assert all(bool(one.evidence) == (one.prediction.label != "c") for one in answers)
        with pytest.raises(NotFound, match=r"It has: a, b\."):
            opened.neighbors("text 1", label="c")


def test_a_head_whose_parts_do_not_fit_names_the_line_that_makes_it_anew(tmp_path: Path, store: str) -> None:
    embstore.fit_head(store, head="knn", name="votes")
    with embstore.Store.open(store) as opened:
        kept = read_derived(opened.path, opened.reader, "head", "votes")
        assert kept is not None
        write_derived(opened.path, "head", "votes", kept.tensors, {**kept.facts, "classes": ["a"]})
    with pytest.raises(InvalidData, match="The head votes of mine") as caught:
        embstore.classify_texts(["sad"], store)
    assert caught.value.fix == f"embstore fit -s {tmp_path}/home/mine --head knn --name votes"


def test_what_the_line_to_fit_a_head_leaves_out_is_what_the_command_takes() -> None:
    defaults = {name: one.default for name, one in inspect.signature(embstore.fit_head).parameters.items()}
    asked = {option.name: option.default for option in fit.params}
    assert (defaults["train"], defaults["precision"]) == (asked["train"], asked["precision"])
    facts = {"split": defaults["train"], "precision": defaults["precision"], "options": {}}
    assert fit_line(Path("/s"), "knn", facts) == "embstore fit -s /s --head knn"


def test_no_label_of_two_records_leaves_the_accuracy_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stub_store.build(tmp_path, ["a", "b", "c"])
    report = embstore.fit_head("mine")
    assert (report.held_out, report.accuracy, report.tuned_on) == (0, None, "nothing")
    assert "there are 0" in report.note
    assert run(["fit", "-s", "mine", "--precision", "0"]) == 0
    assert "unknown: no text is held out" in capsys.readouterr().out


def test_a_head_whose_split_has_left_the_store_answers_without_evidence(
    tmp_path: Path, tiny_bert: Path, store: str
) -> None:
    embstore.fit_head(store)
    before = embstore.classify_texts(["sad why late"], store)[0]
    build(tmp_path, tiny_bert, [{**row, "split": "renamed"} for row in rows()])
    after = embstore.classify_texts(["sad why late"], store)[0]
    assert before.evidence
    assert (after.prediction, after.evidence) == (before.prediction, [])


def test_a_head_of_another_encoder_is_refused(store: str) -> None:
    embstore.fit_head(store)
    with embstore.Store.open(store) as opened:
        kept = read_derived(opened.path, opened.reader, "head", "logistic")
        assert kept is not None
        write_derived(opened.path, "head", "logistic", kept.tensors, {**kept.facts, "fingerprint": "0" * 64})
    with pytest.raises(EncoderMismatch, match="embstore fit"):
        embstore.classify_texts(["sad"], store)


def test_a_store_without_heads_says_how_to_fit_one(store: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        embstore.classify_texts(["sad"], store)
    assert caught.value.fix == f"embstore fit -s {tmp_path}/home/mine"
    embstore.fit_head(store)
    with pytest.raises(NotFound, match=r"It has: logistic"):
        embstore.classify_texts(["sad"], store, head="other")


@pytest.mark.parametrize("text", ["", "  ", "x" * 1_000_001], ids=["empty", "blank", "endless"])
def test_a_text_that_is_none_is_refused(store: str, text: str) -> None:
    embstore.fit_head(store)
    with pytest.raises(InvalidInput):
        embstore.classify_texts([text], store)


def test_one_string_is_refused(store: str) -> None:
    embstore.fit_head(store)
    with pytest.raises(InvalidInput, match=r"\[text\]"):
        embstore.classify_texts("sad", store)


def test_one_label_only_is_refused(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, [{**row, "label": "sad"} for row in rows()])
    with pytest.raises(InvalidData, match="one label only: 'sad'"):
        embstore.fit_head("mine")


def test_no_labels_at_all_are_told_and_neighbors_still_work(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, [{**row, "label": None} for row in rows()])
    with pytest.raises(InvalidData, match="--label-column"):
        embstore.fit_head("mine")
    assert embstore.find_neighbors(["sad"], "mine", k=2)[0].neighbors


def test_a_split_without_labels_is_named(tmp_path: Path, tiny_bert: Path) -> None:
    records = [{**row, "label": None if row["split"] == "train" else row["label"]} for row in rows()]
    build(tmp_path, tiny_bert, records)
    with pytest.raises(InvalidData, match=r"split train(.|\n)*validation"):
        embstore.fit_head("mine")


@pytest.mark.parametrize("head", ["logistic", "knn"])
def test_records_without_a_label_are_left_out_and_counted(tmp_path: Path, tiny_bert: Path, head: str) -> None:
    records = rows()
    records[1]["label"] = records[2]["label"] = None
    build(tmp_path, tiny_bert, records)
    report = embstore.fit_head("mine", head=head)
    assert (report.records, report.unlabelled) == (30, 2)


def test_more_neighbors_than_records_are_refused(store: str) -> None:
    with pytest.raises(InvalidInput, match=r"99 neighbors(.|\n)*1 to 31"):
        embstore.fit_head(store, head="knn", options=embstore.HeadOptions(k=99))


def test_an_empty_name_of_a_head_is_none(store: str) -> None:
    with pytest.raises(InvalidInput, match="'' cannot be the name of a head"):
        embstore.fit_head(store, name="")


@pytest.mark.parametrize(
    ("head", "options", "fix"),
    [
        ("logistic", {"k": 3}, "--head knn -k 3   # or leave out -k"),
        ("logistic", {"weighting": "uniform"}, "--head knn --weighting uniform   # or leave out --weighting"),
        ("knn", {"balanced": True}, "--head logistic --balanced   # or leave out --balanced"),
    ],
)
def test_an_option_of_another_head_is_refused(
    store: str, head: str, options: dict[str, object], fix: str
) -> None:
    with pytest.raises(InvalidInput, match=f"The head to fit is {head}") as caught:
        embstore.fit_head(store, head=head, options=embstore.HeadOptions(**options))  # type: ignore[arg-type]
    assert caught.value.fix == fix


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_dataset_is_classified_into_a_file(tmp_path: Path, store: str, suffix: str) -> None:
    embstore.fit_head(store)
    source = tmp_path / "new.csv"
    source.write_text('text,label\n"=1+1 sad",sad\n   ,sad\nso happy,happy\n')
    output = tmp_path / f"answers.{suffix}"
    n = embstore.write_rows(output, embstore.classify_dataset(source, store))
    with output.open(newline="") as file:
        found = list(csv.DictReader(file)) if suffix == "csv" else [json.loads(line) for line in file]
    assert n == len(found) == 3
    assert [bool(row["error"]) for row in found] == [False, True, False]
    assert found[2]["given"] == "happy"
    assert found[0]["text"] == ("'=1+1 sad" if suffix == "csv" else "=1+1 sad")


def test_the_command_reads_any_dataset_that_build_reads(tmp_path: Path, store: str) -> None:
    embstore.fit_head(store)
    (tmp_path / "a.csv").write_bytes("Nr;Wörter;Gefühl\n7;so sad;sad\n".encode("latin-1"))
    (tmp_path / "b.csv").write_bytes("Nr;Wörter;Gefühl\n8;so happy;happy\n".encode("latin-1"))
    output = tmp_path / "answers.jsonl"
    columns = ["--text-column", "Wörter", "--label-column", "Gefühl", "--id-column", "Nr"]
    files = ["--file", f"train={tmp_path / 'a.csv'}", "--file", f"test={tmp_path / 'b.csv'}"]
    how = ["--delimiter", ";", "--encoding", "latin-1", "--output", str(output)]
    assert run(["classify", "-s", store, *files, *columns, *how]) == 0
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(one["id"], one["split"], one["given"]) for one in found] == [
        ("7", "train", "sad"),
        ("8", "test", "happy"),
    ]


def test_a_text_that_the_encoder_fails_on_is_one_row_with_an_error(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    embstore.fit_head(store)
    (tmp_path / "new.csv").write_text("text,label\nso sad,sad\npoison,sad\n  ,sad\nso happy,happy\n")
    with embstore.Store.open(store) as opened:
        kind = type(opened.encoder)
    whole = kind.encode

    def failing(encoder: TextEncoder, texts: Sequence[str]) -> Encoded:
        found = whole(encoder, texts)
        errors = {place: "the model failed" for place, text in enumerate(texts) if text == "poison"}
        return replace(found, errors=errors)

    monkeypatch.setattr(kind, "encode", failing)
    found = list(embstore.classify_dataset(tmp_path / "new.csv", store, evidence=1))
    assert [bool(row["error"]) for row in found] == [False, True, True, False]
    assert (found[1]["text"], found[1]["given"], found[1]["label"]) == ("poison", "sad", None)
    assert found[1]["error"] == "the text cannot be embedded: the model failed"
    assert found[3]["text"] == "so happy"
    assert found[3]["evidence"]
    (tmp_path / "new.csv").write_text("text\npoison\n")
    (row,) = embstore.classify_dataset(tmp_path / "new.csv", store)
    assert row["error"]


def test_an_output_that_exists_or_has_no_format_is_refused(tmp_path: Path) -> None:
    existing = tmp_path / "a.csv"
    existing.write_text("mine")
    with pytest.raises(InvalidInput, match="--overwrite"):
        embstore.check_output(existing, overwrite=False)
    embstore.check_output(existing, overwrite=True)
    with pytest.raises(InvalidInput, match=r"\.jsonl"):
        embstore.check_output(tmp_path / "a.xlsx", overwrite=False)
    with pytest.raises(InvalidInput, match="mkdir"):
        embstore.check_output(tmp_path / "no" / "a.csv", overwrite=False)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    existing = tmp_path / "a.jsonl"
    existing.write_text("mine")

    def broken():
        yield {"a": 1}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embstore.write_rows(existing, broken())
    assert existing.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [existing]


def test_columns_of_texts_are_classified(store: str) -> None:
    embstore.fit_head(store)
    with embstore.Classifier.open(store) as opened:
        assert len(opened.classify(np.array(["sad", "happy"]))) == 2
        assert opened.classify(np.array([], dtype=str)) == []


def test_a_seed_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match="--seed -1"):
        embstore.HeadOptions(seed=-1)
