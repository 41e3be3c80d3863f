"""The explorer's map in a real Chromium: points, filters, a typed text, a record, pointer and keyboard."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from embstore.maps.pictures import COLORS
from embstore.service.page import STATIC
from service.explorer_page import HOSTILE, LABELS, Explorer, records, share

N = len(records())
TEXT = "i feel happy this train"


@pytest.fixture
def explorer(browser: Any, explored: str) -> Iterator[Explorer]:
    opened = Explorer(browser, explored).open()
    yield opened
    opened.close()


def colors_in(explorer: Explorer) -> set[tuple[int, ...]]:
    shot = imread(io.BytesIO(explorer.page.locator("#map").screenshot()), format="png")
    pixels = (shot[..., :3] * 255).round().astype(int).reshape(-1, 3)
    found, counts = np.unique(pixels, axis=0, return_counts=True)
    return {tuple(color) for color, n in zip(found.tolist(), counts.tolist(), strict=True) if n >= 8}


def blended(color: str, opacity: float = 0.75) -> tuple[int, ...]:
    return tuple(round(int(color[at : at + 2], 16) * opacity + 255 * (1 - opacity)) for at in (1, 3, 5))


def has(colors: set[tuple[int, ...]], wanted: tuple[int, ...]) -> bool:
    return any(max(abs(a - b) for a, b in zip(color, wanted, strict=True)) <= 2 for color in colors)


def test_every_record_is_a_point_in_the_color_of_its_label(explorer: Explorer) -> None:
    assert explorer.of_map("map.shownCount") == N
    colors = colors_in(explorer)
    assert all(has(colors, blended(color)) for color in COLORS[:3])
    assert explorer.page.locator("#legend").inner_text().split("\n")[0::2] == [*LABELS_BY_COUNT, "no label"]


LABELS_BY_COUNT = sorted(LABELS, key=lambda name: -sum(one["label"] == name for one in records()))


@pytest.mark.parametrize(
    ("coloring", "names"),
    [("split", ["train", "validation", "test"]), ("predicted", list(LABELS)), ("agreement", ["0", "1"])],
)
def test_the_legend_says_what_the_points_are_colored_by(
    explorer: Explorer, coloring: str, names: list[str]
) -> None:
    before = colors_in(explorer)
    explorer.page.select_option("#color", coloring)
    legend = explorer.page.locator("#legend").inner_text()
    assert all(name in legend for name in names)
    explorer.page.wait_for_timeout(100)
    assert colors_in(explorer) != before or coloring == "predicted"


def test_the_legend_lies_outside_of_the_points(explorer: Explorer) -> None:
    stage, legend = (explorer.page.locator(one).bounding_box() for one in ("#stage", "#legend"))
    assert legend["y"] >= stage["y"] + stage["height"]


def test_colors_are_those_of_the_pictures() -> None:
    script = (STATIC / "colors.js").read_text(encoding="utf-8")
    found = re.search(r"COLORS = \[(.*?)\]", script)
    assert found
    assert re.findall(r"#\w{6}", found[1]) == list(COLORS)


def test_a_typed_text_is_joined_to_its_neighbors_on_the_map(explorer: Explorer) -> None:
    explorer.type(TEXT)
    assert explorer.count("#near .neighbor") == 10
    assert explorer.count("#overlay .line.query") == 10
    assert explorer.count("#overlay .star") == 1
    assert "weighted by similarity" in explorer.page.locator("#placed").inner_text()
    ends = explorer.page.eval_on_selector_all(
        "#overlay .line.query", "(lines) => lines.map((one) => [one.x2.baseVal.value, one.y2.baseVal.value])"
    )
    ids = explorer.page.evaluate(
        """async (text) => (await (await fetch("v1/search", { method: "POST", body: JSON.stringify({ text }),
        headers: { "Content-Type": "application/json" } })).json()).neighbors.map((one) => one.id)""",
        TEXT,
    )
    box = explorer.page.locator("#map").bounding_box()
    wanted = [(x - box["x"], y - box["y"]) for x, y in map(explorer.pixel, ids)]
    np.testing.assert_allclose(sorted(ends), sorted(wanted), atol=0.5)


def test_a_text_lies_at_the_weighted_mean_of_its_neighbors(explorer: Explorer) -> None:
    found = explorer.page.evaluate(
        """async () => { const { placeOf } = await import("./static/query.js");
        const columns = { x: [0, 10, 99], y: [0, 0, 99] }, places = new Map([["a", 0], ["b", 1]]);
        const near = [{ id: "a", similarity: 0.9 }, { id: "b", similarity: 0.8 }, { id: "c", similarity: 1 }];
        return placeOf(near, columns, places); }"""
    )
    weights = np.exp((np.array([0.9, 0.8]) - 1) / 0.1)
    np.testing.assert_allclose(found, [10 * weights[1] / weights.sum(), 0], atol=1e-9)


def test_both_heads_answer_side_by_side_with_probabilities_and_evidence(explorer: Explorer) -> None:
    explorer.type(TEXT)
    boxes = [explorer.page.locator(f".head[data-head={one}]") for one in ("knn", "logistic")]
    first, second = (one.bounding_box() for one in boxes)
    assert first["y"] == second["y"]
    assert second["x"] >= first["x"] + first["width"]
    for one in boxes:
        shares = [share(said) for said in one.locator(".bars .number").all_inner_texts()]
        assert len(shares) == 3
        assert sum(shares) == pytest.approx(100, abs=0.2)
        assert one.locator(".verdict .number").inner_text() == one.locator(".bars .number").first.inner_text()
        assert "Runner-up: " in one.inner_text()
        assert one.locator(".neighbor").count() == 3
        width = one.locator(".filled").first.evaluate("(bar) => bar.offsetWidth / bar.parentNode.offsetWidth")
        assert width == pytest.approx(shares[0] / 100, abs=0.02)


def test_a_filter_holds_for_the_map_and_for_the_search(explorer: Explorer) -> None:
    page = explorer.page
    explorer.type(TEXT)
    wanted = sum(one["label"] == "joy" and one["split"] == "train" for one in records())
    page.select_option("#filter-label", "joy")
    page.select_option("#filter-split", "train")
    explorer.until("document.querySelector('#near h3')?.textContent.includes('label joy, split train')")
    assert page.locator("#shown").inner_text() == f"{wanted} of {N} records"
    assert explorer.of_map("map.shownCount") == wanted
    assert set(page.locator("#near .neighbor .name").all_inner_texts()) == {"joy\n· train"}
    page.select_option("#filter-label", "")
    page.select_option("#filter-split", "")
    assert explorer.of_map("map.shownCount") == N


def test_a_name_of_the_legend_is_a_filter(explorer: Explorer) -> None:
    button = explorer.page.locator("#legend button", has_text="sadness")
    button.focus()
    explorer.page.keyboard.press("Enter")
    assert explorer.page.locator("#filter-label").input_value() == "sadness"
    assert button.get_attribute("aria-pressed") == "true"
    explorer.page.keyboard.press("Enter")
    assert explorer.page.locator("#filter-label").input_value() == ""


def test_a_click_opens_a_record_with_neighbors_and_label_error(explorer: Explorer) -> None:
    wanted = explorer.alone()
    explorer.page.mouse.click(*explorer.pixel(wanted))
    record = explorer.page.locator("#record")
    record.locator(".neighbor").first.wait_for()
    assert record.locator(".neighbor").count() == 10
    assert explorer.count("#overlay .line.record") == 10
    facts = record.locator(".facts").inner_text()
    known = next(one for one in records() if one["id"] == wanted)
    assert wanted in facts
    assert known["source"] in facts
    assert record.locator("p.quoted").inner_text() == known["text"]
    explorer.until(
        "document.getElementById('score')?.textContent.includes('for its label')"
        " || document.getElementById('score')?.textContent.includes('not judged')"
    )


def test_a_neighbor_opens_in_place_and_close_gives_the_focus_back(explorer: Explorer) -> None:
    page = explorer.page
    explorer.type(TEXT)
    page.locator("#near .neighbor").first.press("Enter")
    first = page.locator("#record code").inner_text()
    page.locator("#record .neighbor").first.press("Enter")
    explorer.until(f"document.querySelector('#record code')?.textContent !== {first!r}")
    assert page.evaluate("document.activeElement.textContent") == "Record"
    page.locator("#record button", has_text="Close").press("Enter")
    assert page.locator("#record").is_hidden()
    assert page.evaluate("document.activeElement.className") == "neighbor"
    assert explorer.count("#overlay .line.record") == 0


def test_drag_and_wheel_move_and_zoom_and_all_shows_all(explorer: Explorer) -> None:
    page, record = explorer.page, explorer.alone()
    x, y = explorer.pixel(record)
    box = page.locator("#map").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] - 30, steps=8)
    page.mouse.up()
    assert explorer.pixel(record) == pytest.approx((x + 40, y - 30), abs=6)
    x, y = explorer.pixel(record)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(200)
    assert explorer.of_map("map.view.zoom") > 1.5
    assert explorer.pixel(record) == pytest.approx((x, y), abs=1)
    page.click("#zoom-all")
    assert explorer.of_map("map.view.zoom") == 1


def test_two_fingers_zoom_and_a_tap_opens(browser: Any, explored: str) -> None:
    explorer = Explorer(browser, explored, 390, 844, has_touch=True).open()
    box = explorer.page.locator("#map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = explorer.context.new_cdp_session(explorer.page)
    for kind, apart in (("touchStart", 20), ("touchMove", 30), ("touchMove", 60), ("touchEnd", 0)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if apart else []})
    assert explorer.of_map("map.view.zoom") == pytest.approx(3, rel=0.1)
    assert explorer.page.locator("#record").is_hidden()
    explorer.page.locator("#zoom-all").click()
    explorer.page.touchscreen.tap(*explorer.pixel(explorer.alone()))
    explorer.page.wait_for_selector("#record:not([hidden]) .neighbor")
    assert explorer.page.locator("#tip").is_visible()
    explorer.close()


def test_what_was_asked_last_stands_first(explorer: Explorer) -> None:
    explorer.type(TEXT)
    explorer.page.locator("#near .neighbor").last.click()
    explorer.page.wait_for_selector("#record:not([hidden])")
    order = "[...document.querySelector('.panel').children].map((one) => one.id)"
    assert explorer.page.evaluate(order)[:3] == ["ask", "record", "answer"]
    assert explorer.page.evaluate("document.querySelector('.panel').scrollTop") == 0
    explorer.type("a sad cat")
    assert explorer.page.evaluate(order)[:3] == ["ask", "answer", "record"]


def test_a_pointer_over_a_point_shows_its_text(explorer: Explorer) -> None:
    explorer.page.mouse.move(*explorer.pixel("r0"))
    explorer.page.wait_for_selector("#tip:not([hidden])")
    assert explorer.page.locator("#tip img").count() == 0


def test_the_map_is_used_by_keyboard_alone(explorer: Explorer) -> None:
    page = explorer.page
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "map":
            break
    assert page.evaluate("document.activeElement.id") == "map"
    page.keyboard.press("ArrowRight")
    first = explorer.of_map("map.cursor")
    before = explorer.of_map(f"map.pixelOf({first})")
    page.keyboard.press("ArrowRight")
    second = explorer.of_map("map.cursor")
    if second == first:
        page.keyboard.press("ArrowLeft")
        second = explorer.of_map("map.cursor")
    assert second != first
    assert explorer.of_map(f"map.pixelOf({second})") != before
    assert page.locator("#said").inner_text()
    page.keyboard.press("+")
    assert explorer.of_map("map.view.zoom") == pytest.approx(1.5)
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    page.wait_for_selector("#record:not([hidden]) .neighbor")
    assert page.locator("#record code").inner_text() == explorer.of_map(f"map.columns.ids[{second}]")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.locator("#record").is_hidden()


def test_texts_and_labels_stay_text(explorer: Explorer) -> None:
    page = explorer.page
    explorer.type(HOSTILE)
    assert page.locator("#answer h2").inner_text() == HOSTILE
    page.evaluate("async () => (await import('./static/page.js')).map.onOpen('r0')")
    page.wait_for_selector("#record .neighbor")
    assert HOSTILE in page.locator("#record p.quoted").inner_text()
    assert "<b>fear</b>" in page.locator("#legend").inner_text()
    assert page.locator("img, b").count() == 0


def test_no_script_of_the_page_writes_markup_or_runs_text() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    )
    scripts = sorted(STATIC.glob("*.js"))
    assert len(scripts) > 10
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        assert not forbidden.search(text), script.name
        assert not re.search(
            r"https?://",
            text.replace("http://www.w3.org/2000/svg", "").replace("https://jfly.uni-koeln.de/color/", ""),
        ), script.name
        assert len(text.splitlines()) <= 300, script.name
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r" style=|<style|<script(?! type=\"module\" src=\"static/)| on\w+=", page)


@pytest.mark.parametrize("width", [360, 768, 2560])
def test_every_tab_fits_its_window(browser: Any, explored: str, width: int) -> None:
    explorer = Explorer(browser, explored, width, 900).open()
    explorer.type(TEXT)
    for tab, sign in (("map", "#near .neighbor"), ("compare", "#methods"), ("audit", "#suspect")):
        explorer.page.click(f"#tab-{tab}")
        explorer.page.locator(sign).first.wait_for()
        assert explorer.page.evaluate("document.documentElement.scrollWidth") <= width, tab
    explorer.close()


def test_a_dark_page_keeps_its_points_and_words_apart_from_the_ground(browser: Any, explored: str) -> None:
    explorer = Explorer(browser, explored, color_scheme="dark").open()
    assert explorer.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert explorer.of_map("map.coloring.paint().slice(0, 4)") is not None
    explorer.close()
