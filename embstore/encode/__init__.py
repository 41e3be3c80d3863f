"""Text to embeddings: which model, how its token states become one embedding, and running it.

Names are imported at first use: a query runs the exported encoder and must not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embstore.encode.config import DEFAULT_MODEL, EncoderConfig, EncoderOptions
    from embstore.encode.load import load_encoder
    from embstore.encode.torch_encoder import TorchEncoder

_HOME_OF = {
    "DEFAULT_MODEL": "embstore.encode.config",
    "EncoderConfig": "embstore.encode.config",
    "EncoderOptions": "embstore.encode.config",
    "TorchEncoder": "embstore.encode.torch_encoder",
    "load_encoder": "embstore.encode.load",
}

__all__ = ["DEFAULT_MODEL", "EncoderConfig", "EncoderOptions", "TorchEncoder", "load_encoder"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'embstore.encode' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
