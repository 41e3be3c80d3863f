"""int8 stays near float32, is the same from the same texts, and is taken where it is asked for and passes."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_helpers import make_texts
from torch.nn import functional

import embstore
from embstore.encode import EncoderOptions, TorchEncoder, load_encoder, paths, products, torch_encoder
from embstore.encode.bert_weights import read_weights
from embstore.encode.calibration import reaches, shared_out
from embstore.encode.gate import Parity, parity
from embstore.encode.int8 import NAME, has_int8
from embstore.encode.model_files import SHIPPED
from embstore.encode.onnx_background import exportable
from embstore.flows.encoders import faster_encoder
from embstore.records import Embeddings

TEXTS = make_texts(300, seed=5)
SAMPLE = Path(embstore.__file__).parent / "data" / "sample.jsonl"
needs_int8 = pytest.mark.skipif(not has_int8(), reason="this processor multiplies no bytes")


def load(folder: Path | str, **options: object) -> TorchEncoder:
    return load_encoder(EncoderOptions(model=str(folder), **options), device="cpu")  # type: ignore[arg-type]


def embed(forward: paths.Forward | None, ids: list[list[int]]) -> Embeddings:
    assert forward is not None
    return paths.run(forward, ids, 4096)[0]


@needs_int8
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("model", ["tiny_bert", "tiny_distilbert"])
def test_embeddings_of_a_tiny_model_stay_near_those_of_float32(
    request: pytest.FixtureRequest, model: str, pooling: str
) -> None:
    encoder = load(request.getfixturevalue(model), pooling=pooling)
    ids = encoder.token_ids(TEXTS)
    found = parity(embed(encoder.forward, ids), embed(encoder.int8(ids[:128]), ids))
    assert found.least_cosine > 0.99
    assert found.passes_for_heads


@needs_int8
@pytest.mark.skipif(
    importlib.util.find_spec(SHIPPED["all-MiniLM-L6-v2"].package) is None, reason="the model is not installed"
)
def test_embeddings_of_the_default_model_pass_the_gate_of_int8_on_texts_that_set_no_scale() -> None:
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:: len(lines) // 192]]
    encoder = load("all-MiniLM-L6-v2")
    ids = encoder.token_ids(texts)
    found = parity(embed(encoder.forward, ids[1::2]), embed(encoder.int8(ids[::2]), ids[1::2]))
    assert found.least_cosine > 0.99
    assert found.passes_for_heads
    assert not found.passes


@needs_int8
def test_the_same_texts_give_the_same_bytes(tiny_bert: Path) -> None:
    encoder = load(tiny_bert)
    ids = encoder.token_ids(TEXTS)
    one, again = (embed(load(tiny_bert).int8(ids[:128]), ids) for _ in range(2))
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != embed(encoder.int8(ids[128:160]), ids).tobytes()


@needs_int8
def test_a_processor_without_bfloat16_mixes_in_float32(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(tiny_bert)
    ids = encoder.token_ids(TEXTS)
    monkeypatch.setattr(products, "_has_onednn", lambda dtype: dtype == torch.float32)
    assert parity(embed(encoder.forward, ids), embed(encoder.int8(ids), ids)).passes_for_heads


@needs_int8
def test_numbers_that_are_none_stay_none_and_close_the_gate(tiny_bert: Path) -> None:
    encoder = load(tiny_bert, dtype="int8")
    with torch.no_grad():
        encoder.model.get_input_embeddings().weight[9] = torch.nan
    ids = [[2, 9, 3], [2, 8, 7, 3]]
    found = embed(encoder.int8(ids), ids)
    assert np.isnan(found).all(axis=1).tolist() == [True, False]
    np.testing.assert_allclose(found[1], embed(encoder.forward, ids)[1], atol=0.05)


@needs_int8
def test_a_layer_whose_gelus_are_all_zero_has_steps_too(tiny_bert: Path) -> None:
    encoder = load(tiny_bert)
    with torch.no_grad():
        encoder.model.encoder.layer[0].intermediate.dense.bias -= 100
    ids = encoder.token_ids(TEXTS)
    assert parity(embed(encoder.forward, ids), embed(encoder.int8(ids), ids)).passes_for_heads


def test_reaches_are_the_largest_of_what_each_product_reads(tiny_bert: Path) -> None:
    encoder = load(tiny_bert)
    weights = read_weights(encoder.model)
    assert weights is not None
    # As many tokens as need no rows of nothing behind them.
    ids = [[2, 9, 8, 7, 6, 5, 4, 3], [2, 5, 6, 7, 9, 12, 11, 3]]
    with torch.inference_mode():
        states = encoder.model(torch.tensor(ids), output_hidden_states=True).hidden_states
    found = reaches(weights, ids, "mean")
    assert len(found) == 2
    for layer, seen in zip(found, states, strict=False):
        np.testing.assert_allclose(layer.mix, seen.abs().amax(dim=(0, 1)), atol=1e-5)


@pytest.mark.parametrize("n_more", [0, 1, 16])
def test_a_channel_in_parts_has_the_gelu_of_the_whole(n_more: int) -> None:
    reach = torch.tensor([1.0, 30.0, 2.0, 12.0])
    channels, shifts, top = shared_out(reach, n_more)
    assert len(channels) == len(shifts) == 4 + n_more
    assert sorted(set(channels.tolist())) == [0, 1, 2, 3]
    z = torch.rand(200, 4, generator=torch.Generator().manual_seed(0)) * reach
    parts = functional.gelu(z[:, channels] - shifts).clamp(max=top)
    whole = torch.zeros_like(z).index_add_(1, channels, parts)
    # The bend: a GELU lies up to .17 below where its straight parts would meet.
    torch.testing.assert_close(whole, functional.gelu(z), rtol=0, atol=0.35)
    assert top == pytest.approx({0: 30.0, 1: 15.0, 16: 2.4}[n_more])


@pytest.fixture
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each path twice the speed of the one before it; tiny models say nothing of speed."""
    monkeypatch.setattr(paths, "race", lambda runners, _: [0.5**place for place in range(len(runners))])


@needs_int8
@pytest.mark.usefixtures("_fast")
def test_what_is_asked_for_is_taken_in_long_work_and_goes_on_with_the_same_bytes(
    tiny_bert: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder, later = load(tiny_bert, dtype="int8"), load(tiny_bert, dtype="int8")
    with caplog.at_level(logging.INFO):
        encoder.settle(TEXTS, None)
    assert encoder.forward.name == NAME
    assert "mean cosine" in caplog.text
    assert "of 0.998" in caplog.text
    # Other texts, and few: what was kept decides.
    later.settle(TEXTS[::-1][:20], 20)
    assert later.forward.name == NAME
    assert encoder.encode(TEXTS).embeddings.tobytes() == later.encode(TEXTS).embeddings.tobytes()
    assert encoder.fingerprint == later.fingerprint != load(tiny_bert).fingerprint


@pytest.mark.usefixtures("_fast")
def test_what_is_not_asked_for_is_not_taken(tiny_bert: Path) -> None:
    assert NAME not in [one.name for one in load(tiny_bert).try_paths(TEXTS).trials]


def test_short_work_and_queries_are_float32(tiny_bert: Path) -> None:
    encoder = load(tiny_bert, dtype="int8")
    encoder.settle(TEXTS, 300)
    exact = load(tiny_bert).encode(TEXTS).embeddings
    assert encoder.encode(TEXTS).embeddings.tobytes() == exact.tobytes()
    assert exportable(encoder.config)


@needs_int8
@pytest.mark.usefixtures("_fast")
def test_a_service_answers_a_store_of_int8_in_float32(tiny_bert: Path) -> None:
    encoder = load(tiny_bert, dtype="int8")
    encoder.settle(TEXTS, None)
    assert encoder.forward.name == NAME
    assert faster_encoder(encoder.config, encoder.fingerprint) is None


@needs_int8
@pytest.mark.usefixtures("_fast")
@pytest.mark.parametrize("mean", [0.9, float("nan")], ids=["far", "NaN"])
def test_the_gate_refuses_what_is_far_and_says_so(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, mean: float
) -> None:
    monkeypatch.setattr(paths, "parity", lambda *_: Parity(1.0, mean, 1.0))
    encoder = load(tiny_bert, dtype="int8")
    choice = encoder.try_paths(TEXTS)
    assert (choice.name, choice.calibration) == ("fused bfloat16", ())
    assert f"fused int8 failed its gate: mean cosine {mean:.5f} of 0.998" in choice.why


@needs_int8
def test_what_is_no_faster_is_not_taken(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "race", lambda runners, _: [1.0, 0.5, 0.5][: len(runners)])
    choice = load(tiny_bert, dtype="int8").try_paths(TEXTS)
    assert choice.name != NAME
    assert "fused int8 is 1.00 times as fast as that, of 1.1" in choice.why


@pytest.mark.parametrize("lacking", ["processor", "model"])
def test_what_has_no_int8_path_takes_the_best_of_the_others_and_says_so(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    if lacking == "processor":
        monkeypatch.setattr(paths, "has_int8", lambda: False)
    else:
        monkeypatch.setattr(paths, "read_weights", lambda _: None)
    choice = load(tiny_bert, dtype="int8").try_paths(TEXTS)
    assert choice.name != NAME
    assert choice.why.endswith("this machine has no int8 path for this model")


def test_few_texts_set_the_scales() -> None:
    ids = [[1] * (1 + one % 9) for one in range(5000)]
    few = torch_encoder.calibrating(ids)
    assert 128 <= len(few) < 256
    assert {len(one) for one in few} == set(range(1, 10))
