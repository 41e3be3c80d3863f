"""Encoding speed beside sentence-transformers and a plain loop, in the same run.

All run the same weights on the same texts, one after the other, round by round; each peer in a process of its
own, as memory settings of embstore hold for a whole process. `auto` and `int8` are what a long build takes
with that dtype, after its gate. DistilBERT's own weights are not needed for its speed: `--model distilbert`
draws random ones for its real shape. These make embeddings so alike that the gate tells nothing of the real
ones, so bfloat16 is asked for there. The plain loop pads every text to the longest of the dataset, so its
speed is the same for all texts: it is given the first 1,000, and its time is scaled up. The share of the peak
counts useful work alone, what pooling needs of the tokens without padding, in the fastest round, beside the
best rate of plain matrix products before and after the rounds. Heads are fit on these texts and judged on
emotion's validation.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

import embstore
from common import RATIOS, interleaved, note, reference, spread, table, texts_of, times_as_fast
from embstore.encode.gate import parity
from embstore.encode.model_files import find_model
from embstore.encode.paths import read_choice
from encode_peers import DEFAULT, LOOP, LOW, ONNX, Peer, peers_of

# Texts for the loop, and for parity with a peer.
FEW = 1000
# By model: ratios of ours beside peers, and the share of the peak.
WANTED: dict[str, tuple[dict[tuple[str, str], float], float]] = {
    "minilm": (
        {
            ("auto", DEFAULT): 2.7,
            ("auto", LOW): 1.5,
            ("auto", ONNX): 1.5,
            ("auto", LOOP): 10.0,
            ("int8", DEFAULT): 3.3,
        },
        0.66,
    ),
    "distilbert": ({("bfloat16", DEFAULT): 2.5}, 0.65),
}
# Rows, inner and outer size of the matrix products that tell the peak.
PRODUCTS = ((1024, 1536, 1536), (2048, 768, 3072), (2048, 3072, 768))
Encode = Callable[[list[str]], object]
Encoders = dict[str, embstore.TorchEncoder]
Seconds = dict[str, list[float]]


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
    with tempfile.TemporaryDirectory() as made:
        # Nothing that was measured before is believed, and nothing is left to later builds.
        os.environ["EMBSTORE_CACHE"] = str(Path(made) / "cache")
        ours = minilm(texts) if arguments.model == "minilm" else distilbert(Path(made) / "model")
        exact = ours["float32"]
        folder = find_model(exact.config["model"]).folder
        longest = None if arguments.no_loop else max(map(len, exact.token_ids(dataset)))
        with peers_of(folder, longest) as peers:
            before = peaks()
            runners: dict[str, Encode] = {
                **{name: encoder.encode for name, encoder in ours.items()},
                **{name: peer.encode for name, peer in peers.items()},
            }
            seconds = race(runners, texts, arguments.rounds)
            best = {dtype: max(rate, before[dtype]) for dtype, rate in peaks().items()}
            ratios, share = WANTED[arguments.model]
            tell_speed(ours, seconds, len(texts), ratios)
            tell_share(ours, seconds, work(exact, texts), best, share)
            tell_parity(ours, peers[DEFAULT], texts)
            if "int8" in ours:
                tell_heads(ours, arguments.texts)


def minilm(texts: list[str]) -> Encoders:
    """Return the encoders that long builds of these texts take, the exact one last; print the choices."""
    ours = {
        dtype: embstore.load_encoder(embstore.EncoderOptions(dtype=dtype), device="cpu")
        for dtype in ("auto", "int8", "float32")
    }
    for dtype in ("auto", "int8"):
        begun = time.perf_counter()
        ours[dtype].settle(texts, None)
        seconds = time.perf_counter() - begun
        choice = read_choice(ours[dtype].fingerprint, "cpu")
        why = choice.why if choice else "too few texts to try"
        print(f"`{dtype}` took {seconds:.1f} s to choose: {why}.\n")
    return ours


def distilbert(folder: Path) -> Encoders:
    """Return encoders of DistilBERT's real shape with random weights and the same uncased tokenizer."""
    torch.manual_seed(0)
    DistilBertModel(DistilBertConfig()).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(find_model("all-MiniLM-L6-v2").folder, model_max_length=512)
    tokenizer.save_pretrained(folder)
    # sentence-transformers pools by the mean where nothing is declared, embstore by the first token.
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling")]
    declared = [
        {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for name, path, kind in modules
    ]
    (folder / "modules.json").write_text(json.dumps(declared), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    pooling = {
        "word_embedding_dimension": 768,
        "pooling_mode_cls_token": True,
        "pooling_mode_mean_tokens": False,
    }
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    return {
        dtype: embstore.load_encoder(embstore.EncoderOptions(str(folder), dtype=dtype), device="cpu")
        for dtype in ("bfloat16", "float32")
    }


def race(runners: dict[str, Encode], texts: list[str], rounds: int) -> Seconds:
    """Return the seconds that each takes for the texts, by round; those of the loop are scaled up."""
    for name, encode in runners.items():
        note(f"warming up: {name}")
        encode(texts[:64])
    few = {name: texts[:FEW] if name == LOOP else texts for name in runners}
    seconds = interleaved({name: partial(encode, few[name]) for name, encode in runners.items()}, rounds)
    return {
        name: [value * len(texts) / len(few[name]) for value in values] for name, values in seconds.items()
    }


def tell_speed(ours: Encoders, seconds: Seconds, n: int, wanted: dict[tuple[str, str], float]) -> None:
    """Print texts per second, and the ratios of the same rounds."""
    rates = [
        (f"embstore, {name}" if name in ours else name, spread([n / value for value in values], ".0f"))
        for name, values in seconds.items()
    ]
    first = next(iter(ours))
    print(table([f"{n:,} emotion texts, {len(seconds[first])} rounds", "texts/s, median (range)"], rates))
    rows = [
        times_as_fast(f"{peer}; ours: {name}", theirs, seconds[name], wanted.get((name, peer)))
        for name in ours
        for peer, theirs in seconds.items()
        if peer not in ours
    ]
    if "int8" in ours:
        rows.append(times_as_fast("embstore, auto; ours: int8", seconds["auto"], seconds["int8"]))
    print(table(RATIOS, rows))


def tell_share(
    ours: Encoders, seconds: Seconds, operations: float, best: dict[torch.dtype, float], wanted: float
) -> None:
    """Print what share of the peak of a matrix product, ``best`` in GFLOP/s, each of ours reaches."""
    rows = []
    for name, encoder in ours.items():
        if "int8" in encoder.forward.name:
            continue  # It computes with whole numbers, in part.
        low = "bfloat16" in encoder.forward.name
        rate, top = operations / min(seconds[name]) / 1e9, best[torch.bfloat16 if low else torch.float32]
        rows.append((f"{name}: {encoder.forward.name}", f"{rate:.0f}", f"{top:.0f}", f"{rate / top:.2f}"))
    heads = ["", "GFLOP/s of useful work", "peak of a matrix product", f"share ({wanted} wanted)"]
    print(table(heads, rows))


def tell_parity(ours: Encoders, peer: Peer, texts: list[str]) -> None:
    """Print how close the embeddings of the same texts are."""
    known = ours["float32"].encode(texts).embeddings
    theirs = peer.embeddings(texts[:FEW])
    rows = [
        closeness(f"{name} beside float32", known, encoder.encode(texts).embeddings)
        for name, encoder in ours.items()
        if name != "float32"
    ]
    rows.append(closeness(f"float32 beside sentence-transformers, {FEW:,} texts", theirs, known[:FEW]))
    heads = [
        "",
        "least cosine (.9995 wanted, not of int8)",
        "mean cosine (.998 wanted of int8)",
        "overlap of the 10 nearest (.98 wanted, not of int8)",
    ]
    print(table(heads, rows))


def closeness(name: str, known: np.ndarray, found: np.ndarray) -> tuple[str, str, str, str]:
    """Return how close two ways to embed the same texts are."""
    one = parity(known, found)
    return name, f"{one.least_cosine:.6f}", f"{one.mean_cosine:.6f}", f"{one.overlap:.4f}"


def tell_heads(ours: Encoders, n: int) -> None:
    """Print the accuracy of a logistic head by each of ours, fit on n texts of train."""
    train, held = (labelled(f"{split}.csv") for split in ("train", "validation"))
    rows = []
    for name, encoder in ours.items():
        head = embstore.LogisticHead(C=0.1).fit(encoder.encode(train[0][:n]).embeddings, train[1][:n])
        right = head.predict(encoder.encode(held[0]).embeddings) == np.array(held[1])
        rows.append((name, f"{np.mean(right):.4f}"))
    print(
        table(["", f"accuracy of a logistic head of {n:,} texts (int8 within .005 of float32 wanted)"], rows)
    )


def labelled(name: str) -> tuple[list[str], list[str]]:
    """Return texts and labels of a file of emotion."""
    with (reference("emotion") / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def peaks() -> dict[torch.dtype, float]:
    """Return the best GFLOP/s of a matrix product in float32 and bfloat16."""
    return {dtype: max(peak(dtype) for _ in range(3)) for dtype in (torch.float32, torch.bfloat16)}


def peak(dtype: torch.dtype) -> float:
    """Return the best GFLOP/s of plain matrix products of several shapes."""
    best = 0.0
    for rows, inner, outer in PRODUCTS:
        left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, outer).to(dtype)
        for _ in range(20):
            begun = time.perf_counter()
            left @ right
            best = max(best, 2 * rows * inner * outer / (time.perf_counter() - begun) / 1e9)
    return best


def work(encoder: embstore.TorchEncoder, texts: list[str]) -> float:
    """Return the floating-point operations that the embeddings of texts need, padding left out.

    Products with weights and the two products of attention. Where the first token is the embedding, the last
    layer needs of the others no more than their keys and values.
    """
    config = encoder.model.config
    dim, layers = config.hidden_size, config.num_hidden_layers
    wide = getattr(config, "intermediate_size", None) or config.hidden_dim
    lengths = np.array([len(ids) for ids in encoder.token_ids(texts)], dtype=np.float64)
    token = 2 * (4 * dim * dim + 2 * dim * wide)
    layer = token * lengths.sum() + 4 * dim * (lengths**2).sum()
    last = layer
    if encoder.config["pooling"] == "cls":
        others = lengths.sum() - len(lengths)
        last = token * len(lengths) + 4 * dim * dim * others + 4 * dim * lengths.sum()
    return float((layers - 1) * layer + last)


if __name__ == "__main__":
    main()
