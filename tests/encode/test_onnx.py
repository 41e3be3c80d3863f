"""The exported encoder says what torch says, and is used only where that was shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import embstore
from embstore.encode import onnx_cache, onnx_export
from embstore.encode.onnx_encoder import OnnxEncoder, load_exported
from embstore.encode.onnx_export import PROBES, export_encoder
from embstore.encode.torch_encoder import TorchEncoder, load_encoder
from embstore.errors import InvalidInput

TEXTS = [*PROBES, "the cat sat", "the cat sat on the mat " * 9]


@pytest.fixture(autouse=True)
def _switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBSTORE_ONNX", "on")


@pytest.fixture(scope="module", params=["bert", "distilbert"])
def encoder(request: pytest.FixtureRequest) -> TorchEncoder:
    return load_encoder(str(request.getfixturevalue(f"tiny_{request.param}")), device="cpu")


@pytest.fixture(scope="module")
def cache(encoder: TorchEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder that holds the export."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBSTORE_CACHE", str(folder))
        assert export_encoder(encoder) == ""
    return folder


@pytest.fixture
def exported(encoder: TorchEncoder, cache: Path, monkeypatch: pytest.MonkeyPatch) -> OnnxEncoder:
    monkeypatch.setenv("EMBSTORE_CACHE", str(cache))
    found = load_exported(encoder.fingerprint)
    assert found is not None
    return found


def test_embeddings_are_those_of_torch(encoder: TorchEncoder, exported: OnnxEncoder) -> None:
    ours, theirs = exported.encode(TEXTS), encoder.encode(TEXTS)
    # float32 through other kernels.
    np.testing.assert_allclose(ours.embeddings, theirs.embeddings, atol=2e-5)
    assert np.array_equal(ours.truncated, theirs.truncated)
    assert ours.truncated.any()
    assert (exported.dim, exported.fingerprint) == (encoder.dim, encoder.fingerprint)
    assert exported.config == encoder.config


def test_order_and_company_do_not_change_an_embedding(exported: OnnxEncoder) -> None:
    together = exported.encode(TEXTS).embeddings
    for position, text in enumerate(TEXTS):
        np.testing.assert_allclose(exported.encode([text]).embeddings[0], together[position], atol=2e-5)


def test_no_texts_are_no_embeddings(exported: OnnxEncoder) -> None:
    assert exported.encode([]).embeddings.shape == (0, exported.dim)


@pytest.mark.parametrize("texts", ["one text", ["\ud800"]], ids=["str", "surrogate"])
def test_what_torch_refuses_is_refused(exported: OnnxEncoder, texts: object) -> None:
    with pytest.raises(InvalidInput):
        exported.encode(texts)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "encoder.json"])
@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_damaged_export_is_not_used(
    encoder: TorchEncoder,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    damage: str,
) -> None:
    copy = tmp_path / "copy"
    onnx = copy / "onnx" / encoder.fingerprint
    onnx.mkdir(parents=True)
    for file in (cache / "onnx" / encoder.fingerprint).iterdir():
        (onnx / file.name).write_bytes(file.read_bytes())
    if damage == "cut":
        (onnx / name).write_bytes((onnx / name).read_bytes()[:-9])
    else:
        (onnx / name).unlink()
    monkeypatch.setenv("EMBSTORE_CACHE", str(copy))
    assert load_exported(encoder.fingerprint) is None


def test_an_export_of_another_fingerprint_is_not_used(encoder: TorchEncoder, exported: OnnxEncoder) -> None:
    folder = onnx_cache.export_folder(encoder.fingerprint)
    other = folder.with_name("0" * 64)
    other.symlink_to(folder)
    assert load_exported("0" * 64) is None
    other.unlink()


def test_an_export_that_differs_is_remembered_and_not_used(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(str(tiny_bert), device="cpu")
    monkeypatch.setattr(onnx_export, "probe", lambda *_: 0.5)
    assert "0.5" in export_encoder(encoder)
    assert load_exported(encoder.fingerprint) is None
    monkeypatch.setattr(onnx_export, "_write_model", None)
    assert "0.5" in export_encoder(encoder), "it is not tried again"
    assert not onnx_cache.start_export(encoder.config, encoder.fingerprint)


def test_a_model_that_cannot_be_exported_is_remembered(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such operator")

    encoder = load_encoder(str(tiny_bert), device="cpu")
    monkeypatch.setattr(onnx_export, "_write_model", broken)
    assert export_encoder(encoder) == "RuntimeError: no such operator"
    assert load_exported(encoder.fingerprint) is None


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"trust_remote_code": True}], ids=str)
def test_only_float32_without_remote_code_is_exported(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert not onnx_cache.start_export({"dtype": "float32", "trust_remote_code": False, **change}, "0" * 64)


def test_switched_off_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBSTORE_ONNX", "off")
    monkeypatch.setattr(subprocess, "Popen", None)
    assert not onnx_cache.start_export({"dtype": "float32"}, "0" * 64)


def test_a_second_exporter_leaves_the_work_to_the_first(tiny_bert: Path) -> None:
    encoder = load_encoder(str(tiny_bert), device="cpu")
    lock = onnx_cache.export_folder(encoder.fingerprint).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    with onnx_export._alone(lock) as alone:
        assert alone
        assert "another process" in export_encoder(encoder)


def test_a_cold_query_imports_no_torch_once_there_is_an_export(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBSTORE_ONNX", "off")
    table = tmp_path / "mine.csv"
    table.write_text("text,label\nthe cat,a\nthe train,b\na mat,a\nso late,b\n")
    embstore.build_store(table, "mine", encoder=str(tiny_bert))
    embstore.fit_head("mine")
    encoder = load_encoder(str(tiny_bert), device="cpu")
    monkeypatch.setenv("EMBSTORE_ONNX", "on")
    arguments = [encoder.fingerprint, json.dumps(dict(encoder.config))]
    subprocess.run([sys.executable, "-m", "embstore.encode.onnx_export", *arguments], check=True)
    script = (
        "import sys; from embstore_cli.main import run\n"
        "assert run(['neighbors', 'the cat', '-s', 'mine']) == 0\n"
        "assert run(['classify', 'the cat', '-s', 'mine']) == 0\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'datasets', 'sqlite_utils', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "the cat" in done.stdout


def test_the_exporter_of_a_model_that_is_gone_ends_quietly(tmp_path: Path) -> None:
    config = json.dumps({"model": str(tmp_path / "gone")})
    assert onnx_export.main(["0" * 64, config]) == 1
