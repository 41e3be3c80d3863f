"""The page of a comparison: whole, alone, escaped, and readable in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embstore.errors import InvalidInput
from embstore.maps.report import render, write_report
from embstore.maps.words import seconds, signed

HOSTILE = "<script>alert(1)</script></svg>\"'&\x00\u202e\ud800" + "x" * 30_000


def score(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def comparison(n_labels: int = 6, *, hostile: bool = False, finetuned: bool = True) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    labels = [f"label {i:02d}" for i in range(n_labels)]
    texts = ["an ordinary text", "another one"]
    if hostile:
        labels[0] = texts[0] = HOSTILE
    names = ["dummy", "knn", "logistic", *(["fine-tuned"] if finetuned else [])]
    scores = ("accuracy", "macro_f1", "weighted_f1", "calibration_error")
    methods = []
    for place, name in enumerate(names):
        confusion = generator.integers(0, 9, (n_labels, n_labels)) + 40 * place * np.eye(n_labels, dtype=int)
        methods.append(
            {
                "name": name,
                "title": name.upper(),
                "settings": {"k": 5},
                "tuned_on": "validation",
                "scores": {one: score(0.3 + 0.15 * place) for one in scores},
                "clean_scores": {one: score(0.3 + 0.15 * place) for one in scores} if finetuned else None,
                "per_class": [
                    {"label": label, "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": int(row.sum())}
                    for label, row in zip(labels, confusion, strict=True)
                ],
                "confusion": confusion.tolist(),
                "fit_seconds": 1.5,
                "predict_seconds": 0.1,
                "latency_ms": None if name == "dummy" else 2.5,
                "bytes": 9216,
            }
        )
    points = [
        {"method": name, "shots": shots, "mean": 0.5, "low": 0.4, "high": 0.6, "values": [0.5]}
        for name in ("knn", "logistic")
        for shots in (8, 16, 32)
    ]
    return {
        "store": "indices/made",
        "dataset": "made",
        "model": "a-model",
        "pooling": "mean",
        "seed": 0,
        "version": "0.1.0",
        "made": "2026-01-01T00:00:00+00:00",
        "splits": {
            "train": {"name": "train", "n": 16000},
            "tuned_on": "validation",
            "evaluated": {"name": "test", "n": 2000},
        },
        "labels": labels,
        "duplicates": {"train": 31, "evaluated": 0, "leaked": 11},
        "methods": methods,
        "pairs": [
            {
                "first": "knn",
                "second": "logistic",
                "first_only": 12,
                "second_only": 30,
                "p_value": 0.008,
                "difference": 0.009,
                "low": 0.002,
                "high": 0.016,
            }
        ],
        "curve": {"protocol": "mteb", "seeds": 5, "points": points} if finetuned else None,
        "changed": [
            {
                "id": f"test-{i}",
                "text": text,
                "label": labels[0],
                "predictions": {name: {"label": labels[i % 2], "probability": 0.8} for name in names[1:]},
            }
            for i, text in enumerate(texts)
        ],
        "best": "knn",
        "cost": {
            "encode_seconds": 60.0,
            "frozen_seconds": 4.0,
            "finetune_seconds": 380.0 if finetuned else None,
        },
        "notes": ["A note."],
        "verdict": {
            "answer": "fine-tune",
            "sentence": "fine-tuning gains 21.9 +- 1.8 points for 380 s against 4 s",
            "reason": "The gain is worth more than 2 points.",
        },
    }


VOID = {"meta", "br", "img", "link", "input", "hr"}


class Structure(HTMLParser):
    """Collects what the tests look at, and fails where an element is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Structure:
    structure = Structure()
    structure.feed(page)
    assert structure.open == []
    return structure


@pytest.mark.parametrize("finetuned", [True, False], ids=["whole", "least"])
@pytest.mark.parametrize("n_labels", [2, 6, 77])
def test_the_page_is_well_formed_and_says_the_verdict_first(n_labels: int, finetuned: bool) -> None:
    page = render(comparison(n_labels, finetuned=finetuned))
    assert parsed(page).tags.count("h1") == 1
    assert "Fine-tuning gains 21.9 ± 1.8 points for 380 s against 4 s." in page
    assert ("With few labels" in page) == finetuned


def test_nothing_is_fetched_and_nothing_is_run() -> None:
    structure = parsed(render(comparison()))
    assert not {"script", "link", "iframe", "img"} & set(structure.tags)
    for _, name, value in structure.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:"))


def test_texts_are_data_and_never_markup() -> None:
    page = render(comparison(hostile=True))
    assert "script" not in parsed(page).tags
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x00" not in page
    assert len(page) < 1_000_000


def test_the_same_comparison_gives_the_same_page() -> None:
    assert render(comparison()) == render(comparison())


def test_a_page_of_77_labels_stays_small() -> None:
    assert len(render(comparison(77)).encode()) < 2_000_000


def test_pictures_and_tables_are_told_to_who_cannot_see_them() -> None:
    structure = parsed(render(comparison()))
    pictures = structure.tags.count("svg")
    assert sum((tag, name) == ("svg", "aria-label") for tag, name, _ in structure.attributes) == pictures
    assert ("html", "lang", "en") in structure.attributes
    assert ("th", "scope", "col") in structure.attributes


def test_the_numbers_lie_beside_the_page(tmp_path: Path) -> None:
    page = write_report(comparison(), tmp_path / "report")
    assert page.name == "index.html"
    assert json.loads((page.parent / "comparison.json").read_text())["best"] == "knn"


@pytest.mark.parametrize("refused", [1, 2], ids=["the first file", "the second"])
def test_a_full_disk_leaves_the_older_report(tmp_path: Path, refused: int) -> None:
    page = write_report(comparison(), tmp_path)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    # Real, and in a process of its own, whose files may be no larger than the first but for a byte.
    most = sorted(map(len, before.values()))[refused - 1] - 1
    code = f"""
import json, resource, signal, sys
from embstore.maps.report import write_report
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))
write_report(json.load(sys.stdin), {str(tmp_path)!r}, overwrite=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        input=json.dumps(comparison()),
        capture_output=True,
        text=True,
    )
    assert "DiskFailure" in done.stderr
    assert "File too large" in done.stderr
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before
    assert page.name in before


def test_numbers_that_round_to_another_size_or_to_nothing_are_written_so() -> None:
    times = [seconds(time).replace("\N{NO-BREAK SPACE}", " ") for time in (0.9994, 0.9996, 1.0)]
    assert times == ["999 ms", "1 s", "1 s"]
    assert [signed(value) for value in (-0.0001, 0.0, 0.0001)] == ["+0.0"] * 3
    assert [signed(value) for value in (-0.0006, 0.021)] == ["\N{MINUS SIGN}0.1", "+2.1"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="--overwrite"):
        write_report(comparison(), tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    write_report(comparison(), tmp_path, overwrite=True)
    with pytest.raises(InvalidInput, match="is a file"):
        write_report(comparison(), tmp_path / "mine.txt")


def asked_of(page: str, expression: str, folder: Path, width: int) -> list[int]:
    """Return the whole numbers that an expression gives in a real browser that shows the page."""
    # The frame's width is the window's; the page around it is ours, so it may run a script.
    page = re.sub(r"<meta http-equiv=[^>]*>", "", page)
    script = f"<script>document.title = {expression}.map(Math.round).join(' ')</script></body>"
    measured = folder / "measured.html"
    measured.write_text(page.replace("</body>", script), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    command = [str(shutil.which("chromium")), *options, f"--window-size={width},900"]
    profile = f"--user-data-dir={folder / 'profile'}"
    done = subprocess.run([*command, profile, measured.as_uri()], capture_output=True, text=True, check=True)
    title = re.search(r"<title>([\d ]+)</title>", done.stdout)
    assert title is not None
    return list(map(int, title[1].split()))


needs_browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")


@needs_browser
@pytest.mark.parametrize("width", [500, 768, 1440])
@pytest.mark.parametrize("n_labels", [6, 77])
def test_the_page_is_no_wider_than_a_window(tmp_path: Path, n_labels: int, width: int) -> None:
    page = write_report(comparison(n_labels), tmp_path / "report").read_text()
    content, window = asked_of(page, "[document.documentElement.scrollWidth, innerWidth]", tmp_path, width)
    assert content <= window


@needs_browser
@pytest.mark.parametrize("word", ["of several words ", "withoutaspace"])
def test_a_long_label_does_not_push_the_figures_out_of_sight(tmp_path: Path, word: str) -> None:
    found = comparison()
    found["changed"][0]["label"] = word * 20
    found["methods"][0]["per_class"][0]["label"] = word * 20
    cells = "[...document.querySelectorAll('tbody th, td.label')]"
    widths = asked_of(
        render(found), f"{cells}.map((one) => one.getBoundingClientRect().width)", tmp_path, 1440
    )
    assert len(widths) > 10
    # On one line each would be some 2,400 wide.
    assert max(widths) < 500
