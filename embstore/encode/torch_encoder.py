"""The reference encoder: a transformer run by torch. The door to transformers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from embstore.encode.batches import plan_batches
from embstore.encode.config import EncoderConfig, EncoderOptions, resolve
from embstore.encode.model_files import ModelFiles, WrongSetting, first_line
from embstore.encode.pooling import pool
from embstore.encode.tokens import TextTokenizer
from embstore.errors import InvalidInput, InvalidModel
from embstore.records import Embeddings, Encoded

logger = logging.getLogger(__name__)

# Texts sorted by length together. Larger finds fuller batches; smaller hides more of the tokenizer's time.
SLICE_SIZE = 2048
# Padded tokens of one batch. On two CPU cores 1,024 to 4,096 measure alike and less than 512 is slower; a GPU
# wants more.
TOKEN_BUDGETS = {"cpu": 1536, "mps": 8192, "cuda": 32768}
# What transformers raises on files that it cannot use; ImportError where a model needs another library.
_UNLOADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, WrongSetting)


class TorchEncoder:
    """A frozen transformer whose token states become one embedding a text.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode, on its device.
    tokenizer : TextTokenizer
        Cuts texts at the encoder's maximum length.
    config : EncoderConfig
        Pooling, normalization and fingerprint.
    token_budget : int, optional
        Most tokens of a batch, padding included. Changes speed and memory, never an embedding beyond 2e-5.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: TextTokenizer,
        config: EncoderConfig,
        token_budget: int | None = None,
    ) -> None:
        self.model = model
        self._tokenizer = tokenizer
        self._settled = config
        self._token_budget = token_budget or TOKEN_BUDGETS.get(model.device.type, 8192)

    @property
    def dim(self) -> int:
        """Length of an embedding, in floats."""
        return int(self.model.config.hidden_size)

    @property
    def fingerprint(self) -> str:
        """SHA-256, 64 hex digits, of all that changes an embedding."""
        return self._settled.fingerprint

    @property
    def config(self) -> Mapping[str, Any]:
        """JSON values from which the same encoder can be loaded again."""
        return self._settled.as_json()

    @property
    def padding(self) -> int:
        """Token id that fills the end of a shorter text."""
        return max(0, int(getattr(self.model.config, "pad_token_id", None) or 0))

    def tokenizer_json(self) -> str:
        """Return the tokenizer as the library ``tokenizers`` reads it, without truncation."""
        return self._tokenizer.as_json()

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids that the model reads of each text, special tokens included, without padding."""
        return self._tokenizer.tokenize(texts).ids

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Embed texts.

        Parameters
        ----------
        texts : sequence of str
            Any number; order does not matter to speed.

        Returns
        -------
        Encoded
            Embeddings of shape (n, dim), float32, in the order of ``texts``. A text on which the model fails
            alone, or whose embedding is not finite or all zeros, is named in ``errors``.

        Raises
        ------
        InvalidInput
            A single string where a sequence is due, or a text that UTF-8 cannot encode.
        """
        if isinstance(texts, str):
            raise InvalidInput("encode takes a sequence of texts, and got one str.", fix="encode([text])")
        embeddings = np.zeros((len(texts), self.dim), dtype=np.float32)
        truncated = np.zeros(len(texts), dtype=np.bool_)
        n_tokens = np.zeros(len(texts), dtype=np.int64)
        errors: dict[int, str] = {}
        start = 0
        for tokens in self._tokenizer.tokenize_ahead(texts, SLICE_SIZE):
            end = start + len(tokens.ids)
            truncated[start:end] = tokens.truncated
            n_tokens[start:end] = [len(one) for one in tokens.ids]
            failed = self._encode_tokens(tokens.ids, embeddings[start:end])
            errors.update({start + position: error for position, error in failed.items()})
            start = end
        return Encoded(embeddings, truncated, errors, n_tokens)

    def _encode_tokens(self, ids: list[list[int]], out: Embeddings) -> dict[int, str]:
        """Fill ``out`` row by row; return the positions that failed and why."""
        errors: dict[int, str] = {}
        pending = plan_batches([len(one) for one in ids], self._token_budget)[::-1]
        while pending:
            batch = pending.pop()
            try:
                out[batch] = self._forward([ids[position] for position in batch])
            except (RuntimeError, MemoryError, IndexError, ValueError) as error:
                if len(batch) == 1:
                    errors[int(batch[0])] = f"the model failed: {first_line(error)}"
                else:
                    self._shrink_after(error, len(batch), len(batch) * len(ids[batch[0]]))
                    pending += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
        errors.update(_unusable(out, errors))
        return errors

    def _shrink_after(self, error: Exception, n_texts: int, n_tokens: int) -> None:
        """Halve the token budget where memory ran out; any other failure only splits the batch."""
        spoken = str(error).lower()
        if not isinstance(error, MemoryError) and "out of memory" not in spoken and "alloc" not in spoken:
            return
        # Half of what failed: batches that were planned before the first failure must not halve it again.
        self._token_budget = max(1, min(self._token_budget, n_tokens // 2))
        logger.warning(
            "Out of memory with %d texts; going on with batches of %d tokens.",
            n_texts,
            self._token_budget,
        )
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _forward(self, ids: list[list[int]]) -> Embeddings:
        width = max(len(one) for one in ids)
        mask = None
        if any(len(one) != width for one in ids):
            mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in ids])
            mask = mask.to(self.model.device)
        padded = torch.tensor([one + [self.padding] * (width - len(one)) for one in ids]).to(
            self.model.device
        )
        states = self.model(input_ids=padded, attention_mask=mask).last_hidden_state
        pooled = pool(states, mask, self._settled.pooling, normalize=self._settled.normalize)
        embeddings: Embeddings = pooled.cpu().numpy()
        return embeddings


def load_encoder(
    options: EncoderOptions | str | None = None, *, device: str = "auto", token_budget: int | None = None
) -> TorchEncoder:
    """Load a frozen transformer.

    Parameters
    ----------
    options : EncoderOptions or str, optional
        What to load; a str is the model's name. None loads the default model.
    device : {'auto', 'cpu', 'cuda', 'mps'} or a torch device such as ``cuda:1``
        ``auto`` takes CUDA, then Apple's MPS, then the CPU.
    token_budget : int, optional
        See `TorchEncoder`.

    Raises
    ------
    InvalidInput
        An option, or a device that this machine lacks.
    NotFound, HubUnreachable
        The model cannot be found or fetched.
    InvalidModel
        It is no encoder, has no safetensors, or its weights do not fill it.
    """
    if options is None or isinstance(options, str):
        options = EncoderOptions() if options is None else EncoderOptions(model=options)
    if token_budget is not None and token_budget < 1:
        raise InvalidInput(f"A token budget of {token_budget} holds no text.", fix="token_budget=1024")
    place = _find_device(device)
    files, config = resolve(options)
    model = _load_model(files, config)
    model.to(place)  # type: ignore[arg-type]
    return TorchEncoder(model, _load_tokenizer(files, config), config, token_budget)


def _find_device(device: str) -> torch.device:
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InvalidInput(
            f"This machine has no device {device!r}.", why=first_line(error), fix="--device auto"
        ) from error
    return found


def _load_model(files: ModelFiles, config: EncoderConfig) -> PreTrainedModel:
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model, report = AutoModel.from_pretrained(
            files.folder,
            dtype=getattr(torch, config.dtype),
            trust_remote_code=config.trust_remote_code,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except (*_UNLOADABLE, SafetensorError) as error:
        raise InvalidModel(f"The model {files.name} cannot be loaded.", why=first_line(error)) from error
    finally:
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    if getattr(model.config, "is_encoder_decoder", False):
        raise InvalidModel(f"The model {files.name} is an encoder-decoder.", why="embstore reads encoders.")
    if not isinstance(getattr(model.config, "hidden_size", None), int):
        raise InvalidModel(f"The model {files.name} is no text encoder.", why="It has no hidden_size.")
    # The pooler is not used; anything else that is missing would be random numbers.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise InvalidModel(
            f"The weights of {files.name} do not fill the model.",
            why=f"{len(missing)} tensors are missing, {missing[0]} first; they would be random.",
        )
    loaded: PreTrainedModel = model.eval()
    return loaded


def _load_tokenizer(files: ModelFiles, config: EncoderConfig) -> TextTokenizer:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            files.folder, trust_remote_code=config.trust_remote_code, local_files_only=True
        )
    except Exception as error:
        # On a tokenizer.json of a newer format tokenizers raises Exception itself, no child of it.
        if type(error) is not Exception and not isinstance(error, _UNLOADABLE):
            raise
        raise InvalidModel(
            f"The tokenizer of {files.name} cannot be loaded.", why=first_line(error)
        ) from error
    if not tokenizer.is_fast:
        raise InvalidModel(
            f"The model {files.name} has only a slow Python tokenizer.",
            why="embstore reads tokenizer.json.",
            fix="save a fast tokenizer beside the model: tokenizer.save_pretrained(FOLDER)",
        )
    return TextTokenizer(
        tokenizer.backend_tokenizer,
        max_length=config.max_length,
        prompt=config.prompt,
        lower_case=config.lower_case,
    )


def _unusable(embeddings: Embeddings, known: Mapping[int, str]) -> dict[int, str]:
    """Name the rows that no similarity can be computed with."""
    finite = np.isfinite(embeddings).all(axis=1)
    nonzero = embeddings.any(axis=1)
    found = {int(row): "the model returned NaN or infinity" for row in np.flatnonzero(~finite)}
    found.update({int(row): "the model returned all zeros" for row in np.flatnonzero(~nonzero)})
    return {row: error for row, error in found.items() if row not in known}
