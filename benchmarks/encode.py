"""Encoding speed beside sentence-transformers and the notebook's loop, in the same run.

All run the same weights on the same texts, one after the other, round by round. DistilBERT's own weights are
not needed for its speed: ``--model distilbert`` draws random ones for its real shape. The share of the peak
counts useful tokens alone: what the layers must compute of them, beside the rate of plain matrix products.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, DistilBertConfig, DistilBertModel

import embstore
from common import interleaved, machine, ratio, reference, texts_of
from embstore.encode.gate import parity
from embstore.encode.model_files import find_model


def main() -> None:
    """Print texts per second, the ratios of the same rounds, parity, and the share of the peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["minilm", "distilbert"], default="minilm")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-loop", action="store_true", help="Leave the notebook's loop out.")
    arguments = parser.parse_args()
    dataset = texts_of(reference("emotion") / "train.csv")
    texts = dataset[: arguments.texts]
    with tempfile.TemporaryDirectory() as made:
        folder = find_model("all-MiniLM-L6-v2").folder if arguments.model == "minilm" else distilbert(made)
        compare(folder, dataset, texts, arguments.rounds, loop=not arguments.no_loop)


def compare(folder: Path, dataset: list[str], texts: list[str], rounds: int, *, loop: bool) -> None:
    """Run all of them and print."""
    exact = embstore.load_encoder(embstore.EncoderOptions(str(folder), dtype="float32"), device="cpu")
    auto = embstore.load_encoder(str(folder), device="cpu")
    begun = time.perf_counter()
    choice = auto.try_paths(texts)
    tried = time.perf_counter() - begun
    auto.settle(texts, None)
    peer = SentenceTransformer(str(folder), device="cpu")
    low = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.bfloat16})
    runners: dict[str, Callable[[], object]] = {
        f"embstore, auto: {auto.forward.name}": lambda: auto.encode(texts),
        "embstore, float32": lambda: exact.encode(texts),
        "sentence-transformers": lambda: peer.encode(texts, show_progress_bar=False),
        "the same in bfloat16": lambda: low.encode(texts, show_progress_bar=False),
    }
    if loop:
        notebook = NotebookLoop(folder, max(map(len, exact.token_ids(dataset))))
        runners["notebook's loop"] = lambda: notebook.encode(texts)
    peaks = {dtype: [peak(dtype)] for dtype in (torch.float32, torch.bfloat16)}
    seconds = interleaved(runners, rounds)
    for dtype, values in peaks.items():
        values += [peak(dtype) for _ in range(rounds)]

    print(machine())
    print(f"{len(texts)} emotion texts, {rounds} rounds; settling took {tried:.1f} s: {choice.why}")
    print(f"{'':<34}{'texts/s':>10}   median (range)")
    for name, values in seconds.items():
        rates = sorted(len(texts) / value for value in values)
        print(f"{name:<34}{statistics.median(rates):>10.0f}   ({rates[0]:.0f} to {rates[-1]:.0f})")
    first, second, *others = seconds
    for ours in (first, second):
        for name in others:
            median, least, most = ratio(seconds[name], seconds[ours])
            print(f"{ours} is {median:.2f} ({least:.2f} to {most:.2f}) times {name}")
    tell_parity("auto beside float32", exact.encode(texts).embeddings, auto.encode(texts).embeddings)
    tell_parity("float32 beside the peer", np.asarray(peer.encode(texts)), exact.encode(texts).embeddings)
    operations = work(exact, texts)
    for ours, dtype in (
        (first, torch.bfloat16 if "bfloat16" in first else torch.float32),
        (second, torch.float32),
    ):
        rate, top = operations / min(seconds[ours]) / 1e9, max(peaks[dtype])
        print(f"{ours}: {rate:.0f} GFLOP/s of useful tokens, {rate / top:.2f} of a peak of {top:.0f}")


def tell_parity(name: str, known: np.ndarray, found: np.ndarray) -> None:
    """Print how close two ways to embed the same texts are."""
    one = parity(known, found)
    print(f"{name}: least cosine {one.least_cosine:.6f}, overlap at 10 {one.overlap:.4f}")


def work(encoder: embstore.TorchEncoder, texts: list[str]) -> float:
    """Return the floating-point operations that the layers need for the tokens of texts, padding left out.

    Products with weights and the two products of attention; all tokens of all layers, even where pooling by
    the first token could leave some out.
    """
    config = encoder.model.config
    dim, layers = config.hidden_size, config.num_hidden_layers
    wide = getattr(config, "intermediate_size", None) or config.hidden_dim
    lengths = np.array([len(ids) for ids in encoder.token_ids(texts)], dtype=np.float64)
    weights = 2 * (4 * dim * dim + 2 * dim * wide) * lengths.sum()
    return float(layers * (weights + 4 * dim * (lengths**2).sum()))


def peak(dtype: torch.dtype, size: int = 1536, rows: int = 1024) -> float:
    """Return the best GFLOP/s of a plain matrix product in a tenth of a second and more."""
    left, right = torch.randn(rows, size).to(dtype), torch.randn(size, size).to(dtype)
    best = 0.0
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(4):
            left @ right
        best = max(best, 4 * 2 * rows * size * size / (time.perf_counter() - begun) / 1e9)
    return best


def distilbert(made: str) -> Path:
    """Save a model of DistilBERT's real shape with random weights and the same uncased tokenizer."""
    torch.manual_seed(0)
    DistilBertModel(DistilBertConfig()).save_pretrained(made)
    AutoTokenizer.from_pretrained(
        find_model("all-MiniLM-L6-v2").folder, model_max_length=512
    ).save_pretrained(made)
    return Path(made)


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
