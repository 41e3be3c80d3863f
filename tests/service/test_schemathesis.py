"""schemathesis finds nothing: every operation, all checks, with, without and against keys.

``EMBSTORE_EXAMPLES`` is the number of examples of an operation; 500 is the full run. Without it a short run
asks with a key alone, where all checks apply.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from embstore.service.report import main
from embstore.service.reports import report_file
from service.conftest import KEY

EXAMPLES = os.environ.get("EMBSTORE_EXAMPLES")


@pytest.mark.parametrize("access", ["with a key", "without a key", "open"][: None if EXAMPLES else 1])
def test_schemathesis_finds_nothing(
    access: str, store: Path, keyed: str, listening: Callable[..., str], tmp_path: Path
) -> None:
    for kind in ("map", "compare", "audit"):
        main(kind, str(store), str(report_file(store, kind)))
    address = listening(api_key_file=None if access == "open" else keyed)
    headers = ["-H", f"Authorization: Bearer {KEY}"] if access == "with a key" else []
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"),
            *("--checks", "all", "--mode", "all", "--max-examples", EXAMPLES or "5", "--seed", "0"),
            *("--suppress-health-check", "all", "--no-color", *headers),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
