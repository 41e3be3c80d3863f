"""Which index is asked for, and which follows from rows, dim and memory."""

from __future__ import annotations

import pytest

from embstore.errors import InvalidInput
from embstore.store.index_options import (
    FLAT_ROWS,
    IndexKind,
    IndexOptions,
    kinds_for,
    parse_bytes,
    shown_bytes,
)


def names(options: IndexOptions, n: int, dim: int = 384) -> list[str]:
    return [kind.name for kind in kinds_for(options, n, dim)]


@pytest.mark.parametrize("n", [1, 1000, FLAT_ROWS])
def test_auto_compares_all_rows_of_a_small_store(n: int) -> None:
    assert all(kind.exact for kind in kinds_for(IndexOptions(), n, 384))


def test_auto_takes_cells_for_a_large_store_and_exact_kinds_last() -> None:
    assert names(IndexOptions(), 1_000_000) == ["ivf,sq8", "ivf,fp16", "flat,fp16", "flat,sq8"]


def test_auto_is_exact_where_all_must_be_found() -> None:
    assert all(kind.exact for kind in kinds_for(IndexOptions(recall=1), 1_000_000, 384))


def test_auto_takes_what_fits_into_the_memory() -> None:
    assert names(IndexOptions(memory=parse_bytes("8M")), 20_000) == ["flat,sq8"]
    assert names(IndexOptions(memory=parse_bytes("370M")), 1_000_000) == ["flat,sq8"]


@pytest.mark.parametrize("kind", ["auto", "hnsw", "ivf,sq8", "flat"])
def test_what_does_not_fit_says_what_would(kind: str) -> None:
    options = IndexOptions(kind, memory=parse_bytes("100M"))
    with pytest.raises(InvalidInput, match="fits into 100M") as caught:
        kinds_for(options, 1_000_000, 384)
    assert "flat,sq8 367M" in caught.value.why
    needed = parse_bytes(caught.value.fix.split()[-1])
    assert kinds_for(IndexOptions(kind, memory=needed), 1_000_000, 384)


def test_what_does_not_fit_names_an_exact_index_that_does() -> None:
    with pytest.raises(InvalidInput) as caught:
        kinds_for(IndexOptions("hnsw", memory=parse_bytes("400M")), 1_000_000, 384)
    assert caught.value.fix.startswith("--index flat,sq8")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "annoy"}, "no index 'annoy'"),
        ({"kind": "ivf,sq4"}, "no index 'ivf,sq4'"),
        ({"recall": 0.0}, "recall target is 0.0"),
        ({"recall": 1.5}, "recall target is 1.5"),
        ({"recall": float("nan")}, "recall target is nan"),
        ({"memory": 0}, "0 bytes"),
        ({"kind": "hnsw", "recall": 1.0}, "cannot promise recall 1"),
    ],
    ids=str,
)
def test_an_index_that_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        IndexOptions(**values)  # type: ignore[arg-type]
    assert caught.value.why
    assert caught.value.fix.startswith("--")


@pytest.mark.parametrize(
    ("text", "n"), [("512M", 2**29), ("1.5g", 3 * 2**29), ("7", 7), ("2 KiB", 2048), ("1T", 2**40)]
)
def test_bytes_are_read_with_their_unit(text: str, n: int) -> None:
    assert parse_bytes(text) == n


@pytest.mark.parametrize("text", ["", "M", "-1M", "1X", "1e3", "much"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no amount of memory"):
        parse_bytes(text)


@pytest.mark.parametrize("n", [1, 1000, 2**20, 2**20 + 1, 400_000_001])
def test_shown_bytes_are_never_too_few(n: int) -> None:
    assert parse_bytes(shown_bytes(n)) >= n


def test_a_kind_is_written_as_it_is_read() -> None:
    assert IndexKind(*"ivf,sq8".split(",")).name == "ivf,sq8"
