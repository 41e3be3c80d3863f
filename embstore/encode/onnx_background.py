"""Starting an export in a process of its own, so that neither a build nor a query waits for it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from embstore.encode.onnx_cache import export_folder, read_settings, switched_on, usable_settings

logger = logging.getLogger(__name__)

# Seconds before an export that left nothing behind it is begun again: it was killed, the disk was full, or
# another process is still at it.
_PAUSE = 600
# The lowest priority: the next query, which still needs torch, goes first.
_NICE = 19
_SAID = "said"


def start_export(config: Mapping[str, Any], fingerprint: str) -> bool:
    """Begin, in a process of its own, to export an encoder; return whether that was done.

    Nothing is begun where the export is switched off, is there, failed before under this torch, or was begun
    less than ten minutes ago; nor where the encoder runs code of its repository or another dtype than
    float32. Whatever goes wrong, torch goes on answering.

    Parameters
    ----------
    config : mapping
        The encoder's, as a store keeps it.
    fingerprint : str
        The encoder's; nothing is kept where the model's files have another by now.
    """
    if not switched_on() or not exportable(config) or not _is_due(fingerprint):
        return False
    stamp = lock_of(fingerprint)
    try:
        if stamp.exists() and abs(time.time() - stamp.stat().st_mtime) < _PAUSE:
            return False
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
        process = subprocess.Popen(  # noqa: S603 (our own module, and no shell)
            [sys.executable, "-m", "embstore.encode.onnx_export", fingerprint, json.dumps(dict(config))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is for the command in front.
            start_new_session=True,
            # `-m` would import from the current folder, where anybody's torch.py may stand.
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
    except OSError:
        return False
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
    return True


def exportable(config: Mapping[str, Any]) -> bool:
    """Tell whether an encoder may be exported: it answers in float32, and runs no code of its repository."""
    return config.get("dtype") in ("auto", "float32", "int8") and not config.get("trust_remote_code")


def lock_of(fingerprint: str) -> Path:
    """Return the file that the process holds which exports an encoder; its time is when it was begun."""
    return export_folder(fingerprint).with_suffix(".lock")


def tell_problem(fingerprint: str) -> None:
    """Log why an export is not used, the first time that somebody waits for torch instead."""
    settings = read_settings(fingerprint)
    if settings is None or not settings["problem"]:
        return
    folder = export_folder(fingerprint)
    with suppress(OSError):
        (folder / _SAID).touch(exist_ok=False)
        logger.warning(
            "Queries go on loading torch: the export of %s to ONNX is not used, for %s. It is in %s.",
            settings["config"]["model"],
            settings["problem"],
            folder,
        )


def _is_due(fingerprint: str) -> bool:
    settings = read_settings(fingerprint)
    if settings is not None and settings["problem"]:
        return bool(settings["torch"] != version("torch"))
    return usable_settings(fingerprint, runtime()) is None


def runtime() -> dict[str, str]:
    """Return what `RUNTIME` says without loading what it speaks of, which a build has no other use for."""
    return {name: version(name) for name in ("onnxruntime", "tokenizers")}
