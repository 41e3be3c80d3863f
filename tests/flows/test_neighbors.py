"""Neighbors through the public names, with a real transformer, and the notebook's ten lines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import embstore
from embstore.errors import EncoderMismatch, HubUnreachable, InvalidInput, NotFound
from embstore.flows.encoders import stored_encoder
from tiny_models import make_tokenizer, make_transformer

ROWS = [
    ("t1", "train", "sad", "the train was late again"),
    ("t2", "train", "happy", "i feel so happy"),
    ("t3", "train", None, "a cat sat on a mat"),
    ("v1", "validation", "sad", "why is it so sad"),
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    keys = ("id", "split", "label", "text")
    path.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in ROWS))
    return path


def test_the_notebooks_ten_lines(table: Path, tiny_distilbert: Path) -> None:
    report = embstore.build_store(table, store="mine", encoder=str(tiny_distilbert))
    store = embstore.Store.open("mine")
    neighbors = store.neighbors("the train was late again", k=2)
    train = store.split("train")
    assert report.splits == {"train": 3, "validation": 1}
    assert neighbors[0].record.id == "t1"
    assert neighbors[0].similarity == pytest.approx(1.0, abs=1e-6)
    assert train.embeddings.shape == (3, 32)
    assert train.labels == ["sad", "happy", None]
    assert train.texts[2] == "a cat sat on a mat"
    assert not train.embeddings.flags.writeable
    store.close()


def test_distilbert_gives_the_cls_states_of_the_notebook(table: Path, tiny_distilbert: Path) -> None:
    embstore.build_store(table, store="mine", encoder=str(tiny_distilbert))
    encoder = embstore.load_encoder(str(tiny_distilbert))
    with embstore.Store.open("mine") as store:
        assert store.manifest.encoder["pooling"] == "cls"
        expected = encoder.encode(store.split("train").texts).embeddings
        np.testing.assert_allclose(store.split("train").embeddings, expected, atol=2e-5)


def test_filters_never_return_fewer_than_match(table: Path, tiny_bert: Path) -> None:
    embstore.build_store(table, store="mine", encoder=str(tiny_bert))
    (answer,) = embstore.find_neighbors(["sad"], "mine", k=10, label="sad")
    assert {one.record.id for one in answer.neighbors} == {"t1", "v1"}
    (answer,) = embstore.find_neighbors(["sad"], "mine", k=10, label="sad", split="validation")
    assert [one.record.id for one in answer.neighbors] == ["v1"]
    assert answer.exact


def test_a_records_neighbors_leave_itself_out(table: Path, tiny_bert: Path) -> None:
    embstore.build_store(table, store="mine", encoder=str(tiny_bert))
    answer = embstore.find_neighbors_of_record("t1", "mine", k=10)
    assert {one.record.id for one in answer.neighbors} == {"t2", "t3", "v1"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": ["x"], "split": "dev"}, NotFound, "no split 'dev'"),
        ({"texts": ["x"], "label": "joy"}, NotFound, "no label 'joy'"),
        ({"texts": ["x"], "label": "SAD"}, NotFound, "Fix: --label sad$"),
        ({"texts": ["x"], "split": "Validaton"}, NotFound, "Fix: --split validation$"),
        ({"texts": ["x"], "k": 0}, InvalidInput, "k is 0"),
        ({"texts": [" "]}, InvalidInput, "empty"),
        ({"texts": "x"}, InvalidInput, "sequence"),
        ({"texts": ["x"], "store": "absent"}, NotFound, "no store absent"),
    ],
    ids=[
        "split",
        "label",
        "a label spelled otherwise",
        "a misspelt split",
        "k",
        "empty",
        "bare-str",
        "store",
    ],
)
def test_bad_queries_say_what_is_wrong(
    table: Path, tiny_bert: Path, arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    embstore.build_store(table, store="mine", encoder=str(tiny_bert))
    with pytest.raises(error, match=message):
        embstore.find_neighbors(**{"store": "mine", **arguments})  # type: ignore[arg-type]


def test_a_model_that_changed_on_disk_is_refused(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    make_tokenizer(folder)
    make_transformer(folder, "distilbert", seed=1)
    embstore.build_store(table, store="mine", encoder=str(folder))
    make_transformer(folder, "distilbert", seed=2)
    with pytest.raises(EncoderMismatch, match="not the one that built mine"):
        embstore.find_neighbors(["x"], "mine")
    assert embstore.find_neighbors_of_record("t1", "mine").neighbors


def test_a_rebuild_takes_the_stores_own_encoder(table: Path, tiny_distilbert: Path) -> None:
    embstore.build_store(table, store="mine", encoder=str(tiny_distilbert))
    assert embstore.build_store(table, store="mine").encoded == 0


def test_a_stores_remote_code_runs_only_when_the_reader_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"model": "someone/model", "revision": "0" * 40, "trust_remote_code": True}
    with pytest.raises(InvalidInput, match="runs code from someone/model"):
        stored_encoder(config)
    monkeypatch.setenv("EMBSTORE_TRUST_REMOTE_CODE", "1")
    with pytest.raises(HubUnreachable):
        stored_encoder(config)
