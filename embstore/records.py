"""The words that every wing shares: records, neighbors, arrays, and what an encoder must offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from embstore.errors import InvalidInput

#: Characters of a text, at most: more is a broken file rather than a text.
MAX_CHARACTERS = 1_000_000
#: ``(n, dim)`` float32, one embedding a row.
Embeddings: TypeAlias = npt.NDArray[np.float32]
#: int64 positions of records in a store; never negative, never reused.
Rows: TypeAlias = npt.NDArray[np.int64]
#: float32 cosines in [-1, 1], larger is nearer, no unit.
Similarities: TypeAlias = npt.NDArray[np.float32]
#: ``(n, n_classes)`` float64, each row sums to 1; columns are the class names in ascending order.
Probabilities: TypeAlias = npt.NDArray[np.float64]
#: int64 positions in a list of class names.
Codes: TypeAlias = npt.NDArray[np.int64]
#: bool, one flag a row.
Mask: TypeAlias = npt.NDArray[np.bool_]
#: Told how much is done, and of how much where that is known.
Progress: TypeAlias = Callable[[int, int | None], None]


# What NumPy's generators take, and with them all that is seeded here.
_SEEDS = 2**32


def check_seed(seed: int) -> None:
    """Refuse a seed that the generators do not take.

    Raises
    ------
    InvalidInput
        It is negative, or 2**32 or more.
    """
    if not 0 <= seed < _SEEDS:
        raise InvalidInput(f"--seed {seed} cannot be.", why=f"It is 0 to {_SEEDS - 1}.", fix="--seed 0")


def check_sequence(name: str, value: Sequence[str] | None) -> None:
    """Refuse one string where a sequence of them is due: it would be taken letter by letter.

    Raises
    ------
    InvalidInput
        With ``name``, the parameter's.
    """
    if isinstance(value, str):
        said = repr(value) if len(value) <= 80 else "..."
        raise InvalidInput(
            f"{name} must be a sequence of strings, not the string {value[:80]!r}.", fix=f"{name}=[{said}]"
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One text of a dataset.

    Parameters
    ----------
    id : str
        The caller's own key, unique within a store.
    split : str
        ``train``, ``validation``, ``test`` or any name that the dataset has.
    label : str or None
        Class name; None where the dataset gives none.
    text : str
        Not empty; encodable as UTF-8.
    extra : mapping of str to JSON value
        The dataset's other columns.
    """

    id: str
    split: str
    label: str | None
    text: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record of a dataset that cannot be stored, and why.

    Parameters
    ----------
    position : int
        Place in the dataset, counted from 0 over all splits in reading order.
    split : str
        Split that it was read from.
    id : str or None
        Its id where that could be read.
    error : str
        One sentence for the user, without the text itself.
    """

    position: int
    split: str
    id: str | None
    error: str


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A record and its similarity to a query.

    Parameters
    ----------
    rank : int
        1 is the most similar.
    similarity : float
        Cosine in [-1, 1], no unit.
    record : Record
        What was found.
    """

    rank: int
    similarity: float
    record: Record

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, without what else the record holds."""
        return {
            "rank": self.rank,
            "similarity": round(self.similarity, 6),
            "id": self.record.id,
            "split": self.record.split,
            "label": self.record.label,
            "text": self.record.text,
        }


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a head says of one text.

    Parameters
    ----------
    label : str
        Class name of the largest probability.
    probability : float
        Calibrated, in [0, 1].
    runner_up : str
        Class name of the second largest probability.
    runner_up_probability : float
        In [0, 1], at most ``probability``.
    abstain : bool
        The probability is below the head's threshold: the label is a guess, not an answer.
    """

    label: str
    probability: float
    runner_up: str
    runner_up_probability: float
    abstain: bool


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder made of n texts.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim), float32
        Row i embeds ``texts[i]``; a row named in ``errors`` means nothing.
    truncated : ndarray of shape (n,), bool
        True where the text was longer than the encoder reads.
    errors : dict of int to str
        Position among the n texts of each text that failed alone, and why.
    tokens : ndarray of shape (n,), int64
        Tokens of each text that were read, special ones included; empty where the encoder does not tell.
    """

    embeddings: Embeddings
    truncated: Mask
    errors: dict[int, str] = field(default_factory=dict)
    tokens: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def to_be_encoded(texts: Sequence[str], dim: int) -> Encoded:
    """Return the answer for texts with nothing in it yet, for an encoder to fill.

    Raises
    ------
    InvalidInput
        A single string where a sequence is due.
    """
    if isinstance(texts, str):
        raise InvalidInput("encode takes a sequence of texts, and got one str.", fix="encode([text])")
    n = len(texts)
    return Encoded(np.zeros((n, dim), np.float32), np.zeros(n, np.bool_), {}, np.zeros(n, np.int64))


class TextEncoder(Protocol):
    """Turns texts into embeddings: one method, and the three facts that a store keeps about it."""

    @property
    def dim(self) -> int:
        """Length of an embedding, in floats."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256, 64 hex digits, of all that changes an embedding."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """JSON values from which the same encoder can be loaded again."""
        ...

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Embed texts; the result is in the order of the texts, whatever happens inside."""
        ...


@runtime_checkable
class AdaptiveEncoder(TextEncoder, Protocol):
    """An encoder that may choose faster arithmetic before long work."""

    def settle(self, texts: Sequence[str], expected: int | None) -> None:
        """Choose on the first texts; ``expected`` is how many there will be, None where nobody knows."""
        ...
