"""store.json: written once, checked by its own checksum."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from embstore.errors import EncoderMismatch, NotFound, StoreDamaged
from embstore.store import Store, is_store, read_manifest, verify_store
from embstore.store.files import TEMPORARY
from embstore.store.manifest import Manifest, _checksum, write_manifest
from store.building import fill, numbered
from stub_encoder import StubEncoder

MANIFEST = Manifest.new(16, "f" * 64, {"model": "größer", "max_length": 128, "prompt": None, "nested": [1.5]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / TEMPORARY).mkdir()
    write_manifest(tmp_path, MANIFEST)
    return tmp_path


def rewrite(folder: Path, **changes: Any) -> None:
    """Change values of the manifest, drop those that are None, and make the checksum hold."""
    values = {key: value for key, value in (asdict(MANIFEST) | changes).items() if value is not None}
    (folder / "store.json").write_text(json.dumps({**values, "checksum": _checksum(values)}))


def test_a_manifest_is_read_as_it_was_written(folder: Path) -> None:
    assert read_manifest(folder) == MANIFEST
    assert is_store(folder)


def test_each_store_has_an_identity_of_its_own() -> None:
    assert Manifest.new(1, "f", {}).uuid != Manifest.new(1, "f", {}).uuid


def test_a_folder_without_a_manifest_is_no_store(tmp_path: Path) -> None:
    assert not is_store(tmp_path)
    with pytest.raises(NotFound, match="There is no store in"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("old", ['"dim": 16', "größer", "ffff", "128", '"created"'])
def test_a_changed_value_is_damage(folder: Path, old: str) -> None:
    text = (folder / "store.json").read_text(encoding="utf-8")
    (folder / "store.json").write_text(text.replace(old, old[:-1] + "7", 1), encoding="utf-8")
    with pytest.raises(StoreDamaged) as caught:
        read_manifest(folder)
    assert caught.value.exit_code == 5


GARBAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda data: data[: len(data) // 2],
    "null": lambda _: b"null",
    "number": lambda _: b"7",
    "list": lambda _: b"[]",
    "list of strings": lambda _: b'["checksum"]',
    "string": lambda _: b'"checksum"',
    "object": lambda _: b"{}",
    "no UTF-8": lambda data: data.replace(b"model", b"m\xffdel"),
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("change", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_manifest_is_damage(folder: Path, change: Callable[[bytes], bytes]) -> None:
    (folder / "store.json").write_bytes(change((folder / "store.json").read_bytes()))
    with pytest.raises(StoreDamaged, match=r"store\.json"):
        read_manifest(folder)


@pytest.mark.parametrize("version", [0, 2, "1", None], ids=repr)
def test_a_format_version_that_is_not_known_is_refused(folder: Path, version: object) -> None:
    rewrite(folder, format_version=version)
    with pytest.raises(StoreDamaged, match=f"has format version {version}") as caught:
        read_manifest(folder)
    assert "upgrade" in caught.value.fix


@pytest.mark.parametrize("name", ["uuid", "created", "dim", "fingerprint", "encoder"])
def test_a_missing_value_is_damage(folder: Path, name: str) -> None:
    rewrite(folder, **{name: None})
    with pytest.raises(StoreDamaged, match=f"missing or unknown {name}"):
        read_manifest(folder)


def test_an_unknown_value_is_damage(folder: Path) -> None:
    rewrite(folder, color="red")
    with pytest.raises(StoreDamaged, match="missing or unknown color"):
        read_manifest(folder)


def test_a_store_whose_manifest_is_damaged_is_neither_opened_nor_verified(folder: Path) -> None:
    (folder / "store.json").write_text("{")
    for look in (Store.open, verify_store):
        with pytest.raises(StoreDamaged):
            look(folder)


def test_a_store_refuses_a_query_encoder_that_did_not_build_it(tmp_path: Path) -> None:
    path = fill(tmp_path / "store", numbered(3), StubEncoder(name="builder"))
    with pytest.raises(EncoderMismatch, match="not the one that built store") as caught:
        Store.open(path, encoder=StubEncoder(name="other"))
    assert caught.value.exit_code == 7
    assert "builder" in caught.value.why
    assert "other" in caught.value.why
