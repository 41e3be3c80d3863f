"""Batching: items that arrive while a batch is worked on make up the next one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Result = TypeVar("Result")

# Batches after which a wait that was in vain is tried again, at most.
_SELDOM = 31


class Batcher(Generic[Item, Answer]):
    """Gathers items into batches and works on one batch at a time, in a thread of its own.

    With one caller an item is worked on at once. Behind a batch of several, or while others wait, the next
    one waits a moment for those who were just answered: they ask again together, and one large batch takes
    less time than two that take turns.

    Parameters
    ----------
    work : callable
        Takes the items of a batch; returns an answer, or an error to raise, for each.
    weigh : callable
        Returns the weight of an item.
    budget : float
        Weight of a batch, at most; a single item may exceed it.
    wait : float
        Seconds that an item waits for others, at most.
    name : str
        Of the thread.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer | BaseException]],
        *,
        weigh: Callable[[Item], float] = lambda _: 1.0,
        budget: float = 1.0,
        wait: float = 0.0,
        name: str,
    ) -> None:
        self._work = work
        self._weigh = weigh
        self._budget = budget
        self._wait = wait
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._arrived = asyncio.Event()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._expected = 1
        self._seconds = self._ended = 0.0
        self._vain = self._pause = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work; needs a running event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Give up what waits and end the thread."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for _, future in self._waiting:
            future.cancel()
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def ask(self, item: Item) -> Answer:
        """Return the answer to an item; an item whose caller gave up meanwhile is not worked on."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        return await future

    async def run(self, call: Callable[[], Result]) -> Result:
        """Call something in the thread of the batches, between two of them."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._gather()
            batch = self._take()
            if not batch:
                continue
            begun = time.perf_counter()
            done: asyncio.Future[None] = loop.create_future()
            self._executor.submit(self._work_on, batch, loop, done)
            await done
            self._forget()
            # Who waits while others are answered takes turns with them. Where these do not come in time, it
            # is tried more and more seldom.
            apart = self._pause and self._waiting
            self._expected = len(self._waiting) + (0 if apart else len(batch))
            self._pause = max(0, self._pause - 1)
            # Until the next one comes it would keep a whole generation, and with it another encoder.
            del batch
            self._ended = time.perf_counter()
            self._seconds = self._ended - begun

    def _work_on(
        self,
        batch: Sequence[tuple[Item, asyncio.Future[Answer]]],
        loop: asyncio.AbstractEventLoop,
        done: asyncio.Future[None],
    ) -> None:
        """Work on a batch, in the thread, and have the task above and then its callers told."""
        answers: Sequence[Answer | BaseException]
        try:
            answers = self._work([item for item, _ in batch])
        except BaseException as error:  # noqa: BLE001 - whatever went wrong, the callers wait for it
            answers = [error] * len(batch)
        # All in one turn of the loop, which in a storm takes milliseconds: the next batch is begun before the
        # callers make their answers of this one.
        loop.call_soon_threadsafe(_settle, done, [future for _, future in batch], answers)

    async def _gather(self) -> None:
        """Wait for an item, and then a moment for as many as asked lately, or fill a batch."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        now = time.perf_counter()
        # Long after a batch, those that it answered have gone.
        if self._enough() or now > self._ended + max(self._wait, self._seconds):
            return
        before = len(self._waiting)
        # Never longer than half of what a batch takes: a wait must cost less than it can gain.
        until = now + min(self._wait, self._seconds / 2)
        while not self._enough() and (left := until - time.perf_counter()) > 0:
            self._arrived.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), left)
        # One of many may have come by chance.
        came = 2 * (len(self._waiting) - before) >= self._expected - before
        self._vain = self._pause = 0 if came else min(2 * self._vain + 1, _SELDOM)

    def _enough(self) -> bool:
        if len(self._waiting) >= self._expected:
            return True
        return sum(self._weigh(item) for item, _ in self._waiting) >= self._budget

    def _forget(self) -> None:
        """Leave out whoever gave up."""
        self._waiting = deque(one for one in self._waiting if not one[1].done())

    def _take(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        weight = 0.0
        while self._waiting:
            item, future = self._waiting[0]
            if future.done():
                self._waiting.popleft()
                continue
            weight += self._weigh(item)
            if batch and weight > self._budget:
                break
            batch.append(self._waiting.popleft())
        return batch


def _settle(
    done: asyncio.Future[None],
    futures: Sequence[asyncio.Future[Answer]],
    answers: Sequence[Answer | BaseException],
) -> None:
    if not done.done():
        done.set_result(None)
    for future, answer in zip(futures, answers, strict=True):
        if future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
