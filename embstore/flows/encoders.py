"""Which encoder a task runs: the one that is asked for, else the store's, else the default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from embstore.encode import EncoderOptions, TorchEncoder, load_encoder
from embstore.errors import InvalidInput
from embstore.records import TextEncoder
from embstore.store import is_store, read_manifest

TRUST = "EMBSTORE_TRUST_REMOTE_CODE"
#: A model's name, options, or an encoder that is ready to use.
EncoderChoice: TypeAlias = str | EncoderOptions | TextEncoder | None


def encoder_for(choice: EncoderChoice, path: Path | None, device: str = "auto") -> TextEncoder:
    """Return the encoder to build or examine with; None takes the store's own, else the default."""
    if choice is None and path is not None and is_store(path):
        return stored_encoder(read_manifest(path).encoder, device)
    if choice is None or isinstance(choice, str | EncoderOptions):
        return load_encoder(choice, device=device)
    return choice


def stored_encoder(config: Mapping[str, Any], device: str = "auto") -> TextEncoder:
    """Load the encoder that a store's manifest names.

    Raises
    ------
    InvalidInput
        It runs code of its repository, which somebody else may have chosen, and
        ``$EMBSTORE_TRUST_REMOTE_CODE`` is not 1.
    """
    options = EncoderOptions.from_json(config)
    if options.trust_remote_code and os.environ.get(TRUST) != "1":
        raise InvalidInput(
            f"This store's encoder runs code from {options.model} at {options.revision}.",
            why="Opening a store does not run code that somebody else chose.",
            fix=f"export {TRUST}=1   # once you have read that code",
        )
    return load_encoder(options, device=device)


def faster_encoder(config: Mapping[str, Any], fingerprint: str) -> TextEncoder | None:
    """Load a store's encoder in the arithmetic that a long build or ``embstore doctor`` chose here.

    Returns
    -------
    TextEncoder or None
        None where nothing was chosen on this machine, or what was chosen is float32; for a store of int8
        too, whose queries are float32: a text alone gains nothing.
    """
    if config.get("dtype") == "int8":
        return None
    found = stored_encoder(config)
    if not isinstance(found, TorchEncoder) or found.fingerprint != fingerprint:
        return None
    equal = found.forward
    # Few texts follow an earlier choice, and make none.
    found.settle(["a"], 1)
    return None if found.forward is equal else found
