"""The explorer's other sides: comparison, audit, reports that are being made, keys, missing heads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.conftest import KEY
from service.explorer_page import Explorer, records

AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def explorer(browser: Any, explored: str) -> Iterator[Explorer]:
    opened = Explorer(browser, explored)
    yield opened
    opened.close()


def test_the_comparison_is_shown_with_intervals_and_verdict(explorer: Explorer, explored: str) -> None:
    page = explorer.open("#compare").page
    page.wait_for_selector("#methods")
    content = httpx.get(f"{explored}/v1/compare").json()
    rows = page.locator("#methods tbody tr")
    assert rows.locator("th").all_inner_texts()[0].startswith("most frequent label")
    for place, one in enumerate(content["methods"]):
        said = rows.nth(place).inner_text().replace("\u00a0", " ")
        for name in ("accuracy", "macro_f1"):
            score = one["scores"][name]
            assert f"{100 * score['value']:.1f} %" in said
            assert f"{100 * score['low']:.1f} % to {100 * score['high']:.1f} %" in said
        assert ("ms" in said) or one["latency_ms"] is None
    verdict = page.locator("#verdict").inner_text().lower()
    assert content["verdict"]["answer"] in verdict


def test_confusion_matrices_are_those_of_the_comparison(explorer: Explorer, explored: str) -> None:
    page = explorer.open("#compare").page
    page.wait_for_selector(".confusion")
    content = httpx.get(f"{explored}/v1/compare").json()
    methods = [one for one in content["methods"] if one["name"] != "dummy"]
    assert page.locator(".confusion").count() == len(methods)
    for place, one in enumerate(methods):
        cells = page.locator(".confusion").nth(place).locator("tbody td").all_inner_texts()
        assert [int(cell or 0) for cell in cells] == [n for row in one["confusion"] for n in row]


def test_suspects_are_stepped_through_with_the_keyboard(explorer: Explorer, explored: str) -> None:
    page = explorer.open().page
    suspects = httpx.get(f"{explored}/v1/audit").json()["label_errors"]["rows"]
    assert len(suspects) > 2
    page.focus("#tab-map")
    page.keyboard.press("End")
    page.wait_for_selector("#suspect")
    texts: list[str] = []
    for key in ("", "j", "ArrowDown", "k", "ArrowUp", "k"):
        if key:
            page.keyboard.press(key)
        texts.append(page.locator("#suspect .quoted").inner_text())
    wanted = [suspects[place]["text"] for place in (0, 1, 2, 1, 0, 0)]
    assert texts == wanted
    first = suspects[0]
    said = page.locator("#suspect").inner_text().replace("\u00a0", " ")
    for word in (first["label"], first["suggested"], f"{100 * first['suggested_probability']:.1f} %"):
        assert word in said
    assert page.locator("#suspect .neighbor").count() == len(first["neighbors"])
    page.focus("#suspects")
    page.keyboard.press("End")
    assert f"Suspect {len(suspects)} of {len(suspects)}" in page.locator("#suspect h2").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_selector("#record:not([hidden]) .neighbor")
    assert page.locator("#record code").inner_text() == suspects[-1]["id"]


def test_a_record_says_no_more_of_its_label_than_the_audit_lists(explorer: Explorer, explored: str) -> None:
    audit = httpx.get(f"{explored}/v1/audit").json()
    rows = audit["label_errors"]["rows"]
    known = {one["id"] for one in rows}
    other = next(one for one in audit["label_probabilities"] if one not in known)

    def cut(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "listed": len(rows)})

    explorer.page.route("**/v1/audit", cut)
    explorer.open()
    for record, said in ((rows[1]["id"], "suspect 2, rather "), (other, f"not among the first {len(rows)} ")):
        explorer.of_map(f"map.onOpen({record!r})")
        explorer.until(f"document.getElementById('score')?.textContent.includes({said!r})")
        assert (
            f"{100 * audit['label_probabilities'][record]:.1f}"
            in explorer.page.locator("#score").inner_text()
        )


def test_a_record_that_is_gone_is_told(explorer: Explorer) -> None:
    explorer.open().of_map("map.onOpen('nobody')")
    explorer.page.wait_for_selector("#record .notice")
    assert "nobody" in explorer.page.locator("#record").inner_text()


def test_tabs_are_reached_with_the_arrow_keys(explorer: Explorer) -> None:
    page = explorer.open().page
    page.focus("#tab-map")
    for key, wanted in (
        ("ArrowRight", "compare"),
        ("ArrowRight", "audit"),
        ("ArrowRight", "map"),
        ("ArrowLeft", "audit"),
    ):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == f"tab-{wanted}"
        assert page.locator("[role=tabpanel]:visible").get_attribute("id") == f"panel-{wanted}"
    assert page.evaluate("location.hash") == "#audit"


def test_what_is_focused_is_seen(explorer: Explorer) -> None:
    page = explorer.open().page
    for _ in range(15):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "(({ outlineStyle, outlineWidth }) => [outlineStyle, outlineWidth])"
            "(getComputedStyle(document.activeElement))"
        )
        # After the last one the focus leaves the page for the browser's own controls.
        assert style == ["solid", "3px"] or page.evaluate("document.activeElement === document.body")


def test_every_control_has_a_name(explorer: Explorer) -> None:
    page = explorer.open().page
    explorer.type("i feel happy")
    names = page.eval_on_selector_all(
        "button, select, textarea, input, [role=application]",
        "(all) => all.map((one) =>"
        " one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.textContent)",
    )
    assert names
    assert all(name.strip() for name in names)


def test_a_report_that_is_being_made_is_told_and_asked_for_again(explorer: Explorer) -> None:
    asked: list[str] = []
    console: list[str] = []
    told = {
        "what": "The map of mine is being made.",
        "why": "It is made once for each state of the store, in the background.",
    }

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        if len(asked) > 2:
            route.continue_()
        else:
            route.fulfill(status=202, headers={"Retry-After": "1"}, body=json.dumps(told))

    explorer.page.on("console", lambda message: console.append(message.text))
    explorer.page.route("**/v1/map", answer)
    explorer.page.goto(explorer.address)
    notice = explorer.page.locator("#map-notice", has_text="The map of mine is being made.")
    notice.wait_for()
    explorer.page.wait_for_selector("#map[data-ready]")
    assert len(asked) == 3
    assert explorer.page.locator("#map-notice").inner_text() == ""
    assert not [text for text in console if "Failed to load" in text]


def test_a_report_that_cannot_be_made_says_how_to_learn_why(explorer: Explorer) -> None:
    told = {
        "what": "The comparison of mine cannot be made.",
        "why": "It ended with code 1.",
        "fix": "embstore compare -s mine",
    }
    explorer.page.route(
        "**/v1/compare",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "600"}, body=json.dumps(told)),
    )
    explorer.open().page.click("#tab-compare")
    explorer.page.wait_for_selector("#panel-compare .paste")
    assert explorer.page.locator("#panel-compare .paste").inner_text() == told["fix"]


def changed(explorer: Explorer, **facts: Any) -> list[str]:
    """Let the next answer be of a newer generation, whose store has such facts; return what is asked."""
    page = explorer.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))

    def answer(route: Any) -> None:
        response = route.fetch()
        found = response.json()
        route.fulfill(response=response, json={**found, "generation": found["generation"] + 1})

    def tell(route: Any) -> None:
        response = route.fetch()
        store = response.json()["stores"][0]
        newer = {**store, "generation": store["generation"] + 1, **facts}
        route.fulfill(response=response, json={"stores": [newer]})

    page.route("**/v1/search", answer)
    page.route("**/v1/stores", tell)
    return asked


def until_asked(explorer: Explorer, asked: list[str], path: str, n: int) -> None:
    """Wait until something was asked n times, and what was found is there."""
    deadline = time.monotonic() + 60
    while asked.count(path) < n and time.monotonic() < deadline:
        explorer.page.wait_for_timeout(30)
    explorer.page.unroute_all(behavior="wait")
    explorer.until("document.querySelectorAll('#near .neighbor').length === 10")


def test_an_answer_of_other_records_reads_the_map_anew(explorer: Explorer) -> None:
    explorer.open()
    asked = changed(explorer, content="other")
    explorer.page.fill("#text", "i feel happy")
    explorer.page.press("#text", "Enter")
    # The text is asked for again, with what is new.
    until_asked(explorer, asked, "search", 2)
    assert [asked.count(one) for one in ("stores", "map", "search")] == [1, 1, 2]
    assert explorer.of_map("map.shownCount") == len(records())


def test_an_answer_of_the_same_records_leaves_the_map_as_it_is(explorer: Explorer) -> None:
    explorer.open()
    asked = changed(explorer, n=91)
    explorer.type("i feel happy")
    explorer.page.locator("#facts", has_text="91 records").wait_for()
    # What would be asked beside it would be asked by now.
    explorer.page.wait_for_timeout(300)
    until_asked(explorer, asked, "stores", 1)
    assert [asked.count(one) for one in ("stores", "map", "search")] == [1, 0, 1]


def test_a_head_that_was_fitted_meanwhile_answers(explorer: Explorer) -> None:
    explorer.page.route(
        "**/v1/stores",
        lambda route: route.fulfill(
            response=(response := route.fetch()),
            json={"stores": [{**response.json()["stores"][0], "heads": []}]},
        ),
    )
    page = explorer.open().page
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.fill("#text", "i feel happy")
    page.press("#text", "Enter")
    page.wait_for_selector(".head[data-head=logistic] .paste")
    # It would be an error in the console.
    assert "classify" not in asked
    page.unroute_all(behavior="wait")
    changed(explorer)
    page.press("#text", "Enter")
    page.wait_for_selector(".head[data-head=logistic] .bars li")


def test_a_head_that_abstains_or_saw_not_all_says_so(explorer: Explorer) -> None:
    page = explorer.open().page

    def answer(route: Any) -> None:
        response = route.fetch()
        found = response.json()
        found["answers"][0] |= {"abstain": True, "truncated": True}
        found["note"] = "The store has changed since."
        route.fulfill(response=response, json=found)

    page.route("**/v1/classify", answer)
    explorer.type("i feel happy")
    for head in ("knn", "logistic"):
        flags = " ".join(page.locator(f".head[data-head={head}] .flag").all_inner_texts())
        assert "Abstains" in flags
        assert "longer than the encoder reads" in flags
        assert "The store has changed since." in flags


def test_without_webgl_everything_else_works(explorer: Explorer) -> None:
    explorer.context.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page = explorer.open().page
    assert "no WebGL" in page.locator("#map-notice").inner_text()
    explorer.type("i feel happy")
    assert explorer.count("#near .neighbor") == 10


def test_a_store_without_labels_is_explored_all_the_same(explorer: Explorer) -> None:
    told = {
        "status": 422,
        "what": "The split train has no labels.",
        "why": "",
        "fix": "embstore build --label-column NAME",
    }

    def answer(route: Any) -> None:
        response = route.fetch()
        n = len(response.json()["ids"])
        bare = {"labels": [None] * n, "predicted": None, "agreement": None}
        route.fulfill(response=response, json={**response.json(), **bare})

    explorer.page.route("**/v1/map", answer)
    explorer.page.route("**/v1/compare", lambda route: route.fulfill(status=422, json=told))
    page = explorer.open().page
    assert page.locator("#color option").all_inner_texts() == ["label", "split"]
    assert "no label" in page.locator("#legend").inner_text()
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#record .neighbor")
    page.click("#tab-compare")
    page.wait_for_selector("#panel-compare .paste")
    assert told["what"] in page.locator("#panel-compare").inner_text()


def test_a_service_that_is_gone_is_told(explorer: Explorer) -> None:
    page = explorer.open().page
    page.route("**/v1/search", lambda route: route.abort())
    explorer.type("i feel happy")
    assert "does not answer" in page.locator("#near").inner_text()


def test_the_key_is_asked_for_once_and_kept_for_the_tab(browser: Any, guarded: str) -> None:
    explorer = Explorer(browser, guarded)
    page = explorer.page
    page.goto(guarded)
    page.wait_for_selector("#key-dialog[open]")
    page.keyboard.type("not the key that it knows")
    page.keyboard.press("Enter")
    explorer.until("document.getElementById('key-why').textContent.includes('does not know')")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    explorer.until("document.getElementById('store').textContent === 'guarded'")
    assert page.locator("#key-dialog[open]").count() == 0
    assert page.evaluate("JSON.stringify([localStorage, location.href])").count(KEY) == 0
    page.reload()
    explorer.until("document.getElementById('store').textContent === 'guarded'")
    assert page.locator("#key-dialog[open]").count() == 0
    explorer.close()


def test_a_head_that_is_missing_is_a_line_to_paste(browser: Any, guarded: str) -> None:
    explorer = Explorer(browser, guarded)
    page = explorer.page
    page.goto(guarded)
    page.wait_for_selector("#key-dialog[open]")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    explorer.until("document.getElementById('store').textContent === 'guarded'")
    explorer.type("i feel happy")
    assert page.locator(".head[data-head=knn] .bars li").count() == 3
    assert (
        page.locator(".head[data-head=logistic] .paste").inner_text()
        == "embstore fit -s guarded --head logistic"
    )
    explorer.close()


def test_a_map_is_made_in_the_background_and_comes_by_itself(browser: Any, guarded: str) -> None:
    explorer = Explorer(browser, guarded)
    explorer.context.add_init_script(f"sessionStorage.setItem('embstore.key', {KEY!r})")
    explorer.open()
    assert explorer.of_map("map.n") == len(records())
    assert httpx.get(f"{guarded}/v1/map", headers=AUTHORIZED).status_code == 200
    explorer.close()
