import logging

import pytest

from notifiers.outbox.breaker import AFTER, FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("fake", clock=clock)


def opened(breaker: Breaker) -> Breaker:
    for _ in range(AFTER):
        breaker.begun()
        breaker.failed("away")
    return breaker


def test_it_opens_after_failures_in_a_row_only(breaker: Breaker) -> None:
    for _ in range(AFTER - 1):
        breaker.failed("away")
    breaker.succeeded()
    for _ in range(AFTER - 1):
        breaker.failed("away")
    assert breaker.room(9) == 9
    breaker.failed("away")
    assert breaker.room(9) == 0
    assert breaker.wait_s == FIRST_PAUSE_S


def test_it_opens_at_once_where_nothing_else_fares_better(breaker: Breaker) -> None:
    breaker.broken("20003")
    assert breaker.is_open
    assert breaker.room(9) == 0


def test_where_many_servers_stand_behind_it_failures_say_nothing(clock: Clock) -> None:
    breaker = Breaker("webhook", after=None, clock=clock)
    assert opened(breaker).room(9) == 9


def test_after_a_pause_one_may_ask(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += FIRST_PAUSE_S
    assert breaker.room(9) == 1
    breaker.begun()
    assert breaker.room(9) == 0
    assert breaker.wait_s is None
    breaker.abandoned()
    assert breaker.room(9) == 1


def test_the_one_that_succeeds_closes_it(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += FIRST_PAUSE_S
    breaker.begun()
    breaker.succeeded()
    assert breaker.room(9) == 9
    assert breaker.wait_s == 0
    for _ in range(AFTER - 1):
        breaker.failed("away")
    assert not breaker.is_open


def test_the_one_that_fails_opens_it_for_longer(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    pauses_s = []
    for _ in range(6):
        clock.now += breaker.wait_s or 0
        breaker.begun()
        breaker.failed("away")
        pauses_s.append(breaker.wait_s)
    assert pauses_s == [30, 60, 120, 240, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_what_was_begun_before_it_opened_proves_nothing(breaker: Breaker) -> None:
    opened(breaker)
    breaker.succeeded()
    assert breaker.room(9) == 0
    breaker.failed("away")
    breaker.broken("20003")
    assert breaker.wait_s == FIRST_PAUSE_S


def test_it_is_said_once(breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        opened(breaker)
        for _ in range(3):
            clock.now += LONGEST_PAUSE_S
            breaker.begun()
            breaker.failed("away")
        clock.now += LONGEST_PAUSE_S
        breaker.begun()
        breaker.succeeded()
    assert [record.message for record in caplog.records] == ["provider.away", "provider.back"]
