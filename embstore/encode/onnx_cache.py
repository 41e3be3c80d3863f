"""Where exported encoders are kept, by fingerprint, and whether one is still what was written."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SWITCH = "EMBSTORE_ONNX"
CACHE = "EMBSTORE_CACHE"
MODEL, WEIGHTS, TOKENIZER, SETTINGS = "model.onnx", "weights.bin", "tokenizer.json", "encoder.json"
# Raise it when an older export must not be used any more.
VERSION = 4


def switched_on() -> bool:
    """Tell whether ``$EMBSTORE_ONNX`` leaves the exported encoders in use."""
    return os.environ.get(SWITCH, "on").lower() not in ("off", "0", "no", "false")


def cache_folder() -> Path:
    """Return ``$EMBSTORE_CACHE``, else ``embstore`` in the user's cache folder."""
    if named := os.environ.get(CACHE):
        return Path(named)
    users = os.path.expanduser("~")  # noqa: PTH111 (raises nothing)
    # Without a home, as in a container, below what is no folder: there nothing is found and nothing kept.
    base = os.environ.get("XDG_CACHE_HOME") or f"{os.devnull if users == '~' else users}/.cache"
    return Path(base) / "embstore"


def choice_folder() -> Path:
    """Return where it is kept which way runs an encoder fastest, a file for each encoder and machine."""
    return cache_folder() / "paths"


def was_chosen(fingerprint: str) -> bool:
    """Tell, without importing torch, whether somebody looked for the fastest way to run an encoder."""
    return _is_fingerprint(fingerprint) and any(choice_folder().glob(f"{fingerprint}-*.json"))


def export_folder(fingerprint: str) -> Path:
    """Return where the export of an encoder is, or would be."""
    return cache_folder() / "onnx" / fingerprint


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write what stands beside an export, with a checksum of its own and those of the other files."""
    kept = {**settings, "files": _checksums(folder)}
    content = json.dumps({**kept, "checksum": _checksum(kept)}, indent=1)
    (folder / SETTINGS).write_text(content, encoding="utf-8")


def read_settings(fingerprint: str) -> dict[str, Any] | None:
    """Return what stands beside an export, or None where there is none that this version can use."""
    if not _is_fingerprint(fingerprint):
        return None
    try:
        settings = json.loads((export_folder(fingerprint) / SETTINGS).read_text(encoding="utf-8"))
        checksum = settings.pop("checksum")
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None
    known = (settings.get("version"), settings.get("fingerprint")) == (VERSION, fingerprint)
    return settings if known and checksum == _checksum(settings) else None


def usable_settings(fingerprint: str, runtime: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what stands beside an export that may answer, else None.

    It agreed with torch, in these versions of the libraries that run it, and each of its files has the
    SHA-256 that was written. On 90 MB that takes 0.05 s where the processor helps; size and time of change
    would take nothing, and would pass what a failing disk gives back.

    Parameters
    ----------
    fingerprint : str
        The encoder's.
    runtime : mapping of str to str
        Versions by library.
    """
    settings = read_settings(fingerprint)
    if settings is None or settings["problem"] or settings["runtime"] != runtime:
        return None
    try:
        return settings if _checksums(export_folder(fingerprint)) == settings["files"] else None
    except OSError:
        return None


def _is_fingerprint(text: str) -> bool:
    """Tell it by its form: read from a store that somebody else made, it must not lead elsewhere."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def _checksums(folder: Path) -> dict[str, str]:
    sums = {}
    for name in (MODEL, WEIGHTS, TOKENIZER):
        path = folder / name
        if path.exists():
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
            sums[name] = digest.hexdigest()
    return sums


def _checksum(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
