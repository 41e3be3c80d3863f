"""Fixtures of the encoder's tests: changeable models, and a hub that is never asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from encoder_helpers import copy_model


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Switch the hub off in this process too: its library read the environment when it was imported."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Run tiny models on one thread: two that wait for each other on a busy machine are 20 times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def distilbert(tiny_distilbert: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny DistilBERT that the test may change."""
    return copy_model(tiny_distilbert, tmp_path / "distilbert")


@pytest.fixture
def bert(tiny_bert: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny BERT that declares mean pooling, which the test may change."""
    return copy_model(tiny_bert, tmp_path / "bert")
