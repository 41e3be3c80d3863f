"""The last sentence of a comparison: whether a frozen encoder is good enough or must be fine-tuned."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from embstore.errors import InvalidInput
from embstore.learn.metrics import Pair, Score

FROZEN, FINE_TUNE, UNKNOWN = "frozen is enough", "fine-tune", "cannot say from this data"
#: Gain in accuracy that is worth fine-tuning, unless the user says otherwise.
WORTH = 0.02
# McNemar's test has to tell the methods apart, too, before fine-tuning is advised.
_CHANCE = 0.05


@dataclass(frozen=True)
class Verdict:
    """What to do, and the numbers that say so.

    Parameters
    ----------
    answer : {'frozen is enough', 'fine-tune', 'cannot say from this data'}
        What to do.
    sentence : str
        The gain with its interval and both costs, where there was something to compare.
    reason : str
        How the answer follows.
    """

    answer: str
    sentence: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def judge(
    accuracy: Score,
    gain: Pair | None,
    *,
    n: int,
    frozen_seconds: float,
    finetune_seconds: float | None = None,
    worth: float = WORTH,
) -> Verdict:
    """Decide between the best frozen head and fine-tuning.

    The interval decides, not the mean: fine-tuning must gain more than ``worth`` at the lower end of the 95 %
    interval, a frozen head must lose less than that at the upper end; in between the data is too small to
    say. Without fine-tuning only a head that leaves less than ``worth`` to gain is known to be enough.

    Of few texts a bootstrap knows too little: all right in 5 of 5 gives an interval of no width. So 3 / worth
    texts are needed to rule a gain out (what is not seen in n texts has a share of up to 3 / n: Hanley and
    Lippman-Hand, "If Nothing Goes Wrong, Is Everything All Right?", 1983), and McNemar's p below 0.05 to
    advise one.

    Parameters
    ----------
    accuracy : Score
        Of the best frozen head.
    gain : Pair, optional
        The frozen head first, fine-tuning second; None where fine-tuning was not run.
    n : int
        Texts that both were judged by; of none nothing is said.
    frozen_seconds, finetune_seconds : float
        What each took, encoding of the training texts included for the frozen head.
    worth : float
        Least gain in accuracy that is worth the cost, in (0, 1).

    Raises
    ------
    InvalidInput
        ``worth`` is not in (0, 1).
    """
    check_worth(worth)
    if not n:
        return Verdict(
            UNKNOWN,
            "no new text to judge by",
            "All that is evaluated also stands in train: leave it out there.",
        )
    points = f"{100 * worth:g} points"
    if gain is None or finetune_seconds is None:
        room = min(1.0, max(1 - accuracy.low, 3 / n))
        sentence = (
            f"the best frozen head is right in {_percent(accuracy)} of texts, for {_time(frozen_seconds)}"
        )
        if room <= worth:
            return Verdict(FROZEN, sentence, f"Not even a perfect classifier could gain {points}.")
        return Verdict(
            UNKNOWN,
            sentence,
            f"Up to {100 * room:.1f} points are left to gain; add --finetune to see what fine-tuning does.",
        )
    half = 100 * (gain.high - gain.low) / 2
    verb = "gains" if gain.difference >= 0 else "loses"
    sentence = (
        f"fine-tuning {verb} {100 * abs(gain.difference):.1f} +- {half:.1f} points for "
        f"{_time(finetune_seconds)} against {_time(frozen_seconds)}"
    )
    interval = f"its 95 % interval is {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
    if gain.low > worth and gain.p_value < _CHANCE:
        return Verdict(FINE_TUNE, sentence, f"The gain is worth more than {points}: {interval}.")
    if gain.high < worth and 3 / n <= worth:
        return Verdict(FROZEN, sentence, f"The gain is not worth {points}: {interval}.")
    if gain.low > worth:
        open_still = f"it may be chance, by McNemar's p of {gain.p_value:.2g}"
    elif gain.high < worth:
        open_still = f"but to rule it out takes {math.ceil(3 / worth):,} texts"
    else:
        open_still = "which holds both answers"
    return Verdict(
        UNKNOWN,
        sentence,
        f"Whether the gain is worth {points} is open: {interval}, {open_still}. More texts than these {n:,} "
        "would tell.",
    )


def check_worth(worth: float) -> None:
    """Refuse a gain that cannot be; raises `InvalidInput`."""
    if not 0 < worth < 1:
        raise InvalidInput(f"A gain of {worth} cannot be.", why="It is between 0 and 1.", fix="--worth 0.02")


def _time(seconds: float) -> str:
    return "less than 1 s" if seconds < 1 else f"{seconds:.0f} s"


def _percent(score: Score) -> str:
    return f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"
