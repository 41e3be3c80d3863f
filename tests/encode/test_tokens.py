"""Texts become the tokenizer's ids, in order, with what was cut off flagged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from embstore.encode.tokens import TextTokenizer
from embstore.errors import InvalidInput


def make(folder: Path, max_length: int = 8, prompt: str = "", lower_case: bool = False) -> TextTokenizer:
    pipeline = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return TextTokenizer(pipeline, max_length=max_length, prompt=prompt, lower_case=lower_case)


@pytest.mark.parametrize("words", [0, 1, 5, 6, 7, 30])
def test_a_text_is_flagged_exactly_where_the_tokenizer_cut(tiny_bert: Path, words: int) -> None:
    whole = AutoTokenizer.from_pretrained(tiny_bert)("cat " * words)["input_ids"]
    tokens = make(tiny_bert).tokenize(["cat " * words])
    assert tokens.truncated.tolist() == [len(whole) > 8]
    assert tokens.ids[0] == (whole if len(whole) <= 8 else [*whole[:7], whole[-1]])


def test_the_flags_of_many_texts_stand_in_their_order(tiny_bert: Path) -> None:
    texts = ["a", "cat " * 20, "", "cat " * 6, "cat " * 7]
    assert make(tiny_bert).tokenize(texts).truncated.tolist() == [False, True, False, False, True]


def test_padding_of_the_tokenizers_own_file_is_switched_off(tiny_bert: Path) -> None:
    pipeline = Tokenizer.from_file(str(tiny_bert / "tokenizer.json"))
    pipeline.enable_padding(length=128)
    tokenizer = TextTokenizer(pipeline, max_length=8, prompt="", lower_case=False)
    assert [len(ids) for ids in tokenizer.tokenize(["a", "a cat"]).ids] == [3, 4]


def test_a_prompt_is_put_before_each_text(tiny_bert: Path) -> None:
    assert (
        make(tiny_bert, prompt="why is ").tokenize(["it"]).ids == make(tiny_bert).tokenize(["why is it"]).ids
    )


def test_lower_case_is_applied_to_prompt_and_text(distilbert: Path) -> None:
    path = distilbert / "tokenizer.json"
    path.write_text(
        path.read_text()
        .replace('"lowercase":true', '"lowercase":false')
        .replace('"lowercase": true', '"lowercase": false')
    )
    expected = make(distilbert).tokenize(["why is it"]).ids
    assert make(distilbert).tokenize(["WHY is It"]).ids != expected
    assert make(distilbert, prompt="WHY is ", lower_case=True).tokenize(["It"]).ids == expected


@pytest.mark.parametrize(
    "text", ["\ud800", None, 3.5, b"cat"], ids=["half a surrogate pair", "None", "float", "bytes"]
)
@pytest.mark.parametrize("lower_case", [False, True], ids=["as is", "lower"])
def test_what_is_no_text_is_refused(tiny_bert: Path, text: object, lower_case: bool) -> None:
    with pytest.raises(InvalidInput, match="cannot be tokenized"):
        make(tiny_bert, lower_case=lower_case).tokenize(["a", text])  # type: ignore[list-item]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=4))
def test_any_unicode_text_gives_at_most_the_maximum_of_tokens(tiny_bert: Path, texts: list[str]) -> None:
    tokens = make(tiny_bert).tokenize(texts)
    assert [2 <= len(ids) <= 8 for ids in tokens.ids] == [True] * len(texts)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9])
def test_tokenizing_ahead_yields_slices_that_join_to_the_whole(tiny_bert: Path, count: int) -> None:
    texts = [f"cat {'a ' * i}" for i in range(count)]
    slices = list(make(tiny_bert).tokenize_ahead(texts, 4))
    assert [len(tokens.ids) for tokens in slices] == [4] * (count // 4) + [count % 4] * (count % 4 > 0)
    whole = make(tiny_bert).tokenize(texts)
    assert [ids for tokens in slices for ids in tokens.ids] == whole.ids
    assert [flag for tokens in slices for flag in tokens.truncated] == whole.truncated.tolist()


def test_an_error_in_a_later_slice_is_raised_where_the_slice_is_due(tiny_bert: Path) -> None:
    slices = make(tiny_bert).tokenize_ahead(["a", "a", "\ud800"], 2)
    assert len(next(slices).ids) == 2
    with pytest.raises(InvalidInput):
        next(slices)
