"""An export is used only where it is whole and agreed with torch; else it is made again, or torch answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embstore.encode import onnx_background, onnx_cache, onnx_encoder, onnx_export
from embstore.encode.config import EncoderOptions
from embstore.encode.load import load_encoder
from embstore.encode.onnx_background import lock_of, start_export, tell_problem
from embstore.encode.onnx_cache import export_folder, read_settings
from embstore.encode.onnx_encoder import load_exported
from embstore.encode.onnx_export import export_encoder
from embstore.encode.torch_encoder import TorchEncoder
from embstore.errors import DiskFailure, InvalidInput

CONFIG = {"dtype": "float32", "trust_remote_code": False, "model": "mine"}
OTHER = "0" * 64
FILES = ["model.onnx", "weights.bin", "tokenizer.json", "encoder.json"]


@pytest.fixture(autouse=True)
def _switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBSTORE_ONNX", "on")


@pytest.fixture(scope="module")
def encoder(tiny_bert: Path) -> TorchEncoder:
    return load_encoder(str(tiny_bert), device="cpu")


@pytest.fixture
def folder(encoder: TorchEncoder, tiny_exports: Path, tmp_path: Path, _own_home: None) -> Path:
    """Return the folder of an export that the test may damage."""
    shutil.copytree(tiny_exports, tmp_path / "cache")
    lock_of(encoder.fingerprint).unlink()
    return export_folder(encoder.fingerprint)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of processes that would have been started, as their arguments and options."""
    calls: list[Any] = []

    class Started:
        pid = 2**30

        def __init__(self, arguments: list[str], **options: Any) -> None:
            calls.append((arguments, options))

    monkeypatch.setattr(onnx_background.subprocess, "Popen", Started)
    return calls


def begun_long_ago(fingerprint: str) -> None:
    hour_ago = time.time() - 3600
    os.utime(lock_of(fingerprint), (hour_ago, hour_ago))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [cut, flip, empty, remove], ids=lambda one: one.__name__)
def test_a_damaged_export_is_not_used_and_is_made_again(
    encoder: TorchEncoder, folder: Path, started: list[Any], name: str, damage: Callable[[Path], None]
) -> None:
    assert load_exported(encoder.fingerprint) is not None
    assert not start_export(encoder.config, encoder.fingerprint)
    damage(folder / name)
    assert load_exported(encoder.fingerprint) is None
    assert start_export(encoder.config, encoder.fingerprint)
    assert len(started) == 1


def test_making_a_damaged_export_again_mends_it(encoder: TorchEncoder, folder: Path) -> None:
    flip(folder / "weights.bin")
    # What a process left that was killed at it.
    (folder.with_suffix(".making")).mkdir()
    (folder.with_suffix(".making") / "plain.onnx").write_bytes(b"half")
    assert export_encoder(encoder) == ""
    assert load_exported(encoder.fingerprint) is not None
    assert [path.name for path in folder.parent.glob("*.making")] == []
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("key", ["pooling", "max_length"])
def test_settings_that_were_changed_by_hand_are_not_used(
    encoder: TorchEncoder, folder: Path, key: str
) -> None:
    settings = json.loads((folder / "encoder.json").read_text())
    settings["config"][key] = {"pooling": "cls", "max_length": 8}[key]
    (folder / "encoder.json").write_text(json.dumps(settings))
    assert load_exported(encoder.fingerprint) is None


def test_an_export_of_another_fingerprint_is_not_used(encoder: TorchEncoder, folder: Path) -> None:
    folder.rename(folder.with_name(OTHER))
    assert load_exported(OTHER) is None


@pytest.mark.parametrize("fingerprint", ["../elsewhere", "", "A" * 64, "0" * 63])
def test_what_is_no_fingerprint_leads_nowhere(folder: Path, fingerprint: str) -> None:
    shutil.copytree(folder, folder.parents[1] / "elsewhere")
    assert read_settings(fingerprint) is None


def test_the_runtime_is_the_same_whether_or_not_it_is_loaded() -> None:
    assert onnx_background.runtime() == onnx_encoder.RUNTIME


def test_an_export_that_was_probed_under_another_runtime_is_made_again(
    encoder: TorchEncoder, folder: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = {**onnx_encoder.RUNTIME, "onnxruntime": "99.0"}
    monkeypatch.setattr(onnx_encoder, "RUNTIME", newer)
    monkeypatch.setattr(onnx_background, "runtime", lambda: newer)
    assert load_exported(encoder.fingerprint) is None
    assert start_export(encoder.config, encoder.fingerprint)


def test_an_export_that_differs_is_remembered_and_not_used(
    encoder: TorchEncoder, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "_write_model", lambda *_: None)
    monkeypatch.setattr(onnx_export, "open_exported", lambda *_: None)
    monkeypatch.setattr(onnx_export, "probe", lambda *_: 0.5)
    assert export_encoder(encoder) == "it differs from torch by 0.5 of an embedding's length"
    assert load_exported(encoder.fingerprint) is None
    settings = read_settings(encoder.fingerprint)
    assert settings is not None
    assert settings["difference"] == 0.5
    assert not start_export(encoder.config, encoder.fingerprint)
    monkeypatch.setattr(onnx_export, "_make", None)
    assert "0.5" in export_encoder(encoder), "it is not tried again"
    # A newer torch may export what this one cannot.
    begun_long_ago(encoder.fingerprint)
    monkeypatch.setattr(onnx_background, "version", lambda _: "99.0")
    assert start_export(encoder.config, encoder.fingerprint)


def test_a_wrong_graph_fails_the_probe(encoder: TorchEncoder, tiny_distilbert: Path, folder: Path) -> None:
    settings = read_settings(encoder.fingerprint)
    assert settings is not None
    exported = onnx_encoder.open_exported(folder, settings)
    assert onnx_export.probe(encoder, exported) < onnx_export.TOLERANCE
    other = load_encoder(EncoderOptions(str(tiny_distilbert), pooling="mean", normalize=True), device="cpu")
    assert onnx_export.probe(other, exported) > onnx_export.TOLERANCE


def test_a_model_that_cannot_be_exported_is_remembered_and_told_once(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(onnx_export, "_write_model", broken)
    assert export_encoder(encoder) == "RuntimeError: no such operator"
    assert load_exported(encoder.fingerprint) is None
    for _ in range(3):
        tell_problem(encoder.fingerprint)
    assert len(caplog.records) == 1
    assert "no such operator" in caplog.text


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()], ids=repr)
def test_trouble_of_the_machine_is_not_remembered(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(onnx_export, "_write_model", broken)
    with pytest.raises((DiskFailure, MemoryError)):
        export_encoder(encoder)
    assert read_settings(encoder.fingerprint) is None
    assert not list(onnx_cache.cache_folder().rglob("*.making"))


def test_a_full_disk_is_told_before_anything_is_written(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(DiskFailure, match="0 MiB are free"):
        export_encoder(encoder)


def test_a_cache_that_cannot_be_written_is_left_alone(
    encoder: TorchEncoder, started: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMBSTORE_CACHE", str(tmp_path / "file"))
    assert load_exported(encoder.fingerprint) is None
    assert not start_export(encoder.config, encoder.fingerprint)
    assert started == []
    with pytest.raises(DiskFailure):
        export_encoder(encoder)


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"trust_remote_code": True}], ids=str)
def test_only_float32_without_remote_code_is_exported(started: list[Any], change: dict[str, Any]) -> None:
    assert not start_export({**CONFIG, **change}, OTHER)
    assert started == []


def test_an_encoder_of_another_dtype_is_refused(tiny_bert: Path) -> None:
    with pytest.raises(InvalidInput, match="float32"):
        export_encoder(load_encoder(EncoderOptions(str(tiny_bert), dtype="bfloat16"), device="cpu"))


@pytest.mark.parametrize("value", ["off", "0", "no", "OFF"])
def test_switched_off_nothing_is_started(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("EMBSTORE_ONNX", value)
    assert not start_export(CONFIG, OTHER)
    assert started == []


def test_an_export_is_begun_once_in_ten_minutes(started: list[Any]) -> None:
    assert [start_export(CONFIG, OTHER) for _ in range(3)] == [True, False, False]
    begun_long_ago(OTHER)
    assert start_export(CONFIG, OTHER)


def test_the_process_is_silent_and_imports_nothing_from_the_current_folder(started: list[Any]) -> None:
    start_export(CONFIG, OTHER)
    ((arguments, options),) = started
    assert arguments[1:4] == ["-m", "embstore.encode.onnx_export", OTHER]
    assert {options[name] for name in ("stdin", "stdout", "stderr")} == {subprocess.DEVNULL}
    assert options["start_new_session"]
    assert options["env"]["PYTHONSAFEPATH"] == "1"


def test_a_second_exporter_leaves_the_work_to_the_first(encoder: TorchEncoder) -> None:
    lock = lock_of(encoder.fingerprint)
    lock.parent.mkdir(parents=True)
    with onnx_export._alone(lock) as alone:
        assert alone
        assert "another process" in export_encoder(encoder)


def test_the_exporter_of_a_model_that_is_gone_ends_quietly(tmp_path: Path) -> None:
    config = json.dumps({"model": str(tmp_path / "gone")})
    assert onnx_export.main([OTHER, config]) == 1


def test_the_exporter_keeps_nothing_where_the_models_files_have_changed(encoder: TorchEncoder) -> None:
    assert onnx_export.main([OTHER, json.dumps(dict(encoder.config))]) == 1
    assert not onnx_cache.cache_folder().exists()


def test_without_a_home_nothing_is_kept_and_nothing_breaks(
    encoder: TorchEncoder, started: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "EMBSTORE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert load_exported(encoder.fingerprint) is None
    assert not onnx_cache.was_chosen(encoder.fingerprint)
    assert not start_export(encoder.config, encoder.fingerprint)
    with pytest.raises(DiskFailure):
        export_encoder(encoder)
    assert not list(tmp_path.glob("~*"))
