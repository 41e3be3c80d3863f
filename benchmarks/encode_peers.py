"""What encode.py compares with: sentence-transformers in its backends, and a plain loop."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from environment import offline, python_of

Encode = Callable[[list[str]], object]
DEFAULT = "sentence-transformers, its default (float32)"
LOW = "sentence-transformers in bfloat16"
ONNX = "sentence-transformers in ONNX Runtime (float32)"
LOOP = "plain loop, padded to the dataset's longest text"
# The last versions whose ONNX backend can be installed; it needs an older transformers than ours.
ONNX_PACKAGES = ("torch==2.13.0", "optimum-onnx[onnxruntime]==0.1.0", "sentence-transformers==5.7.0")


@contextmanager
def peers_of(folder: Path, longest: int | None) -> Iterator[dict[str, Encode]]:
    """Give what embeds texts with the model of a folder.

    Parameters
    ----------
    folder : Path
        A model, with the files of sentence-transformers or without.
    longest : int or None
        Tokens that the loop pads every text to; None leaves the loop out.
    """
    plain = SentenceTransformer(str(folder), device="cpu")
    low = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.bfloat16})
    peers: dict[str, Encode] = {
        DEFAULT: lambda texts: plain.encode(texts, show_progress_bar=False),
        LOW: lambda texts: low.encode(texts, show_progress_bar=False),
    }
    with onnx_peer(folder) as encode:
        if encode:
            peers[ONNX] = encode
        if longest:
            peers[LOOP] = PlainLoop(folder, longest).encode
        yield peers


@contextmanager
def onnx_peer(folder: Path) -> Iterator[Encode | None]:
    """Start sentence-transformers in its ONNX backend; give what embeds texts, or None where that fails."""
    script = Path(__file__).with_name("onnx_peer.py")
    command = [str(python_of("onnx", ONNX_PACKAGES)), str(script), str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=offline(), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout

        def encode(texts: list[str]) -> None:
            process.stdin.write(json.dumps(texts) + "\n")
            process.stdin.flush()
            if process.stdout.readline() != "done\n":
                raise SystemExit("sentence-transformers in its ONNX backend ended too early.")

        ready = process.stdout.readline() == "ready\n"
        if not ready:
            print(f"{ONNX}: does not start with this model.\n")
        yield encode if ready else None
        process.stdin.close()


class PlainLoop:
    """Pads every text to the longest of the dataset and runs batches of 1,000, without any care."""

    def __init__(self, folder: Path, longest: int) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder).eval()
        self._longest = longest

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return the hidden states of the first token."""
        batch = self._tokenizer(
            texts, padding="max_length", max_length=self._longest, truncation=True, return_tensors="pt"
        )
        states = []
        for start in range(0, len(texts), 1000):
            part = {name: values[start : start + 1000] for name, values in batch.items()}
            with torch.no_grad():
                states.append(self._model(**part).last_hidden_state[:, 0].cpu().numpy())
        return np.concatenate(states)
