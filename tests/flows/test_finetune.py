"""Fine-tuning a store through the public names: its folder, its card, and its place in a comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import embstore
from embstore.errors import Interrupted, InvalidData, InvalidInput
from embstore_cli.main import run
from flows.test_classify import build, rows
from flows.test_compare import records

FAST = embstore.FinetuneOptions(epochs=1, batch_size=16)


@pytest.fixture
def store(tmp_path: Path, tiny_bert: Path) -> str:
    build(tmp_path, tiny_bert, records(40))
    return "mine"


def test_the_folder_builds_a_store_and_says_how_it_was_made(store: str, tmp_path: Path) -> None:
    report = embstore.finetune_model(tmp_path / "model", store, options=FAST)
    assert (report.records, report.validated, report.labels) == (24, 8, ["happy", "sad"])
    card = (tmp_path / "model" / "README.md").read_text()
    assert "fine-tuned with a classification head on 24 texts" in card
    assert "- learning_rate: 2e-05" in card
    assert not (tmp_path / "model" / "checkpoints").exists()
    built = embstore.build_store(tmp_path / "mine.jsonl", "tuned", encoder=str(tmp_path / "model"))
    assert built.encoded == 40


def test_the_card_tells_the_dtype_that_was_used(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embstore.learn.finetuning.gradient_cosine", lambda *_: 0.5)
    options = embstore.FinetuneOptions(epochs=1, dtype="bfloat16")
    embstore.finetune_model(tmp_path / "model", store, options=options)
    assert "- dtype: float32" in (tmp_path / "model" / "README.md").read_text()


def test_a_comparison_judges_fine_tuning_by_the_same_texts(store: str) -> None:
    epochs: list[embstore.EpochScore] = []
    options = embstore.CompareOptions(finetune=FAST)
    found = embstore.compare_methods(store, options=options, on_epoch=epochs.append).as_json()
    tuned = found["methods"][-1]
    assert tuned["name"] == "fine-tuned"
    assert [one.epoch for one in epochs] == [1]
    assert sum(map(sum, tuned["confusion"])) == found["splits"]["evaluated"]["n"]
    assert len(found["pairs"]) == 6
    assert "fine-tuning" in found["verdict"]["sentence"]


def test_the_latency_of_fine_tuning_is_that_of_one_text(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its batches are faster a text, which would be unfair to the heads: they are timed one by one."""
    monkeypatch.setattr("embstore.flows.finetune.latency", lambda answer, texts: 1e6 + len(texts))
    options = embstore.CompareOptions(finetune=FAST)
    assert embstore.compare_methods(store, options=options).content["methods"][-1]["latency_ms"] > 1e6


def test_what_cannot_be_fine_tuned_is_refused(store: str, tmp_path: Path, tiny_bert: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="--overwrite"):
        embstore.finetune_model(tmp_path / "full", store, options=FAST)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "checkpoints").write_text("mine")
    with pytest.raises(InvalidInput, match="checkpoints is a file"):
        embstore.finetune_model(tmp_path / "odd", store, options=FAST, overwrite=True)
    assert (tmp_path / "odd" / "checkpoints").read_text() == "mine"
    build(tmp_path, tiny_bert, [{**row, "label": "only", "split": "train"} for row in rows(8)], "single")
    with pytest.raises(InvalidData, match="one label only"):
        embstore.finetune_model(tmp_path / "model", "single", options=FAST)
    assert not (tmp_path / "model").exists()


def test_a_comparison_that_is_stopped_does_not_promise_to_go_on(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("embstore.learn.finetuning.PiecewiseTrainer.train", stopped)
    options = embstore.CompareOptions(finetune=FAST)
    with pytest.raises(Interrupted, match=r"nothing of its fine-tuning is kept(.|\n)*embstore finetune"):
        embstore.compare_methods(store, options=options)


def test_without_validation_the_card_and_the_page_claim_no_choice(tmp_path: Path, tiny_bert: Path) -> None:
    split = {"validation": "train"}
    rows_of_train = [{**row, "split": split.get(str(row["split"]), row["split"])} for row in records(40)]
    build(tmp_path, tiny_bert, rows_of_train, "plain")
    embstore.finetune_model(tmp_path / "model", "plain", options=FAST)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "There were no validation texts: the weights are those of the last epoch." in card
    assert "best epoch" not in card
    found = embstore.compare_methods("plain", options=embstore.CompareOptions(finetune=FAST)).as_json()
    page = embstore.write_report(found, tmp_path / "report").read_text()
    assert "cross-validation of train (logistic regression);" in page


def test_the_command_prints_each_epoch(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", str(tmp_path / "model"), "-s", store, "--epochs", "2", "--json"]) == 0
    printed = capsys.readouterr()
    assert "epoch 2: loss" in printed.err
    assert len(json.loads(printed.out)["epochs"]) == 2
    assert run(["finetune", str(tmp_path / "model"), "-s", store, "--epochs", "0"]) == 2
