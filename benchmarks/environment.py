"""Environments of their own, for peers whose packages clash with ours.

They lie beside the project, are made where they are missing and are used again by the next run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common import ROOT, note

# No peer may ask a hub or report what it does.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "TOKENIZERS_PARALLELISM": "true",
}


def python_of(name: str, packages: Sequence[str]) -> Path:
    """Return the interpreter of ``.venv-NAME``, made with these packages where it is missing."""
    folder = ROOT / f".venv-{name}"
    python = folder / "bin" / "python"
    installed = folder / "installed.txt"
    wanted = "\n".join(packages)
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        note(f"Making {folder.name} once: installing {', '.join(packages)}.")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        installed.write_text(wanted, encoding="utf-8")
    return python


def offline() -> dict[str, str]:
    """Return the environment variables of a process that must not use the network."""
    return {**os.environ, **OFFLINE}
