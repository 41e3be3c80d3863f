"""The encoder in a process of its own: both halves, and the few words that they exchange.

torch comes back to Python hundreds of times a batch, and each time needs the lock that the event loop holds
while it reads, refuses and writes.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from threadpoolctl import ThreadpoolController

from embstore.errors import EmbstoreError
from embstore.flows.opening import serving_encoder
from embstore.records import Encoded, TextEncoder
from embstore.service.problems import NotReady
from embstore.store import Store, read_manifest
from embstore.store.structures.exact import n_threads

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

#: Threads that the encoder may use, and texts.
Asked: TypeAlias = tuple[int, list[str]]
#: Length of an embedding, fingerprint and config.
Facts: TypeAlias = tuple[int, str, Mapping[str, Any]]


class EncoderProcess:
    """An encoder that another process runs; where that ends, another is started. For one thread at a time.

    The other process ends with this one, whatever ends it, and with the last reference to this object.

    Parameters
    ----------
    path : Path
        Folder of the store whose encoder it is.

    Attributes
    ----------
    dim, fingerprint, config
        Of the encoder; see `TextEncoder`.
    pid : int
        Of the process.

    Raises
    ------
    NotFound, StoreDamaged, EncoderMismatch
        See `Store.open`.
    NotReady
        The process ended while it loaded the encoder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.dim, self.fingerprint, self.config = self._start()

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Embed texts by as many threads as faiss would use here.

        Raises
        ------
        NotReady
            The process ended twice over these texts, or another cannot be started.
        Exception
            Whatever the encoder raised.
        """
        asked: Asked = n_threads(), list(texts)
        try:
            found = self._ask(asked)
        except (EOFError, OSError):
            logger.warning("The encoder's process ended; another is started.")
            found = self._ask_again(asked)
        return _unless_error(found)

    def _ask(self, asked: Asked) -> Encoded | Exception:
        self._connection.send(asked)
        found: Encoded | Exception = self._connection.recv()
        return found

    def _ask_again(self, asked: Asked) -> Encoded | Exception:
        try:
            self._start_again()
            return self._ask(asked)
        except (EOFError, OSError) as error:
            raise NotReady(
                "The encoder's process ended again.",
                why="It is killed where the machine or its container has no more memory.",
                fix="embstore serve --workers 1   (or a larger limit)",
            ) from error

    def _start_again(self) -> None:
        self.close()
        try:
            _, fingerprint, _ = self._start()
        except EmbstoreError as error:
            # Not the caller's mistake, whatever it is called elsewhere.
            raise NotReady(error.what, why=error.why, fix=error.fix) from error
        if fingerprint != self.fingerprint:
            self.close()
            raise NotReady("The store was built anew with another encoder, which answers in a moment.")

    def _start(self) -> Facts:
        """Start a process and return what its encoder is."""
        ours, theirs = Pipe()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 (our own module, and no shell)
                [sys.executable, "-m", __name__, str(theirs.fileno()), str(self._path)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # What is printed there, the service's address, is for programs to read.
                stdout=subprocess.DEVNULL,
                # Ctrl-C is for the service, which finishes what it has begun.
                start_new_session=True,
                # `-m` would import from the current folder, where anybody's torch.py may stand.
                env={**os.environ, "PYTHONSAFEPATH": "1"},
            )
        self._connection = ours
        self.pid = process.pid
        #: Ends the process, which has nothing to lose; done by itself once nobody holds this object.
        self.close = weakref.finalize(self, _end, process, ours)
        try:
            facts: Facts | Exception = ours.recv()
        except EOFError as error:
            raise NotReady(
                "The encoder's process ended while it loaded the encoder.",
                why=f"Its exit status is {process.wait()}.",
                fix="embstore doctor",
            ) from error
        return _unless_error(facts)


def load_for_service(path: Path) -> TextEncoder:
    """Return a store's encoder, warm; takes some seconds where torch must be loaded.

    Parameters
    ----------
    path : Path
        The store's folder.

    Raises
    ------
    NotFound, StoreDamaged, EncoderMismatch
        See `Store.open`.
    """
    manifest = read_manifest(path)
    with Store.open(path, encoder=serving_encoder(manifest.encoder, manifest.fingerprint)) as store:
        encoder = store.encoder
    # Memory that is mapped by the first query is mapped by this one instead.
    encoder.encode(["warm"])
    return encoder


def answer(connection: Connection, path: Path) -> None:
    """Load a store's encoder, tell its facts, and encode what is sent until nobody is there to send."""
    try:
        encoder = load_for_service(path)
        facts: Facts = encoder.dim, encoder.fingerprint, dict(encoder.config)
    except Exception as error:  # noqa: BLE001 - whatever it is, the service tells it
        _send(connection, error)
        return
    pools = ThreadpoolController()
    usual = n_threads()
    # The service went away: there is nobody to tell.
    with suppress(EOFError, OSError):
        connection.send(facts)
        while True:
            asked: Asked = connection.recv()
            threads, texts = asked
            with pools.limit(limits=threads, user_api="openmp") if threads < usual else nullcontext():
                _send(connection, _encoded(encoder, texts))


def _encoded(encoder: TextEncoder, texts: Sequence[str]) -> Encoded | Exception:
    try:
        return encoder.encode(texts)
    except Exception as error:  # noqa: BLE001 - it is raised where the texts came from
        return error


def _send(connection: Connection, what: object) -> None:
    try:
        connection.send(what)
    except (TypeError, AttributeError, ValueError) as error:
        # An error that cannot be pickled; its words can.
        connection.send(RuntimeError(f"{type(what).__name__}: {what} ({error})"))


def _unless_error(found: Result | Exception) -> Result:
    if isinstance(found, Exception):
        raise found
    return found


def _end(process: subprocess.Popen[bytes], connection: Connection) -> None:
    connection.close()
    process.kill()
    process.wait()


def main() -> None:
    """Run the other half in this process."""
    # A service manager tells every process of a service to end; this one is needed until the last request.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    file, path = sys.argv[1:]
    answer(Connection(int(file)), Path(path))


if __name__ == "__main__":
    main()
