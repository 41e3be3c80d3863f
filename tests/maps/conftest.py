"""A real browser for the pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chromium import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Return a Chromium, or skip."""
    with chromium() as launched:
        yield launched
