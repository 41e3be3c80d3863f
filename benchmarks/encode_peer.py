"""What encode.py compares with, each in a process of its own, as it is when nothing of embstore is there.

Says when the model is loaded, then reads texts, one line of JSON at a time, and says when they are embedded.
Where the line names a file their embeddings are saved there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

Encode = Callable[[list[str]], np.ndarray]


def main() -> None:
    """Load the model of a folder and answer."""
    kind, folder, *longest = sys.argv[1:]
    encode = plain_loop(folder, int(longest[0])) if kind == "loop" else sentence_transformers(kind, folder)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        embeddings = encode(asked["texts"])
        if asked["to"]:
            np.save(asked["to"], embeddings)
        print("done", flush=True)


def sentence_transformers(kind: str, folder: str) -> Encode:
    """Return what embeds texts: by the ``default``, in ``bfloat16`` or by ``onnx``, exported first."""
    settings = {
        "default": {},
        "bfloat16": {"model_kwargs": {"dtype": torch.bfloat16}},
        "onnx": {
            "backend": "onnx",
            "model_kwargs": {"provider": "CPUExecutionProvider", "export": True},
        },
    }
    model = SentenceTransformer(folder, device="cpu", **settings[kind])
    return lambda texts: model.encode(texts, show_progress_bar=False)


def plain_loop(folder: str, longest: int) -> Encode:
    """Return what pads every text to so many tokens and runs batches of 1,000, without any care.

    Embeddings are the hidden states of the first token.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()

    def encode(texts: list[str]) -> np.ndarray:
        batch = tokenizer(
            texts, padding="max_length", max_length=longest, truncation=True, return_tensors="pt"
        )
        states = []
        for start in range(0, len(texts), 1000):
            part = {name: values[start : start + 1000] for name, values in batch.items()}
            with torch.no_grad():
                states.append(model(**part).last_hidden_state[:, 0].cpu().numpy())
        return np.concatenate(states)

    return encode


if __name__ == "__main__":
    main()
