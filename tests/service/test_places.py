"""What is told of where a dataset lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embstore.service import report
from embstore.service.places import without_folders
from service.conftest import client_of


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ("", ""),
        ("sample", "sample"),
        ("a/b@c (revision refs/pr/1) [train]", "a/b@c (revision refs/pr/1) [train]"),
        ("/data/reviews", "reviews"),
        ("/reviews.csv", "reviews.csv"),
        ("/data/my reviews/all of them.csv [train, test]", "all of them.csv [train, test]"),
        ("train=/data/a/x.csv test=/data/b/y.csv", "train=x.csv test=y.csv"),
        (r"C:\data\reviews.csv", "reviews.csv"),
        (r"\\server\share\reviews.csv", "reviews.csv"),
        ("/", "/"),
    ],
)
def test_no_folder_is_told(origin: str, told: str) -> None:
    assert without_folders(origin) == told


def test_no_answer_tells_a_path(tiny: Path) -> None:
    with client_of(tiny) as client:
        (facts,) = client.get("/v1/stores").json()["stores"]
    assert facts["dataset"] == "tiny.jsonl"
    assert "/" not in facts["encoder"]["model"]


@pytest.mark.parametrize("kind", ["map", "compare", "audit"])
def test_no_report_tells_a_path(tiny: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "report.json"
    report.main(kind, str(tiny), str(file))
    assert json.loads(file.read_text(encoding="utf-8"))
    assert str(tmp_path) not in file.read_text(encoding="utf-8")
