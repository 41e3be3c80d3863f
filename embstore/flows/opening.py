"""How a store that was opened without an encoder gets its own, at the first query by text and not before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import embstore
from embstore.encode.onnx_background import start_export, tell_problem
from embstore.encode.onnx_cache import switched_on, was_chosen
from embstore.errors import EmbstoreError
from embstore.records import TextEncoder
from embstore.store import Store


def _query_encoder(config: Mapping[str, Any], fingerprint: str) -> TextEncoder:
    """Return the exported encoder where there is one that agreed with torch, else torch's."""
    if switched_on() and (exported := _exported(fingerprint)) is not None:
        return exported
    # Through the package's lazy names: a store is read without importing torch.
    encoder: TextEncoder = embstore.stored_encoder(config)
    if switched_on() and encoder.fingerprint == fingerprint:
        start_export(config, fingerprint)
        tell_problem(fingerprint)
    return encoder


def _exported(fingerprint: str) -> TextEncoder | None:
    # ONNX Runtime is imported here and not above: a service, whose encoder is another process, needs none.
    found: TextEncoder | None = import_module("embstore.encode.onnx_encoder").load_exported(fingerprint)
    return found


def serving_encoder(config: Mapping[str, Any], fingerprint: str) -> TextEncoder | None:
    """Return the encoder for a process that answers many, and so can wait for torch to start.

    It is torch's where that is known to be faster by an arithmetic that passed the gate, else None: what a
    query runs is as good. One of the two answers all: a text has one embedding, alone and among others.
    """
    try:
        return embstore.faster_encoder(config, fingerprint) if was_chosen(fingerprint) else None
    except EmbstoreError:
        # The model's files are gone: the export answers without them, or says so where there is none.
        return None


# The wings do not know each other; here, one floor up, they meet.
Store.load_encoder = staticmethod(_query_encoder)
