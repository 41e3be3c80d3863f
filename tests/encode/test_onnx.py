"""The exported encoder says what torch says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from encoder_helpers import FLOAT32_TOLERANCE, make_texts

from embstore.encode import onnx_export
from embstore.encode.load import load_encoder
from embstore.encode.model_files import SHIPPED
from embstore.encode.onnx_encoder import OnnxEncoder, failures, load_exported, spinning
from embstore.encode.onnx_export import PROBES, export_encoder
from embstore.encode.onnx_layout import Inputs, PackedLayout, States, pool_states
from embstore.encode.torch_encoder import TorchEncoder
from embstore.errors import InvalidInput
from tiny_models import make_roberta

TEXTS = ["", " ", *PROBES, "the cat sat", "the cat sat on the mat " * 9, *make_texts(60)]


@pytest.fixture(scope="module", params=["bert", "distilbert"])
def encoder(request: pytest.FixtureRequest) -> TorchEncoder:
    return load_encoder(str(request.getfixturevalue(f"tiny_{request.param}")), device="cpu")


@pytest.fixture
def exported(encoder: TorchEncoder, tiny_exports: Path, monkeypatch: pytest.MonkeyPatch) -> OnnxEncoder:
    monkeypatch.setenv("EMBSTORE_CACHE", str(tiny_exports))
    found = load_exported(encoder.fingerprint)
    assert found is not None
    return found


def test_embeddings_are_those_of_torch(encoder: TorchEncoder, exported: OnnxEncoder) -> None:
    ours, theirs = exported.encode(TEXTS), encoder.encode(TEXTS)
    np.testing.assert_allclose(ours.embeddings, theirs.embeddings, rtol=0, atol=FLOAT32_TOLERANCE)
    assert np.array_equal(ours.truncated, theirs.truncated)
    assert ours.truncated.any()
    assert ours.embeddings.dtype == np.float32


def test_what_it_says_of_itself_is_what_torch_says(encoder: TorchEncoder, exported: OnnxEncoder) -> None:
    assert (exported.dim, exported.fingerprint) == (encoder.dim, encoder.fingerprint)
    assert exported.config == encoder.config


def test_order_and_company_do_not_change_an_embedding(exported: OnnxEncoder) -> None:
    together = exported.encode(TEXTS).embeddings
    backward = exported.encode(TEXTS[::-1]).embeddings[::-1]
    np.testing.assert_allclose(backward, together, rtol=0, atol=FLOAT32_TOLERANCE)
    alone = np.concatenate([exported.encode([text]).embeddings for text in TEXTS])
    np.testing.assert_allclose(alone, together, rtol=0, atol=FLOAT32_TOLERANCE)


def test_no_texts_are_no_embeddings(exported: OnnxEncoder) -> None:
    assert exported.encode([]).embeddings.shape == (0, exported.dim)


@pytest.mark.parametrize("texts", ["one text", ["fine", "\ud800"]], ids=["str", "surrogate"])
def test_what_torch_refuses_is_refused(exported: OnnxEncoder, texts: Any) -> None:
    with pytest.raises(InvalidInput):
        exported.encode(texts)


@pytest.mark.parametrize("error", [failures.Fail, failures.RuntimeException, MemoryError, IndexError, None])
def test_a_text_on_which_the_model_fails_is_named_and_the_others_are_embedded(
    exported: OnnxEncoder, monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None
) -> None:
    texts = ["the cat", "the train", "the angry cat"]
    session, expected = exported._session, exported.encode(texts).embeddings
    angry = exported._tokenizer.tokenize(["angry"]).ids[0][1]

    class Broken:
        def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> Any:
            (states,) = session.run(outputs, inputs)
            spoilt = (inputs["input_ids"] == angry).any(axis=1)
            if error and spoilt.any():
                raise error
            # Through attention it spoils whatever shares its row.
            states[spoilt] = np.inf
            return [states]

    monkeypatch.setattr(exported, "_session", Broken())
    encoded = exported.encode(texts)
    said = f"the model failed: {error.__name__}" if error else "the model returned zeros, NaN or infinity"
    assert encoded.errors == {2: said}
    np.testing.assert_allclose(encoded.embeddings[:2], expected[:2], rtol=0, atol=FLOAT32_TOLERANCE)


def test_states_that_are_no_numbers_are_an_error_of_their_text(
    exported: OnnxEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def run(self, _: None, inputs: dict[str, np.ndarray]) -> Any:
            return [np.full((*inputs["input_ids"].shape, exported.dim), np.nan, dtype=np.float32)]

    monkeypatch.setattr(exported, "_session", Broken())
    assert set(exported.encode(["a cat", "a mat"]).errors) == {0, 1}


@pytest.mark.parametrize("way", ["written", "traced"])
def test_a_roberta_is_exported_whichever_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("EMBSTORE_CACHE", str(tmp_path / "cache"))
    if way == "traced":
        monkeypatch.setattr(onnx_export, "read_weights", lambda _: None)
    encoder = load_encoder(str(make_roberta(tmp_path)), device="cpu")
    assert export_encoder(encoder) == ""
    exported = load_exported(encoder.fingerprint)
    assert exported is not None
    ours, theirs = exported.encode(TEXTS), encoder.encode(TEXTS)
    np.testing.assert_allclose(ours.embeddings, theirs.embeddings, rtol=0, atol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_is_torchs(pooling: str) -> None:
    import torch

    from embstore.encode.pooling import pool

    draw = np.random.default_rng(0)
    states = draw.normal(size=(5, 7, 8)).astype(np.float32)
    mask = (np.arange(7) < np.array([[7], [1], [3], [6], [2]])).astype(np.int64)
    theirs = pool(torch.from_numpy(states), torch.from_numpy(mask), pooling, normalize=False).numpy()
    # float32, sums in another order
    np.testing.assert_allclose(pool_states(states, mask, pooling), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_packed_texts_read_their_own_tokens_alone(pooling: str) -> None:
    layout = PackedLayout(None, pooling)
    ids = [[7, 8, 9], [5], list(range(60)), [3, 4]]

    def run(inputs: Inputs) -> States:
        tokens, positions, mask = (inputs[name] for name in ("input_ids", "position_ids", "attention_mask"))
        assert tokens.shape == positions.shape == mask.shape[:2] == (2, 64)
        # A token's state stands for itself and for how many it reads.
        return np.stack([tokens, positions, mask.sum(axis=2)], axis=2).astype(np.float32)

    read = [[one[0], 0, len(one)] for one in ids]
    if pooling == "mean":
        read = [[np.mean(one), np.mean(range(len(one))), len(one)] for one in ids]
    np.testing.assert_allclose(layout.embed(ids, run), read, rtol=1e-6)
    with pytest.raises(IndexError, match="no token"):
        layout.embed([[7], []], run)


@pytest.mark.skipif(
    importlib.util.find_spec(SHIPPED["all-MiniLM-L6-v2"].package) is None,
    reason="the default model's package is not installed",
)
def test_the_default_models_embeddings_are_those_of_torch(reference_data: Path) -> None:
    import csv

    with (reference_data / "emotion" / "test.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)][:64]
    encoder = load_encoder(device="cpu")
    assert export_encoder(encoder) == ""
    exported = load_exported(encoder.fingerprint)
    assert exported is not None
    ours, theirs = exported.encode([*texts, *PROBES]), encoder.encode([*texts, *PROBES])
    np.testing.assert_allclose(ours.embeddings, theirs.embeddings, rtol=0, atol=FLOAT32_TOLERANCE)
    assert np.array_equal(ours.truncated, theirs.truncated)
    # The tokenizer that transformers made of the files, not the file itself.
    assert exported._tokenizer.tokenize(["this is a test"]).ids == [[101, 2023, 2003, 1037, 3231, 102]]


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        ("1.25.1", ("session.intra_op.allow_spinning", "0")),
        ("1.26.0", ("session.intra_op.spin_duration_us", "20")),
        ("2.0.0.dev20270101", ("session.intra_op.spin_duration_us", "20")),
    ],
)
def test_no_version_of_the_runtime_spins_for_long(version: str, entry: tuple[str, str]) -> None:
    assert spinning(version) == entry


def test_an_export_is_run_so(exported: OnnxEncoder) -> None:
    name, value = spinning(onnxruntime.__version__)
    assert exported._session.get_session_options().get_session_config_entry(name) == value
