"""The pages on a phone: they stand still, and what is wider than the screen scrolls alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import embstore
from embstore.maps.audit_report import render_audit
from embstore.maps.report import render
from maps.test_report import comparison
from stub_store import build

WIDTH = 390


def compared(_: Path) -> str:
    found = comparison(77)
    found["store"] = "/a/path/of/many/folders" * 10
    found["labels"][0] = found["methods"][0]["per_class"][0]["label"] = "withoutaspace" * 10
    return render(found)


def audited(tmp_path: Path) -> str:
    store = build(tmp_path, ["withoutaspace" * 10, "of several words " * 10] * 10)
    return render_audit(embstore.audit_store(store).content)


@pytest.mark.parametrize("made", [compared, audited])
@pytest.mark.parametrize("is_mobile", [True, False], ids=["phone", "narrow window"])
def test_only_tables_and_pictures_scroll_sideways(
    browser: Any, tmp_path: Path, made: Any, is_mobile: bool
) -> None:
    path = tmp_path / "page.html"
    path.write_text(made(tmp_path), encoding="utf-8")
    context = browser.new_context(viewport={"width": WIDTH, "height": 844}, is_mobile=is_mobile)
    page = context.new_page()
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= WIDTH
    boxes = page.evaluate(
        "[...document.querySelectorAll('.box')].map((one) => [one.scrollWidth, one.clientWidth])"
    )
    assert any(content > shown for content, shown in boxes)
    # What a table is about is read without scrolling it.
    ends = page.evaluate(
        "[...document.querySelectorAll('caption')].map((one) => one.getBoundingClientRect().right)"
    )
    assert all(end <= WIDTH for end in ends)
    context.close()
