"""What is exported is loaded again by the library that it is for, and is what the store holds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import datasets
import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

import embstore
from embstore.errors import DiskFailure, InvalidData, InvalidInput, NotFound
from embstore_cli.main import run
from flows.test_classify import build, rows

Options = embstore.ExportOptions
ODD = 'the cat,\n"so" sat 日本 🙂'


def records() -> list[dict[str, str | None]]:
    found = [{**row, "source": "mail"} for row in rows(40)]
    return [*found, {"id": "=1", "split": "test", "label": "=1+1", "text": ODD}]


@pytest.fixture
def store(tmp_path: Path, tiny_bert: Path) -> str:
    build(
        tmp_path, tiny_bert, [*records(), {"id": "gone", "split": "train", "label": "sad", "text": "so late"}]
    )
    # The last build leaves a tombstone, which no export may show.
    build(tmp_path, tiny_bert, records())
    return "mine"


@pytest.fixture
def opened(store: str) -> embstore.Store:
    return embstore.Store.open(store)


def test_parquet_holds_every_record_and_the_bytes_of_its_embedding(
    opened: embstore.Store, tmp_path: Path
) -> None:
    report = embstore.export_store(tmp_path / "a.parquet", "mine")
    assert (report.records, report.kind) == (41, "parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    held = opened.records(opened.rows())
    assert table.column("row").to_pylist() == opened.rows().tolist()
    for name in ("id", "split", "label", "text"):
        assert table.column(name).to_pylist() == [getattr(record, name) for record in held]
    assert json.loads(table.column("extra")[0].as_py()) == {"source": "mail"}
    embeddings = np.array(table.column("embedding").to_pylist(), dtype=np.float32)
    assert embeddings.tobytes() == np.asarray(opened.embeddings(opened.rows())).tobytes()
    embstore.export_store(tmp_path / "b.parquet", "mine", options=Options(embeddings=False))
    assert "embedding" not in pq.read_table(tmp_path / "b.parquet").column_names


def test_atlas_holds_projection_and_neighbors_by_position(opened: embstore.Store, tmp_path: Path) -> None:
    embstore.export_store(tmp_path / "a.parquet", "mine", options=Options(kind="atlas"))
    frame = pq.read_table(tmp_path / "a.parquet").to_pandas()
    assert {"id", "text", "label", "split", "projection_x", "projection_y", "neighbors"} <= set(frame.columns)
    embeddings = np.asarray(opened.embeddings(opened.rows())).astype(np.float64)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    distances = 1 - embeddings @ embeddings.T
    np.fill_diagonal(distances, np.inf)
    for place, one in enumerate(frame["neighbors"]):
        assert place not in one["ids"]
        np.testing.assert_allclose(one["distances"], np.sort(distances[place])[:15], atol=1e-5)
        np.testing.assert_allclose(distances[place][one["ids"]], one["distances"], atol=1e-5)
    assert np.isfinite(frame[["projection_x", "projection_y"]].to_numpy()).all()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_atlas_takes_a_store_of_few_records(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, rows(6), "few")
    embstore.export_store(tmp_path / "few.parquet", "few", options=Options(kind="atlas"))
    assert pq.read_table(tmp_path / "few.parquet").column("neighbors")[0].as_py()["ids"] != []
    build(tmp_path, tiny_bert, rows(3), "three")
    with pytest.raises(InvalidData, match="too few"):
        embstore.export_store(tmp_path / "three.parquet", "three", options=Options(kind="atlas"))


def test_npy_and_its_records_stand_in_the_same_order(opened: embstore.Store, tmp_path: Path) -> None:
    report = embstore.export_store(tmp_path / "a.npy", "mine")
    assert [Path(file).name for file in report.files] == ["a.npy", "a.npy.records.jsonl"]
    loaded = np.load(tmp_path / "a.npy")
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, opened.embeddings(opened.rows()))
    assert [one["row"] for one in lines(tmp_path / "a.npy.records.jsonl")] == opened.rows().tolist()
    assert lines(tmp_path / "a.npy.records.jsonl")[-1]["text"] == ODD


def test_numbers_of_the_same_name_have_records_of_their_own(store: str, tmp_path: Path) -> None:
    embstore.export_store(tmp_path / "a.npy", store, options=Options(splits=["train"]))
    embstore.export_store(tmp_path / "a.faiss", store, options=Options(splits=["test"]))
    of_train, of_test = (lines(tmp_path / f"a.{one}.records.jsonl") for one in ("npy", "faiss"))
    assert len(of_train) == len(np.load(tmp_path / "a.npy")) == 32
    assert [one["split"] for one in of_test] == ["test"]


def test_safetensors_tell_their_encoder(opened: embstore.Store, tmp_path: Path) -> None:
    embstore.export_store(tmp_path / "a.safetensors", "mine")
    with safe_open(tmp_path / "a.safetensors", framework="np") as file:
        np.testing.assert_array_equal(file.get_tensor("embeddings"), opened.embeddings(opened.rows()))
        np.testing.assert_array_equal(file.get_tensor("rows"), opened.rows())
        assert file.metadata()["fingerprint"] == opened.manifest.fingerprint


def test_a_faiss_file_answers_with_rows(opened: embstore.Store, tmp_path: Path) -> None:
    embstore.export_store(tmp_path / "a.faiss", "mine")
    index = faiss.read_index(str(tmp_path / "a.faiss"))
    queries = np.asarray(opened.embeddings(opened.rows()[:5]))
    similarities, found = index.search(queries / np.linalg.norm(queries, axis=1, keepdims=True), 4)
    wanted, wanted_rows = opened.search(queries, 4)
    np.testing.assert_allclose(similarities, wanted, atol=1e-5)
    assert found[:, 0].tolist() == wanted_rows[:, 0].tolist()
    assert {one["row"] for one in lines(tmp_path / "a.faiss.records.jsonl")} == set(opened.rows().tolist())


def test_jsonl_and_csv_hold_the_records(opened: embstore.Store, tmp_path: Path) -> None:
    embstore.export_store(tmp_path / "a.jsonl", "mine")
    found = lines(tmp_path / "a.jsonl")
    embeddings = np.array([one["embedding"] for one in found], dtype=np.float32)
    np.testing.assert_array_equal(embeddings, opened.embeddings(opened.rows()))
    for raw, wanted in ((False, "'=1+1"), (True, "=1+1")):
        embstore.export_store(tmp_path / "a.csv", "mine", options=Options(raw=raw, overwrite=True))
        with (tmp_path / "a.csv").open(newline="") as file:
            table = list(csv.DictReader(file))
        assert (table[-1]["label"], table[-1]["text"]) == (wanted, ODD)
        assert "embedding" not in table[0]


def test_a_datasets_folder_is_loaded_with_its_splits(opened: embstore.Store, tmp_path: Path) -> None:
    embstore.export_store(tmp_path / "data", "mine")
    loaded = datasets.load_from_disk(str(tmp_path / "data"))
    assert {name: len(split) for name, split in loaded.items()} == {"validation": 8, "train": 32, "test": 1}
    train = opened.split("train")
    assert loaded["train"]["text"][:] == train.texts
    names = loaded["train"].features["label"].names
    assert names == ["=1+1", "happy", "sad"]
    assert [names[code] for code in loaded["train"]["label"]] == train.labels
    np.testing.assert_array_equal(np.array(loaded["train"]["embedding"], dtype=np.float32), train.embeddings)
    # What it was exported from can be built from it again.
    assert "extra" in loaded["train"].column_names


def test_a_datasets_folder_is_written_without_bars(
    opened: embstore.Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    embstore.export_store(tmp_path / "data", "mine")
    assert capfd.readouterr() == ("", "")


def test_records_without_a_label_keep_none(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, [*rows(10), {"id": "bare", "split": "train", "label": None, "text": "so sad"}])
    embstore.export_store(tmp_path / "data", "mine", options=Options(splits=["train"], embeddings=False))
    loaded = datasets.load_from_disk(str(tmp_path / "data"))
    assert list(loaded) == ["train"]
    assert loaded["train"]["label"][-1] is None
    assert "embedding" not in loaded["train"].column_names


def test_a_split_is_exported_alone(store: str, tmp_path: Path) -> None:
    report = embstore.export_store(tmp_path / "a.parquet", store, options=Options(splits=["validation"]))
    assert report.records == 8
    with pytest.raises(NotFound, match="no split 'dev'"):
        embstore.export_store(tmp_path / "b.parquet", store, options=Options(splits=["dev"]))
    assert not (tmp_path / "b.parquet").exists()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.xlsx", {}, "no format"),
        ("a.parquet", {"kind": "pickle"}, "no format 'pickle'"),
        ("a.npy", {"kind": "parquet"}, "no name for parquet"),
        ("a.npy", {"kind": "datasets"}, "no name for datasets"),
        ("none/a.npy", {}, "no folder"),
        ("old.npy", {}, "exists already"),
        ("half.npy", {}, "half.npy.records.jsonl exists already"),
        ("folder.npy", {"overwrite": True}, "is a folder"),
        ("other", {"overwrite": True}, "something else"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(
    store: str, tmp_path: Path, name: str, options: dict[str, object], message: str
) -> None:
    (tmp_path / "old.npy").write_text("older")
    (tmp_path / "half.npy.records.jsonl").write_text("older")
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match=message):
        embstore.export_store(tmp_path / name, store, options=Options(**options))  # type: ignore[arg-type]
    assert (tmp_path / "old.npy").read_text() == "older"
    assert (tmp_path / "other" / "thesis.txt").read_text() == "mine"
    assert not list(tmp_path.glob(".*unfinished"))


@pytest.mark.parametrize("name", ["a.parquet", "a.npy", "a.csv", "data"])
def test_a_full_disk_leaves_the_older_export(
    store: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    embstore.export_store(tmp_path / name, store, options=Options(splits=["test"]))
    target = tmp_path / name
    before = sorted((one.name, one.stat().st_size) for one in [target, *target.rglob("*")] if one.is_file())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("embstore.flows.export.save_dataset", full)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFailure, match="No space left"):
        embstore.export_store(target, store, options=Options(overwrite=True))
    after = sorted((one.name, one.stat().st_size) for one in [target, *target.rglob("*")] if one.is_file())
    assert after == before
    assert not list(tmp_path.glob(".*unfinished"))


def test_a_failing_rename_puts_the_older_folder_back(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "data"
    embstore.export_store(target, store, options=Options(splits=["test"]))
    rename = Path.rename

    def refuse(self: Path, other: Path) -> Path:
        if self.name.endswith(".unfinished"):
            raise OSError(5, "Input/output error")
        return rename(self, other)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(DiskFailure, match="Input/output"):
            embstore.export_store(target, store, options=Options(overwrite=True))
    assert list(datasets.load_from_disk(str(target))) == ["test"]
    embstore.export_store(target, store, options=Options(splits=["train"], overwrite=True))
    assert list(datasets.load_from_disk(str(target))) == ["train"]
    assert not list(tmp_path.glob(".data*"))


def test_the_command_exports(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "a.parquet")
    assert run(["export", target, "-s", store]) == 0
    assert "41" in capsys.readouterr().out
    assert run(["export", target, "-s", store]) == 2
    assert run(["export", target, "-s", store, "--overwrite", "--json", "--split", "test"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 1


def test_one_string_of_splits_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not the string 'train'"):
        embstore.ExportOptions(splits="train")
