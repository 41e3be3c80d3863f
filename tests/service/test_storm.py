"""A storm is many connections that are refused, and no few that are refused often."""

from __future__ import annotations

import pytest

from embstore.service import storm as module
from embstore.service.storm import Storm


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def refuse(storm: Storm, n_requests: int, n_clients: int) -> bool:
    """Let so many of these clients be refused in turn; tell whether it is a storm."""
    for request in range(n_requests):
        storm.saw(("127.0.0.1", request % n_clients), refused=True)
    there = storm.is_there()
    assert storm.was_there is there
    return there


def test_many_connections_that_are_refused_are_a_storm(clock: Clock) -> None:
    assert refuse(Storm(10), 200, n_clients=41)


def test_a_few_clients_that_ask_again_at_once_are_none(clock: Clock) -> None:
    assert not refuse(Storm(10), 10_000, n_clients=40)


def test_where_most_are_admitted_there_is_none(clock: Clock) -> None:
    storm = Storm(10)
    for request in range(3000):
        storm.saw(request, refused=request % 3 != 0)
    assert not storm.is_there()


def test_it_lasts_from_one_second_to_the_next_and_ends_with_the_requests(clock: Clock) -> None:
    storm = Storm(10)
    assert refuse(storm, 200, n_clients=100)
    clock.now += 1.1
    assert refuse(storm, 5, n_clients=5)
    clock.now += 1.1
    # In that second five were refused.
    assert not refuse(storm, 5, n_clients=5)
    assert refuse(storm, 200, n_clients=100)
    clock.now += 60
    assert not storm.is_there()
