"""A process tells the broker what its subscribers want."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from channels.demand import LAPSE_S, REPEAT_S, SOON_S, Demand
from channels.registry import Joined, Wish
from channels.shape import Shape
from schemas.durations import Seconds
from tests.channels.floor import Floor, floor
from tests.channels.recorder import channel


class Steps:
    """A clock that goes on by a step whenever the worker sleeps, once the test lets it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._go = asyncio.Semaphore(0)
        self._slept = asyncio.Semaphore(0)

    def clock(self) -> Seconds:
        return self.now

    async def sleep(self, seconds: Seconds) -> None:
        self._slept.release()
        await self._go.acquire()
        self.now += seconds

    async def turn(self) -> None:
        """Let the worker do one more round."""
        self._go.release()
        await self._slept.acquire()


class Process:
    """A floor with a reader, and the worker under test."""

    def __init__(self, room: Floor) -> None:
        self.broker = room.broker
        self.room = room
        self.steps = Steps()
        self.demand = Demand(room.registry, room.broker, clock=self.steps.clock, sleep=self.steps.sleep)
        self.reader = room.reader()

    async def hear(self, name: str, **options: object) -> Joined:
        return await self.room.join(self.reader, name, **options)

    async def wanted(self) -> frozenset[str] | None:
        return (await self.broker.demanded()).names


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    async with floor() as room:
        process = Process(room)
        running = asyncio.create_task(process.demand.run())
        await process.steps._slept.acquire()
        yield process
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_what_somebody_hears_is_wanted_soon(process: Process) -> None:
    await process.hear("market:NSE:TCS")
    await process.steps.turn()
    assert await process.wanted() == {"market:NSE:TCS"}


async def test_only_instruments_are_wanted(process: Process) -> None:
    await process.hear("status:market")
    await process.hear("signals:generated")
    await process.steps.turn()
    assert await process.wanted() == frozenset()


async def test_a_delayed_channel_wants_the_one_that_it_repeats(process: Process) -> None:
    delayed = channel("market:NSE:TCS").delayed(900)
    (joined,) = await process.room.registry.join(process.reader.outbox, [Wish(delayed, Shape(process.room.dialect))])
    assert isinstance(joined, Joined)
    process.room.registry.start(joined)
    await process.steps.turn()
    assert await process.wanted() == {"market:NSE:TCS"}


async def test_the_indicators_of_candles_are_wanted_with_them(process: Process) -> None:
    await process.hear("candles:5m:NSE:TCS", indicators=("rsi(14)", "atr(14)"))
    await process.steps.turn()
    assert await process.wanted() == {
        "candles:5m:NSE:TCS",
        "candles:5m:NSE:TCS#rsi(14)",
        "candles:5m:NSE:TCS#atr(14)",
    }


async def test_nothing_is_told_while_nothing_changes_but_for_the_repetition(process: Process) -> None:
    await process.hear("market:NSE:TCS")
    await process.steps.turn()
    calls = process.broker.calls["demand"]
    for _ in range(round(REPEAT_S / SOON_S) - 2):
        await process.steps.turn()
    assert process.broker.calls["demand"] == calls
    for _ in range(3):
        await process.steps.turn()
    assert process.broker.calls["demand"] == calls + 1
    assert LAPSE_S > 2 * REPEAT_S


async def test_who_leaves_wants_no_longer(process: Process) -> None:
    joined = await process.hear("market:NSE:TCS")
    await process.steps.turn()
    process.room.registry.leave(joined.subscription)
    calls = process.broker.calls["demand"]
    for _ in range(round(2 * REPEAT_S / SOON_S)):
        await process.steps.turn()
    assert process.broker.calls["demand"] == calls


async def test_a_broker_that_is_away_is_told_when_it_is_back(process: Process) -> None:
    process.broker.away.add("demand")
    await process.hear("market:NSE:TCS")
    await process.steps.turn()
    await process.steps.turn()
    process.broker.away.clear()
    await process.steps.turn()
    assert await process.wanted() == {"market:NSE:TCS"}
