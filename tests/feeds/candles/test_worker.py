"""The worker on the real engine and a real database: what it publishes, when, and what it hands on."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from channels.broker_memory import MemoryBroker
from channels.channel import ChannelNames
from channels.namespace import Namespaces
from feeds.candles.bars import Bar
from feeds.candles.engine import Key
from feeds.candles.history import CandleHistory
from feeds.candles.worker import CandleWorker, Name
from feeds.simulated_market import SimulatedMarket
from hub.database import engine_for, migrate
from schemas.errors import Unavailable
from schemas.market import Depth, MarketState
from tests.feeds.market_day import MINUTE_MS, at, clock_of, nse, tick


class Timer:
    """A clock that stands where it is put, and moves with every sleep."""

    def __init__(self, clock: str = "09:01") -> None:
        self.now_ms = at(clock)
        self.sleeps = 0

    def clock(self) -> float:
        return self.now_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.now_ms += round(seconds * 1000)
        await asyncio.sleep(0)


class Room:
    """A worker, and all that it published."""

    def __init__(self, timer: Timer, **options: Any) -> None:
        self.timer = timer
        self.wanted: list[Key] = []
        self.published: list[tuple[Name, bytes]] = []
        self.batches: list[int] = []
        self.engine = nse()
        self.worker = CandleWorker(
            self.engine,
            publish=self.publish,
            wanted=lambda: self.wanted,
            clock=timer.clock,
            sleep=timer.sleep,
            **options,
        )

    async def publish(self, batch: Sequence[tuple[Name, bytes]]) -> None:
        self.published.extend(batch)
        self.batches.append(len(batch))

    async def at(self, clock: str, *ticks: Any) -> list[tuple[Name, bytes]]:
        """Hands over ticks at a time, and answers with what is told then."""
        self.timer.now_ms = at(clock)
        self.worker.take(ticks)
        before = len(self.published)
        await self.worker.tell()
        return self.published[before:]


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
async def room(timer: Timer) -> Room:
    room = Room(timer)
    await room.at("09:01", tick("09:01", volume=0, state=MarketState.PRE_OPEN))
    return room


async def test_closed_candles_are_always_published_and_forming_ones_only_where_wanted(room: Room) -> None:
    trades = [tick("09:15:01", 100, 10), tick("09:15:02", 101, 30, open_interest=5)]
    assert await room.at("09:15:03", *trades) == []
    room.wanted = [("NSE", "RELIANCE", "1m")]
    [(name, payload)] = await room.at("09:15:03")
    assert name == ("candles", "1m", "NSE", "RELIANCE")
    assert orjson.loads(payload) == {
        "open": 100.0,
        "high": 101.0,
        "low": 100.0,
        "close": 101.0,
        "start": "2026-11-23T09:15:00.000+05:30",
        "volume": 30,
        "open_interest": 5,
        "closed": False,
    }
    room.wanted = []
    [(name, payload)] = await room.at("09:16:02")
    assert name == ("candles", "1m", "NSE", "RELIANCE")
    assert orjson.loads(payload)["closed"] is True
    assert room.worker.published == 2


async def test_a_forming_candle_is_published_at_most_once_a_second(room: Room) -> None:
    room.wanted = [("NSE", "RELIANCE", "1m")]
    told = 0
    for quarter in range(40):
        moment = at("09:15:01") + quarter * 250
        room.timer.now_ms = moment
        room.worker.take([tick(moment, 100 + quarter, 10 * (quarter + 1))])
        before = len(room.published)
        await room.worker.tell()
        told += len(room.published) - before
    assert told == 10


async def test_indicators_are_asked_for_and_published_beside_the_bar(timer: Timer) -> None:
    asked = []

    def annotate(
        exchange: str,
        symbol: str,
        timeframe: str,
        bar: Bar,
        closed: bool,
    ) -> dict[str, float | dict[str, float] | None] | None:
        asked.append((exchange, symbol, timeframe, bar.volume, closed))
        return {"rsi": 50.0} if timeframe == "1m" else None

    room = Room(timer, annotate=annotate)
    room.wanted = [("NSE", "RELIANCE", "1m"), ("NSE", "RELIANCE", "5m")]
    await room.at("09:01", tick("09:01", volume=0, state=MarketState.PRE_OPEN))
    published = await room.at("09:15:02", tick("09:15:01", 100, 10))
    assert [orjson.loads(payload).get("indicators") for _, payload in published] == [{"rsi": 50.0}, None]
    await room.at("09:16:02")
    assert asked == [
        ("NSE", "RELIANCE", "1m", 10, False),
        ("NSE", "RELIANCE", "5m", 10, False),
        ("NSE", "RELIANCE", "1m", 10, True),
    ]


async def test_listeners_hear_every_closed_bar_once_and_no_forming_one(room: Room) -> None:
    heard: list[Bar] = []
    room.worker.on_closed.append(heard.append)
    room.wanted = [("NSE", "RELIANCE", "1m")]
    await room.at("09:15:02", tick("09:15:01", 100, 10))
    for clock in ("09:15:30", "09:16:02", "09:16:03", "09:18:02"):
        await room.at(clock)
    assert [(bar.timeframe, clock_of(bar.start_ms)) for bar in heard] == [("1m", "09:15"), ("3m", "09:15")]


async def test_depths_are_passed_over_and_ticks_from_the_future_counted(room: Room) -> None:
    depth = Depth.of(exchange="NSE", symbol="RELIANCE", time_ms=at("09:15"), bids=(), asks=())
    await room.at("09:15:02", depth, tick("09:15:01", 100, 10), tick("11:00", 200, 20), depth)
    assert room.worker.ahead == 1
    [(_, payload)] = await room.at("09:16:02")
    assert orjson.loads(payload)["close"] == 100.0


async def test_an_outage_shows_in_what_is_published(room: Room) -> None:
    await room.at("09:15:02", tick("09:15:01", 100, 10))
    room.timer.now_ms = at("09:15:30")
    room.worker.interrupted("NSE")
    room.timer.now_ms = at("09:15:40")
    room.worker.resumed("NSE")
    [(_, payload)] = await room.at("09:16:02")
    assert orjson.loads(payload)["gap"] is True


async def test_many_bars_at_once_leave_room_for_others(room: Room) -> None:
    ticks = [tick("09:15:01", 100, 1, symbol=f"S{place}", last_quantity=1) for place in range(1_100)]
    await room.at("09:15:02", *ticks)
    room.batches.clear()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others(), name="others")
    await room.at("09:16:02")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sum(room.batches) == 1_100
    assert max(room.batches) == 250
    assert turns >= 5


async def test_it_runs_until_cancelled_and_closes_by_the_clock_alone(room: Room) -> None:
    await room.at("09:15:58", tick("09:15:01", 100, 10))
    task = asyncio.create_task(room.worker.run(), name="candles")
    async with asyncio.timeout(5):
        while not room.published:  # noqa: ASYNC110 - the clock moves by itself
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert room.timer.now_ms - at("09:16:02") < 1_000
    assert room.timer.sleeps >= 4_000 / 250


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = engine_for("", tmp_path)
    await migrate(engine)
    yield engine
    await engine.dispose()


async def test_closed_bars_are_stored_and_a_restart_goes_on(engine: AsyncEngine, timer: Timer) -> None:
    history = CandleHistory(engine, clock=timer.clock)
    first = Room(timer, history=history)
    await first.worker.restore()
    await first.at("09:01", tick("09:01", volume=0, state=MarketState.PRE_OPEN))
    for minute in range(10):
        moment = at("09:15:10") + minute * MINUTE_MS
        await first.at(f"09:{15 + minute}:10", tick(moment, 100 + minute, 10 * (minute + 1)))
    first.timer.now_ms = at("09:24:20")
    first.worker.stop()
    await history.flush()
    timer.now_ms = at("09:24:30")
    second = Room(timer, history=CandleHistory(engine, clock=timer.clock))
    await second.worker.restore()
    second.wanted = [("NSE", "RELIANCE", "1h")]
    [(_, payload)] = await second.at("09:24:41", tick("09:24:40", 90, 120))
    told = orjson.loads(payload)
    assert (told["open"], told["high"], told["low"], told["close"]) == (100.0, 109.0, 90.0, 90.0)
    assert (told["volume"], told["gap"]) == (120, True)
    closed = await second.at("09:25:02")
    assert [name[1] for name, _ in closed if name[1] != "1h"] == ["1m", "5m"]


async def test_without_the_database_it_begins_anew_and_says_so(
    tmp_path: Path, timer: Timer, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_for("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    room = Room(timer, history=CandleHistory(engine, clock=timer.clock))
    with caplog.at_level(logging.INFO, "tickhub.feeds.candles.worker"):
        await room.worker.restore()
    assert [record.message for record in caplog.records] == ["candles.not_restored"]
    await engine.dispose()


async def test_nothing_to_restore_is_no_news(
    engine: AsyncEngine, timer: Timer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tickhub.feeds.candles.worker"):
        await Room(timer, history=CandleHistory(engine, clock=timer.clock)).worker.restore()
    assert caplog.records == []


async def test_what_is_read_before_the_database_fails_is_gone_on_from(engine: AsyncEngine, timer: Timer) -> None:
    class Failing(CandleHistory):
        async def recent(self, now_ms: int, take: Callable[[list[Bar]], object]) -> None:
            await super().recent(now_ms, take)
            raise Unavailable("database", "gone")

    history = Failing(engine, clock=timer.clock)
    first = Room(timer, history=history)
    for minute in range(10):
        await first.at(f"09:{15 + minute}:10", tick(f"09:{15 + minute}:10", 100 + minute, 10 * (minute + 1)))
    first.worker.stop()
    await history.flush()
    timer.now_ms = at("09:26:30")
    second = Room(timer, history=history)
    await second.worker.restore()
    second.wanted = [("NSE", "RELIANCE", "1m"), ("NSE", "RELIANCE", "1h")]
    told = [orjson.loads(payload) for _, payload in await second.at("09:26:41", tick("09:26:40", 90, 120))]
    assert [one["gap"] for one in told[-2:]] == [True, True]
    assert told[-1]["open"] == 101.0  # of the first tick, in mid-session, nobody knows when it was traded


async def test_what_the_simulator_brings_becomes_candles_on_their_channels(timer: Timer) -> None:
    broker, names = MemoryBroker(), ChannelNames(Namespaces())

    async def publish(batch: Sequence[tuple[Name, bytes]]) -> None:
        await broker.publish_latest([(names.parse(":".join(name)), payload) for name, payload in batch])

    market = SimulatedMarket(seed=1)
    worker = CandleWorker(nse(), publish=publish, wanted=list, clock=timer.clock)
    for step in range(700):
        timer.now_ms = at("10:00") + step * 100
        worker.take(market.step(timer.now_ms, 50))
        await worker.tell()
    found = await broker.last([names.parse("candles:1m:NSE:RELIANCE"), names.parse("candles:1m:NSE:NIFTY 50")])
    assert len(found) == 2
    candle = orjson.loads(found["candles:1m:NSE:RELIANCE"].payload)
    assert candle["closed"]
    assert candle["low"] < candle["high"]
    assert candle["volume"] > 0
    assert "volume" not in orjson.loads(found["candles:1m:NSE:NIFTY 50"].payload)
