"""Audit and relabel through the public names, on a store built by a real transformer."""

from __future__ import annotations

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
from flows.test_relabel import audited_rows, review
from stub_encoder import StubEncoder


class HashEncoder(StubEncoder):
    """A stub for which no word of a real text means an error."""

    def encode(self, texts: Sequence[str]) -> Encoded:
        return super().encode([hashlib.sha256(text.encode()).hexdigest() for text in texts])


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
    assert [row["exact"] for row in leak["rows"]][:1] == [True]
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
        assert tuple(row) == found.columns
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
    # All that leaked are listed, not the equal ones alone.
    assert len(leak["rows"]) == 70
    assert not any(row["exact"] for row in leak["rows"])
    (leak,) = embstore.audit_store("leak", options=embstore.AuditOptions(most=3)).content["leakage"]
    assert (leak["near"], len(leak["rows"])) == (70, 3)


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
    with pytest.raises(NotFound, match=r"Fix: --split test$"):
        embstore.audit_store(store, options=embstore.AuditOptions(splits=["TEST"]))
    with pytest.raises(InvalidInput, match="--near"):
        embstore.AuditOptions(near=0)
    with pytest.raises(InvalidInput, match="--most"):
        embstore.AuditOptions(most=0)
    with pytest.raises(InvalidInput, match="--seed"):
        embstore.AuditOptions(seed=-1)
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
    embstore.write_audit(embstore.audit_store(store), str(tmp_path / "report"), overwrite=True)


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


def test_one_string_of_splits_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not the string 'train'"):
        embstore.AuditOptions(splits="train")
