"""The encoder that torch runs: texts in, embeddings out, in the order and with the failures of the texts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from embstore.encode.allocator import keep_freed_memory
from embstore.encode.config import ADAPTIVE, EncoderConfig
from embstore.encode.forward import Forward, PaddedForward
from embstore.encode.model_files import first_line
from embstore.encode.paths import (
    Choice,
    choose,
    faster,
    fastest_equal,
    int8_path,
    read_choice,
    write_choice,
)
from embstore.encode.tokens import TextTokenizer
from embstore.records import Embeddings, Encoded, to_be_encoded

logger = logging.getLogger(__name__)

# Texts sorted by length together. Larger finds fuller batches; smaller hides more of the tokenizer's time.
SLICE_SIZE = 2048
# Tokens of one batch. On two CPU cores 4,096 measured a hundredth faster than 2,048 and took 70 MiB more; a
# GPU wants more.
TOKEN_BUDGETS = {"cpu": 2048, "mps": 8192, "cuda": 32768}
# Texts, and batches, on which paths are compared at most: a few seconds of a build that takes many.
_TRIED, _TRIED_BATCHES = 256, 8
# Of these, texts that set the scales of int8.
_CALIBRATING = 128
_LONG = 4096


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
    reload : callable, optional
        Returns the model on the CPU, for when its GPU is lost.

    Attributes
    ----------
    forward : Forward
        How the model is run; see `settle`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: TextTokenizer,
        config: EncoderConfig,
        token_budget: int | None = None,
        reload: Callable[[], PreTrainedModel] | None = None,
    ) -> None:
        keep_freed_memory()
        self.model = model
        self._reload = reload
        self._tokenizer = tokenizer
        self._settled = config
        self._token_budget = token_budget or TOKEN_BUDGETS.get(model.device.type, 8192)
        self._is_settled = config.dtype not in ADAPTIVE or token_budget is not None
        self.forward: Forward = self._fastest_equal()

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
        return PaddedForward(self.model, "cls", normalize=False).padding

    def tokenizer_json(self) -> str:
        """Return the tokenizer as the library ``tokenizers`` reads it, without truncation."""
        return self._tokenizer.as_json()

    @property
    def token_budget(self) -> int:
        """Tokens of a batch, at most."""
        return self._token_budget

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids that the model reads of each text, special tokens included, without padding."""
        return self._tokenizer.tokenize(texts).ids

    def settle(self, texts: Sequence[str], expected: int | None) -> None:
        """Before long work take the fastest arithmetic that passes the gate on such texts.

        Only where dtype is ``auto`` or ``int8``. What was chosen is kept for this machine and this encoder.

        Parameters
        ----------
        texts : sequence of str
            The first that will be encoded.
        expected : int or None
            How many there will be; None is many. Few are not worth the trial, but follow an earlier choice.
        """
        if self._is_settled or not texts:
            return
        device = self.model.device.type
        choice = read_choice(self.fingerprint, device)
        if choice is None and (len(texts) < _TRIED or (expected is not None and expected < _LONG)):
            return
        paths = self.paths()
        if choice is None:
            choice = self._choose(paths, texts)
            write_choice(self.fingerprint, device, choice)
        self._is_settled = True
        self._token_budget = choice.token_budget
        if choice.calibration:
            self.forward = self.int8(choice.calibration) or self.forward
        else:
            self.forward = next((one for one in paths if one.name == choice.name), self.forward)
        logger.info(
            "Encoding by %s in batches of %d tokens: %s.", choice.name, choice.token_budget, choice.why
        )

    def try_paths(self, texts: Sequence[str]) -> Choice:
        """Measure every path on some of the texts, of all lengths alike, and say which is to be taken."""
        return self._choose(self.paths(), texts)

    def paths(self) -> list[Forward]:
        """Return the ways in which this machine can run the model; the first gives its own embeddings."""
        settings = self._settled
        return [self.forward, *faster(self.model, settings.pooling, normalize=settings.normalize)]

    def int8(self, ids: Sequence[list[int]]) -> Forward | None:
        """Return the int8 path with scales set by texts, see `calibrating`; None where there is none."""
        settings = self._settled
        return int8_path(self.model, ids, settings.pooling, normalize=settings.normalize)

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
        out = to_be_encoded(texts, self.dim)
        start = 0
        for tokens in self._tokenizer.tokenize_ahead(texts, SLICE_SIZE):
            end = start + len(tokens.ids)
            out.truncated[start:end] = tokens.truncated
            out.tokens[start:end] = [len(one) for one in tokens.ids]
            failed = self._encode_tokens(tokens.ids, out.embeddings[start:end])
            out.errors.update({start + position: error for position, error in failed.items()})
            start = end
        return out

    def _encode_tokens(self, ids: list[list[int]], out: Embeddings) -> dict[int, str]:
        """Fill ``out`` row by row; return the positions that failed and why."""
        errors: dict[int, str] = {}
        pending = self.forward.plan([len(one) for one in ids], self._token_budget)[::-1]
        while pending:
            batch = pending.pop()
            try:
                out[batch] = self.forward.embed([ids[position] for position in batch])
            except (RuntimeError, MemoryError, IndexError, ValueError) as error:
                if self._leaves_device(error, len(batch)):
                    pending.append(batch)
                elif len(batch) == 1:
                    errors[int(batch[0])] = f"the model failed: {first_line(error)}"
                else:
                    self._shrink_after(error, len(batch), len(batch) * len(ids[batch[0]]))
                    pending += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
        errors.update(_unusable(out, errors))
        return errors

    def _choose(self, paths: Sequence[Forward], texts: Sequence[str]) -> Choice:
        ids = self.token_ids(texts)
        n = min(_TRIED, 1 + len(ids) * _TRIED_BATCHES * self._token_budget // sum(map(len, ids)))
        ids, device = _spread(ids, n), self.model.device.type
        if self._settled.dtype != "int8":
            return choose(paths, ids, self._token_budget, device)
        few = calibrating(ids)
        int8 = self.int8(few)
        choice = choose(paths, ids, self._token_budget, device, int8)
        if int8 is None:
            return replace(choice, why=f"{choice.why}; this machine has no int8 path for this model")
        return replace(choice, calibration=tuple(few)) if choice.name == int8.name else choice

    def _fastest_equal(self) -> Forward:
        settings = self._settled
        return fastest_equal(self.model, self.model.dtype, settings.pooling, normalize=settings.normalize)

    def _leaves_device(self, error: Exception, n_texts: int) -> bool:
        """Go on on the CPU where the GPU is lost, or has no room for a single text; return whether."""
        spoken = str(error).lower()
        lost = any(said in spoken for said in ("cuda error", "cublas", "cudnn")) and not _is_memory(error)
        alone_too_large = _is_memory(error) and n_texts == 1
        if self._reload is None or not (lost or alone_too_large):
            return False
        logger.warning("The GPU failed; going on on the CPU. It said: %s", first_line(error))
        self.model, self._reload = self._reload(), None
        self.forward, self._token_budget = self._fastest_equal(), TOKEN_BUDGETS["cpu"]
        return True

    def _shrink_after(self, error: Exception, n_texts: int, n_tokens: int) -> None:
        """Halve the token budget where memory ran out; any other failure only splits the batch."""
        if not _is_memory(error):
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


def calibrating(ids: Sequence[list[int]]) -> list[list[int]]:
    """Return the texts, of all lengths alike, that set the scales of int8: 128 to 255, or all."""
    return _spread(ids, _CALIBRATING)


def _spread(ids: Sequence[list[int]], n: int) -> list[list[int]]:
    """Return n to 2 n - 1 texts, or all, of all lengths alike, the longest first."""
    step = max(1, len(ids) // n)
    return sorted(ids, key=len)[::-step]


def _is_memory(error: Exception) -> bool:
    spoken = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in spoken or "alloc" in spoken


def _unusable(embeddings: Embeddings, known: Mapping[int, str]) -> dict[int, str]:
    """Name the rows that no similarity can be computed with."""
    finite = np.isfinite(embeddings).all(axis=1)
    nonzero = embeddings.any(axis=1)
    found = {int(row): "the model returned NaN or infinity" for row in np.flatnonzero(~finite)}
    found.update({int(row): "the model returned all zeros" for row in np.flatnonzero(~nonzero)})
    return {row: error for row, error in found.items() if row not in known}
