"""The ways in which this machine can run an encoder, and which of them a long build takes."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from embstore.encode.bert_weights import read_weights
from embstore.encode.forward import Forward, PaddedForward
from embstore.encode.fused import FusedForward
from embstore.encode.gate import Parity, parity
from embstore.encode.int8 import has_int8, int8_forward
from embstore.encode.onnx_cache import choice_folder
from embstore.encode.products import low_dtype
from embstore.records import Embeddings

Result = TypeVar("Result")

# Raise it when an older choice must not be kept.
_VERSION = 2
# What a path must gain to be taken, and what another budget must: less is noise.
_WORTH = 1.1
_ROUNDS = 3
# Rounds of a trial that a build waits for.
_QUICK = 2
_BUDGETS = {"cpu": (4096,), "cuda": (16384, 32768, 65536)}
# Largest distance of two embeddings of unit length that are equal but for the order of float32 sums.
_ROUNDING = 2e-5
_PROBES = ([101, 7, 8, 9, 102], [101, 5, 102], [3], [101, 7, 8, 9, 102])


@dataclass(frozen=True)
class Trial:
    """What one path did on the texts at hand.

    Parameters
    ----------
    name : str
        The path's.
    texts_per_second : float
        In the quickest of some rounds, tokenization left out.
    parity : Parity
        To the first path, the reference.
    """

    name: str
    texts_per_second: float
    parity: Parity


@dataclass(frozen=True)
class Choice:
    """What ``--dtype auto``, or ``int8``, takes on this machine for this encoder.

    Parameters
    ----------
    name : str
        The path's.
    token_budget : int
        Tokens of a batch.
    why : str
        One sentence.
    trials : tuple of Trial
        All that was tried, the reference first.
    calibration : tuple of lists of int
        Token ids of the texts by which int8 set its scales: a build that goes on sets the same. Empty where
        int8 was not taken.
    """

    name: str
    token_budget: int
    why: str
    trials: tuple[Trial, ...]
    calibration: tuple[list[int], ...] = ()


def fastest_equal(model: Any, dtype: torch.dtype, pooling: str, *, normalize: bool) -> Forward:
    """Return the fused path where it gives this model's own embeddings, else the model's."""
    padded = PaddedForward(model, pooling, normalize=normalize)
    fused = _fused(model, dtype, pooling, normalize=normalize)
    # Beside bfloat16 nothing is equal; what is fused keeps more bits than the model does.
    if fused is None or dtype != torch.float32:
        return fused or padded
    known = [[token % model.config.vocab_size for token in one] for one in _PROBES]
    wanted = np.vstack([padded.embed([one]) for one in known])
    found = np.empty_like(wanted)
    for batch in fused.plan([len(one) for one in known], 8):
        found[batch] = fused.embed([known[position] for position in batch])
    lengths = np.linalg.norm(wanted, axis=1, keepdims=True)
    return fused if (np.abs(found - wanted) <= _ROUNDING * lengths).all() else padded


def faster(model: Any, pooling: str, *, normalize: bool) -> list[Forward]:
    """Return the paths of fewer bits that this machine may run a float32 model by."""
    if model.device.type == "cpu" and low_dtype() == torch.float32:
        # A processor without the instructions imitates them: to try that took a minute of a build.
        return []
    fused = _fused(model, torch.bfloat16, pooling, normalize=normalize)
    if fused is not None:
        return [fused]
    low = copy.deepcopy(model).to(torch.bfloat16)
    return [PaddedForward(low, pooling, normalize=normalize)]


def int8_path(model: Any, ids: Sequence[list[int]], pooling: str, *, normalize: bool) -> FusedForward | None:
    """Return the int8 path with scales set by texts, or None where the machine or the model has none."""
    if model.device.type != "cpu" or model.dtype != torch.float32 or not has_int8():
        return None
    weights = read_weights(model)
    return None if weights is None else int8_forward(weights, ids, pooling, normalize=normalize)


def choose(
    forwards: Sequence[Forward],
    ids: list[list[int]],
    token_budget: int,
    device: str,
    int8: Forward | None = None,
) -> Choice:
    """Measure paths on texts and take the fastest that passes the gate.

    Parameters
    ----------
    forwards : sequence of Forward
        The reference first.
    ids : list of lists of int
        Token ids of some hundred texts; all that is said holds for such texts.
    token_budget : int
        Tokens of a batch until a better number was found.
    device : str
        ``cpu``, ``cuda`` or another type of device.
    int8 : Forward, optional
        Taken where it passes its own gate and is faster than the best of the others.
    """
    n_equal = len(forwards)
    forwards = [*forwards, *([] if int8 is None else [int8])]
    embeddings = [run(one, ids, token_budget)[0] for one in forwards]
    parities = [parity(embeddings[0], one) for one in embeddings]
    budgets = [one for one in _BUDGETS.get(device, ()) if one != token_budget]
    # Other budgets are tried on the last path alone: that of the fewest bits is taken wherever it may be.
    contestants = [(one, token_budget) for one in forwards] + [(forwards[-1], one) for one in budgets]
    spent = race([partial(run, one, ids, budget) for one, budget in contestants], _QUICK)
    trials = tuple(
        Trial(one.name, round(len(ids) / seconds, 1), found)
        for one, seconds, found in zip(forwards, spent, parities, strict=False)
    )
    best, why = _fastest(trials[:n_equal])
    if int8 is not None:
        best, why = _or_int8(trials, best, why)
    if best == len(forwards) - 1:
        last = spent[best:]
        quickest = int(np.argmin(last))
        if last[0] > _WORTH * last[quickest]:
            token_budget = budgets[quickest - 1]
    return Choice(trials[best].name, token_budget, why, trials)


def run(forward: Forward, ids: list[list[int]], token_budget: int) -> tuple[Embeddings, float]:
    """Return embeddings, (n, dim), float32, and the seconds that they took."""
    batches = forward.plan([len(one) for one in ids], token_budget)
    parts, spent = timed(lambda: [forward.embed([ids[row] for row in batch]) for batch in batches])
    embeddings = np.vstack(parts)
    ordered = np.empty_like(embeddings)
    ordered[np.concatenate(batches)] = embeddings
    return ordered, spent


def race(runners: Sequence[Callable[[], tuple[Embeddings, float]]], n_rounds: int = _ROUNDS) -> list[float]:
    """Return the least seconds of each, run in turn: other work on the machine only ever adds to them.

    Parameters
    ----------
    runners : sequence of callables
        Each runs the same texts and returns their embeddings and the seconds that they took, as `run` does.
    n_rounds : int
        At least 1.
    """
    rounds = [[one()[1] for one in runners] for _ in range(n_rounds)]
    return [min(spent) for spent in zip(*rounds, strict=True)]


def timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """Return what a call returns, and the seconds that it took."""
    begun = time.perf_counter()
    found = call()
    return found, time.perf_counter() - begun


def read_choice(fingerprint: str, device: str) -> Choice | None:
    """Return what was chosen on this machine for an encoder, or None."""
    try:
        kept = json.loads(_file(fingerprint, device).read_text(encoding="utf-8"))
        trials = tuple(
            Trial(one["name"], one["texts_per_second"], Parity(**one["parity"])) for one in kept["trials"]
        )
        calibration = tuple([int(token) for token in one] for one in kept["calibration"])
        return Choice(kept["name"], int(kept["token_budget"]), kept["why"], trials, calibration)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_choice(fingerprint: str, device: str, choice: Choice) -> None:
    """Keep a choice; a cache that cannot be written costs the next build some seconds."""
    path = _file(fingerprint, device)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".making")
        # Token ids spell texts, which are the user's alone.
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(choice), indent=1), encoding="utf-8")
        unfinished.replace(path)
    except OSError:
        return


def _fused(model: Any, dtype: torch.dtype, pooling: str, *, normalize: bool) -> FusedForward | None:
    if model.device.type != "cpu" or dtype not in (torch.float32, torch.bfloat16):
        return None
    weights = read_weights(model)
    return None if weights is None else FusedForward(weights, dtype, pooling, normalize=normalize)


def _fastest(trials: Sequence[Trial]) -> tuple[int, str]:
    """Return which trial wins, and why."""
    first = trials[0]
    passed = [place for place, one in enumerate(trials) if place == 0 or one.parity.passes]
    best = max(passed, key=lambda place: trials[place].texts_per_second)
    gain = trials[best].texts_per_second / first.texts_per_second
    if best and gain >= _WORTH:
        return (
            best,
            f"{trials[best].name} is {gain:.2f} times as fast as {first.name}; {trials[best].parity.reason}",
        )
    failed = [one for one in trials[1:] if not one.parity.passes]
    if failed:
        return 0, f"{failed[0].name} failed the gate: {failed[0].parity.reason}"
    return 0, "nothing else is faster here"


def _or_int8(trials: Sequence[Trial], best: int, why: str) -> tuple[int, str]:
    """Return which trial wins where the last is that of int8, and why."""
    int8 = trials[-1]
    gain = int8.texts_per_second / trials[best].texts_per_second
    if not int8.parity.passes_for_heads:
        return best, f"{why}; {int8.name} failed its gate: {int8.parity.reason_for_heads}"
    if gain < _WORTH:
        return best, f"{why}; {int8.name} is {gain:.2f} times as fast as that, of {_WORTH}"
    return len(trials) - 1, (
        f"{int8.name} is {gain:.2f} times as fast as {trials[best].name}; {int8.parity.reason_for_heads}"
    )


def _file(fingerprint: str, device: str) -> Path:
    return choice_folder() / f"{fingerprint}-{_machine(device)}.json"


def _machine(device: str) -> str:
    """Return a digest of all that speed and rounding depend on."""
    facts: Mapping[str, Any] = {
        "version": _VERSION,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "processor": _processor(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _processor() -> str:
    """Return the name and the instructions of the processor, where the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
