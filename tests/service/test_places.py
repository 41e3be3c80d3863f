"""What is told of where a dataset lies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import embstore
from embstore.errors import DiskFailure
from embstore.service import report
from embstore.service.places import without_folders
from embstore.service.problems import problem_of
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
        ("/a/b\nc/d.csv", "d.csv"),
        ("/data/customer=acme/reviews.csv", "reviews.csv"),
        ("/home/me/year=2024/month=1", "month=1"),
        ("train=/a/x=1/b.csv test=/a/x=2/c d.csv [test]", "train=b.csv test=c d.csv [test]"),
    ],
)
def test_no_folder_is_told(origin: str, told: str) -> None:
    assert without_folders(origin) == told


def test_no_answer_tells_a_path(tiny: Path, tiny_bert: Path) -> None:
    with client_of(tiny) as client:
        (facts,) = client.get("/v1/stores").json()["stores"]
    assert facts["dataset"] == "tiny.jsonl"
    assert facts["encoder"]["model"] == tiny_bert.name


def test_a_head_that_is_older_than_the_store_tells_no_path(
    tiny: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    with (tmp_path / "tiny.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "new", "label": "new", "text": "new", "split": "train"}\n')
    embstore.build_store(tmp_path / "tiny.jsonl", "tiny", encoder=str(tiny_bert))
    with client_of(tiny) as client:
        (facts,) = client.get("/v1/stores").json()["stores"]
        found = client.post("/v1/classify", json={"texts": ["cat"]}).json()
    for note in (facts["heads"][0]["note"], found["note"]):
        assert note.endswith("embstore fit -s tiny --head knn")


@pytest.mark.parametrize("kind", ["map", "compare", "audit"])
def test_no_report_tells_a_path(tiny: Path, tiny_bert: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "report.json"
    report.main(kind, str(tiny), str(file))
    said = file.read_text(encoding="utf-8")
    assert json.loads(said)
    assert str(tmp_path) not in said
    assert str(tiny_bert.parent) not in said


def test_a_name_that_is_no_utf8_is_told_as_well_as_may_be(tiny: Path) -> None:
    store = tiny.with_name(os.fsdecode(b"caf\xe9"))
    try:
        tiny.rename(store)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    with client_of(store) as client:
        assert client.get("/v1/stores").json()["stores"][0]["name"] == "caf?"
        found = client.post("/v1/search", json={"id": "r1", "k": 1})
        assert (found.status_code, found.json()["store"]) == (200, "caf?")
        assert client.get("/v1/audit").status_code == 202
        unknown = client.post("/v1/embeddings", json={"input": "cat", "model": "x"})
    assert unknown.json()["fix"] == '"model": "caf?"'


def test_a_problem_of_permissions_tells_neither_folders_nor_users() -> None:
    why = "/srv/secret is drwx------ and belongs to alice; this is bob."
    error = DiskFailure(
        "Reading /srv/secret/s/records.db failed: Permission denied.", why=why, fix="chmod /srv/secret"
    )
    said = bytes(problem_of(error, Path("/srv/secret/s")).body).decode()
    assert "Reading records.db failed: Permission denied." in said
    assert not [word for word in ("srv", "secret", "alice", "bob") if word in said]


def test_a_report_that_permissions_forbid_tells_neither_folders_nor_users(
    tiny: Path, tmp_path: Path, forbid: Callable[[Path, int], None]
) -> None:
    forbid(tiny, 0o000)
    report.main("audit", str(tiny), str(tmp_path / "report.json"))
    said = (tmp_path / "report.problem").read_text(encoding="utf-8")
    assert json.loads(said)["fix"] == "embstore audit -s tiny   # where the service runs: says why"
    assert "Reading store.json failed: Permission denied." in said
    assert not [told for told in (str(tiny.parent), "belongs to", "chmod") if told in said]


def test_no_problem_tells_a_path(tiny: Path) -> None:
    for file in [*(tiny / "index").iterdir(), *(tiny / "derived").rglob("*.*")]:
        if file.is_file():
            file.write_bytes(b"damaged")
    with client_of(tiny) as client:
        said = client.get("/v1/stores").text
        facts = json.loads(said)["stores"][0]
        assert facts["index"]["problem"]
        assert str(tiny.parent) not in said
        for shard in (tiny / "embeddings").iterdir():
            shard.write_bytes(shard.read_bytes()[:5000])
        problem = client.post("/v1/search", json={"id": "r1"})
    assert problem.status_code >= 500
    assert "embeddings/" in problem.text
    assert str(tiny.parent) not in problem.text
