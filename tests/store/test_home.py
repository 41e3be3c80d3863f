"""Where stores live: names, paths, the home, and which store is meant without a name."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from embstore.errors import DiskFailure, InvalidInput, NotFound, StoreLocked
from embstore.flows.inspect import list_stores
from embstore.store import (
    Store,
    delete_store,
    find_store,
    home_folder,
    store_names,
    store_path,
    verify_store,
)
from embstore.store.files import writer_lock
from embstore.store.snapshot import RecordsReader
from embstore.store.writer import open_writer
from store.building import commit, fill, given, numbered

Forbid = Callable[[Path, int], None]
ENCODER = given(10, 4)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBSTORE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_home_is_the_argument_else_the_environment_else_indices(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home_folder("elsewhere") == Path("elsewhere")
    assert home_folder() == home
    monkeypatch.setenv("EMBSTORE_HOME", "")
    assert home_folder() == Path("indices")


@pytest.mark.parametrize("name", ["emotion", "a", "7", "_x", "my-store.v2", "A_b"])
def test_a_name_is_a_folder_of_the_home(home: Path, name: str) -> None:
    assert store_path(name) == home / name
    assert store_path(name, "elsewhere") == Path("elsewhere") / name


@pytest.mark.parametrize("path", ["./emotion", "/x/emotion", "a/b"])
def test_what_has_a_separator_is_a_path(home: Path, path: str) -> None:
    assert store_path(path) == Path(path)


def test_a_path_object_is_a_path(home: Path) -> None:
    assert store_path(Path("emotion")) == Path("emotion")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "-s", "a b", "ü", "a\n", "a\0", "*"], ids=repr)
def test_a_bad_name_is_refused(home: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="is no name for a store"):
        store_path(name)


def test_names_are_those_of_stores_sorted(home: Path) -> None:
    assert store_names() == []
    for name in ("b", "a"):
        fill(home / name, [], ENCODER)
    (home / "folder").mkdir()
    (home / "file").touch()
    assert store_names() == ["a", "b"]


@pytest.mark.parametrize("mode", [0o000, 0o400], ids=["closed", "listed-only"])
def test_a_folder_that_may_not_be_looked_into_hides_no_other(home: Path, forbid: Forbid, mode: int) -> None:
    for name in ("a", "b"):
        fill(home / name, numbered(2), ENCODER)
    forbid(home / "b", mode)
    assert store_names() == ["a", "b"]
    whole, closed = list_stores()
    assert (whole.store, whole.records, whole.problem) == ("a", 2, "")
    assert (closed.store, closed.records, closed.damaged) == ("b", 0, False)
    assert closed.problem == f"Reading {home}/b/store.json failed: Permission denied."
    assert find_store() == find_store("a") == home / "a"
    with pytest.raises(NotFound):
        find_store("c")
    for use in (find_store, delete_store, verify_store, lambda name: fill(home / name, [], ENCODER)):
        with pytest.raises(DiskFailure, match="Permission denied") as caught:
            use("b")
        assert caught.value.fix == f"chmod u+rX {home}/b"


def test_a_store_of_a_home_that_may_not_be_listed_is_opened_by_its_name(home: Path, forbid: Forbid) -> None:
    fill(home / "a", numbered(2), ENCODER)
    forbid(home, 0o100)
    with Store.open("a") as store:
        assert len(store) == 2
    with pytest.raises(NotFound) as unknown:
        find_store("c")
    assert unknown.value.why == f"Reading {home} failed: Permission denied."
    for look in (find_store, store_names, list_stores):
        with pytest.raises(DiskFailure, match=f"Reading {home} failed") as caught:
            look()
        assert caught.value.fix == f"chmod u+rX {home}"


def test_no_store_is_made_in_a_folder_that_may_not_be_looked_into(home: Path, forbid: Forbid) -> None:
    (home / "mine").mkdir(parents=True)
    forbid(home / "mine", 0o300)
    with pytest.raises(DiskFailure, match=r"Reading .*mine failed"):
        fill(home / "mine", [], ENCODER)
    forbid(home, 0o000)
    with pytest.raises(DiskFailure, match="Permission denied"):
        fill(home / "new", [], ENCODER)


def test_what_an_interrupted_deletion_left_is_no_store(home: Path) -> None:
    fill(home / "a", [], ENCODER)
    fill(home / ".deleted-01234567-b", [], ENCODER)
    assert store_names() == ["a"]
    assert find_store() == home / "a"


def test_without_any_store_the_error_says_how_to_build_one(home: Path) -> None:
    with pytest.raises(NotFound, match="embstore build"):
        find_store()


def test_an_unknown_store_is_not_found_and_the_known_ones_are_named(home: Path) -> None:
    fill(home / "emotion", [], ENCODER)
    with pytest.raises(NotFound, match=r"There is no store emotoin.") as caught:
        find_store("emotoin")
    assert "emotion" in caught.value.why
    assert caught.value.fix == f"-s emotion   # or make it: embstore build DATASET -s {home}/emotoin"


@pytest.mark.parametrize(
    ("name", "path"),
    [("banking", "{}/banking"), ("elsewhere/emotoin", "elsewhere/emotoin")],
    ids=["unlike", "elsewhere"],
)
def test_no_store_is_offered_for_one_that_is_not_like_it(home: Path, name: str, path: str) -> None:
    fill(home / "emotion", [], ENCODER)
    with pytest.raises(NotFound) as caught:
        find_store(name)
    assert caught.value.fix == f"embstore build DATASET -s {path.format(home)}"


def test_the_only_store_is_meant_without_a_name(home: Path) -> None:
    fill(home / "a", numbered(2), ENCODER)
    with Store.open() as store:
        assert store.name == "a"


@pytest.mark.parametrize("names", ["abc", "cba", "bca"])
def test_the_store_built_last_is_meant_without_a_name(home: Path, names: str) -> None:
    for name in names:
        fill(home / name, numbered(2), ENCODER)
    assert find_store() == home / names[-1]


def test_a_build_that_was_finished_later_is_the_last(home: Path) -> None:
    with open_writer(home / "b", ENCODER) as writer:
        commit(writer, numbered(2), ENCODER, writer.begin_build("test data", "1", keep_others=False))
    fill(home / "a", numbered(2), ENCODER)
    assert find_store() == home / "a"
    fill(home / "b", numbered(4), ENCODER, fingerprint="1")
    assert find_store() == home / "b"


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_a_damaged_store_does_not_hide_the_others(home: Path, damage: str) -> None:
    for name in ("a", "b"):
        fill(home / name, numbered(2), ENCODER)
    (home / "b" / "records.db").unlink()
    if damage == "garbage":
        (home / "b" / "records.db").write_bytes(b"garbage " * 1000)
    assert find_store() == home / "a"


def test_delete_removes_all_of_a_store_and_nothing_else(home: Path) -> None:
    for name in ("a", "b"):
        fill(home / name, numbered(2), ENCODER)
    delete_store(home / "a")
    assert [path.name for path in home.iterdir()] == ["b"]


def test_delete_does_not_take_the_store_built_last_for_none(home: Path) -> None:
    fill(home / "a", numbered(2), ENCODER)
    with pytest.raises(InvalidInput, match="not named"):
        delete_store(None, home=home)
    assert (home / "a").is_dir()


def test_delete_refuses_a_folder_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(NotFound):
        delete_store(tmp_path)
    assert (tmp_path / "precious").exists()


def test_delete_refuses_a_store_that_is_being_written(home: Path) -> None:
    fill(home / "a", numbered(2), ENCODER)
    with writer_lock(home / "a"), pytest.raises(StoreLocked):
        delete_store(home / "a")
    assert store_names() == ["a"]


def test_a_reader_whose_store_was_deleted_is_told_so(home: Path) -> None:
    fill(home / "a", numbered(8), ENCODER, index=False)
    with Store.open("a") as store:
        delete_store(home / "a")
        with pytest.raises(DiskFailure, match=r"Reading .*000001\.f32 failed: No such file"):
            store.search(ENCODER.table[:1], 3)


def test_a_store_is_deleted_by_its_name(home: Path) -> None:
    fill(home / "a", [], ENCODER)
    assert delete_store("a") == home / "a"
    assert store_names() == []


def test_a_linked_store_is_deleted_with_its_link(home: Path, tmp_path: Path) -> None:
    target = fill(tmp_path / "elsewhere" / "real", [], ENCODER)
    home.mkdir()
    (home / "a").symlink_to(target)
    delete_store("a")
    assert list(home.iterdir()) == list((tmp_path / "elsewhere").iterdir()) == []


def test_the_store_around_the_current_folder_is_deleted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fill(home / "a", [], ENCODER))
    delete_store("./")
    assert list(home.iterdir()) == []


def test_a_deletion_that_fails_halfway_says_what_is_left_and_the_next_one_sweeps_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    for name in ("a", "b"):
        fill(home / name, [], ENCODER)
    (home / ".deleted-mine").mkdir()
    remove = shutil.rmtree
    monkeypatch.setattr(
        shutil, "rmtree", lambda path, **_: (fail if ".deleted" in path.name else remove)(path)
    )
    with pytest.raises(DiskFailure, match=r"Deleting .*a failed") as caught:
        delete_store("a")
    monkeypatch.setattr(shutil, "rmtree", remove)
    assert "What is left of it is" in caught.value.why
    assert store_names() == ["b"]
    delete_store("b")
    assert [path.name for path in home.iterdir()] == [".deleted-mine"]


def test_a_store_that_cannot_be_renamed_stays_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    fill(home / "a", [], ENCODER)
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(DiskFailure, match=r"Deleting .*a failed") as caught:
        delete_store("a")
    assert "is whole" in caught.value.why
    assert store_names() == ["a"]


@pytest.mark.parametrize("later", ["unfinished", "empty"])
def test_a_finished_build_wins_over_a_later_one_that_has_nothing_to_show(home: Path, later: str) -> None:
    fill(home / "b", numbered(2), ENCODER)
    if later == "empty":
        fill(home / "a", [], ENCODER)
    else:
        with open_writer(home / "a", ENCODER) as writer:
            commit(writer, numbered(2), ENCODER, writer.begin_build("test data", "1", keep_others=False))
    assert find_store() == home / "b"
    delete_store("b")
    assert find_store() == home / "a"


@pytest.mark.parametrize("error", [DiskFailure("failing"), StoreLocked("held")], ids=["disk", "lock"])
def test_a_store_that_cannot_be_asked_does_not_hide_the_others(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    ask = RecordsReader.last_built

    def fail_for_b(reader: RecordsReader) -> tuple[str, str]:
        if "b" in reader._path.parts:
            raise error
        return ask(reader)

    for name in ("a", "b"):
        fill(home / name, numbered(2), ENCODER)
    monkeypatch.setattr(RecordsReader, "last_built", fail_for_b)
    assert find_store() == home / "a"


def test_a_store_is_verified_by_its_name(home: Path) -> None:
    fill(home / "a", numbered(2), ENCODER)
    assert verify_store("a") == verify_store() == verify_store(home / "a")
    assert verify_store("a").store == str(home / "a")
