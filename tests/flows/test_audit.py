"""Audit and relabel through the public names, on a store built by a real transformer."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import embstore
from embstore.errors import InvalidData, InvalidInput, NotFound
from embstore.maps.audit_report import render_audit
from embstore.records import Encoded
from embstore_cli.main import run
from flows.test_classify import build, rows
from stub_encoder import StubEncoder


class HashEncoder(StubEncoder):
    """A stub for which no word of a real text means an error."""

    def encode(self, texts: Sequence[str]) -> Encoded:
        return super().encode([hashlib.sha256(text.encode()).hexdigest() for text in texts])


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


def test_an_audit_counts_what_is_there(store: str) -> None:
    content = embstore.audit_store(store, options=embstore.AuditOptions(near=1.0)).content
    assert content["records"] == 44
    assert {one["split"]: one["labelled"] for one in content["splits"]} == {
        "validation": 8,
        "train": 34,
        "test": 1,
    }
    assert content["label_errors"]["unlabelled"] == 1
    leak = next(
        one for one in content["leakage"] if (one["split"], one["stands_in"]) == ("test", "validation")
    )
    assert (leak["exact"], leak["records"]) == (1, 2)
    assert content["conflicts"]["exact_groups"] == 1
    assert content["conflicts"]["rows"][0]["labels"] == ["happy", "sad"]
    assert sum(one["records"] for one in content["balance"]) == 43
    assert content["truncated"] == 0
    json.dumps(content, allow_nan=False)


def test_the_rows_to_review_name_their_evidence(store: str) -> None:
    found = embstore.audit_store(store)
    reasons = {row["id"]: row["reason"] for row in found.review}
    assert "conflict" in reasons["copy"]
    assert "bare" not in reasons
    for row in found.review:
        assert row["new_label"] == ""
        assert row["neighbors"].count(" | ") == 2


def test_a_split_can_be_audited_alone(store: str) -> None:
    content = embstore.audit_store(store, options=embstore.AuditOptions(splits=["train"])).content
    assert [one["split"] for one in content["splits"]] == ["train"]
    assert content["leakage"] == []


class FirstLetterEncoder(StubEncoder):
    """The first letter of a text is its direction; the rest turns it a little, a long one a little more."""

    def embed(self, text: str) -> np.ndarray:
        turn = 0.001 if len(text) < 100 else 0.05
        embedding = turn * super().embed(text)
        embedding[ord(text[0]) % self.dim] += 1
        return (embedding / np.linalg.norm(embedding)).astype(np.float32)


def test_a_leak_is_found_behind_any_number_of_nearer_texts_of_its_own_split(tmp_path: Path) -> None:
    found = [{"text": "a" * n, "label": "x", "split": "test"} for n in range(1, 71)]
    found += [{"text": "b" * n, "label": "y", "split": "test"} for n in range(1, 9)]
    found += [{"text": "a" * 150, "label": "x", "split": "train"}]
    path = tmp_path / "leak.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    embstore.build_store(path, "leak", encoder=FirstLetterEncoder())
    (leak,) = embstore.audit_store("leak").content["leakage"]
    assert (leak["split"], leak["stands_in"], leak["near"]) == ("test", "train", 70)


def test_a_record_of_several_groups_is_counted_once(store: str) -> None:
    found = embstore.audit_store(store, options=embstore.AuditOptions(near=0.01)).content["duplicates"]
    # All are joined, and the two equal ones are a group besides.
    assert found["groups"] > found["exact_groups"] > 0
    assert found["records"] <= 44


def test_one_label_is_not_judged_and_the_rest_is(tmp_path: Path, tiny_bert: Path) -> None:
    records = [{**row, "label": "only"} for row in rows(20)]
    build(tmp_path, tiny_bert, records, "single")
    errors = embstore.audit_store("single").content["label_errors"]
    assert errors["estimate"] is None
    assert errors["rows"] == []


def test_no_labels_at_all_leave_duplicates_and_outliers(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, [{**row, "label": None} for row in rows(20)], "bare")
    content = embstore.audit_store("bare").content
    assert content["label_errors"]["judged"] == 0
    assert content["balance"] == []
    assert "were not judged" in render_audit(content)


def test_what_cannot_be_audited_is_refused(store: str, tmp_path: Path, tiny_bert: Path) -> None:
    with pytest.raises(NotFound, match="no split 'dev'"):
        embstore.audit_store(store, options=embstore.AuditOptions(splits=["dev"]))
    with pytest.raises(InvalidInput, match="--near"):
        embstore.AuditOptions(near=0)
    with pytest.raises(InvalidInput, match="--most"):
        embstore.AuditOptions(most=0)
    build(tmp_path, tiny_bert, rows(1), "tiny")
    with pytest.raises(InvalidData, match="too few"):
        embstore.audit_store("tiny")


def test_a_report_takes_texts_as_texts(store: str, tmp_path: Path) -> None:
    content = embstore.audit_store(store).content
    content["conflicts"]["rows"][0]["records"][0]["text"] = "<img src=x onerror=alert(1)>"
    page = embstore.write_audit(content, tmp_path / "report")
    text = page.read_text()
    assert "&lt;img src=x" in text
    assert "<img" not in text
    assert json.loads((tmp_path / "report" / "audit.json").read_text())["records"] == 44
    with pytest.raises(InvalidInput, match="not empty"):
        embstore.write_audit(content, tmp_path / "report")
    embstore.write_audit(content, tmp_path / "report", overwrite=True)


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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,label\n1,sad\n", "no column 'new_label'"),
        ("a.csv", "id,new_label\n1,sad\n1,happy\n", "two answers"),
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


def test_the_commands_audit_relabel_and_undo(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, report = tmp_path / "review.csv", tmp_path / "report"
    assert run(["audit", "-s", store, "--output", str(output), "--report", str(report)]) == 0
    out, err = capsys.readouterr()
    assert "label errors" in out
    assert "rows to review" in err
    assert run(["audit", "-s", store, "--output", str(output)]) == 2
    assert "exists already" in capsys.readouterr().err
    path = review(tmp_path / "one.csv", {"1": "happy"})
    assert run(["relabel", str(path), "-s", store]) == 0
    assert run(["relabel", "--undo", "-s", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["undone"] is True
    assert run(["relabel", "-s", store]) == 2
    assert run(["audit", "-s", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 44


def test_emotion_has_the_published_duplicates_and_leaks(reference_data: Path, tmp_path: Path) -> None:
    embstore.build_store(reference_data / "emotion", "emotion", encoder=HashEncoder(dim=8))
    options = embstore.AuditOptions(most=5, near=0.9999)
    content = embstore.audit_store("emotion", options=options).content
    assert {one["split"]: one["distinct"] for one in content["splits"]}["train"] == 15_969
    leak = {(one["split"], one["stands_in"]): one["exact"] for one in content["leakage"]}
    assert leak["test", "train"] == 11
