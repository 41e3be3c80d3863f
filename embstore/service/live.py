"""The live store: a newer generation takes the place of the one before while requests go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from embstore.errors import EmbstoreError, NotReady
from embstore.service.metrics import Metrics
from embstore.service.opened import Opened, open_encoder, open_generation
from embstore.store.manifest import is_store
from embstore.store.snapshot import RecordsReader

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

# Seconds between looks at store and encoder; twice as many after each that failed, up to the most.
_LOOK, _MOST = 1.0, 30.0


class LiveStore:
    """Holds the generation that answers, looks for a newer one, and swaps the reference.

    Parameters
    ----------
    path : Path
        The store's folder.
    metrics : Metrics
        Where reloads are counted.
    """

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self.path = path
        #: Closes a generation that nobody waits for any more; whoever asks it in a thread closes it there.
        self.close: Callable[[Opened], object] = lambda opened: opened.store.close()
        #: Brings the encoder of a generation back where that ended; returns whether it answers.
        self.mend: Callable[[Opened], Awaitable[bool]] = _mended
        self._metrics = metrics
        self._current: Opened | None = None
        self._problem = self._warned = ""
        self._seen: tuple[int, int, int] | None = None
        # Opening takes a second of reading; requests are answered by other threads meanwhile.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reload")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the store and begin to look for newer ones; raises as `open_encoder`, `open_generation`."""
        self._seen = _stamp(self.path)
        self._current = await self._in_thread(self._open)
        self._task = asyncio.create_task(self._watch())

    async def rest(self) -> None:
        """Look no more for newer generations."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def stop(self) -> None:
        """Close the store and end its encoder's process."""
        await self.rest()
        self._executor.shutdown(wait=True)
        if self._current is not None:
            self._current.store.close()
            self._current = None

    @property
    def problem(self) -> str:
        """Why there is no store to ask, or the empty string."""
        return self._problem

    @property
    def current(self) -> Opened:
        """The generation that answers now.

        Raises
        ------
        NotReady
            The store's folder is gone.
        """
        if self._current is None or self._problem:
            raise NotReady(
                self._problem or "The store is not open yet.",
                why="Its folder was removed or cannot be read; the service looks for it every second.",
                fix=f"embstore build DATASET -s {self.path.name}",
            )
        return self._current

    @contextmanager
    def lease(self) -> Iterator[Opened]:
        """Yield the generation that answers now; it stays open until the block ends."""
        opened = self.current
        opened.users += 1
        try:
            yield opened
        finally:
            opened.users -= 1
            self._retire(opened)

    def _retire(self, opened: Opened) -> None:
        if opened is not self._current and not opened.users:
            self.close(opened)

    async def _watch(self) -> None:
        pause = _LOOK
        while True:
            await asyncio.sleep(pause)
            try:
                await self._look()
                mended = self._current is None or await self.mend(self._current)
                self._warned, pause = "", _LOOK if mended else min(2 * pause, _MOST)
            except Exception as error:  # noqa: BLE001 - whatever it is, there may be a store to take later
                pause = min(2 * pause, _MOST)
                self._warn(error)

    def _warn(self, error: Exception) -> None:
        """Say once why the generation that is open goes on answering."""
        what = error.what if isinstance(error, EmbstoreError) else f"{type(error).__name__}: {error}"
        if what != self._warned:
            logger.warning("The store was not taken anew: %s", what)
        self._warned = what

    async def _look(self) -> None:
        stamp = _stamp(self.path)
        if stamp is None:
            self._problem = f"The store {self.path.name} is gone."
            self._seen = None
            return
        if stamp == self._seen:
            return
        if await self._in_thread(self._is_newer):
            newer = await self._in_thread(self._open)
            before, self._current = self._current, newer
            self._metrics.reloads.inc()
            logger.info("Generation %d of %s answers now.", newer.store.snapshot.sequence, newer.store.name)
            if before is not None:
                self._retire(before)
        self._problem = ""
        self._seen = stamp

    def _is_newer(self) -> bool:
        """Tell whether the store has a finished build or another change that does not answer yet."""
        if self._current is None or self._problem:
            return True
        with RecordsReader(self.path / "records.db") as reader:
            last = reader.last_build() or {}
            sequence = reader.snapshot().sequence
        # Half of a build is nobody's answer: its records come, and others go, until it is finished.
        return bool(last.get("finished")) and sequence != self._current.store.snapshot.sequence

    def _open(self) -> Opened:
        loaded = self._current.encoder if self._current else None
        return open_generation(self.path, open_encoder(self.path, loaded))

    async def _in_thread(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)


async def _mended(_: Opened) -> bool:
    return True


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a writer commits, or None where there is no store."""
    try:
        found = (path / "records.db").stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if is_store(path) else None
