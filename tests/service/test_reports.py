"""Map, comparison and audit: made in the background, kept for each state of the store."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

import embstore
from embstore.service import report
from embstore.service.reports import report_file
from service.conftest import build, client_of, rows
from service.test_live import until


@pytest.fixture
def tiny_store(tmp_path: Path, tiny_bert: Path) -> Path:
    """Return a store whose encoder another process can load."""
    path = tmp_path / "tiny.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    return Path(embstore.build_store(path, "tiny", encoder=str(tiny_bert)).store)


def test_a_report_is_made_in_the_background_and_then_kept(tiny_store: Path) -> None:
    with client_of(tiny_store) as client:
        first = client.get("/v1/audit")
        assert first.status_code == 202
        assert first.headers["retry-after"] == "5"
        assert first.json()["what"] == "The audit of tiny is being made."
        answer = until(lambda: (found := client.get("/v1/audit")).status_code == 200 and found)
        assert answer.json()["records"] == 60
        etag = answer.headers["etag"]
        assert client.get("/v1/audit", headers={"If-None-Match": etag}).status_code in (200, 304)
    with client_of(tiny_store) as client:
        assert client.get("/v1/audit").status_code == 200


def test_the_map_has_a_column_for_all_that_a_page_draws(client: TestClient, store: Path) -> None:
    report.main("map", str(store), str(report_file(store, "map")))
    found = client.get("/v1/map").json()
    with embstore.Store.open(store) as opened:
        wanted = opened.rows()
        assert found["rows"] == wanted.tolist()
        for name, column in (("ids", "id"), ("labels", "label"), ("splits", "split"), ("texts", "text")):
            assert found[name] == opened.reader.column(column, wanted)
    for name in ("x", "y", "predicted", "agreement"):
        assert len(found[name]) == 60


def test_the_comparison_is_that_of_the_command(client: TestClient, store: Path) -> None:
    report.main("compare", str(store), str(report_file(store, "compare")))
    found = client.get("/v1/compare").json()
    assert [one["name"] for one in found["methods"]] == ["dummy", "knn", "logistic"]
    assert found["verdict"]


def test_the_audit_has_a_score_for_each_judged_record(client: TestClient, store: Path) -> None:
    report.main("audit", str(store), str(report_file(store, "audit")))
    found = client.get("/v1/audit").json()
    scores = found["label_probabilities"]
    assert len(scores) == found["label_errors"]["judged"]
    for row in found["label_errors"]["rows"]:
        assert scores[row["id"]] == row["label_probability"]


def test_a_report_that_cannot_be_is_a_problem(tmp_path: Path, store: Path) -> None:
    unlabelled = [{**row, "label": None} for row in rows()]
    path = build(tmp_path, unlabelled, "unlabelled")
    report.main("compare", str(path), str(report_file(path, "compare")))
    with client_of(path) as client:
        answer = client.get("/v1/compare")
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:embstore:problem:invalid-data"
    assert "no labels" in answer.json()["what"]


def test_a_changed_store_has_other_reports(store: Path, tmp_path: Path) -> None:
    before = report_file(store, "map")
    build(tmp_path, rows(61))
    assert report_file(store, "map") != before
    assert report_file(store, "map") != report_file(store, "audit")


def test_a_report_that_is_being_made_ends_with_the_service(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "pid"
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho $$ > {marker}\nexec sleep 60\n")
    script.chmod(0o755)
    with client_of(tiny_store) as client:
        monkeypatch.setattr(sys, "executable", str(script))
        assert client.get("/v1/map").status_code == 202
        until(lambda: marker.exists() and marker.read_text().strip())
    pid = int(marker.read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_report_that_ends_without_a_word_is_told_and_not_begun_again(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho begun >> {tmp_path / 'count'}\nexit 9\n")
    script.chmod(0o755)
    with client_of(tiny_store) as client:
        monkeypatch.setattr(sys, "executable", str(script))
        told = until(lambda: "code 9" in (found := client.get("/v1/map")).text and found)
        assert told.status_code == 503
        assert 540 < int(told.headers["retry-after"]) <= 600
        client.get("/v1/map")
        assert (tmp_path / "count").read_text() == "begun\n"
        # Once that has passed, it is begun again: what killed it may be gone.
        later = time.monotonic() + 601
        monkeypatch.setattr("embstore.service.reports.time", SimpleNamespace(monotonic=lambda: later))
        assert client.get("/v1/map").status_code == 202


def test_a_report_whose_process_cannot_be_started_is_told(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(tiny_store) as client:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", str(tmp_path / "none"))
            told = until(lambda: (found := client.get("/v1/map")).status_code != 202 and found)
        assert told.status_code == 503
        assert "could not be started: No such file" in told.json()["why"]
        assert client.get("/v1/map").status_code == 503


def test_reports_of_older_states_are_removed(store: Path, tmp_path: Path) -> None:
    before = report_file(store, "audit")
    report.main("audit", str(store), str(before))
    other = report_file(store, "map")
    report.main("map", str(store), str(other))
    build(tmp_path, rows(61))
    report.main("audit", str(store), str(report_file(store, "audit")))
    assert not before.exists()
    assert other.exists()
