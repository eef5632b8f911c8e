import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.accounts.retry import Admission, Failure, Pauses, refusal_pause_s
from feeds.brokers.source import Credentials
from feeds.errors import ConnectionLost, CredentialsMissing, VendorRefused
from tests.feeds.clockwork import FakeTime

LOST = ConnectionLost("lost")
EXPIRED = VendorRefused("expired", status=403, expired=True)
TOO_MANY = VendorRefused("too many", status=429)
DOWN = VendorRefused("down", status=503)


def test_pauses_after_losses_double_up_to_a_minute() -> None:
    pauses = Pauses(lambda: 1.0)
    assert [pauses.after(LOST, 0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_pause_is_a_random_part_of_the_whole() -> None:
    assert Pauses(lambda: 0.25).after(LOST, 0) == 0.25


def test_a_connection_that_lived_for_a_minute_makes_pauses_short_again() -> None:
    pauses = Pauses(lambda: 1.0)
    assert [pauses.after(LOST, lived_s) for lived_s in (0, 0, 59.9, 60, 0)] == [1, 2, 4, 1, 2]


def test_pauses_after_refusals_begin_with_a_minute_and_double_up_to_ten() -> None:
    pauses = Pauses(lambda: 0.0)
    assert [pauses.after(TOO_MANY, 0) for _ in range(6)] == [60, 120, 240, 480, 600, 600]


@pytest.mark.parametrize(("asked_s", "pause_s"), [(30.0, 60.0), (90.0, 90.0), (3600.0, 3600.0)])
def test_a_vendor_that_asks_for_a_longer_pause_gets_it(asked_s: float, pause_s: float) -> None:
    failure = VendorRefused("too many", status=429, retry_after_s=asked_s)
    assert Pauses(lambda: 0.0).after(failure, 0) == pause_s


def test_a_vendor_that_is_down_is_tried_like_a_lost_connection_and_heard_when_it_asks() -> None:
    pauses = Pauses(lambda: 1.0)
    asks = VendorRefused("down", status=503, retry_after_s=20)
    assert [pauses.after(failure, 0) for failure in (DOWN, DOWN, asks)] == [1, 2, 24]


@given(st.lists(st.sampled_from([LOST, EXPIRED, TOO_MANY, DOWN, CredentialsMissing(["X"])])), st.floats(0, 0.999))
def test_no_pause_is_longer_than_eleven_minutes(failures: list[Failure], chance: float) -> None:
    pauses = Pauses(lambda: chance)
    assert all(0 <= pauses.after(failure, 0) <= 660 for failure in failures)


def test_the_pause_after_ever_so_many_refusals_is_bounded() -> None:
    assert refusal_pause_s(10_000) == 600


class Desk:
    """An account whose vendor refuses until `good`."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.credentials: Credentials = {"token": "old"}
        self.good = False
        self.attempts: list[tuple[float, str]] = []
        self.failure = EXPIRED
        self.admission = Admission(self._read, clock=self.time.clock, sleep=self.time.sleep, chance=lambda: 0.0)

    def _read(self) -> Credentials:
        return self.credentials

    async def attempt(self) -> bool:
        try:
            async with self.admission.turn() as credentials:
                self.attempts.append((self.time.now_s, credentials["token"]))
                if not self.good:
                    raise self.failure
        except VendorRefused:
            return False
        return True

    async def keep_trying(self) -> None:
        while not await self.attempt():
            pass


async def _with(desk: Desk, scenario: Callable[[], object], tasks: int = 1) -> None:
    running = [asyncio.create_task(desk.keep_trying()) for _ in range(tasks)]
    await desk.time.until_asleep()
    await scenario()  # type: ignore[misc]
    desk.good = True
    await desk.time.advance(700)
    await asyncio.wait_for(asyncio.gather(*running), 5)


async def test_refused_credentials_are_tried_again_slowly_however_many_sockets_wait() -> None:
    desk = Desk()
    await _with(desk, lambda: desk.time.advance(1200), tasks=3)
    assert [moment for moment, _ in desk.attempts][:5] == [0, 60, 180, 420, 900]


async def test_a_token_that_dies_on_several_sockets_at_once_has_died_once() -> None:
    desk = Desk()
    for _ in range(3):
        with pytest.raises(VendorRefused), desk.admission.judged(desk.credentials):
            raise EXPIRED
    await _with(desk, lambda: desk.time.advance(0))
    assert [moment for moment, _ in desk.attempts] == [60]


async def test_changed_credentials_are_tried_within_a_second() -> None:
    desk = Desk()

    async def change() -> None:
        await desk.time.advance(10)
        desk.credentials, desk.good = {"token": "new"}, True
        await desk.time.advance(1)

    await _with(desk, change)
    assert desk.attempts == [(0, "old"), (11, "new")]


async def test_changed_credentials_that_are_refused_too_begin_with_a_short_pause_again() -> None:
    desk = Desk()

    async def change() -> None:
        await desk.time.advance(70)
        desk.credentials = {"token": "new"}
        await desk.time.advance(62)

    await _with(desk, change)
    assert desk.attempts[:4] == [(0, "old"), (60, "old"), (71, "new"), (131, "new")]


async def test_another_refusal_holds_nobody_else_back() -> None:
    desk = Desk()
    desk.failure = TOO_MANY
    assert not await desk.attempt()
    desk.good = True
    assert await desk.attempt()
    assert [moment for moment, _ in desk.attempts] == [0, 0]


async def test_a_turn_that_is_cancelled_lets_the_next_one_in() -> None:
    desk = Desk()
    await desk.attempt()
    waiting = asyncio.create_task(desk.attempt())
    await desk.time.until_asleep()
    waiting.cancel()
    await asyncio.wait([waiting])
    desk.credentials, desk.good = {"token": "new"}, True
    assert await asyncio.wait_for(desk.attempt(), 5)
