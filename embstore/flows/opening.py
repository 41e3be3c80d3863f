"""How a store that was opened without an encoder gets its own, at the first query by text and not before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import embstore
from embstore.records import TextEncoder
from embstore.store import Store


def _stored_encoder(config: Mapping[str, Any]) -> TextEncoder:
    # Through the package's lazy names: a store is read without importing torch.
    encoder: TextEncoder = embstore.stored_encoder(config)
    return encoder


# The wings do not know each other; here, one floor up, they meet.
Store.load_encoder = staticmethod(_stored_encoder)
