from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_helpers import write

from loopback_hub import LoopbackHub, Repository, hub_environment

Answer = dict[str, Any]

# The hub's address is read when the libraries are imported, so the hub is asked in another process: one for
# all questions, as importing them takes seconds.
_ASK = """
import json, sys
from dataclasses import asdict
from embstore.data import ReadOptions, open_dataset
from embstore.errors import EmbstoreError

def ask(name, options):
    try:
        dataset = open_dataset(name, ReadOptions(**options))
        records = [asdict(record) for record in dataset]
    except EmbstoreError as error:
        return {"error": type(error).__name__, "what": error.what, "why": error.why, "fix": error.fix}
    facts = {"name": dataset.name, "origin": dataset.origin, "splits": dataset.splits, "total": dataset.total}
    return facts | {"fingerprint": dataset.fingerprint, "records": records}

print(json.dumps({key: ask(*question) for key, question in json.loads(sys.argv[1]).items()}))
"""
_CARD = """---
configs:
- config_name: {name}
  data_files:
  - {{split: train, path: train.csv}}
- config_name: other
  data_files:
  - {{split: train, path: train.csv}}
---
"""
_SIZES = """---
dataset_info:
  features:
  - {name: text, dtype: string}
  - name: label
    dtype: {class_label: {names: {'0': sad, '1': joy}}}
  splits:
  - {name: test, num_examples: 2}
  - {name: train, num_examples: 3}
---
"""


def ask(questions: dict[str, tuple[str, dict[str, Any]]], environment: dict[str, str]) -> tuple[Answer, str]:
    command = [sys.executable, "-c", _ASK, json.dumps(questions)]
    root = Path(__file__).parents[2]
    environment = environment | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout), done.stderr


def labelled(folder: Path, **splits: list[int]) -> Path:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["sad", "joy"])}
    )
    for split, labels in splits.items():
        rows = {"text": [f"{split} {place}" for place in range(len(labels))], "label": labels}
        table = datasets.Dataset.from_dict(rows, features=features).data.table
        path = folder / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    home = tmp_path_factory.mktemp("repositories")
    emotion = labelled(home / "emotion", test=[0, 1], train=[1, 0, -1])
    write(emotion / "README.md", _SIZES)
    rows = "text,label\none,joy\n"
    for name in ("configs", "single", "gated", "scripted", "plain"):
        write(home / name / "train.csv", rows)
    write(home / "configs" / "README.md", _CARD.format(name="first"))
    write(home / "scripted" / "scripted.py", "raise SystemExit")
    write(home / "empty" / "README.md", "# no data")
    write(
        home / "lines" / "train.jsonl",
        '{"body": "one", "topic": 3, "n": 1}\n{"body": null, "topic": 4, "n": 2}\n',
    )
    write(home / "damaged" / "train.parquet", b"PAR1 not parquet at all PAR1")
    home.joinpath("images").mkdir()
    pq.write_table(pa.table({"pixels": [[1, 2]]}), home / "images" / "train.parquet")
    with LoopbackHub() as hub:
        for folder in home.iterdir():
            hub.add_dataset(f"owner/{folder.name}", folder, gated=folder.name == "gated")
        yield hub


@pytest.fixture(scope="module")
def answers(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    commit = commit_of(hub, "owner/emotion")
    questions: dict[str, tuple[str, dict[str, Any]]] = {
        "emotion": ("owner/emotion", {}),
        "emotion at main": ("owner/emotion", {"revision": "main"}),
        "emotion at its commit": ("owner/emotion", {"revision": commit}),
        "emotion test": ("owner/emotion", {"splits": ["test"]}),
        "lines": ("owner/lines", {}),
        "one config": ("owner/configs", {"config": "first"}),
        "all of it": ("owner/configs", {"config": "first", "revision": "main", "splits": ["train"]}),
        "no split": ("owner/emotion", {"splits": ["dev"]}),
        "no revision": ("owner/emotion", {"revision": "v9"}),
        "no config": ("owner/configs", {"config": "second"}),
        "several configs": ("owner/configs", {}),
        "no dataset": ("owner/none", {}),
        "gated": ("owner/gated", {}),
        "scripted": ("owner/scripted", {}),
        "empty": ("owner/empty", {}),
        "damaged": ("owner/damaged", {}),
        "no text": ("owner/images", {}),
        "delimiter": ("owner/plain", {"delimiter": ";"}),
        "odd name": ("owner/a--b", {}),
    }
    found, noise = ask(questions, hub.environment(tmp_path_factory.mktemp("home")))
    return found | {"noise": noise}


def commit_of(hub: LoopbackHub, name: str) -> str:
    repository = hub.find("datasets", name)
    assert isinstance(repository, Repository)
    return repository.commit


def test_a_hub_dataset_is_read_in_the_order_of_its_splits(answers: Answer) -> None:
    emotion = answers["emotion"]
    assert (emotion["name"], emotion["splits"], emotion["total"]) == ("owner/emotion", ["train", "test"], 5)
    assert [(r["split"], r["text"], r["label"]) for r in emotion["records"]] == [
        ("train", "train 0", "joy"),
        ("train", "train 1", "sad"),
        ("train", "train 2", None),
        ("test", "test 0", "sad"),
        ("test", "test 1", "joy"),
    ]


def test_only_the_wanted_splits_of_a_hub_dataset_are_read(answers: Answer) -> None:
    assert {r["split"] for r in answers["emotion test"]["records"]} == {"test"}
    assert answers["emotion test"]["total"] == 2


def test_a_hub_fingerprint_is_that_of_the_commit(answers: Answer) -> None:
    same = {answers[key]["fingerprint"] for key in ("emotion", "emotion at main", "emotion at its commit")}
    assert len(same) == 1
    assert answers["emotion test"]["fingerprint"] not in same


def test_columns_of_json_lines_on_the_hub_are_found(answers: Answer) -> None:
    good, bad = answers["lines"]["records"]
    assert (good["text"], good["label"], good["extra"]) == ("one", "3", {"n": 1})
    assert bad["error"] == "the text is null"


def test_a_named_configuration_is_read(answers: Answer) -> None:
    assert [r["text"] for r in answers["one config"]["records"]] == ["one"]


@pytest.mark.parametrize(
    ("question", "origin"),
    [
        ("emotion", "owner/emotion"),
        ("emotion at main", "owner/emotion (revision main)"),
        ("emotion test", "owner/emotion [test]"),
        ("one config", "owner/configs@first"),
        ("all of it", "owner/configs@first (revision main) [train]"),
    ],
)
def test_the_origin_is_what_was_asked_of_the_hub(answers: Answer, question: str, origin: str) -> None:
    assert answers[question]["origin"] == origin


@pytest.mark.parametrize(
    ("question", "error", "what", "why", "fix"),
    [
        ("no split", "NotFound", "has no split 'dev'", "train, test", "--split train"),
        ("no revision", "NotFound", "has no revision 'v9'", "", "--revision main"),
        ("no config", "NotFound", "has no configuration 'second'", "first, other", "--config first"),
        ("several configs", "InvalidInput", "has several configurations", "first, other", "--config first"),
        ("no dataset", "NotFound", "No such dataset: owner/none", "or it is private", "hf auth login"),
        ("gated", "NotFound", "owner/gated is gated", "", "on its page"),
        ("scripted", "InvalidData", "is a program", "scripted.py", "--revision refs/convert/parquet"),
        ("empty", "InvalidData", "owner/empty cannot be read", "", ""),
        ("damaged", "InvalidData", "owner/damaged cannot be read", "", ""),
        ("no text", "NotFound", "has no column that looks like the text", "pixels", "--text-column NAME"),
        ("delimiter", "InvalidInput", "--delimiter is for CSV files", "", "leave out --delimiter"),
        ("odd name", "InvalidInput", "'owner/a--b' cannot be the id of a dataset", "", ""),
    ],
)
def test_what_the_hub_cannot_give_is_explained(
    answers: Answer, question: str, error: str, what: str, why: str, fix: str
) -> None:
    answer = answers[question]
    assert answer.get("error") == error
    assert what in answer["what"]
    assert why in answer["why"]
    assert fix in answer["fix"]


def test_asking_the_hub_is_silent(answers: Answer) -> None:
    assert answers["noise"] == ""


def test_a_hub_that_refuses_connections_is_unreachable(tmp_path: Path) -> None:
    # Port 9, "discard", is open nowhere.
    found, _ = ask({"x": ("owner/emotion", {})}, hub_environment("http://127.0.0.1:9", tmp_path))
    assert found["x"]["error"] == "HubUnreachable"
    assert "embstore build train=train.csv" in found["x"]["fix"]


def test_a_hub_in_trouble_is_unreachable(tmp_path: Path) -> None:
    with LoopbackHub() as hub:
        hub.broken = 503
        found, _ = ask({"x": ("owner/emotion", {})}, hub.environment(tmp_path))
    assert found["x"]["error"] == "HubUnreachable"
    assert "503" in found["x"]["why"]


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"])
def test_offline_mode_asks_nothing(tmp_path: Path, variable: str) -> None:
    with LoopbackHub() as hub:
        found, _ = ask({"x": ("owner/emotion", {})}, hub.environment(tmp_path) | {variable: "1"})
        assert not hub.requests
    assert found["x"]["error"] == "HubUnreachable"
    assert "embstore build train=train.csv" in found["x"]["fix"]
