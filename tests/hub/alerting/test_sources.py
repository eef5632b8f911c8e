"""What alerts look at is heard, numbered so that news is news, and wanted from the feeds."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from channels.broker import Publication
from channels.shape import Update
from hub.alerting.sources import COUNTED, Sources, SteadyClock, bar_of
from notifiers.engine.samples import Bar, Source
from schemas.market import CandlePayload, Tick, ist_text, scaled
from tests.channels.clock import turns
from tests.channels.floor import Floor, floor
from tests.channels.recorder import NAMES, channel

NOW_MS = 1_795_401_900_000
TCS, TCS_5M = Source("NSE", "TCS"), Source("NSE", "TCS", "5m")


class Ear:
    """Remembers samples with their numbers."""

    def __init__(self) -> None:
        self.ticks: list[tuple[Tick, int]] = []
        self.bars: list[tuple[Bar, int]] = []

    def take(self, tick: Tick, number: int, received_ms: int) -> None:
        assert received_ms == NOW_MS
        self.ticks.append((tick, number))

    def take_bar(self, bar: Bar, number: int, received_ms: int) -> None:
        assert received_ms == NOW_MS
        self.bars.append((bar, number))


@asynccontextmanager
async def hearing(room: Floor, ear: Ear) -> AsyncIterator[Sources]:
    sources = Sources(room.registry, room.broker, NAMES, ear, now_ms=lambda: NOW_MS, sleep=lambda _: asyncio.sleep(0))
    tasks = [asyncio.create_task(part()) for part in (sources.run, sources.tell)]
    try:
        yield sources
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def say(room: Floor, name: str, **fields: object) -> None:
    await room.broker.publish(channel(name), json.dumps(fields).encode())


async def test_the_present_price_and_all_that_follow_are_heard_until_nobody_looks() -> None:
    ear = Ear()
    async with floor() as room, hearing(room, ear) as sources:
        await say(room, "market:NSE:TCS", price=1.5, time=ist_text(NOW_MS - 5))
        sources.follow({TCS: ()})
        await turns()
        await say(room, "market:NSE:TCS", price=2.5, time=ist_text(NOW_MS - 1))
        sources.follow({})
        await turns()
        await say(room, "market:NSE:TCS", price=3.5)
        assert sources.heard == 0
    assert [(one.price, one.time_ms) for one, _ in ear.ticks] == [(scaled(1.5), NOW_MS - 5), (scaled(2.5), NOW_MS - 1)]
    numbers = [number for _, number in ear.ticks]
    assert COUNTED < numbers[0] < numbers[1]


async def test_the_newest_price_is_said_again_for_who_has_just_begun_to_hear() -> None:
    ear = Ear()
    async with floor() as room, hearing(room, ear) as sources:
        sources.follow({TCS: ()})
        await turns()
        sources.repeat([TCS])  # nothing has been said
        await say(room, "market:NSE:TCS", price=1.5)
        await turns()
        sources.repeat([TCS, Source("NSE", "INFY")])
    assert [one.price for one, _ in ear.ticks] == [scaled(1.5)] * 2
    assert ear.ticks[0][1] == ear.ticks[1][1]


async def test_a_candle_comes_with_its_indicators_and_both_are_wanted_from_the_feeds() -> None:
    ear = Ear()
    async with floor() as room, hearing(room, ear) as sources:
        sources.follow({TCS_5M: ["rsi(14)"], TCS: []})
        await turns()
        start = ist_text(NOW_MS - 300_000)
        figures = {"open": 1, "high": 3, "low": 1, "close": 2, "volume": 7}
        await say(room, "candles:5m:NSE:TCS", **figures, start=start, closed=True, indicators={"rsi(14)": 31.5})
        demanded = await room.broker.demanded()
    ((bar, _),) = ear.bars
    assert (bar.close, bar.volume, bar.closed, bar.time_ms) == (scaled(2), 7, True, NOW_MS)
    assert bar.indicators == {"rsi(14)": 31.5}
    assert set(demanded.names or ()) == {"candles:5m:NSE:TCS", "candles:5m:NSE:TCS#rsi(14)", "market:NSE:TCS"}


async def test_a_candle_that_begins_in_the_future_is_passed_over() -> None:
    ear = Ear()
    source = Source("NSE", "TCS", "5m")
    async with floor() as room, hearing(room, ear) as sources:
        sources.follow({source: ()})
        await turns()
        for ahead_ms in (120_000, 30_000):
            fields = dict.fromkeys(("open", "high", "low", "close"), 1.5)
            await say(room, "candles:5m:NSE:TCS", start=ist_text(NOW_MS + ahead_ms), **fields)
        await turns()
        assert sources.unreadable == 1
    assert [bar.start_ms for bar, _ in ear.bars] == [NOW_MS + 30_000]


async def test_what_is_no_price_and_a_name_that_is_none_are_passed_over() -> None:
    ear = Ear()
    async with floor() as room, hearing(room, ear) as sources:
        sources.follow({TCS: (), Source("NSE", "WHAT:EVER\n"): ()})
        await turns()
        await say(room, "market:NSE:TCS", prize=1)
        await say(room, "market:NSE:TCS", price=1)
        assert (len(ear.ticks), sources.unreadable, sources.heard) == (1, 1, 1)


async def test_what_nobody_counted_has_greater_numbers_than_what_was_stored_before() -> None:
    ear = Ear()
    async with floor() as room, hearing(room, ear) as sources:
        sources.follow({TCS: ()})
        await turns()
        for _ in range(2):
            room.registry.deliver([Publication("market:NSE:TCS", b'{"price":1}')])
    assert [number for _, number in ear.ticks] == [NOW_MS, NOW_MS + 1]
    assert Update(Publication("market:NSE:TCS", b""), 1).number < COUNTED


@pytest.mark.parametrize(
    ("now_ms", "closed", "time_ms"),
    [(NOW_MS + 1000, False, NOW_MS + 1000), (NOW_MS + 400_000, True, NOW_MS + 300_000), (0, False, NOW_MS)],
)
def test_a_candle_became_so_within_it(now_ms: int, closed: bool, time_ms: int) -> None:
    said = CandlePayload(open=1, high=1, low=1, close=1, start=ist_text(NOW_MS), closed=closed)
    assert bar_of(said, TCS_5M, now_ms).time_ms == time_ms


def test_a_clock_that_is_set_back_makes_no_price_older() -> None:
    wall, monotonic = [1000.0], [5.0]
    clock = SteadyClock(wall=lambda: wall[0], monotonic=lambda: monotonic[0])
    wall[0], monotonic[0] = 10.0, 6.0
    assert clock.now_ms() == 1_001_000


LATE_MS = 900_000


async def test_of_a_late_exchange_the_delayed_channels_are_heard_and_the_real_ones_wanted() -> None:
    ear, late = Ear(), Source("NSE@900", "TCS")
    async with floor() as room, hearing(room, ear) as sources:
        sources.follow({late: (), late._replace(timeframe="5m"): ["rsi(14)"]})
        await turns()
        await say(room, "market:NSE:TCS", price=9)
        price = json.dumps({"price": 1.5, "time": ist_text(NOW_MS - LATE_MS - 5)}).encode()
        await room.broker.publish(channel("market:NSE:TCS").delayed(900), price)
        figures = {"open": 1, "high": 3, "low": 1, "close": 2, "start": ist_text(NOW_MS - LATE_MS - 60_000)}
        await room.broker.publish(channel("candles:5m:NSE:TCS").delayed(900), json.dumps(figures).encode())
        demanded = await room.broker.demanded()
    ((tick, _),), ((bar, _),) = ear.ticks, ear.bars
    assert (tick.exchange, tick.price, tick.time_ms) == ("NSE@900", scaled(1.5), NOW_MS - 5)
    assert (bar.exchange, bar.close, bar.time_ms) == ("NSE@900", scaled(2), NOW_MS - 5)
    assert bar.start_ms == NOW_MS - LATE_MS - 60_000
    assert set(demanded.names or ()) == {"candles:5m:NSE:TCS", "candles:5m:NSE:TCS#rsi(14)", "market:NSE:TCS"}


async def test_a_late_price_without_a_time_is_of_now() -> None:
    ear = Ear()
    async with floor() as room, hearing(room, ear) as sources:
        sources.follow({Source("NSE@900", "TCS"): ()})
        await turns()
        await room.broker.publish(channel("market:NSE:TCS").delayed(900), b'{"price":1}')
    assert [tick.time_ms for tick, _ in ear.ticks] == [NOW_MS]
