from __future__ import annotations

import io
import logging
import tracemalloc
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_helpers import read, splits_of, texts, write

from embstore.data import ReadOptions, open_dataset
from embstore.errors import InvalidData, InvalidInput, NotFound
from embstore.records import Rejected

ONE = "text,label\none,joy\n"
TWO = "text,label\ntwo,fear\n"


def test_a_file_is_the_split_train(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path / "some.csv", ONE))
    assert (dataset.name, dataset.splits, dataset.total) == ("some.csv", ("train",), 1)


@pytest.mark.parametrize(
    "name", ["a b.csv", "a[1].csv", "a*?.csv", "ä.CSV", ".hidden.csv", "a=b.csv", "test"]
)
def test_any_file_name_can_be_read(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "odd [0] folder" / (name if "." in name else f"{name}.csv"), ONE)
    assert texts(read(str(path))) == ["one"]


def test_a_folder_names_its_splits(tmp_path: Path) -> None:
    for name in ("test", "other", "validation", "train", "another"):
        write(tmp_path / "reviews" / f"{name}.csv", ONE)
    write(tmp_path / "reviews" / "README.md", "# not data")
    write(tmp_path / "reviews" / "labels.txt", "joy\n")
    dataset = open_dataset(f"{tmp_path}/reviews/")
    assert dataset.name == "reviews"
    assert dataset.splits == ("train", "validation", "test", "another", "other")
    assert splits_of(dataset) == list(dataset.splits)
    assert dataset.total == 5


def test_shards_are_one_split_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (1, 0):
        table = pa.table({"text": [f"shard {number}"]})
        pq.write_table(table, tmp_path / f"train-{number:05}-of-00002.parquet")
    assert texts(read(tmp_path)) == ["shard 0", "shard 1"]
    assert open_dataset(tmp_path).splits == ("train",)


def test_a_missing_shard_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002.csv", ONE)
    with pytest.raises(InvalidData, match="'train' has 1 of its 2 files"):
        open_dataset(tmp_path)


def test_two_files_of_one_split_in_a_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", ONE)
    write(tmp_path / "train.jsonl", '{"text": "one"}')
    with pytest.raises(InvalidInput, match="both give the split 'train'"):
        open_dataset(tmp_path)


def test_a_folder_without_data_says_what_could_be_read(tmp_path: Path) -> None:
    write(tmp_path / "README.md", "# not data")
    with pytest.raises(InvalidData, match=r"\.csv, \.tsv, \.jsonl, \.ndjson, \.parquet, \.txt"):
        open_dataset(tmp_path)


def test_a_file_name_that_cannot_be_a_split_says_how_to_name_one(tmp_path: Path) -> None:
    path = write(tmp_path / "my data.csv", ONE)
    with pytest.raises(InvalidInput, match="'my data' cannot be the name of a split") as caught:
        open_dataset(tmp_path)
    assert caught.value.fix == f"train='{path}'"


def test_pairs_name_their_splits(tmp_path: Path) -> None:
    one, two = write(tmp_path / "x" / "a.csv", ONE), write(tmp_path / "x" / "b.jsonl", '{"text": "two"}')
    dataset = open_dataset([f"validation={two}", f"train={one}"])
    assert (dataset.name, dataset.splits) == ("x", ("train", "validation"))
    assert texts(dataset) == ["one", "two"]


def test_several_files_of_one_split_are_read_as_given(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.csv", ONE), write(tmp_path / "b.csv", TWO)
    assert texts(read([f"train={two}", f"train={one}"])) == ["two", "one"]


def test_several_sources_without_splits_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ONE)
    with pytest.raises(InvalidInput, match="must say its split"):
        open_dataset([f"train={path}", str(path)])


def test_a_folder_is_no_file_of_a_split(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(InvalidInput, match="is not a file"):
        open_dataset(f"train={tmp_path / 'a.csv'}")


def test_a_path_that_would_chain_file_systems_is_refused_where_datasets_reads_it(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "zip::a.parquet")
    with pytest.raises(InvalidInput, match="'::' in its path"):
        open_dataset(tmp_path / "zip::a.parquet")
    assert list(open_dataset(write(tmp_path / "zip::a.csv", ONE)))


def test_an_impossible_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'my split' cannot be the name of a split"):
        open_dataset(f"my split={write(tmp_path / 'a.csv', ONE)}")


def test_only_the_wanted_splits_are_opened(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "")
    write(tmp_path / "test.csv", ONE)
    dataset = open_dataset(tmp_path, ReadOptions(splits=["test"]))
    assert (dataset.splits, splits_of(dataset), dataset.total) == (("test",), ["test"], 1)


def test_an_absent_split_lists_those_that_exist(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", ONE)
    write(tmp_path / "test.csv", ONE)
    with pytest.raises(NotFound, match="Its splits are: train, test"):
        open_dataset(tmp_path, ReadOptions(splits=["dev"]))


def test_splits_as_a_bare_string_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not the string 'train'"):
        ReadOptions(splits="train")


def test_a_column_split_names_the_split_of_each_record(tmp_path: Path) -> None:
    rows = "".join(
        f"{split},text {number}\n" for number, split in enumerate(["test", "train", "dev", "train"])
    )
    path = write(tmp_path / "a.csv", f"Split,text\n{rows},text\nmy split,text\n")
    dataset = open_dataset(path)
    assert (dataset.splits, dataset.total) == (("train", "test", "dev"), 4)
    assert splits_of(dataset)[:3] == ["test", "train", "dev"]
    assert [one.error for one in dataset if hasattr(one, "error")] == [
        "the split is null or empty",
        "the split 'my split' has other characters than letters, digits, '.', '_' and '-'",
    ]
    assert texts(read(path, splits=["train"])) == ["text 1", "text 3"]


def test_a_bad_line_of_a_file_with_a_column_split_counts_under_its_first_split(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", '{"split": "dev", "text": "one"}\n{\n{"split": ["dev"], "text": "two"}\n'
    )
    bad = [one for one in open_dataset(path) if isinstance(one, Rejected)]
    assert [(one.position, one.split) for one in bad] == [(1, "dev"), (2, "dev")]


def test_a_column_split_is_an_extra_value_where_the_split_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "split,text\ntest,one\n")
    assert [(r.split, r.extra) for r in read(f"dev={path}")] == [("dev", {"split": "test"})]


@pytest.mark.parametrize(
    "source", ["none.csv", "data/none.parquet", "./none", "/none", "none/", "train=none.csv", "none.xlsx"]
)
def test_an_absent_path_is_never_looked_for_on_the_hub(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the tests run from, a file of that name may lie.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("embstore.data.hub.open_hub", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(NotFound, match=f"No such file: {source.removeprefix('train=')}"):
        open_dataset(source)


@pytest.mark.parametrize(
    ("source", "place", "fix"),
    [
        ("nosuch.csv", "", "ls {}"),
        ("trian.csv", "", "train.csv   # is there"),
        ("train=data/trian.csv", "/data", "data/train.csv   # is there"),
        ("date/train.csv", "", "ls {}"),
        ("none/none/none.csv", "", "ls {}"),
    ],
)
def test_an_absent_file_is_told_with_one_that_is_there_or_where_to_look(
    source: str, place: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data" / "train.csv", ONE)
    write(tmp_path / "train.csv", ONE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound) as caught:
        open_dataset(source)
    assert caught.value.why == f"Looked in {tmp_path}{place}."
    assert caught.value.fix == fix.format(tmp_path)


def test_a_folder_on_disk_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "dair-ai" / "emotion" / "train.csv", ONE)
    monkeypatch.chdir(tmp_path)
    assert open_dataset("dair-ai/emotion").name == "emotion"


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("a.json", "jq -c '.[]' {0}/a.json > {0}/a.jsonl"),
        ("my data/a b.json", "jq -c '.[]' '{0}/my data/a b.json' > '{0}/my data/a b.jsonl'"),
        ("a.csv.gz", "gunzip --keep {0}/a.csv.gz"),
        ("it's.feather", """pandas.read_feather("{0}/it's.feather").to_parquet("{0}/it's.parquet")"""),
        ("a.log", ""),
    ],
)
def test_an_unknown_format_lists_the_known_ones(tmp_path: Path, name: str, fix: str) -> None:
    with pytest.raises(InvalidInput, match=r"The formats are: \.csv") as caught:
        open_dataset(write(tmp_path / name, "x"))
    assert caught.value.fix == fix.format(tmp_path)


def test_a_source_that_is_nothing_we_know_says_so() -> None:
    with pytest.raises(NotFound, match="No such dataset: 'not a/hub id'"):
        open_dataset("not a/hub id")


@pytest.mark.parametrize("option", ["config", "revision"])
def test_options_of_the_hub_are_refused_for_files(tmp_path: Path, option: str) -> None:
    with pytest.raises(InvalidInput, match=f"--{option} x is for hub datasets"):
        open_dataset(write(tmp_path / "a.csv", ONE), ReadOptions(**{option: "x"}))


def test_an_unreadable_file_is_an_error_of_ours(tmp_path: Path, forbid: Callable[[Path, int], None]) -> None:
    path = write(tmp_path / "a.csv", ONE)
    forbid(path, 0)
    with pytest.raises(InvalidData, match="Permission denied"):
        open_dataset(path)


def test_a_file_that_goes_while_it_is_read_is_an_error_of_ours(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ONE)
    dataset = open_dataset(path)
    path.unlink()
    with pytest.raises(NotFound):
        list(dataset)


def test_reading_is_silent_and_leaves_log_and_progress_bars_as_they_were(tmp_path: Path) -> None:
    logger, noise = logging.getLogger("datasets"), io.StringIO()
    before = (logger.level, datasets.are_progress_bars_disabled())
    with redirect_stderr(noise):
        read(write(tmp_path / "a.csv", ONE))
    assert (logger.level, datasets.are_progress_bars_disabled()) == before
    assert noise.getvalue() == ""


def test_a_dataset_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text\n" + f"{'word ' * 200}\n" * 20_000)
    dataset = open_dataset(path)
    tracemalloc.start()
    assert sum(1 for _ in dataset) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    assert peak < 12_000_000


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.parquet"])
def test_a_delimiter_is_refused_for_formats_without_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"--delimiter is for CSV and TSV files, not for {name}"):
        open_dataset(write(tmp_path / name, "x"), ReadOptions(delimiter=";"))


@pytest.mark.parametrize("source", ["~nobody-of-this-name/x.csv", "train=~nobody-of-this-name/x.csv"])
def test_the_home_of_nobody_is_no_such_file(source: str) -> None:
    with pytest.raises(NotFound, match="No such file: ~nobody"):
        open_dataset(source)
