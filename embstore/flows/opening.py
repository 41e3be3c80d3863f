"""How a store that was opened without an encoder gets its own, at the first query by text and not before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from embstore.encode.onnx_background import start_export, tell_problem
from embstore.encode.onnx_cache import switched_on, was_chosen
from embstore.errors import EmbstoreError
from embstore.records import TextEncoder
from embstore.store import Store

_ENCODERS = "embstore.flows.encoders"


def _query_encoder(config: Mapping[str, Any], fingerprint: str) -> TextEncoder:
    """Return the exported encoder where there is one that agreed with torch, else torch's."""
    if switched_on() and (exported := _exported(fingerprint)) is not None:
        return exported
    # Only now: a store is read without importing torch.
    encoder: TextEncoder = import_module(_ENCODERS).stored_encoder(config)
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
    if not was_chosen(fingerprint):
        return None
    try:
        encoder: TextEncoder | None = import_module(_ENCODERS).faster_encoder(config, fingerprint)
    except EmbstoreError:
        # The model's files are gone: the export answers without them, or says so where there is none.
        return None
    return encoder


# The wings do not know each other; here, one floor up, they meet.
Store.load_encoder = staticmethod(_query_encoder)
