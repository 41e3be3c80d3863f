"""Text to embeddings: which model, how its token states become one embedding, and running it."""

from embstore.encode.config import DEFAULT_MODEL, EncoderConfig, EncoderOptions
from embstore.encode.torch_encoder import TorchEncoder, load_encoder

__all__ = ["DEFAULT_MODEL", "EncoderConfig", "EncoderOptions", "TorchEncoder", "load_encoder"]
