"""What other processes do to a store; forked from one that has its imports done, so in milliseconds."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from embstore.errors import DiskFailure
from embstore.records import Record
from embstore.store import Store, is_store
from embstore.store.database import RecordsWriter
from embstore.store.files import writer_lock
from embstore.store.snapshot import RecordsReader
from store.building import fill, given, numbered

# A server that forks, not a fork of this process: its threads of torch and faiss do not survive one.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["embstore.store.writer", "store.workers"])

N = 120
DIM = 8
WINDOW = 6
# Seconds after which a process that says nothing fails its test.
PATIENCE = 30


@contextmanager
def running(work: Callable[..., None], *arguments: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """Run a function in another process, killed when the block ends; its first argument is a pipe to here."""
    ours, theirs = _SERVER.Pipe()
    process = _SERVER.Process(target=work, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join(PATIENCE)
        ours.close()


def hear(pipe: Connection) -> Any:
    """Return what the other process says next."""
    assert pipe.poll(PATIENCE), "the other process says nothing"
    return pipe.recv()


def revision(number: int) -> list[Record]:
    """Return N records as they are in a round: from one to the next, texts and labels change and some go."""
    records = []
    for i, record in enumerate(numbered(N)):
        text, label = str((i + number * (i % 3)) % N), f"{record.label}{number * (i % 2)}"
        records.append(replace(record, text=text, label=label))
    return [record for i, record in enumerate(records) if i % 11 != number % 11]


def build_revision(path: Path, number: int) -> None:
    """Bring a store to hold one round; goes on with it where that was begun."""
    fill(path, revision(number), given(N, DIM), window=WINDOW, fingerprint=str(number))


def next_revision(path: Path) -> int:
    """Return the round that a store is in, or the one after it where that is finished."""
    if not is_store(path):
        return 0
    reader = RecordsReader(path / "records.db")
    last = reader.last_build()
    reader.close()
    return int(last["dataset_fingerprint"]) + (last["finished"] is not None) if last else 0


def hold_lock(pipe: Connection, path: Path) -> None:
    """Hold the lock until told to let it go."""
    with writer_lock(path):
        pipe.send(os.getpid())
        pipe.recv()
    pipe.send("released")


def build_forever(pipe: Connection, path: Path) -> None:
    """Build round after round."""
    pipe.send("building")
    while True:
        build_revision(path, next_revision(path))


def read_until_told(pipe: Connection, path: Path) -> None:
    """Open the store and read all of it, again and again; tell how often, and what was not as it must be."""
    table = given(N, DIM).table
    times, wrong = 0, []
    pipe.send("reading")
    while not pipe.poll():
        with Store.open(path) as store:
            rows = np.sort(store.search(np.ones((1, DIM), dtype=np.float32), N)[1][0])
            texts = [int(record.text) for record in store.records(rows)]
            if len(rows) != len(store) or not np.array_equal(store.embeddings(rows), table[texts]):
                wrong.append(store.snapshot.sequence)
        times += 1
    pipe.send((times, wrong))


def die_inside_a_transaction(pipe: Connection, path: Path) -> None:
    """Be killed when half of a transaction is in the database file and its journal is hot."""
    database = RecordsWriter(path / "records.db")
    database._db.execute("PRAGMA cache_size = 1")  # pages go to the file before the commit
    with database.transaction():
        database._db.execute("UPDATE records SET label = 'wrong', extra = ?", ['{"x": "' + "y" * 3000 + '"}'])
        os.kill(os.getpid(), signal.SIGKILL)


def die_at(pipe: Connection, path: Path, nth: int, after: bool) -> None:
    """Build, and be killed just before or after the n-th call that makes something durable."""
    calls = 0

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            result = function(*arguments, **options) if after or calls < nth else None
            if calls >= nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    os.fsync, os.fdatasync = deadly(os.fsync), deadly(os.fdatasync)
    Path.replace = deadly(Path.replace)  # type: ignore[method-assign]
    Path.mkdir = deadly(Path.mkdir)  # type: ignore[method-assign]
    build_revision(path, next_revision(path))
    pipe.send("finished")


def build_with_file_limit(pipe: Connection, path: Path, limit: int) -> None:
    """Build where no file may have more bytes than this; tell how that ended."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        build_revision(path, 0)
    except DiskFailure as error:
        pipe.send(error.what)
    except BaseException as error:
        pipe.send(repr(error))
        raise
    else:
        pipe.send("finished")
