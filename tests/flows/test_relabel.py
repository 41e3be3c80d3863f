"""Labels of a reviewed file go into the store as they were meant, all or none, and back again."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import embstore
from embstore.errors import InvalidData, InvalidInput, NotFound
from embstore.flows.tables import escaped, unescaped
from embstore_cli.main import run
from flows.test_classify import build, rows
from stub_encoder import StubEncoder


def audited_rows() -> list[dict[str, str | None]]:
    found = rows(40)
    found += [
        {"id": "copy", "split": "test", "label": "sad", "text": str(found[0]["text"]).upper()},
        {"id": "bare", "split": "test", "label": None, "text": "the cat sat"},
        {"id": "=1+1", "split": "train", "label": "=cmd()", "text": "=danger the cat"},
        {"id": "formula", "split": "train", "label": "=cmd()", "text": "+danger the train"},
    ]
    return found


@pytest.fixture
def store(tmp_path: Path, tiny_bert: Path) -> str:
    build(tmp_path, tiny_bert, audited_rows())
    return "mine"


def review(path: Path, answers: dict[str, str], **more: str) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", *more, "new_label"])
        writer.writeheader()
        for record_id, label in answers.items():
            writer.writerow({"id": record_id, **more, "new_label": label})
    return path


def labels(store: str) -> dict[str, str | None]:
    with embstore.Store.open(store) as opened:
        return {record.id: record.label for record in opened.records(opened.rows())}


def test_a_reviewed_file_changes_labels_and_can_be_undone(store: str, tmp_path: Path) -> None:
    before = labels(store)
    done = embstore.relabel_store(review(tmp_path / "one.csv", {"1": "happy", "bare": "sad", "3": ""}), store)
    assert (done.changed, done.unchanged) == (2, 0)
    assert done.note.endswith(f"embstore fit -s {tmp_path}/home/{store}")
    assert labels(store) == {**before, "1": "happy", "bare": "sad"}
    embstore.relabel_store(review(tmp_path / "two.csv", {"1": "sad", "5": "sad"}), store)
    assert embstore.verify_store(store).problems == ()
    undone = embstore.undo_relabelling(store)
    assert (undone.changed, undone.source, undone.undone) == (1, "two.csv", True)
    assert labels(store)["1"] == "happy"
    embstore.undo_relabelling(store)
    assert labels(store) == before
    with pytest.raises(NotFound, match="left to undo"):
        embstore.undo_relabelling(store)
    assert embstore.verify_store(store).problems == ()


def test_a_later_build_keeps_the_correction_until_the_dataset_has_another_label(
    store: str, tmp_path: Path, tiny_bert: Path
) -> None:
    embstore.relabel_store(review(tmp_path / "one.csv", {"1": "happy", "3": "happy"}), store)
    changed = [{**row, "label": "=cmd()"} if row["id"] == "3" else row for row in audited_rows()]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in changed))
    report = embstore.build_store(path, store, encoder=str(tiny_bert))
    assert report.encoded == 0
    assert (labels(store)["1"], labels(store)["3"]) == ("happy", "=cmd()")


def test_the_file_of_an_audit_goes_back_as_it_is(store: str, tmp_path: Path) -> None:
    """Cells with the apostrophe of a formula are the ids and labels that they were."""
    found = embstore.audit_store(store)
    rows = [row for row in found.review if row["id"] == "copy"]
    formula = {**rows[0], "id": "=1+1", "label": "=cmd()", "new_label": "sad"}
    path = tmp_path / "review.csv"
    embstore.write_rows(path, [*rows, formula])
    assert "'=1+1" in path.read_text()
    assert embstore.relabel_store(path, store).changed == 1
    assert labels(store)["=1+1"] == "sad"


@pytest.mark.parametrize(
    ("answers", "more", "message"),
    [
        ({"nobody": "sad"}, {}, "no record 'nobody'"),
        ({"1": "sadd"}, {}, "label 'sadd' yet"),
        ({"1": "Sad"}, {}, "Fix: write 'sad' instead, or allow it with --new-labels"),
        ({"1": "xyz"}, {}, "Fix: correct the file, or allow it with --new-labels"),
        ({"1": "happy"}, {"label": "happy"}, "is labelled 'sad' now"),
    ],
)
def test_a_wrong_file_changes_nothing(
    store: str, tmp_path: Path, answers: dict[str, str], more: dict[str, str], message: str
) -> None:
    before = labels(store)
    path = review(tmp_path / "wrong.csv", {"5": "happy", **answers} if not more else answers, **more)
    with pytest.raises((NotFound, InvalidData), match=message):
        embstore.relabel_store(path, store)
    assert labels(store) == before


def test_new_labels_are_allowed_when_asked_for(store: str, tmp_path: Path) -> None:
    path = review(tmp_path / "new.csv", {"1": "calm"})
    assert embstore.relabel_store(path, store, new_labels=True).changed == 1


def test_a_file_that_does_not_fit_is_told_the_command_that_writes_a_new_one(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no column.csv").write_text("id,label\n1,sad\n")
    review(tmp_path / "nobody.csv", {"nobody": "sad"})
    review(tmp_path / "changed.csv", {"1": "happy"}, label="happy")
    for name in ("no column.csv", "nobody.csv", "changed.csv"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(embstore.EmbstoreError) as caught:
            embstore.relabel_store(name, store)
        assert run(shlex.split(caught.value.fix)[1:]) == 0
        assert (tmp_path / name).read_bytes() == before
        assert embstore.relabel_store(f"{Path(name).stem}-again.csv", store).changed == 0


def test_a_new_label_as_long_as_a_text_is_refused(store: str, tmp_path: Path) -> None:
    path = review(tmp_path / "new.csv", {"1": "x" * 1_001})
    with pytest.raises(InvalidData, match="too long"):
        embstore.relabel_store(path, store, new_labels=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,label\n1,sad\n", "no column 'new_label'"),
        ("a.csv", "id,new_label\n1,sad\n1,happy\n", "two answers"),
        ("a.csv", "", "Its header has: nothing"),
        ("a.csv", "\n\n", "Its header has: nothing"),
        ("a.csv", "id,label\n", "no column 'new_label'"),
        ("a.jsonl", "{nonsense\n", "cannot be read"),
        ("a.jsonl", "5\n", "no JSON object"),
        ("a.xlsx", "", "no reviewed file"),
    ],
)
def test_a_file_that_is_no_review_is_refused(
    store: str, tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises((InvalidInput, InvalidData), match=message):
        embstore.relabel_store(tmp_path / name, store)
    with pytest.raises(NotFound, match="no file"):
        embstore.relabel_store(tmp_path / "missing.csv", store)


def test_a_review_holds_texts_of_any_length(store: str, tmp_path: Path) -> None:
    path = review(tmp_path / "long.csv", {"1": "happy"}, text="word " * 60_000)
    assert embstore.relabel_store(path, store).changed == 1


def test_blanks_around_a_new_label_count_only_where_the_store_has_them(store: str, tmp_path: Path) -> None:
    embstore.relabel_store(review(tmp_path / "one.csv", {"1": " happy "}), store)
    assert labels(store)["1"] == "happy"


def test_a_label_that_ends_in_a_blank_can_be_given(tmp_path: Path, tiny_bert: Path) -> None:
    spaced = [{**row, "label": "spaced "} if row["id"] == "3" else row for row in rows(20)]
    build(tmp_path, tiny_bert, spaced, "spaced")
    embstore.relabel_store(review(tmp_path / "one.csv", {"1": "spaced "}), "spaced")
    assert labels("spaced")["1"] == "spaced "


def test_json_lines_are_taken_too(store: str, tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    path.write_text('{"id": "1", "new_label": "happy"}\n\n{"id": "3", "new_label": null}\n')
    assert embstore.relabel_store(path, store).changed == 1


@given(st.text() | st.text("'=+-@\t\r a"))
@example("'=1")
@example("''+1")
def test_a_cell_that_cannot_be_a_formula_is_the_text_that_it_was(text: str) -> None:
    cell = escaped(text)
    assert unescaped(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize(
    ("name", "raw"), [("review.csv", False), ("review.csv", True), ("review.jsonl", False)]
)
def test_ids_with_apostrophes_of_their_own_keep_them(
    tmp_path: Path, stub_encoder: StubEncoder, name: str, raw: bool
) -> None:
    ids = ["=1", "'=1", "''=1", "'quoted'", "-1"]
    path = tmp_path / "mine.jsonl"
    path.write_text(
        "".join(json.dumps({"id": one, "text": f"a {one}", "label": "'=a"}) + "\n" for one in ids)
    )
    embstore.build_store(path, "mine", encoder=stub_encoder)
    answers = [{"id": one, "label": "'=a", "new_label": f"'{one}"} for one in ids]
    embstore.write_rows(tmp_path / name, answers, raw=raw)
    embstore.relabel_store(tmp_path / name, "mine", new_labels=True, raw=raw)
    assert labels("mine") == {one: f"'{one}" for one in ids}


def test_an_audit_that_found_nothing_goes_back_too(
    tmp_path: Path, stub_encoder: StubEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    source, path = tmp_path / "same.csv", tmp_path / "review.csv"
    source.write_text("text,label\nup,a\ndown,a\n")
    embstore.build_store(source, "same", encoder=stub_encoder)
    assert run(["audit", "-s", "same", "--output", str(path)]) == 0
    assert capsys.readouterr().err == f"0 rows to review in {path}\n"
    assert run(["relabel", str(path), "-s", "same"]) == 0
    assert "nothing was changed" in capsys.readouterr().err


def test_a_review_without_answers_says_that_nothing_changed(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = labels(store)
    for path in (review(tmp_path / "none.csv", {}), review(tmp_path / "blank.csv", {"1": " "})):
        assert run(["relabel", str(path), "-s", store]) == 0
        assert f"No new_label of {path.name} is filled in: nothing was changed." in capsys.readouterr().err
    assert labels(store) == before


def test_numbers_and_booleans_are_the_names_that_a_dataset_gives_them(
    tmp_path: Path, tiny_bert: Path
) -> None:
    records = [{**row, "id": i, "label": i % 2 == 0} for i, row in enumerate(rows(4))]
    build(tmp_path, tiny_bert, records)
    path = tmp_path / "review.jsonl"
    path.write_text('{"id": 0.0, "label": true, "new_label": false}\n{"id": 1, "new_label": null}\n')
    done = embstore.relabel_store(path, "mine")
    assert (done.changed, labels("mine")["0"]) == (1, "false")
    path.write_text('{"id": [0], "new_label": true}\n')
    with pytest.raises(InvalidData, match="the id is a list"):
        embstore.relabel_store(path, "mine")
