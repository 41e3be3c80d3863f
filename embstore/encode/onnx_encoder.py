"""An exported encoder, run by ONNX Runtime: what a query pays for instead of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tokenizers
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from embstore.encode.onnx_cache import MODEL, TOKENIZER, export_folder, usable_settings
from embstore.encode.onnx_layout import Layout, PackedLayout, PaddedLayout
from embstore.encode.tokens import TextTokenizer
from embstore.records import Embeddings, Encoded, to_be_encoded

# Texts sorted by length together.
_SLICE_SIZE = 2048
#: Versions of what runs an export; one that was probed under others is made again.
RUNTIME = {"onnxruntime": onnxruntime.__version__, "tokenizers": tokenizers.__version__}
# Fatal errors and nothing less: a query's stderr is for the user, and what fails is told by the caller.
_QUIET = 4
# What ONNX Runtime raises: children of Exception, with no parent of their own.
_FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)


class OnnxEncoder:
    """The encoder of a store, exported to ONNX; gives the embeddings of torch within 1e-4.

    Made by `load_exported`. The model's own files are not needed any more: the fingerprint of the export is
    theirs.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        What its layout makes of token ids in; token states of shape (n_rows, n_tokens, dim), float32, out.
    tokenizer : TextTokenizer
        Cuts texts at the encoder's maximum length.
    settings : mapping
        What stands beside the export: fingerprint, dim, layout and config.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, tokenizer: TextTokenizer, settings: Mapping[str, Any]
    ) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._settings = settings
        pooling = settings["config"]["pooling"]
        self._layout: Layout = (
            PackedLayout(settings["position_padding"], pooling)
            if settings["packed"]
            else PaddedLayout(settings["padding"], pooling)
        )

    @property
    def dim(self) -> int:
        """Length of an embedding, in floats."""
        return int(self._settings["dim"])

    @property
    def fingerprint(self) -> str:
        """SHA-256, 64 hex digits, of all that changes an embedding."""
        return str(self._settings["fingerprint"])

    @property
    def config(self) -> Mapping[str, Any]:
        """JSON values from which the same encoder can be loaded again."""
        config: Mapping[str, Any] = self._settings["config"]
        return config

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Embed texts; see `TorchEncoder.encode`, whose answer it gives.

        Raises
        ------
        InvalidInput
            A single string where a sequence is due, or a text that UTF-8 cannot encode.
        """
        out = to_be_encoded(texts, self.dim)
        for start in range(0, len(texts), _SLICE_SIZE):
            tokens = self._tokenizer.tokenize(texts[start : start + _SLICE_SIZE])
            end = start + len(tokens.ids)
            out.truncated[start:end] = tokens.truncated
            out.tokens[start:end] = [len(one) for one in tokens.ids]
            for batch in self._layout.plan([len(one) for one in tokens.ids]):
                ids = [tokens.ids[position] for position in batch]
                self._fill(out.embeddings, ids, (start + batch).tolist(), out.errors)
        good = np.isfinite(out.embeddings).all(axis=1) & out.embeddings.any(axis=1)
        for row in np.flatnonzero(~good).tolist():
            out.errors.setdefault(row, "the model returned zeros, NaN or infinity")
        return out

    def _fill(self, out: Embeddings, ids: list[list[int]], rows: list[int], errors: dict[int, str]) -> None:
        """Embed a batch, and what fails or is not finite there alone; note which texts fail."""
        try:
            out[rows] = self._forward(ids)
            again = ~np.isfinite(out[rows]).all(axis=1)
        except (*_FAILURES, MemoryError, IndexError) as error:
            if len(ids) == 1:
                errors[rows[0]] = f"the model failed: {[*str(error).splitlines(), type(error).__name__][0]}"
                return
            again = np.ones(len(ids), dtype=np.bool_)
        if len(ids) > 1:
            for place in np.flatnonzero(again).tolist():
                self._fill(out, [ids[place]], [rows[place]], errors)

    def _forward(self, ids: list[list[int]]) -> Embeddings:
        embeddings = self._layout.embed(ids, lambda inputs: self._session.run(None, inputs)[0])
        if self.config["normalize"]:
            with np.errstate(invalid="ignore"):  # states that are infinite; their text is named by `encode`
                embeddings = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        return embeddings


def load_exported(fingerprint: str) -> OnnxEncoder | None:
    """Return the exported encoder of a fingerprint, or None where there is none that may answer."""
    settings = usable_settings(fingerprint, RUNTIME)
    if settings is None:
        return None
    try:
        return open_exported(export_folder(fingerprint), settings)
    except _FAILURES:
        # Removed meanwhile, or no memory: torch answers.
        return None


def open_exported(folder: Path, settings: Mapping[str, Any]) -> OnnxEncoder:
    """Open the export in a folder, unchecked; raises what ONNX Runtime and tokenizers raise."""
    config = settings["config"]
    tokenizer = TextTokenizer(
        tokenizers.Tokenizer.from_file(str(folder / TOKENIZER)),
        max_length=config["max_length"],
        prompt=config["prompt"],
        lower_case=config["lower_case"],
    )
    options = session_options()
    # It was optimized when it was saved.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(*spinning(onnxruntime.__version__))
    # By path, not from bytes: so the weights are mapped into memory, which is five times as fast.
    session = onnxruntime.InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
    return OnnxEncoder(session, tokenizer, settings)


def spinning(version: str) -> tuple[str, str]:
    """Return the session's entry by which a version of ONNX Runtime hardly spins, and its value.

    Threads that spin for more work take cores from whoever needs them: beside one busy core a query took
    3.3 ms without, 6.1 with them. Twenty microseconds are enough to wait for a query's own next step: 2.6 ms,
    and 2.0 beside 2.7 where nothing else runs. Versions before 1.26 know no such limit.
    """
    if tuple(int(part) for part in version.split(".")[:2]) >= (1, 26):
        return "session.intra_op.spin_duration_us", "20"
    return "session.intra_op.allow_spinning", "0"


def session_options() -> onnxruntime.SessionOptions:
    """Return options under which ONNX Runtime prints nothing."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    return options
