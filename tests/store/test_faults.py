"""Disks that are full or failing: one clear error, nothing lost, and the same build completes later."""

from __future__ import annotations

import errno
import getpass
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from embstore.errors import DiskFailure, StoreDamaged, StoreLocked
from embstore.store import Store, is_store, permissions, shards, verify_store
from embstore.store.faults import disk_faults, sqlite_faults
from embstore.store.keeping import write_derived
from store.building import content, copy, fill, given, numbered
from store.workers import build_revision, build_with_file_limit, hear, running

Forbid = Callable[[Path, int], None]
N = 30
ERRORS = {
    "full": OSError(errno.ENOSPC, "No space left on device"),
    "failing": OSError(errno.EIO, "Input/output error"),
    "Ctrl-C": KeyboardInterrupt(),
}
# All that a build asks of the operating system in Python; SQLite's own calls are failed by real limits below.
CALLS: list[tuple[Any, str]] = [
    (os, "fsync"),
    (os, "fdatasync"),
    (os, "ftruncate"),
    (os, "pwrite"),
    (os, "open"),
    (Path, "open"),
    (Path, "mkdir"),
    (Path, "replace"),
    (Path, "unlink"),
    (shards, "_write_all"),
]


def build(path: Path) -> None:
    """Build a store of two windows and, over it, a third: the second index replaces the first."""
    records = numbered(N)
    fill(path, records[:20], given(N, 4), window=10)
    fill(path, records, given(N, 4), window=10, fingerprint="2")


def fail_the(nth: int, error: BaseException, *, halfway: bool, patch: pytest.MonkeyPatch) -> list[str]:
    """Let the n-th of all `CALLS` fail; return a list that the name of that call is put into."""
    failed: list[str] = []
    calls = 0

    def failing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls != nth:
                return function(*arguments, **options)
            failed.append(name)
            if halfway and name == "_write_all":
                function(arguments[0], arguments[1][:100])
            elif halfway and name not in {"open", "mkdir"}:
                function(*arguments, **options)
            raise error

        return call

    for owner, name in CALLS:
        patch.setattr(owner, name, failing(name, getattr(owner, name)))
    return failed


def completes(path: Path, expected: type[BaseException]) -> bool:
    """Build; tell whether that came to its end, not to the expected error."""
    try:
        build(path)
    except expected:
        return False
    return True


@pytest.mark.parametrize(("kind", "halfway"), [("full", False), ("failing", True), ("Ctrl-C", True)])
def test_whatever_call_fails_nothing_is_lost(tmp_path: Path, kind: str, halfway: bool) -> None:
    error = ERRORS[kind]
    build(tmp_path / "unharmed")
    wanted = content(tmp_path / "unharmed")
    failed: list[str] = []
    for nth in count(1):
        path = tmp_path / str(nth)
        with pytest.MonkeyPatch.context() as patch:
            names = fail_the(nth, error, halfway=halfway, patch=patch)
            completed = completes(path, DiskFailure if isinstance(error, OSError) else type(error))
        if not names:
            break
        failed += names
        if is_store(path):
            assert verify_store(path).problems == (), names
        assert not completed or content(path) == wanted, names
        build(path)
        assert verify_store(path).problems == (), names
        assert content(path) == wanted, names
    assert set(failed) == {name for _, name in CALLS}


def test_a_disk_failure_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_the(1, ERRORS["full"], halfway=False, patch=monkeypatch)
    with pytest.raises(DiskFailure, match="No space left on device") as caught:
        build(tmp_path / "store")
    assert caught.value.exit_code == 6
    assert "make room" in caught.value.fix


LIMITS = [100, 4096, 5000, 8192, 20_000, 40_960, 50_000, 65_536, 70_000]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_build_that_may_write_no_more_goes_on_later(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "store"
    with running(build_with_file_limit, path, limit) as (_, pipe):
        assert "failed" in hear(pipe)
    if is_store(path):
        assert verify_store(path).problems == ()
    build_revision(path, 0)
    build_revision(tmp_path / "unharmed", 0)
    assert verify_store(path).problems == ()
    assert content(path) == content(tmp_path / "unharmed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a real file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount")
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("room", range(0, 100, 8), ids=lambda room: f"{room}-KiB")
def test_a_full_disk_fails_the_build_and_after_making_room_it_completes(
    small_disk: Path, tmp_path: Path, room: int
) -> None:
    path, ballast = small_disk / "store", small_disk / "ballast"
    ballast.write_bytes(bytes((256 - room) << 10))
    with pytest.raises(DiskFailure):
        build_revision(path, 0)
    if is_store(path):
        assert verify_store(path).problems == ()
    ballast.unlink()
    build_revision(path, 0)
    build_revision(tmp_path / "unharmed", 0)
    assert verify_store(path).problems == ()
    assert content(path) == content(tmp_path / "unharmed")


def test_a_store_on_a_full_disk_is_read(small_disk: Path) -> None:
    path = small_disk / "store"
    build_revision(path, 0)
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(bytes(1 << 20))
    with Store.open(path) as store:
        assert len(store.neighbors_of_record("r1", 3)) == 3
    assert verify_store(path).problems == ()


@pytest.mark.parametrize(
    ("message", "code", "expected"),
    [
        ("database or disk is full", 13, DiskFailure),
        ("disk I/O error", 10, DiskFailure),
        ("disk I/O error", 10 | 3 << 8, DiskFailure),
        ("attempt to write a readonly database", 8, DiskFailure),
        ("unable to open database file", 14, DiskFailure),
        ("database is locked", 5, StoreLocked),
        ("database disk image is malformed", 11, StoreDamaged),
        ("file is not a database", 26, StoreDamaged),
        ("no such table: state", 1, StoreDamaged),
    ],
)
@pytest.mark.parametrize("with_code", [True, False], ids=["code", "message-alone"])
def test_errors_of_sqlite_are_told_apart(
    message: str, code: int, expected: type[Exception], with_code: bool
) -> None:
    error = sqlite3.OperationalError(message)
    if with_code:
        error.sqlite_errorcode = code
    with pytest.raises(expected), sqlite_faults(Path("records.db")):
        raise error


def test_a_store_that_was_closed_is_not_called_damaged(small_store: Path) -> None:
    store = Store.open(small_store)
    store.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        store.rows()


REFUSING = {
    "database to read": ("records.db", 0o000, "Reading", "u+rX"),
    "database to write": ("records.db", 0o400, "Writing to", "u+rwX"),
    "shard to read": ("embeddings/000001.f32", 0o000, "Reading", "u+rX"),
    "folder of shards": ("embeddings", 0o000, "Reading", "u+rX"),
    "store": (".", 0o000, "Reading", "u+rX"),
    "lock": ("lock", 0o400, "Writing to", "u+rwX"),
    "folder of heads": ("heads", 0o500, "Writing to", "u+rwX"),
}


@pytest.mark.parametrize(("name", "mode", "doing", "chmod"), REFUSING.values(), ids=REFUSING.keys())
def test_what_permissions_forbid_is_named_with_the_line_that_allows_it(
    small_store: Path, tmp_path: Path, forbid: Forbid, name: str, mode: int, doing: str, chmod: str
) -> None:
    path = copy(small_store, tmp_path / "a store", lambda path: (path / "heads").mkdir())
    use = {"Reading": read, "Writing to": write}[doing]
    forbid(path / name, mode)
    with pytest.raises(DiskFailure, match=f"^{doing} ") as caught:
        use(path)
    assert f"{path / name} is " in caught.value.why
    assert f"; this is {getpass.getuser()}." in caught.value.why
    assert caught.value.fix == f"chmod {chmod} '{path / name}'"
    subprocess.run(["sh", "-c", caught.value.fix], check=True)
    use(path)


def read(path: Path) -> None:
    with Store.open(path) as store:
        store.neighbors_of_record("r1", 3)


def write(path: Path) -> None:
    write_derived(path, "head", "one", {"weights": np.zeros(1)}, {})


def test_a_file_of_another_user_is_not_ours_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "_allows", lambda path, _: path != tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 123_456_789)
    why, reading = permissions.refusal(tmp_path, writing=False) or ("", "")
    assert "this is 123456789." in why
    assert reading.startswith(f"ls -ld {tmp_path}   # ")
    assert permissions.refusal(tmp_path, writing=True) == (why, reading)


def test_a_file_system_that_takes_no_writing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(DiskFailure, match="Read-only file system") as caught, disk_faults(tmp_path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / "new"))
    assert caught.value.why == f"{tmp_path} lies on a file system that is mounted read-only."
    assert caught.value.fix.startswith(f"df {tmp_path}   # ")
    assert permissions.refusal(tmp_path, writing=False) is None


def test_permissions_are_not_blamed_for_what_they_allow(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", tmp_path / "missing" / "too", tmp_path / ("x" * 300)):
        for writing in (False, True):
            assert permissions.refusal(path, writing=writing) is None


@pytest.mark.parametrize(("doing", "advice"), [("Reading", "permissions"), ("Writing to", "make room")])
def test_the_advice_fits_what_was_done(tmp_path: Path, doing: Any, advice: str) -> None:
    with pytest.raises(DiskFailure, match=f"{doing} .* failed") as caught, disk_faults(tmp_path, doing):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert advice in caught.value.fix
    assert ("unfinished window" in caught.value.why) == (doing == "Writing to")
