"""Fixtures that several wings share: encoders that are quick and real files to read."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Before the first import of huggingface_hub, which reads it once: no test asks the real hub.
os.environ["HF_HUB_OFFLINE"] = "1"

from stub_encoder import StubEncoder

REFERENCE_DATA = Path(
    os.environ.get("EMBSTORE_REFERENCE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep every test away from the user's stores and cache."""
    monkeypatch.setenv("EMBSTORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EMBSTORE_CACHE", str(tmp_path / "cache"))
    # No test leaves an export running behind it; those of the export switch it on.
    monkeypatch.setenv("EMBSTORE_ONNX", "off")


# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of linux/capability.h: what makes root pass over permissions.
_PASSES = 1 << 1 | 1 << 2


@contextmanager
def _bound_by_permissions() -> Iterator[None]:
    """Let permissions bind this thread also where it is root's."""
    if os.geteuid():
        yield
        return
    if sys.platform != "linux":
        pytest.skip("permissions do not bind root")
    capabilities = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()
    assert capabilities.capget(header, held) == 0
    fewer = (ctypes.c_uint32 * 6)(held[0] & ~_PASSES, *held[1:])
    assert capabilities.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert capabilities.capset(header, held) == 0


@pytest.fixture
def forbid() -> Iterator[Callable[[Path, int], None]]:
    """Yield what gives a file or folder a mode, which binds this test and is taken back behind it."""
    changed: dict[Path, int] = {}

    def chmod(path: Path, mode: int) -> None:
        changed.setdefault(path, path.stat().st_mode)
        path.chmod(mode)

    with _bound_by_permissions():
        yield chmod
        for path, mode in reversed(changed.items()):
            path.chmod(mode)


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Return the folder of real datasets, or skip."""
    if not REFERENCE_DATA.is_dir():
        pytest.skip(f"no reference data in {REFERENCE_DATA}; set EMBSTORE_REFERENCE_DATA")
    return REFERENCE_DATA


@pytest.fixture
def stub_encoder() -> StubEncoder:
    """Return an encoder that makes a text's embedding from its hash, in microseconds."""
    return StubEncoder(dim=16)


@pytest.fixture
def has_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a processor with the instructions: without them torch gives the same, slowly."""
    import torch

    from embstore.encode import paths

    monkeypatch.setattr(paths, "low_dtype", lambda: torch.bfloat16)


@pytest.fixture(scope="session")
def tiny_distilbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a real DistilBERT with random weights, 2 layers of 32 units."""
    from tiny_models import make_tokenizer, make_transformer

    folder = tmp_path_factory.mktemp("tiny-distilbert")
    make_tokenizer(folder)
    make_transformer(folder, "distilbert")
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a real BERT with random weights that declares mean pooling and unit length."""
    from tiny_models import make_tokenizer, make_transformer

    folder = tmp_path_factory.mktemp("tiny-bert")
    make_tokenizer(folder)
    make_transformer(folder, "bert", sentence_transformers=True)
    return folder


@pytest.fixture(scope="session")
def tiny_exports(tiny_bert: Path, tiny_distilbert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder with the exports of both tiny models, which no test may change."""
    from embstore.encode.load import load_encoder
    from embstore.encode.onnx_export import export_encoder

    folder = tmp_path_factory.mktemp("exports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBSTORE_CACHE", str(folder))
        for model in (tiny_bert, tiny_distilbert):
            assert export_encoder(load_encoder(str(model), device="cpu")) == ""
    return folder
