"""The peers of encode.py: sentence-transformers in its backends, and a plain loop, each in its process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from environment import offline, python_of

DEFAULT = "sentence-transformers, its default (float32)"
LOW = "sentence-transformers in bfloat16"
ONNX = "sentence-transformers in ONNX Runtime (float32)"
LOOP = "plain loop, padded to the dataset's longest text"
KINDS = {DEFAULT: "default", LOW: "bfloat16", ONNX: "onnx", LOOP: "loop"}
# The last versions whose ONNX backend can be installed; it needs an older transformers than ours.
ONNX_PACKAGES = ("torch==2.13.0", "optimum-onnx[onnxruntime]==0.1.0", "sentence-transformers==5.7.0")
SCRIPT = Path(__file__).with_name("encode_peer.py")


@dataclass(frozen=True)
class Peer:
    """A process that embeds the texts it is given, until its input ends."""

    name: str
    texts: IO[str]
    answers: IO[str]

    def encode(self, texts: list[str]) -> None:
        """Have texts embedded, and nothing more."""
        self._ask(texts, None)

    def embeddings(self, texts: list[str]) -> np.ndarray:
        """Return the embeddings of texts."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "embeddings.npy"
            self._ask(texts, file)
            return np.load(file)

    def _ask(self, texts: list[str], to: Path | None) -> None:
        self.texts.write(json.dumps({"texts": texts, "to": to and str(to)}) + "\n")
        self.texts.flush()
        if self.answers.readline() != "done\n":
            raise SystemExit(f"{self.name} ended too early.")


@contextmanager
def peers_of(folder: Path, longest: int | None) -> Iterator[dict[str, Peer]]:
    """Give what embeds texts with the model of a folder, by name.

    Parameters
    ----------
    folder : Path
        A model, with the files of sentence-transformers or without.
    longest : int or None
        Tokens that the loop pads every text to; None leaves the loop out.
    """
    with ExitStack() as stack:
        started = [
            stack.enter_context(peer(name, folder, longest))
            for name in KINDS
            if name != LOOP or longest is not None
        ]
        yield {one.name: one for one in started if one}


@contextmanager
def peer(name: str, folder: Path, longest: int | None) -> Iterator[Peer | None]:
    """Start a peer; gives None where the ONNX backend does not start with this model."""
    python = python_of("onnx", ONNX_PACKAGES) if name == ONNX else sys.executable
    command = [str(python), str(SCRIPT), KINDS[name], str(folder), *([str(longest)] if name == LOOP else [])]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=offline(), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        ready = process.stdout.readline() == "ready\n"
        if not ready:
            if name != ONNX:
                raise SystemExit(f"{name} does not start.")
            print(f"{name}: does not start with this model.\n")
        yield Peer(name, process.stdin, process.stdout) if ready else None
        process.stdin.close()
