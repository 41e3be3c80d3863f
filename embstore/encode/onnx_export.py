"""Exporting an encoder to ONNX, and the probe that it must pass before it answers a query.

``python -m embstore.encode.onnx_export FINGERPRINT CONFIG`` is what a build leaves running behind it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer

from embstore.encode import onnx_cache
from embstore.encode.config import EncoderOptions
from embstore.encode.onnx_encoder import OnnxEncoder, open_session
from embstore.encode.tokens import TextTokenizer
from embstore.encode.torch_encoder import TorchEncoder, load_encoder
from embstore.errors import EmbstoreError

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

    Returns
    -------
    str
        Empty where the export agrees with torch on the probe texts, else why it is not used; that is kept
        too, so that it is not tried again.
    """
    folder = onnx_cache.export_folder(encoder.fingerprint)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_suffix(".lock")) as alone:
        if not alone:
            return "another process is exporting it"
        settings = onnx_cache.read_settings(encoder.fingerprint)
        if settings is not None:
            return str(settings["problem"])
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            settings = _settings(encoder)
            try:
                settings |= _write_model(encoder, made)
                settings["difference"] = probe(encoder, made, settings)
                if not settings["difference"] <= TOLERANCE:
                    settings["problem"] = f"it differs from torch by {settings['difference']:.2g}"
            except Exception as error:  # noqa: BLE001 (whatever an exporter raises, torch goes on answering)
                settings["problem"] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            if settings["problem"]:
                (made / onnx_cache.MODEL).unlink(missing_ok=True)
            (made / onnx_cache.SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            made.replace(folder)
    return str(settings["problem"])


def probe(encoder: TorchEncoder, folder: Path, settings: Mapping[str, Any]) -> float:
    """Return how far an export is from torch: the largest difference beside an embedding's length."""
    config = settings["config"]
    cutter = TextTokenizer(
        Tokenizer.from_file(str(folder / onnx_cache.TOKENIZER)),
        max_length=config["max_length"],
        prompt=config["prompt"],
        lower_case=config["lower_case"],
    )
    exported = OnnxEncoder(open_session((folder / onnx_cache.MODEL).read_bytes()), cutter, settings)
    worst = 0.0
    for texts in (list(PROBES), *([text] for text in PROBES)):
        ours, theirs = exported.encode(texts), encoder.encode(texts)
        if not np.array_equal(ours.truncated, theirs.truncated) or set(ours.errors) != set(theirs.errors):
            return float("inf")
        lengths = np.maximum(np.linalg.norm(theirs.embeddings, axis=1), 1e-12)
        differences = np.abs(ours.embeddings - theirs.embeddings).max(axis=1) / lengths
        worst = max(worst, float(differences.max()))
    return worst


def _settings(encoder: TorchEncoder) -> dict[str, Any]:
    return {
        "version": onnx_cache.VERSION,
        "fingerprint": encoder.fingerprint,
        "config": dict(encoder.config),
        "dim": encoder.dim,
        "padding": encoder.padding,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "problem": "",
    }


def _write_model(encoder: TorchEncoder, folder: Path) -> dict[str, Any]:
    """Write model and tokenizer; return their checksums."""
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
    plain = folder / "plain.onnx"
    program.save(plain, external_data=False)
    # Optimized once, here, rather than each time that it is loaded.
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / onnx_cache.MODEL)
    onnxruntime.InferenceSession(str(plain), options, providers=["CPUExecutionProvider"])
    plain.unlink()
    (folder / onnx_cache.TOKENIZER).write_text(encoder.tokenizer_json(), encoding="utf-8")
    names = {"model": onnx_cache.MODEL, "tokenizer": onnx_cache.TOKENIZER}
    return {"sha256": {key: onnx_cache.sha256((folder / name).read_bytes()) for key, name in names.items()}}


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Yield whether no other process holds the lock; it ends with this process, however that ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def main(arguments: list[str]) -> int:
    """Export the encoder of a config; return 0 where it may be used from now on."""
    fingerprint, config = arguments
    os.nice(10)
    logging.disable(logging.WARNING)
    try:
        encoder = load_encoder(EncoderOptions.from_json(json.loads(config)), device="cpu")
        return int(encoder.fingerprint != fingerprint or bool(export_encoder(encoder)))
    except (EmbstoreError, OSError):
        # The model is gone or the cache cannot be written: torch says so when it is asked.
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
