"""The encoder in a process of its own: both halves, and the few words that they exchange.

torch comes back to Python hundreds of times a batch, and each time needs the lock that the event loop holds
while it reads, refuses and writes.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from threadpoolctl import ThreadpoolController

from embstore.errors import EmbstoreError, NotReady
from embstore.flows.opening import serving_encoder
from embstore.records import Encoded, TextEncoder
from embstore.store import Store, read_manifest
from embstore.store.structures.exact import n_threads

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

# A service manager tells every process of a service to end; this one is needed until the last request. By a
# handler, as processes that it starts would go on ignoring what is ignored; until that is there the signal
# waits. Nothing is imported from the current folder, where anybody's torch.py may stand.
_CODE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: None)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
sys.path = [folder for folder in sys.path if folder]
from embstore.service.encoder_process import main
main()
"""

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
    problem : str
        Why the last one could not be started, or the empty string.

    Raises
    ------
    NotFound, StoreDamaged, EncoderMismatch
        See `Store.open`.
    NotReady
        The process ended while it loaded the encoder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem = ""
        self.dim, self.fingerprint, self.config = self._start()

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Embed texts by as many threads as faiss would use here.

        Raises
        ------
        NotReady
            The process ended twice over these texts, or another could not be started.
        EmbstoreError
            The encoder refused the texts.
        RuntimeError
            It failed otherwise; its process logs how.
        """
        asked: Asked = n_threads(), list(texts)
        if self.problem:
            raise NotReady(self.problem, why="The service logs why, and goes on trying.")
        try:
            found = self._ask(asked)
        except (EOFError, OSError):
            found = self._ask_again(asked)
        return _unless_error(found)

    @property
    def ended(self) -> bool:
        """Whether there is no process; may be asked by any thread."""
        return bool(self.problem) or self._process.poll() is not None

    def revive(self) -> bool:
        """Start another process where this one ended; return whether there is one."""
        if self.ended:
            with suppress(NotReady):
                self._start_again()
        return not self.problem

    def _ask(self, asked: Asked) -> Encoded | Exception:
        try:
            self._connection.send(asked)
            found: Encoded | Exception = self._connection.recv()
        except BaseException:
            # What is left of an answer must not be taken for the next one.
            self.close()
            raise
        return found

    def _ask_again(self, asked: Asked) -> Encoded | Exception:
        self._start_again()
        try:
            return self._ask(asked)
        except (EOFError, OSError) as error:
            raise NotReady(
                "The encoder's process ended again.",
                why="It is killed where the machine or its container has no more memory.",
                fix="embstore serve --workers 1   # or a larger limit",
            ) from error

    def _start_again(self) -> None:
        logger.warning("The encoder's process ended; another is started.")
        try:
            # Before anything is loaded: another encoder's embeddings are no answer.
            self._check(read_manifest(self._path).fingerprint)
            self._check(self._start()[1])
        except NotReady as error:
            self.problem = error.what
            raise
        except Exception as error:
            # Not the caller's mistake, whatever it is called elsewhere, and its paths are not theirs to know.
            logger.warning("The encoder cannot be started again: %s: %s", type(error).__name__, error)
            self.problem = "The encoder cannot be started again."
            raise NotReady(self.problem, why="The service logs why, and goes on trying.") from error
        self.problem = ""

    def _check(self, fingerprint: str) -> None:
        if fingerprint != self.fingerprint:
            self.close()
            raise NotReady("The store was built anew with another encoder; it answers once that is loaded.")

    def _start(self) -> Facts:
        """Start a process and return what its encoder is."""
        try:
            ours, process = _started(self._path)
        except OSError as error:
            raise NotReady("The encoder's process cannot be started.", why=f"{error.strerror}.") from error
        self._connection, self._process = ours, process
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
        if isinstance(facts, Exception):
            self.close()
        return _unless_error(facts)


def _started(path: Path) -> tuple[Connection, subprocess.Popen[bytes]]:
    """Start the other half."""
    ours, theirs = Pipe()
    # A process begins with the mask of the thread that starts it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        process = subprocess.Popen(  # noqa: S603 (our own words, and no shell)
            [sys.executable, "-c", _CODE, str(theirs.fileno()), str(path)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            # What is printed there, the service's address, is for programs to read.
            stdout=subprocess.DEVNULL,
            # Ctrl-C is for the service, which finishes what it has begun.
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    return ours, process


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
    # The service went away: there is nobody to tell.
    with suppress(EOFError, OSError):
        encoder = _or_error(partial(load_for_service, path))
        if isinstance(encoder, Exception):
            connection.send(encoder)
            return
        facts: Facts = encoder.dim, encoder.fingerprint, dict(encoder.config)
        connection.send(facts)
        pools, usual = ThreadpoolController(), n_threads()
        while True:
            asked: Asked = connection.recv()
            threads, texts = asked
            with pools.limit(limits=threads, user_api="openmp") if threads < usual else nullcontext():
                connection.send(_or_error(partial(encoder.encode, texts)))


def _or_error(call: Callable[[], Result]) -> Result | Exception:
    """Return what a call returns, or an error that can be sent: libraries' own may need them to be read."""
    try:
        return call()
    except EmbstoreError as error:
        return error
    except BaseException as error:
        logger.exception("The encoder failed.")
        return RuntimeError(f"{type(error).__name__}: {error}")


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
    file, path = sys.argv[1:]
    answer(Connection(int(file)), Path(path))
