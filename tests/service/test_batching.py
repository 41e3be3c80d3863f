"""Batches: all are answered in order, alone at once, together under load."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest

from embstore.service.batching import Batcher
from embstore.service.questions import Search, answer_all


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())  # type: ignore[arg-type]


class Gate:
    """Work that waits until it is let go, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int | BaseException]:
        self.batches.append(list(items))
        self.open.wait(10)
        return [ValueError(str(item)) if item < 0 else item * 10 for item in items]


def batcher(gate: Gate, **options: float) -> Batcher[int, int]:
    made = Batcher(gate, weigh=float, name="test", **{"budget": 100.0, **options})
    made.start()
    return made


def test_what_arrives_during_a_batch_makes_up_the_next() -> None:
    async def scene() -> None:
        gate = Gate()
        made = batcher(gate)
        first = asyncio.create_task(made.ask(1))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(made.ask(item)) for item in (2, 3, 4)]
        await asyncio.sleep(0.05)
        gate.open.set()
        assert await asyncio.gather(first, *others) == [10, 20, 30, 40]
        assert gate.batches == [[1], [2, 3, 4]]
        await made.stop()

    run(scene)


def test_callers_that_took_turns_come_together() -> None:
    async def scene() -> None:
        gate = Gate()
        made = batcher(gate, wait=1.0)

        async def twice(item: int) -> None:
            for _ in range(2):
                await made.ask(item)

        first = [asyncio.create_task(twice(item)) for item in (1, 2)]
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(twice(item)) for item in (3, 4)]
        await asyncio.sleep(0.05)
        gate.open.set()
        await asyncio.gather(*first, *others)
        # Nobody's second batch is begun without those whose first has just ended.
        assert [sorted(batch) for batch in gate.batches[:2]] == [[1, 2], [1, 2, 3, 4]]
        await made.stop()

    run(scene)


def test_who_comes_long_after_a_batch_waits_for_nobody() -> None:
    async def scene() -> None:
        gate = Gate()
        gate.open.set()
        made = batcher(gate, wait=1.0)
        await asyncio.gather(*(made.ask(item) for item in (1, 2, 3)))
        made._seconds, made._ended = 2.0, time.perf_counter() - 60
        begun = time.perf_counter()
        await made.ask(1)
        assert time.perf_counter() - begun < 0.5
        await made.stop()

    run(scene)


def test_those_who_do_not_come_in_time_are_waited_for_more_and_more_seldom() -> None:
    async def scene() -> None:
        gate = Gate()
        gate.open.set()
        made = batcher(gate, wait=0.001)
        pauses = []
        for _ in range(4):
            # As if another had been answered a moment ago.
            made._seconds, made._ended, made._expected = 1.0, time.perf_counter(), 2
            await made.ask(1)
            pauses.append(made._vain)
        assert pauses == [1, 3, 7, 15]
        made._seconds, made._ended, made._expected = 1.0, time.perf_counter(), 2
        made._wait = 1.0
        first = asyncio.create_task(made.ask(1))
        await asyncio.sleep(0.02)
        await asyncio.gather(first, made.ask(2))
        assert gate.batches[-1] == [1, 2]
        assert made._vain == 0
        await made.stop()

    run(scene)


def test_a_full_batch_waits_for_nobody() -> None:
    async def scene() -> None:
        gate = Gate()
        gate.open.set()
        made = batcher(gate, budget=10.0, wait=1.0)
        made._seconds, made._ended, made._expected = 2.0, time.perf_counter(), 8
        begun = time.perf_counter()
        await asyncio.gather(made.ask(4), made.ask(6))
        assert time.perf_counter() - begun < 0.5
        # That nobody else came says nothing of whether they would have.
        assert not made._pause
        await made.stop()

    run(scene)


def test_a_batch_holds_its_budget_and_one_item_may_exceed_it() -> None:
    async def scene() -> None:
        gate = Gate()
        made = batcher(gate, budget=10.0)
        tasks = [asyncio.create_task(made.ask(item)) for item in (50, 4, 6, 1)]
        await asyncio.sleep(0.05)
        gate.open.set()
        assert await asyncio.gather(*tasks) == [500, 40, 60, 10]
        assert gate.batches == [[50], [4, 6], [1]]
        await made.stop()

    run(scene)


def test_an_error_of_one_item_is_its_own() -> None:
    async def scene() -> None:
        gate = Gate()
        gate.open.set()
        made = batcher(gate)
        good, bad = await asyncio.gather(made.ask(1), made.ask(-1), return_exceptions=True)
        assert good == 10
        assert isinstance(bad, ValueError)
        await made.stop()

    run(scene)


def test_a_failure_of_the_work_reaches_every_caller_and_the_next_batch_runs() -> None:
    calls = []

    def work(items: Sequence[int]) -> list[int]:
        calls.append(items)
        if len(calls) == 1:
            raise RuntimeError("broken")
        return list(items)

    async def scene() -> None:
        made: Batcher[int, int] = Batcher(work, budget=10, name="test")
        made.start()
        found = await asyncio.gather(made.ask(1), made.ask(2), return_exceptions=True)
        assert [type(one) for one in found] == [RuntimeError, RuntimeError]
        assert await made.ask(3) == 3
        await made.stop()

    run(scene)


def test_a_call_is_made_in_the_thread_of_the_batches() -> None:
    async def scene() -> None:
        made: Batcher[int, str] = Batcher(
            lambda items: [threading.current_thread().name for _ in items], name="test"
        )
        made.start()
        assert await made.run(lambda: threading.current_thread().name) == await made.ask(1) == "test_0"
        await made.stop()

    run(scene)


def test_nobody_works_for_a_caller_that_gave_up() -> None:
    async def scene() -> None:
        gate = Gate()
        made = batcher(gate)
        first = asyncio.create_task(made.ask(1))
        await asyncio.sleep(0.05)
        second, third = asyncio.create_task(made.ask(2)), asyncio.create_task(made.ask(3))
        await asyncio.sleep(0)
        second.cancel()
        gate.open.set()
        assert await third == 30
        assert await first == 10
        assert gate.batches == [[1], [3]]
        await made.stop()

    run(scene)


def test_stopping_cancels_those_who_wait() -> None:
    async def scene() -> None:
        gate = Gate()
        made = batcher(gate)
        first = asyncio.create_task(made.ask(1))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(made.ask(2))
        await asyncio.sleep(0)
        gate.open.set()
        await made.stop()
        with pytest.raises(asyncio.CancelledError):
            await second
        # What was worked on already is answered.
        assert await first == 10

    run(scene)


def test_answers_stay_with_their_callers_under_load() -> None:
    async def scene() -> None:
        gate = Gate()
        gate.open.set()
        made = batcher(gate, wait=0.002, budget=1e9)
        assert await asyncio.gather(*(made.ask(item) for item in range(500))) == [
            item * 10 for item in range(500)
        ]
        await made.stop()

    run(scene)


def test_a_question_that_fails_in_an_unforeseen_way_fails_alone() -> None:
    def broken() -> None:
        raise IndexError("index 60 is out of bounds")

    search = Search(None, np.ones((1, 4), dtype=np.float32), 1, None, None)  # type: ignore[arg-type]
    first, failed, last, searched = answer_all([lambda: 1, broken, lambda: 3, search])
    assert (first, last) == (1, 3)
    assert isinstance(failed, IndexError)
    # Of no store at all.
    assert isinstance(searched, AttributeError)
