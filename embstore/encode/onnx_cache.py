"""Where exported encoders are kept, by fingerprint, and whether one may be used."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SWITCH = "EMBSTORE_ONNX"
CACHE = "EMBSTORE_CACHE"
MODEL, TOKENIZER, SETTINGS = "model.onnx", "tokenizer.json", "encoder.json"
# Raise it when an older export must not be used any more.
VERSION = 1


def switched_on() -> bool:
    """Tell whether ``$EMBSTORE_ONNX`` leaves the exported encoders in use."""
    return os.environ.get(SWITCH, "on").lower() not in ("off", "0", "no")


def cache_folder() -> Path:
    """Return ``$EMBSTORE_CACHE``, else ``embstore`` in the user's cache folder."""
    if named := os.environ.get(CACHE):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "embstore"


def export_folder(fingerprint: str) -> Path:
    """Return where the export of an encoder is, or would be."""
    return cache_folder() / "onnx" / fingerprint


def read_settings(fingerprint: str) -> dict[str, Any] | None:
    """Return what stands beside an export, or None where there is none that this version can use."""
    try:
        settings = json.loads((export_folder(fingerprint) / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(settings, dict):
        return None
    known = (settings.get("version"), settings.get("fingerprint")) == (VERSION, fingerprint)
    return settings if known else None


def usable_export(fingerprint: str) -> tuple[dict[str, Any], bytes, bytes] | None:
    """Return settings, model and tokenizer of an export that agreed with torch and is still as it was."""
    settings = read_settings(fingerprint)
    if settings is None or settings.get("problem"):
        return None
    folder = export_folder(fingerprint)
    try:
        model, tokenizer = ((folder / name).read_bytes() for name in (MODEL, TOKENIZER))
    except OSError:
        return None
    sums = {"model": sha256(model), "tokenizer": sha256(tokenizer)}
    return (settings, model, tokenizer) if sums == settings.get("sha256") else None


def start_export(config: Mapping[str, Any], fingerprint: str) -> bool:
    """Begin, in a process of its own, to export an encoder; return whether that was done.

    Nothing is begun where the export is switched off, was made or failed before, or where the encoder runs
    code of its repository or another dtype than float32. Whatever goes wrong, torch goes on answering.
    """
    wanted = config.get("dtype") == "float32" and not config.get("trust_remote_code")
    if not switched_on() or not wanted or read_settings(fingerprint) is not None:
        return False
    try:
        subprocess.Popen(  # noqa: S603 (our own module, and no shell)
            [sys.executable, "-m", "embstore.encode.onnx_export", fingerprint, json.dumps(dict(config))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    return True


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
