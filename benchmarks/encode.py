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
from contextlib import ExitStack, contextmanager
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
LOW = "sentence-transformers in bfloat16"
ONNX = "sentence-transformers in ONNX Runtime (float32)"
# The last versions whose ONNX backend can be installed; it needs an older transformers than ours.
ONNX_PACKAGES = ("torch==2.13.0", "optimum-onnx[onnxruntime]==0.1.0", "sentence-transformers==5.7.0")
LOOP = "plain loop, padded to the dataset's longest text"
AUTO, EXACT = "embstore, auto", "embstore, float32"
# Texts for the loop, and for parity with a peer.
FEW = 1000
# Of `auto` by model: ratios beside peers, and the share of the peak.
WANTED: dict[str, tuple[dict[str, float], float]] = {
    "minilm": ({DEFAULT: 2.7, LOW: 1.5, ONNX: 1.5, LOOP: 10.0}, 0.66),
    "distilbert": ({DEFAULT: 2.5}, 0.65),
}


def main() -> None:
    """Print texts per second, the ratios of the same rounds, the share of the peak, and parity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=list(WANTED), default="minilm")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-loop", action="store_true", help="leave the plain loop out")
    arguments = parser.parse_args()
    dataset = texts_of(reference("emotion") / "train.csv")
    texts = dataset[: arguments.texts]
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = find_model("all-MiniLM-L6-v2").folder if arguments.model == "minilm" else distilbert(made)
        exact = embstore.load_encoder(embstore.EncoderOptions(str(folder), dtype="float32"), device="cpu")
        auto = settled(folder, texts)
        peers = peers_of(folder)
        if encode := stack.enter_context(onnx_peer(folder)):
            peers[ONNX] = encode
        if not arguments.no_loop:
            peers[LOOP] = NotebookLoop(folder, max(map(len, exact.token_ids(dataset)))).encode
        before = peaks()
        seconds = race({AUTO: auto.encode, EXACT: exact.encode, **peers}, texts, arguments.rounds)
        best = {dtype: max(rate, before[dtype]) for dtype, rate in peaks().items()}
        ratios, share = WANTED[arguments.model]
        tell_speed(seconds, len(texts), ratios)
        low = torch.bfloat16 if "bfloat16" in auto.forward.name else torch.float32
        tell_share(seconds, work(exact, texts), {AUTO: best[low], EXACT: best[torch.float32]}, share)
        tell_parity(exact, auto, peers[DEFAULT], texts)


def settled(folder: Path, texts: list[str]) -> embstore.TorchEncoder:
    """Return the encoder that a long build of these texts takes, and print why."""
    auto = embstore.load_encoder(str(folder), device="cpu")
    begun = time.perf_counter()
    choice = auto.try_paths(texts)
    seconds = time.perf_counter() - begun
    auto.settle(texts, None)
    print(f"`auto` took {seconds:.1f} s to choose: {choice.why}.\n")
    return auto


def peers_of(folder: Path) -> dict[str, Encode]:
    """Return the peers that run in this process."""
    plain = SentenceTransformer(str(folder), device="cpu")
    low = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.bfloat16})
    return {
        DEFAULT: lambda texts: plain.encode(texts, show_progress_bar=False),
        LOW: lambda texts: low.encode(texts, show_progress_bar=False),
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
        if not ready:
            print(f"{ONNX}: does not start with this model.\n")
        yield encode if ready else None
        process.stdin.close()


def race(runners: dict[str, Encode], texts: list[str], rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each takes for the texts, by round; those of the loop are scaled up."""
    for name, encode in runners.items():
        note(f"warming up: {name}")
        encode(texts[:64])
    few = {name: texts[:FEW] if name == LOOP else texts for name in runners}
    seconds = interleaved({name: partial(encode, few[name]) for name, encode in runners.items()}, rounds)
    return {
        name: [value * len(texts) / len(few[name]) for value in values] for name, values in seconds.items()
    }


def tell_speed(seconds: dict[str, list[float]], n: int, wanted: dict[str, float]) -> None:
    """Print texts per second, and the ratios of the same rounds; ``wanted`` is of `auto`."""
    rates = [(name, spread([n / value for value in values], ".0f")) for name, values in seconds.items()]
    print(table([f"{n:,} emotion texts, {len(seconds[AUTO])} rounds", "texts/s, median (range)"], rates))
    rows = [
        times_as_fast(
            f"{peer}; ours: {path}", theirs, seconds[ours], wanted.get(peer) if ours == AUTO else None
        )
        for ours, path in ((AUTO, "auto"), (EXACT, "float32"))
        for peer, theirs in seconds.items()
        if peer not in (AUTO, EXACT)
    ]
    print(table(RATIOS, rows))


def tell_share(
    seconds: dict[str, list[float]], operations: float, best: dict[str, float], wanted: float
) -> None:
    """Print what share of the peak of a matrix product ours reach; ``best`` is its GFLOP/s."""
    rates = {ours: operations / min(seconds[ours]) / 1e9 for ours in best}
    rows = [
        (ours, f"{rate:.0f}", f"{best[ours]:.0f}", f"{rate / best[ours]:.2f}") for ours, rate in rates.items()
    ]
    heads = ["", "GFLOP/s of useful tokens", "peak of a matrix product", f"share ({wanted} wanted)"]
    print(table(heads, rows))


def tell_parity(
    exact: embstore.TorchEncoder, auto: embstore.TorchEncoder, peer: Encode, texts: list[str]
) -> None:
    """Print how close the embeddings of the same texts are."""
    known = exact.encode(texts).embeddings
    rows = [
        closeness(f"`auto`, {auto.forward.name}, beside float32", known, auto.encode(texts).embeddings),
        closeness(
            f"float32 beside sentence-transformers, {FEW:,} texts", np.asarray(peer(texts[:FEW])), known[:FEW]
        ),
    ]
    print(table(["", "least cosine (.9995 wanted)", "overlap of the 10 nearest (.98 wanted)"], rows))


def closeness(name: str, known: np.ndarray, found: np.ndarray) -> tuple[str, str, str]:
    """Return how close two ways to embed the same texts are."""
    one = parity(known, found)
    return name, f"{one.least_cosine:.6f}", f"{one.overlap:.4f}"


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
