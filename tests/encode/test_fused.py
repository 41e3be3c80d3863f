"""The fused way to run a BERT gives the embeddings of transformers' own, text by text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_helpers import FLOAT32_TOLERANCE, loop_embeddings, make_texts
from transformers import BertConfig, BertModel

from embstore.encode import EncoderOptions, TorchEncoder, load_encoder, paths, products
from embstore.encode.attention import attend
from embstore.encode.batches import plan_packed
from embstore.encode.bert_weights import read_weights
from embstore.encode.forward import PaddedForward
from embstore.encode.fused import FusedForward
from tiny_models import make_roberta

TEXTS = [*make_texts(40), "", "a", "cat " * 90]


def load(folder: Path, **options: object) -> TorchEncoder:
    return load_encoder(EncoderOptions(model=str(folder), **options), device="cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("packed", [True, False], ids=["oneDNN", "plain"])
@pytest.mark.parametrize("normalize", [False, True], ids=["raw", "unit"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("model", ["tiny_bert", "tiny_distilbert"])
def test_embeddings_equal_a_loop_over_single_texts(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    pooling: str,
    normalize: bool,
    packed: bool,
) -> None:
    if not packed:
        monkeypatch.setattr(products, "_has_onednn", lambda _: False)
    folder = request.getfixturevalue(model)
    encoder = load(folder, pooling=pooling, normalize=normalize)
    assert encoder.forward.name == "fused float32"
    expected = loop_embeddings(
        folder, TEXTS, pooling=pooling, normalize=normalize, max_length=encoder.config["max_length"]
    )
    np.testing.assert_allclose(encoder.encode(TEXTS).embeddings, expected, rtol=0, atol=FLOAT32_TOLERANCE)


@pytest.fixture
def roberta(tmp_path: Path) -> Path:
    return make_roberta(tmp_path)


@pytest.mark.parametrize(
    "ids", [[5, 6, 7], [5, 1, 6, 1, 1, 7]], ids=["plain", "a padding token within the text"]
)
def test_roberta_counts_positions_as_transformers_does(roberta: Path, ids: list[int]) -> None:
    encoder = load(roberta, pooling="mean")
    assert encoder.forward.name == "fused float32"
    expected = encoder.model(torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
    np.testing.assert_allclose(
        encoder.forward.embed([ids])[0], expected.detach(), rtol=0, atol=FLOAT32_TOLERANCE
    )


@pytest.mark.parametrize(
    "changed", [{"hidden_act": "relu"}, {"is_decoder": True}], ids=["activation", "decoder"]
)
def test_a_model_that_computes_something_else_is_run_by_transformers(changed: dict[str, object]) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertModel(BertConfig(vocab_size=200, **sizes, **changed)).eval()  # type: ignore[arg-type]
    assert read_weights(model) is None
    assert isinstance(paths.fastest_equal(model, torch.float32, "cls", normalize=False), PaddedForward)


def test_a_fused_path_that_differs_is_not_taken(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(tiny_bert).model
    monkeypatch.setattr(FusedForward, "embed", lambda _, ids: np.ones((len(ids), 32), np.float32))
    assert isinstance(paths.fastest_equal(model, torch.float32, "cls", normalize=False), PaddedForward)


def test_bfloat16_stays_within_a_cosine_of_0_999(tiny_bert: Path) -> None:
    reference, low = load(tiny_bert), load(tiny_bert, dtype="bfloat16")
    assert low.forward.name == "fused bfloat16"
    cosines = (reference.encode(TEXTS).embeddings * low.encode(TEXTS).embeddings).sum(axis=1)
    assert cosines.min() > 0.999


@pytest.mark.parametrize("spread", [1.0, 40.0], ids=["usual scores", "scores beyond exp"])
@pytest.mark.parametrize("n_queries", [1, 5], ids=["first token", "all tokens"])
@pytest.mark.parametrize("n_tokens", [5, 40], ids=["short", "long"])
@pytest.mark.parametrize("n", [1, 3], ids=["alone", "several"])
def test_attention_is_the_softmax_of_the_scores_times_the_values(
    n: int, n_tokens: int, n_queries: int, spread: float
) -> None:
    torch.manual_seed(0)
    mix = torch.randn(n, n_tokens, 3, 2, 8)
    mix[:, :, 0] *= spread
    found = torch.empty(n, n_queries, 2, 8)
    attend(mix, found)
    np.testing.assert_allclose(found, attended(mix, n_queries), rtol=0, atol=1e-4)


@pytest.mark.parametrize("n", [3, 11000], ids=["in float32", "in bfloat16"])
def test_attention_of_few_and_of_many_texts_in_bfloat16_is_the_same_softmax(n: int) -> None:
    torch.manual_seed(0)
    mix = torch.randn(n, 5, 3, 2, 8).bfloat16()
    found = torch.empty(n, 5, 2, 8, dtype=torch.bfloat16)
    attend(mix, found)
    np.testing.assert_allclose(found.double(), attended(mix, 5), rtol=0, atol=0.06)


def test_attention_in_bfloat16_rounds_a_text_alone_as_it_does_among_others() -> None:
    torch.manual_seed(0)
    mix = torch.randn(8, 22, 3, 4, 32).bfloat16()
    together, alone = (torch.empty(8, 22, 4, 32, dtype=torch.bfloat16) for _ in range(2))
    attend(mix, together)
    for place in range(8):
        attend(mix[place : place + 1], alone[place : place + 1])
    assert (together == alone).double().mean() > 0.999


def attended(mix: torch.Tensor, n_queries: int) -> torch.Tensor:
    """Return by einsum what `attend` fills in, in float64."""
    query, key, value = mix.double().unbind(dim=2)
    scores = torch.einsum("nqhw,nthw->nhqt", query[:, :n_queries], key)
    return torch.einsum("nhqt,nthw->nqhw", torch.softmax(scores, dim=-1), value)


def test_packed_batches_hold_every_text_once_within_the_budget_longest_first() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 300).tolist()
    batches = plan_packed(lengths, 100)
    assert sorted(np.concatenate(batches).tolist()) == list(range(300))
    assert all(sum(lengths[row] for row in batch) <= 100 for batch in batches)
    assert [lengths[row] for batch in batches for row in batch] == sorted(lengths, reverse=True)


def test_a_text_beyond_the_budget_stands_alone_and_no_texts_give_no_batch() -> None:
    assert [batch.tolist() for batch in plan_packed([3, 900, 4], 8)] == [[1], [2, 0]]
    assert plan_packed([], 8) == []
