"""Encoding speed beside sentence-transformers and a plain loop, in the same run.

All run the same weights on the same texts, one after the other, round by round. `auto` is what a long build
takes after the parity gate. DistilBERT's own weights are not needed for its speed: `--model distilbert` draws
random ones for its real shape. The plain loop pads every text to the longest of the dataset, so its speed is
the same for all texts: it is given the first 1,000, and its time is scaled up. The share of the peak counts
useful tokens alone: what the layers must compute of them in the fastest round, beside the best rate of plain
matrix products before and after the rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, DistilBertConfig, DistilBertModel

import embstore
from common import RATIOS, interleaved, note, reference, spread, table, texts_of, times_as_fast
from embstore.encode.gate import parity
from embstore.encode.model_files import find_model
from environment import offline, python_of

Encode = Callable[[list[str]], object]
DEFAULT = "sentence-transformers, its default (float32)"
ONNX = "sentence-transformers in ONNX Runtime (float32)"
# The last versions whose ONNX backend can be installed; it needs an older transformers than ours.
ONNX_PACKAGES = ("torch==2.13.0", "optimum-onnx[onnxruntime]==0.1.0", "sentence-transformers==5.7.0")
LOOP_TEXTS = FEW = 1000
LOOP = "plain loop, padded to the dataset's longest text"
WANTED = {
    ("auto", DEFAULT): 2.7,
    ("auto", "sentence-transformers in bfloat16"): 1.5,
    ("auto", ONNX): 1.5,
    ("auto", LOOP): 10.0,
}


def main() -> None:
    """Print texts per second, the ratios of the same rounds, parity, and the share of the peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["minilm", "distilbert"], default="minilm")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-loop", action="store_true", help="leave the plain loop out")
    arguments = parser.parse_args()
    dataset = texts_of(reference("emotion") / "train.csv")
    texts = dataset[: arguments.texts]
    with tempfile.TemporaryDirectory() as made:
        folder = find_model("all-MiniLM-L6-v2").folder if arguments.model == "minilm" else distilbert(made)
        exact = embstore.load_encoder(embstore.EncoderOptions(str(folder), dtype="float32"), device="cpu")
        auto = embstore.load_encoder(str(folder), device="cpu")
        peers = peers_of(folder)
        if not arguments.no_loop:
            peers[LOOP] = NotebookLoop(folder, max(map(len, exact.token_ids(dataset)))).encode
        with onnx_peer(folder) as encode:
            if encode:
                peers[ONNX] = encode
            compare(exact, auto, peers, texts, arguments.rounds)


def peers_of(folder: Path) -> dict[str, Encode]:
    """Return the peers that run in this process."""
    plain = SentenceTransformer(str(folder), device="cpu")
    low = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.bfloat16})
    return {
        DEFAULT: lambda texts: plain.encode(texts, show_progress_bar=False),
        "sentence-transformers in bfloat16": lambda texts: low.encode(texts, show_progress_bar=False),
    }


@contextmanager
def onnx_peer(folder: Path) -> Iterator[Encode | None]:
    """Start sentence-transformers in its ONNX backend; give what embeds texts, or None where that fails."""
    command = [
        str(python_of("onnx", ONNX_PACKAGES)),
        str(Path(__file__).with_name("onnx_peer.py")),
        str(folder),
    ]
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
        yield encode if ready else None
        process.stdin.close()


def compare(
    exact: embstore.TorchEncoder,
    auto: embstore.TorchEncoder,
    peers: dict[str, Encode],
    texts: list[str],
    rounds: int,
) -> None:
    """Run all of them and print."""
    begun = time.perf_counter()
    choice = auto.try_paths(texts)
    tried = time.perf_counter() - begun
    auto.settle(texts, None)
    ours = {"auto": auto, "float32": exact}
    runners = {**{f"embstore, {name}": encoder.encode for name, encoder in ours.items()}, **peers}
    few = {name: texts[:LOOP_TEXTS] if name == LOOP else texts for name in runners}
    for name, encode in runners.items():
        note(f"warming up: {name}")
        encode(texts[:64])
    before = peaks()
    seconds = interleaved({name: partial(encode, few[name]) for name, encode in runners.items()}, rounds)
    best = {dtype: max(rate, before[dtype]) for dtype, rate in peaks().items()}
    # Seconds for all texts: those of the loop are scaled up.
    seconds = {
        name: [value * len(texts) / len(few[name]) for value in values] for name, values in seconds.items()
    }
    print(
        f"{len(texts):,} emotion texts, {rounds} rounds. `auto` took {tried:.1f} s to choose: {choice.why}.\n"
    )
    rates = {name: [len(texts) / value for value in values] for name, values in seconds.items()}
    print(
        table(
            ["", "texts/s, median (range)"], [(name, spread(values, ".0f")) for name, values in rates.items()]
        )
    )
    rows = [
        times_as_fast(
            f"{peer}; ours: {path}", seconds[peer], seconds[f"embstore, {path}"], WANTED.get((path, peer))
        )
        for path in ours
        for peer in peers
    ]
    print(table(RATIOS, rows))
    low = torch.bfloat16 if "bfloat16" in auto.forward.name else torch.float32
    shares = [
        (name, *share(work(exact, texts), min(seconds[name]), best[dtype]))
        for name, dtype in (("embstore, auto", low), ("embstore, float32", torch.float32))
    ]
    print(table(["", "GFLOP/s of useful tokens", "peak of a matrix product", "share (.66 wanted)"], shares))
    known = exact.encode(texts).embeddings
    theirs = np.asarray(peers[DEFAULT](texts[:FEW]))
    print(
        table(
            ["", "least cosine (.9995 wanted)", "overlap of the 10 nearest (.98 wanted)"],
            [
                closeness(
                    f"`auto`, which is {auto.forward.name}, beside float32",
                    known,
                    auto.encode(texts).embeddings,
                ),
                closeness(f"float32 beside sentence-transformers, {FEW:,} texts", theirs, known[:FEW]),
            ],
        )
    )


def closeness(name: str, known: np.ndarray, found: np.ndarray) -> tuple[str, str, str]:
    """Return how close two ways to embed the same texts are."""
    one = parity(known, found)
    return name, f"{one.least_cosine:.6f}", f"{one.overlap:.4f}"


def share(operations: float, seconds: float, peak: float) -> tuple[str, str, str]:
    """Return the rate of the layers, that of plain matrix products, and the share."""
    rate = operations / seconds / 1e9
    return f"{rate:.0f}", f"{peak:.0f}", f"{rate / peak:.2f}"


def peaks() -> dict[torch.dtype, float]:
    """Return the best GFLOP/s of a matrix product in float32 and bfloat16."""
    return {dtype: max(peak(dtype) for _ in range(3)) for dtype in (torch.float32, torch.bfloat16)}


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
