"""Build: what a store holds after each kind of run, and what was encoded for it."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from embstore.data import ReadOptions
from embstore.errors import (
    EncoderMismatch,
    Interrupted,
    InvalidData,
    InvalidInput,
    InvalidModel,
    NotFound,
    StoreLocked,
)
from embstore.flows import build as flow
from embstore.flows.build import BuildReport, build_store
from embstore.records import Encoded
from embstore.store import Store, verify_store
from embstore.store.files import writer_lock
from stub_encoder import StubEncoder

TEXTS = [f"text number {i}" for i in range(60)]


def write_csv(path: Path, texts: Sequence[str], labels: Sequence[str] | None = None) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(texts, labels or ["a"] * len(texts), strict=True))
    return path


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "WINDOW", 7)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "mine.csv", TEXTS)


def build(dataset: Path, encoder: StubEncoder, **options: object) -> BuildReport:
    return build_store(dataset, "mine", encoder=encoder, **options)  # type: ignore[arg-type]


def test_build_reports_what_it_did(table: Path, stub_encoder: StubEncoder) -> None:
    report = build(table, stub_encoder)
    assert (report.records, report.encoded, report.reused, report.quarantined) == (60, 60, 0, 0)
    assert report.splits == {"train": 60}
    assert report.dim == stub_encoder.dim
    assert verify_store(Path(report.store)).problems == ()


def test_a_second_build_encodes_nothing(table: Path, stub_encoder: StubEncoder) -> None:
    build(table, stub_encoder)
    report = build(table, stub_encoder)
    assert (report.records, report.encoded, report.reused, report.removed) == (60, 0, 60, 0)


def test_shuffled_rows_and_new_labels_cost_nothing_and_a_new_text_costs_one(
    tmp_path: Path, table: Path, stub_encoder: StubEncoder
) -> None:
    build(table, stub_encoder)
    rows = [[text, "a"] for text in TEXTS]
    rows[5][0] = "a changed text"
    for row in rows[10:20]:
        row[1] = "b"
    random.Random(1).shuffle(rows)
    changed = write_csv(tmp_path / "changed.csv", [row[0] for row in rows], [row[1] for row in rows])
    report = build(changed, stub_encoder)
    assert (report.records, report.encoded, report.reused, report.removed) == (60, 1, 59, 1)
    with Store.open("mine") as store:
        assert store.reader.counts("label") == {"a": 50, "b": 10}
        assert "a changed text" in store.split("train").texts


def test_a_text_that_stands_twice_is_encoded_once(tmp_path: Path, stub_encoder: StubEncoder) -> None:
    report = build(write_csv(tmp_path / "twice.csv", ["same", "other", "same"]), stub_encoder)
    assert (report.records, report.encoded, report.reused) == (3, 2, 1)
    assert sorted(stub_encoder.encoded) == ["other", "same"]


def test_records_that_the_dataset_lost_are_removed_unless_they_are_kept(
    tmp_path: Path, table: Path, stub_encoder: StubEncoder
) -> None:
    build(table, stub_encoder)
    fewer = write_csv(tmp_path / "fewer.csv", TEXTS[:50])
    assert build(fewer, stub_encoder, add=True).records == 60
    report = build(fewer, stub_encoder)
    assert (report.records, report.removed) == (50, 10)
    assert build(table, stub_encoder).encoded == 0


def test_a_failing_record_is_quarantined_and_the_rest_is_built(
    tmp_path: Path, stub_encoder: StubEncoder
) -> None:
    texts = [*TEXTS, "poison here", "nan here", "   "]
    report = build(write_csv(tmp_path / "bad.csv", texts), stub_encoder)
    assert (report.records, report.quarantined, report.encoded) == (60, 3, 60)
    with Store.open("mine") as store:
        errors = [one["error"] for one in store.reader.quarantined(1, 10)]
    assert len(errors) == 3
    assert any("poison" in error for error in errors)


def test_a_dataset_without_one_good_record_is_an_error_and_removes_nothing(
    tmp_path: Path, table: Path, stub_encoder: StubEncoder
) -> None:
    build(table, stub_encoder)
    with pytest.raises(InvalidData, match="None of the records") as caught:
        build(write_csv(tmp_path / "empty.csv", [" ", "  "]), stub_encoder)
    assert "The first: " in caught.value.why
    with Store.open("mine") as store:
        assert store.split("train").texts == TEXTS


def test_a_model_that_fails_on_everything_stops_the_build(tmp_path: Path, stub_encoder: StubEncoder) -> None:
    flow.WINDOW = 20
    with pytest.raises(InvalidModel, match="each of the first 20 texts"):
        build(write_csv(tmp_path / "bad.csv", [f"poison {i}" for i in range(40)]), stub_encoder)


class StoppingEncoder(StubEncoder):
    """Raises KeyboardInterrupt in its third window, as Ctrl-C does."""

    def encode(self, texts: Sequence[str]) -> Encoded:
        if len(self.encoded) >= 14:
            raise KeyboardInterrupt
        return super().encode(texts)


def test_ctrl_c_keeps_what_is_committed_and_the_next_build_goes_on(
    table: Path, stub_encoder: StubEncoder
) -> None:
    with pytest.raises(Interrupted, match="14 records") as caught:
        build(table, StoppingEncoder())
    assert "same command" in caught.value.fix
    report = build(table, stub_encoder)
    assert (report.records, report.encoded, report.reused) == (60, 46, 14)
    with Store.open("mine") as store:
        assert store.split("train").texts == TEXTS


def test_a_resumed_build_counts_what_was_quarantined_before(
    tmp_path: Path, stub_encoder: StubEncoder
) -> None:
    texts = ["  ", *TEXTS]
    dataset = write_csv(tmp_path / "bad.csv", texts)
    with pytest.raises(Interrupted):
        build(dataset, StoppingEncoder())
    report = build(dataset, stub_encoder)
    assert report.encoded + report.reused + report.quarantined == len(texts)


def test_another_part_of_the_same_dataset_does_not_replace_an_unnamed_store(
    tmp_path: Path, stub_encoder: StubEncoder
) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    write_csv(folder / "train.csv", TEXTS)
    write_csv(folder / "test.csv", ["one"])
    build_store(folder, encoder=stub_encoder)
    with pytest.raises(InvalidInput, match="another dataset"):
        build_store(folder, encoder=stub_encoder, options=ReadOptions(splits=["test"]))


def test_a_stopped_build_can_be_searched(table: Path) -> None:
    with pytest.raises(Interrupted):
        build(table, StoppingEncoder())
    with Store.open("mine", encoder=StubEncoder()) as store:
        assert store.neighbors(TEXTS[3], k=1)[0].record.text == TEXTS[3]
        assert "not been built" in store.index_problem


def test_a_store_of_another_encoder_is_refused_and_untouched(table: Path, stub_encoder: StubEncoder) -> None:
    build(table, stub_encoder)
    with pytest.raises(EncoderMismatch, match="another encoder"):
        build(table, StubEncoder(name="other"))
    assert build(table, stub_encoder).records == 60


def test_a_second_writer_is_refused(table: Path, stub_encoder: StubEncoder) -> None:
    path = Path(build(table, stub_encoder).store)
    with writer_lock(path), pytest.raises(StoreLocked, match="another process"):
        build(table, stub_encoder)


def test_a_missing_dataset_leaves_no_store_behind(tmp_path: Path, stub_encoder: StubEncoder) -> None:
    with pytest.raises(NotFound):
        build(tmp_path / "absent.csv", stub_encoder)
    assert not (tmp_path / "home").exists()


def test_the_dataset_names_the_store(table: Path, stub_encoder: StubEncoder) -> None:
    assert Path(build_store(table, encoder=stub_encoder).store).name == "mine"


def test_an_empty_name_is_none(table: Path, stub_encoder: StubEncoder) -> None:
    with pytest.raises(InvalidInput, match="'' is no name for a store"):
        build_store(table, "", encoder=stub_encoder)


def test_an_unnamed_build_does_not_replace_the_store_of_another_dataset(
    tmp_path: Path, table: Path, stub_encoder: StubEncoder
) -> None:
    build_store(table, encoder=stub_encoder)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(InvalidInput, match="another dataset"):
        build_store(write_csv(tmp_path / "elsewhere" / "mine.csv", ["x"]), encoder=stub_encoder)


def test_a_build_without_a_dataset_does_not_replace_another_one_by_the_sample(
    table: Path, stub_encoder: StubEncoder
) -> None:
    path = Path(build(table, stub_encoder).store)
    for nothing in (None, [], ()):
        with pytest.raises(InvalidInput, match="another dataset") as caught:
            build_store(nothing, "mine", encoder=stub_encoder)
        assert caught.value.fix == f"embstore build DATASET -s {path}"
    assert build(table, stub_encoder).records == 60


@pytest.mark.parametrize("nothing", ["", [""]], ids=str)
def test_a_dataset_without_a_name_is_not_the_sample(stub_encoder: StubEncoder, nothing: str | list) -> None:
    with pytest.raises(InvalidInput, match="is empty"):
        build_store(nothing, "mine", encoder=stub_encoder)


def test_progress_counts_up_to_the_total(table: Path, stub_encoder: StubEncoder) -> None:
    seen: list[tuple[int, int | None]] = []
    build(table, stub_encoder, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (60, 60)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
