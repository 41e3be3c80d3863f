"""Files that are complete or not there, and the lock of the one writer."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from embstore.errors import DiskFailure, NotFound, StoreLocked
from embstore.store import Store
from embstore.store.files import TEMPORARY, durable_file, fsync_folder, writer_lock
from embstore.store.writer import open_writer
from store.building import copy, given
from store.workers import hear, hold_lock, running

OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    (tmp_path / TEMPORARY).mkdir()
    return tmp_path / TEMPORARY


def test_a_durable_file_appears_complete(tmp_path: Path, temporary: Path) -> None:
    with durable_file(tmp_path / "file", temporary) as file:
        file.write(b"half")
        assert not (tmp_path / "file").exists()
        file.write(b" and half")
    assert (tmp_path / "file").read_bytes() == b"half and half"
    assert list(temporary.iterdir()) == []


def test_a_durable_file_that_fails_leaves_no_trace(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(TypeError), durable_file(tmp_path / "file", temporary) as file:
        file.writelines([b"half", "not bytes"])  # type: ignore[list-item]
    assert (tmp_path / "file").read_bytes() == b"before"
    assert list(temporary.iterdir()) == []


def test_a_durable_file_is_synced_then_named_and_then_its_folder_is_synced(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        calls.append(f"sync {(OPEN_FILES / str(descriptor)).readlink().name}")
        fsync(descriptor)

    def named(path: Path, target: Path) -> Path:
        calls.append(f"name {target.name}")
        return replace(path, target)

    if not OPEN_FILES.is_dir():
        pytest.skip("no /proc to tell the names of open files")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named)
    with durable_file(tmp_path / "file", temporary) as file:
        file.write(b"x")
    assert calls == ["sync file", "name file", f"sync {tmp_path.name}"]


def test_a_folder_that_is_not_there_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fsync_folder(tmp_path / "none")


def test_the_lock_wipes_what_an_earlier_writer_left(tmp_path: Path, temporary: Path) -> None:
    (temporary / "folder").mkdir()
    (temporary / "folder" / "file").touch()
    with writer_lock(tmp_path):
        assert list(temporary.iterdir()) == []


def test_a_second_writer_in_this_process_is_refused(tmp_path: Path) -> None:
    with writer_lock(tmp_path), pytest.raises(StoreLocked), writer_lock(tmp_path):
        pytest.fail("it was locked twice")


def test_a_second_writer_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with running(hold_lock, tmp_path) as (_, pipe):
        holder = hear(pipe)
        with pytest.raises(StoreLocked) as caught, writer_lock(tmp_path):
            pytest.fail("it was locked twice")
    assert caught.value.exit_code == 4
    assert f"Process {holder} holds" in caught.value.why


def test_a_refused_writer_does_not_touch_the_files_of_the_other(tmp_path: Path) -> None:
    with running(hold_lock, tmp_path) as (_, pipe):
        holder = hear(pipe)
        (tmp_path / TEMPORARY / "unfinished").touch()
        with pytest.raises(StoreLocked), writer_lock(tmp_path):
            pytest.fail("it was locked twice")
        assert (tmp_path / TEMPORARY / "unfinished").exists()
        assert (tmp_path / "lock").read_text() == str(holder)


def test_the_lock_is_free_after_its_block(tmp_path: Path) -> None:
    with running(hold_lock, tmp_path) as (_, pipe):
        hear(pipe)
        pipe.send("let go")
        assert hear(pipe) == "released"
        with writer_lock(tmp_path):
            pass


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writer_lock(tmp_path):
        raise ZeroDivisionError
    with writer_lock(tmp_path):
        pass


def test_the_lock_is_free_after_its_holder_was_killed(tmp_path: Path) -> None:
    with running(hold_lock, tmp_path) as (process, pipe):
        hear(pipe)
        process.kill()
        process.join()
        with writer_lock(tmp_path):
            assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_writer_that_finds_a_longer_process_number_leaves_only_its_own(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123456789012")
    with writer_lock(tmp_path):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_readers_need_no_lock(small_store: Path, tmp_path: Path) -> None:
    path = copy(small_store, tmp_path / "copy")
    with running(hold_lock, path) as (_, pipe):
        hear(pipe)
        with Store.open(path) as store:
            assert len(store.neighbors_of_record("r0", 3)) == 3


def test_open_writer_refuses_a_locked_store(small_store: Path, tmp_path: Path) -> None:
    path = copy(small_store, tmp_path / "copy")
    with running(hold_lock, path) as (_, pipe):
        hear(pipe)
        with pytest.raises(StoreLocked), open_writer(path, given(1, 8)):
            pytest.fail("it was opened")


def test_a_file_system_without_locks_is_a_failure_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(DiskFailure, match="No locks available"), writer_lock(tmp_path):
        pytest.fail("it was locked")


@pytest.mark.parametrize("new", [False, True], ids=["gone", "built-again"])
def test_a_store_that_was_deleted_while_it_was_locked_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    flock = fcntl.flock

    def delete_then_lock(descriptor: int, operation: int) -> None:
        folder.rename(tmp_path / "deleted")
        if new:
            folder.mkdir()
            (folder / "lock").touch()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", delete_then_lock)
    with pytest.raises(NotFound, match="was deleted while"), writer_lock(folder):
        pytest.fail("it was locked")
    assert not new or (folder / "lock").read_text() == ""
