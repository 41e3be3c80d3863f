"""The interactive page, driven in a real Chromium: what is drawn, said, found, selected, and never run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embstore.errors import InvalidInput
from embstore.maps.map_page import map_page, write_map

HOSTILE = "<img src=x onerror=alert(1)>"
LABELS = ["joy", "</script><b>x</b>", "fear $ _"]
N = 300


def content(n: int = N) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    codes = np.arange(n) % 3
    points = np.array([[0, 0], [10, 0], [5, 9]])[codes] + generator.normal(size=(n, 2))
    # One that stands alone, so that the pointer cannot miss it.
    points[0] = [5, -8]
    texts = [f"text number {i} about {'trains' if i % 2 else 'cats'}" for i in range(n)]
    texts[0], texts[1], texts[2] = HOSTILE, "{{7*7}} 🙂 \u202eabc", "</script><script>alert(2)</script>"
    labels: list[str | None] = [LABELS[code] for code in codes]
    labels[5] = None
    order = np.argsort(((points[:, None] - points[None]) ** 2).sum(-1), axis=1)[:, 1:6]
    return {
        "title": f"A map of {HOSTILE}",
        "subtitle": "UMAP, cosine",
        "parameters": [["encoder", "<b>tiny</b>"]],
        "x": points[:, 0].round(4).tolist(),
        "y": points[:, 1].round(4).tolist(),
        "ids": [f"id-{i}" for i in range(n)],
        "texts": texts,
        "labels": labels,
        "splits": ["train" if i % 4 else "test" for i in range(n)],
        "predicted": [LABELS[code] for code in codes],
        "agreement": generator.random(n).round(3).tolist(),
        "neighbors": order.tolist(),
        "similarities": [[0.9, 0.8, 0.7, 0.6, 0.5]] * n,
    }


class Opened:
    """A page and all that it complained of."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, height: int = 800) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.problems.append(dialog.message), dialog.dismiss()))
        self.page.on("console", self._console)
        self.page.on("request", self._request)
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("#plot[data-ready]", timeout=60_000)

    def _console(self, message: Any) -> None:
        # The driver that draws with the processor says that it is slow.
        if message.type in ("error", "warning") and "GL Driver" not in message.text:
            self.problems.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.problems.append(f"asked for {request.url}")

    def pixel(self, place: int) -> tuple[float, float]:
        """Return where a point lies on the screen."""
        script = """(i) => { const gd = document.getElementById("plot");
          const data = JSON.parse(document.getElementById("data").textContent);
          const box = gd.getBoundingClientRect(), x = gd._fullLayout.xaxis, y = gd._fullLayout.yaxis;
          return [box.left + x._offset + x.l2p(data.x[i]), box.top + y._offset + y.l2p(data.y[i])]; }"""
        x, y = self.page.evaluate(script, place)
        return float(x), float(y)

    def traces(self) -> list[dict[str, Any]]:
        script = """() => document.getElementById("plot").data.map((one) => ({type: one.type, name: one.name,
          n: one.x.length, mark: one.hoverinfo === "skip", opacity: one.marker.opacity}))"""
        found: list[dict[str, Any]] = self.page.evaluate(script)
        return found

    def marked(self, name: str) -> int:
        return next(one["n"] for one in self.traces() if one["mark"] and one["name"] == name)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_map(content(), tmp_path_factory.mktemp("map") / "map.html")


@pytest.fixture
def opened(browser: Any, path: Path) -> Iterator[Opened]:
    found = Opened(browser, path)
    yield found
    assert found.problems == []
    found.context.close()


def test_all_points_are_drawn_on_webgl(opened: Opened) -> None:
    drawn = [one for one in opened.traces() if not one["mark"]]
    assert sum(one["n"] for one in drawn) == N
    assert {one["type"] for one in drawn} == {"scattergl"}
    x, y = opened.pixel(0)
    picture = opened.page.screenshot(clip={"x": x - 6, "y": y - 6, "width": 12, "height": 12})
    blank = opened.page.screenshot(clip={"x": x - 6, "y": y + 30, "width": 12, "height": 12})
    assert picture != blank


def test_pointing_at_a_point_shows_text_and_label_as_text(opened: Opened) -> None:
    opened.page.mouse.move(*opened.pixel(0))
    opened.page.wait_for_selector(".hoverlayer .hovertext")
    said = opened.page.text_content(".hoverlayer .hovertext")
    assert HOSTILE in said
    assert "joy" in said
    assert opened.page.locator("img").count() == 0


def test_clicking_shows_the_record_and_its_neighbors(opened: Opened) -> None:
    page = opened.page
    page.mouse.click(*opened.pixel(0))
    page.wait_for_selector("#record:not([hidden])")
    assert page.text_content("#text") == HOSTILE
    assert "id-0" in page.text_content("#facts")
    assert page.locator("#neighbors button").count() == 5
    assert (opened.marked("selected"), opened.marked("nearest")) == (1, 5)
    other = page.locator("#neighbors button").first.get_attribute("data-place")
    page.locator("#neighbors button").first.click()
    assert f"id-{other}" in page.text_content("#facts")
    assert page.locator("img").count() == 0


def test_search_counts_marks_and_steps_through_matches(opened: Opened) -> None:
    page = opened.page
    page.fill("#search", "TRAINS number 1")
    wanted = [i for i, text in enumerate(content()["texts"]) if "trains" in text and "1" in text]
    page.wait_for_function("document.getElementById('matches').value !== ''")
    assert page.evaluate("document.getElementById('matches').value") == f"{len(wanted)} of {N}"
    page.wait_for_timeout(200)
    assert opened.marked("matches") == len(wanted)
    assert {one["opacity"] for one in opened.traces() if not one["mark"]} == {0.12}
    page.press("#search", "Enter")
    page.press("#search", "Enter")
    assert f"id-{wanted[1]}" in page.text_content("#facts")
    page.press("#search", "Escape")
    page.wait_for_timeout(200)
    assert opened.marked("matches") == 0
    page.fill("#search", "id-299")
    assert page.evaluate("document.getElementById('matches').value") == f"1 of {N}"


def test_a_lasso_copies_the_ids_in_it(opened: Opened) -> None:
    page = opened.page
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click('[data-attr="dragmode"][data-val="lasso"]')
    x, y = opened.pixel(0)
    page.mouse.move(x - 30, y - 30)
    page.mouse.down()
    for right, down in [(30, -30), (30, 30), (-30, 30), (-30, -30)]:
        page.mouse.move(x + right, y + down, steps=6)
    page.mouse.up()
    page.wait_for_selector("#selection:not([hidden])")
    assert page.text_content("#selected-count") == "1 record"
    assert page.text_content("#selected-labels") == "joy: 1"
    page.click("#copy")
    page.wait_for_function("document.getElementById('said').textContent !== ''")
    assert page.text_content("#said") == "Ids of 1 record copied"
    assert page.evaluate("navigator.clipboard.readText()") == "id-0"
    with page.expect_download() as download:
        page.click("#save")
    assert Path(download.value.path()).read_text() == "id-0\n"
    outline = page.locator(".selectionlayer path")
    assert outline.count() > 0
    page.click("#clear")
    outline.first.wait_for(state="detached")
    assert page.is_hidden("#selection")


@pytest.mark.parametrize("coloring", ["label", "split", "predicted", "agreement"])
def test_points_are_colored_by_what_is_chosen(opened: Opened, coloring: str) -> None:
    opened.page.select_option("#color", coloring)
    opened.page.wait_for_timeout(300)
    drawn = [one for one in opened.traces() if not one["mark"]]
    assert sum(one["n"] for one in drawn) == N
    assert len(drawn) == {"label": 4, "split": 2, "predicted": 3, "agreement": 1}[coloring]


def test_texts_labels_and_title_stay_text(opened: Opened) -> None:
    page = opened.page
    assert page.text_content("h1") == f"A map of {HOSTILE}"
    assert page.locator("img").count() == 0
    assert page.locator("b:text('x')").count() == 0
    legend = page.locator(".legend").text_content()
    assert "</script><b>x</b>" in legend
    page.mouse.click(*opened.pixel(1))
    page.wait_for_selector("#record:not([hidden])")
    assert "49" not in page.text_content("#text")


def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser: Any, path: Path) -> None:
    found = Opened(browser, path, 360, 700)
    width = found.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
    assert found.problems == []
    found.context.close()


def test_many_labels_and_many_points_are_drawn(browser: Any, tmp_path: Path) -> None:
    many = content(20_000)
    many["labels"] = [f"label {i % 77}" for i in range(20_000)]
    many |= {
        "predicted": None,
        "agreement": None,
        "neighbors": [[0]] * 20_000,
        "similarities": [[1.0]] * 20_000,
    }
    found = Opened(browser, write_map(many, tmp_path / "many.html"))
    drawn = [one for one in found.traces() if not one["mark"]]
    assert (len(drawn), sum(one["n"] for one in drawn)) == (77, 20_000)
    options = found.page.locator("#color option").all_text_contents()
    assert options == ["label", "split"]
    looks = found.page.evaluate(
        "() => plot.data.slice(0, 77).map((one) => one.marker.color + one.marker.symbol)"
    )
    assert len(set(looks)) == 77
    assert found.problems == []
    found.context.close()


def test_the_same_content_gives_the_same_page() -> None:
    assert map_page(content()) == map_page(content())


def test_nothing_of_a_text_ends_its_script() -> None:
    page = map_page(content())
    data = page.split('id="data">')[1].split("</script>")[0]
    assert "<" not in data
    assert "alert(2)" in data


def test_a_page_is_not_written_over_another_or_into_nowhere(tmp_path: Path) -> None:
    path = write_map(content(), tmp_path / "map.html")
    with pytest.raises(InvalidInput, match="exists already"):
        write_map(content(), path)
    write_map(content(), path, overwrite=True)
    with pytest.raises(InvalidInput, match="no folder"):
        write_map(content(), tmp_path / "none" / "map.html")
    assert [one.name for one in tmp_path.iterdir()] == ["map.html"]
