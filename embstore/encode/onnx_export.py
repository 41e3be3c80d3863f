"""Exporting an encoder to ONNX, and the probe that it must pass before it answers a query.

``python -m embstore.encode.onnx_export FINGERPRINT CONFIG`` is what a build leaves running behind it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from embstore.encode import onnx_cache
from embstore.encode.bert_weights import EncoderWeights, read_weights
from embstore.encode.config import EncoderOptions
from embstore.encode.fused import FusedForward
from embstore.encode.load import load_encoder
from embstore.encode.model_files import first_line
from embstore.encode.onnx_background import exportable, lock_of
from embstore.encode.onnx_encoder import RUNTIME, OnnxEncoder, open_exported, session_options
from embstore.encode.onnx_graph import encoder_graph, save_graph
from embstore.encode.torch_encoder import TorchEncoder
from embstore.errors import DiskFailure, EmbstoreError, InvalidInput

# Short, long, beyond the longest input, foreign, strange, alone and together.
PROBES = (
    "a",
    "this is a test",
    "i feel so happy that the train was late again, and nobody knows why!",
    "Ünïcödé, 中文, العربية, 🙂 and \t\n odd   spaces",
    "1234567890 -- http://example.org/?q=a&b=c",
    "word " * 40,
    "a rather long text about nothing in particular " * 200,
)
# Largest difference of a component beside the embedding's length. Exports of BERT and DistilBERT measured
# 1e-6; a wrong graph is off by 1e-2 and more.
TOLERANCE = 1e-4


class _States(torch.nn.Module):
    """The part that is exported: ids and mask in, token states out."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return states of shape (n, n_tokens, dim)."""
        states: torch.Tensor = self.model(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        return states


def export_encoder(encoder: TorchEncoder) -> str:
    """Export an encoder into the cache, unless it is there or another process is at it.

    A process that is killed here leaves nothing that is used, and the next one clears it away.

    Returns
    -------
    str
        Empty where the export agrees with torch on the probe texts, else why it is not used. That is kept
        too, so that a model which cannot be exported is not tried again under the same torch.

    Raises
    ------
    InvalidInput
        The encoder is not float32 on a CPU, or runs code of its repository.
    DiskFailure
        The cache cannot be written.
    """
    if not exportable(encoder.config) or encoder.model.device.type != "cpu":
        raise InvalidInput(
            "Only float32 encoders without code of their own are exported, from the CPU.",
            why=f"This is {encoder.config['dtype']} on {encoder.model.device}.",
            fix="load_encoder(name, device='cpu')",
        )
    folder = onnx_cache.export_folder(encoder.fingerprint)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(lock_of(encoder.fingerprint)) as alone:
            return _export_into(folder, encoder) if alone else "another process is exporting it"
    except OSError as error:
        raise DiskFailure(f"The export cannot be kept in {folder}: {error.strerror or error}.") from error


def _export_into(folder: Path, encoder: TorchEncoder) -> str:
    if onnx_cache.usable_settings(encoder.fingerprint, RUNTIME) is not None:
        return ""
    kept = onnx_cache.read_settings(encoder.fingerprint)
    if kept is not None and kept["problem"] and kept["torch"] == version("torch"):
        return str(kept["problem"])
    # Held by this process alone; of one that was killed, it is cleared away.
    making = folder.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        settings = _make(encoder, making)
        shutil.rmtree(folder, ignore_errors=True)
        making.replace(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return str(settings["problem"])


def _make(encoder: TorchEncoder, folder: Path) -> dict[str, Any]:
    """Export, probe and describe into an empty folder; where the probe fails only the description stays."""
    weights = _weights(encoder)
    settings = {
        "version": onnx_cache.VERSION,
        "fingerprint": encoder.fingerprint,
        "config": dict(encoder.config),
        "dim": encoder.dim,
        "padding": encoder.padding,
        # A graph that is written reads packed rows, one that is traced padded ones.
        "packed": weights is not None,
        "position_padding": weights.padding if weights else None,
        "runtime": RUNTIME,
        "torch": version("torch"),
        "transformers": version("transformers"),
        "difference": None,
        "problem": "",
    }
    _check_room(encoder, folder)
    try:
        _write_model(encoder, weights, folder)
        difference = probe(encoder, open_exported(folder, settings))
        settings["difference"] = difference if np.isfinite(difference) else None
        if not difference <= TOLERANCE:
            settings["problem"] = f"it differs from torch by {difference:.2g} of an embedding's length"
    except (OSError, MemoryError):
        # This machine's trouble of today, and no property of the model: tried again.
        raise
    except Exception as error:  # noqa: BLE001 (whatever an exporter raises, torch goes on answering)
        settings["problem"] = f"{type(error).__name__}: {first_line(error)}"
    if settings["problem"]:
        for path in folder.iterdir():
            path.unlink()
        # A disk that others have filled meanwhile is no property of the model either.
        _check_room(encoder, folder)
    onnx_cache.write_settings(folder, settings)
    return settings


def probe(encoder: TorchEncoder, exported: OnnxEncoder) -> float:
    """Return how far an export is from torch on the probe texts, together and alone.

    Returns
    -------
    float
        Largest absolute difference of a component, in lengths of torch's embedding, no unit; infinite where
        the two cut or refuse other texts. At 1e-4 the cosine is at least 0.999998 in 384 dimensions.
    """
    worst = [0.0]
    for texts in (list(PROBES), *([text] for text in PROBES)):
        ours, theirs = exported.encode(texts), encoder.encode(texts)
        if not np.array_equal(ours.truncated, theirs.truncated) or set(ours.errors) != set(theirs.errors):
            return float("inf")
        good = [position for position in range(len(texts)) if position not in theirs.errors]
        lengths = np.linalg.norm(theirs.embeddings[good], axis=1, keepdims=True)
        differences = np.abs(ours.embeddings[good] - theirs.embeddings[good]) / lengths
        worst.extend(differences.ravel().tolist())
    return max(worst)


def _check_room(encoder: TorchEncoder, folder: Path) -> None:
    """Raise where the disk cannot hold the export twice: ONNX Runtime only says that it failed."""
    needed = 2 * sum(one.numel() * one.element_size() for one in encoder.model.parameters()) + (16 << 20)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"{free >> 20} MiB are free, the export takes {needed >> 20} MiB")


def _weights(encoder: TorchEncoder) -> EncoderWeights | None:
    """Return the weights of which a graph is written; where there are none, the model is traced."""
    # Where the fused path was taken, what `read_weights` reads is known to be this model.
    return read_weights(encoder.model) if isinstance(encoder.forward, FusedForward) else None


def _write_model(encoder: TorchEncoder, weights: EncoderWeights | None, folder: Path) -> None:
    """Write model, weights and tokenizer."""
    if weights is None:
        _trace(encoder, folder)
    else:
        save_graph(encoder_graph(weights), str(folder / onnx_cache.MODEL), onnx_cache.WEIGHTS)
    (folder / onnx_cache.TOKENIZER).write_text(encoder.tokenizer_json(), encoding="utf-8")


def _trace(encoder: TorchEncoder, folder: Path) -> None:
    """Write model and weights of any architecture that torch's exporter can follow."""
    ids = torch.tensor([[5, 6, 7, 8], [9, 5, 6, encoder.padding], [7, 8, 5, 6]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]])
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _States(encoder.model).eval(),
            (ids, mask),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_shapes=(dynamic, dynamic),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    # Weights lie in a file of their own, so that they may exceed the 2 GB of one ONNX file and are mapped.
    plain = folder / "plain.onnx"
    program.save(plain, external_data=True)
    # Optimized once, here, rather than each time that it is loaded; but not for this processor, since a home
    # folder may be shared by several.
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / onnx_cache.MODEL)
    saving = "session.optimized_model_external_initializers_"
    options.add_session_config_entry(f"{saving}file_name", onnx_cache.WEIGHTS)
    options.add_session_config_entry(f"{saving}min_size_in_bytes", "1024")
    onnxruntime.InferenceSession(str(plain), options, providers=["CPUExecutionProvider"])
    for path in folder.glob("plain.*"):
        path.unlink()


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Yield whether no other process holds the lock; it ends with this process, however that ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def main(arguments: list[str]) -> int:
    """Export the encoder of a config; return 0 where it may be used from now on."""
    fingerprint, config = arguments
    # The query that waits for torch goes first.
    torch.set_num_threads(1)
    try:
        encoder = load_encoder(EncoderOptions.from_json(json.loads(config)), device="cpu")
        return int(encoder.fingerprint != fingerprint or bool(export_encoder(encoder)))
    except EmbstoreError:
        # The model is gone or the cache cannot be written: torch says so when it is asked.
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
