"""What goes in comes out: any Unicode, any JSON, in any order of builds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from embstore.records import Record
from embstore.store import Store, verify_store
from store.building import content, fill
from stub_encoder import StubEncoder

# Lone surrogates are no Unicode text: the dataset wing refuses them.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
RECORD = st.builds(
    Record, TEXT, TEXT, st.none() | TEXT, TEXT.filter(str.strip), st.dictionaries(TEXT, JSON, max_size=3)
)
RECORDS = st.lists(RECORD, max_size=8, unique_by=lambda record: record.id)


def quick(examples: int) -> Callable[..., Any]:
    return settings(max_examples=examples, deadline=None, derandomize=True)


class Hashes(StubEncoder):
    """Embeds every text: here, one that holds the word poison is a text as any other."""

    def encode(self, texts: Any) -> Any:
        return super().encode([f"<{text}>" for text in texts])


@given(records=RECORDS)
@quick(30)
def test_any_record_comes_back_equal(records: list[Record], tmp_path_factory: Any) -> None:
    path = fill(tmp_path_factory.mktemp("any") / "store", records, Hashes(dim=2), window=3)
    with Store.open(path) as store:
        assert store.records(store.rows()) == records
        for record in records:
            assert store.reader.row_of(record.id, store.snapshot) == records.index(record)
            assert record in store.records(store.rows(split=record.split, label=record.label))
    assert verify_store(path).problems == ()


@given(builds=st.lists(RECORDS, min_size=2, max_size=4), window=st.integers(1, 4))
@quick(15)
def test_after_any_builds_a_store_holds_the_last_dataset(
    builds: list[list[Record]], window: int, tmp_path_factory: Any
) -> None:
    path: Path = tmp_path_factory.mktemp("builds") / "store"
    encoder = Hashes(dim=2)
    for number, records in enumerate(builds):
        fill(path, records, encoder, window=window, fingerprint=str(number))
        assert verify_store(path).problems == ()
    found = content(path)
    assert {one: record for one, (record, _) in found.items()} == {one.id: one for one in builds[-1]}
    for record, embedding in found.values():
        assert embedding == encoder.embed(f"<{record.text}>").tobytes()
    assert len(encoder.encoded) == len(set(encoder.encoded))
