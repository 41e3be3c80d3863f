"""Encoding speed beside sentence-transformers' default and the notebook's loop, in the same run.

All three run the same weights in fp32 on the same texts, one after the other, round by round.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

import embstore
from common import interleaved, machine, ratio, reference, texts_of
from embstore.encode.model_files import find_model


def main() -> None:
    """Print texts per second and the ratios of the same rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    dataset = texts_of(reference("emotion") / "train.csv")
    texts = dataset[: arguments.texts]
    folder = find_model("all-MiniLM-L6-v2").folder
    ours = embstore.load_encoder(device="cpu")
    peer = SentenceTransformer(str(folder), device="cpu")
    notebook = NotebookLoop(folder, max(map(len, ours.token_ids(dataset))))

    same = ours.encode(texts[:64]).embeddings
    cosines = (same * peer.encode(texts[:64], show_progress_bar=False)).sum(axis=1)
    seconds = interleaved(
        {
            "embstore": lambda: ours.encode(texts),
            "sentence-transformers": lambda: peer.encode(texts, show_progress_bar=False),
            "notebook's loop": lambda: notebook.encode(texts),
        },
        arguments.rounds,
    )
    print(machine())
    print(
        f"{len(texts)} emotion texts, {arguments.rounds} rounds; least cosine with peer {cosines.min():.6f}"
    )
    print(f"{'':<24}{'texts/s':>10}   median (range)")
    for name, values in seconds.items():
        rates = sorted(len(texts) / value for value in values)
        print(f"{name:<24}{statistics.median(rates):>10.0f}   ({rates[0]:.0f} to {rates[-1]:.0f})")
    for name in list(seconds)[1:]:
        median, least, most = ratio(seconds[name], seconds["embstore"])
        print(f"embstore is {median:.2f} ({least:.2f} to {most:.2f}) times {name}")


class NotebookLoop:
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


if __name__ == "__main__":
    main()
