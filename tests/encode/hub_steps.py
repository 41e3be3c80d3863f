"""Loads models in a process of its own: options in, what came of them out, one line of JSON each."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any

from embstore.encode import EncoderOptions, load_encoder
from embstore.encode.model_files import SHIPPED
from embstore.errors import EmbstoreError


def load(options: dict[str, Any]) -> dict[str, Any]:
    """Load an encoder and use it; return its config, fingerprint and number of floats, or the error."""
    try:
        encoder = load_encoder(EncoderOptions(**options), device="cpu")
    except EmbstoreError as error:
        return {"error": type(error).__name__, "what": error.what, "why": error.why, "fix": error.fix}
    encoded = encoder.encode(["a cat sat"])
    return {"fingerprint": encoder.fingerprint, "shape": encoded.embeddings.shape, **encoder.config}


def hide_the_package() -> None:
    """Make Python say that the default model's package is not installed."""
    packages = {shipped.package for shipped in SHIPPED.values()}
    original = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: None if name in packages else original(name, *rest)


def main() -> None:
    """Answer each line of standard input."""
    hide_the_package()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(load(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
