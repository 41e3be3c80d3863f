"""The explorer in a real Chromium: a page, where its points lie, and all that it complained of."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import urlsplit

HOSTILE = "<img src=x onerror=alert(1)>"
LABELS = ("joy", "sadness", "<b>fear</b>")
_WORDS = ("i feel happy", "a sad cat sat", "why is the train late", "angry mat", "this test was so")


def records(n: int = 90) -> list[dict[str, Any]]:
    """Return n records of three labels and three splits; the first is markup, the second has no label."""
    splits = ("train", "train", "train", "validation", "test")
    made = [
        {
            "id": f"r{i}",
            "split": splits[(i // 3) % 5],
            "label": LABELS[i % 3],
            "text": f"{_WORDS[i % 3]} {_WORDS[(i // 3) % 5]} {i}",
            "source": f"page {i}",
        }
        for i in range(n)
    ]
    made[0]["text"] = f"{HOSTILE} i feel happy"
    made[1]["label"] = None
    # Labels that speak against their texts.
    for i in (30, 60):
        made[i]["label"] = LABELS[1]
    return made


class Explorer:
    """A page of a service in a context of its own.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
        A Chromium with WebGL.
    address : str
        Of the service.
    width, height : int
        Pixels of the window.
    options
        Of the context: ``color_scheme``, ``has_touch``.
    """

    def __init__(
        self, browser: Any, address: str, width: int = 1280, height: int = 800, **options: Any
    ) -> None:
        # With less motion the map is where it goes at once.
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        self.context.add_init_script(
            "window.refused = []; addEventListener('securitypolicyviolation',"
            " (event) => refused.push(`${event.violatedDirective} ${event.blockedURI}`))"
        )
        self.page = self.context.new_page()
        self.address = address
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("console", self._console)
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        # The driver that draws with the processor says that it is slow. Chromium reports each answer from 400
        # on, and those are answers that the page asks for and shows.
        ours = "GL Driver" in message.text or message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning") and not ours:
            self.complaints.append(message.text)

    def _request(self, request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.address).netloc:
            self.complaints.append(f"asked for {request.url}")

    def open(self, view: str = "") -> Explorer:
        """Open the page, wait for its map unless another tab is asked for, and return this."""
        self.page.goto(f"{self.address}/{view}")
        if not view:
            self.page.wait_for_selector("#map[data-ready]", timeout=60_000)
        return self

    def close(self) -> None:
        """Close it; raises if anything was refused, failed or asked of another host."""
        refused = self.page.evaluate("window.refused")
        self.context.close()
        assert (refused, self.complaints) == ([], [])

    def pixel(self, record: str) -> tuple[float, float]:
        """Return where a record's point lies in the window."""
        script = """async (id) => { const { map } = await import("./static/page.js");
          const box = map.surface.getBoundingClientRect(), [x, y] = map.pixelOf(map.places.get(id));
          return [box.left + x, box.top + y]; }"""
        x, y = self.page.evaluate(script, record)
        return float(x), float(y)

    def of_map(self, expression: str) -> Any:
        """Return the value of an expression of the map."""
        script = f'async () => {{ const {{ map }} = await import("./static/page.js"); return {expression}; }}'
        return self.page.evaluate(script)

    def alone(self) -> str:
        """Return the id of the point that lies furthest from its nearest other, so that a click is sure."""
        return str(
            self.of_map(
                """map.columns.x.map((x, i, all) => [Math.min(...all.map((other, j) => i === j ? Infinity
                : Math.hypot(x - other, map.columns.y[i] - map.columns.y[j]))), map.columns.ids[i]])
                .sort((a, b) => b[0] - a[0])[0][1]"""
            )
        )

    def type(self, text: str) -> None:
        """Type a text, press Enter, and wait for its neighbors and for the heads."""
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")
        self.page.wait_for_selector("#near .neighbors, #near .muted")
        self.until("!document.querySelector('.head[aria-busy]')")

    def until(self, expression: str) -> None:
        """Wait until an expression of the page is true; playwright's own way is what the policy forbids."""
        deadline = time.monotonic() + 60
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, f"It did not come true: {expression}"
            self.page.wait_for_timeout(30)

    def count(self, selector: str) -> int:
        """Return how many elements match."""
        return int(self.page.locator(selector).count())


def share(text: str) -> float:
    """Return the number of a percentage."""
    found = re.search(r"[\d.]+", text)
    assert found, text
    return float(found[0])
