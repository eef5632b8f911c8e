"""Closed candles are stored once, read by time, kept through outages of the database, and deleted when they are old."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from msgspec.structs import replace
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds.candles.bars import LENGTHS_MS, Bar
from feeds.candles.engine import CandleEngine
from feeds.candles.history import KEEP_DAYS, CandleHistory
from hub.database import downgrade, engine_for, migrate
from schemas.errors import Unavailable
from schemas.market import TIMEFRAMES, scaled
from schemas.tables import metadata
from tests.feeds.market_day import DAY_MS, MINUTE_MS, at, nse, opened, tick
from tests.servers import PostgresServer

NOW_S = at("15:30") / 1000


@pytest.fixture
def history(engine: AsyncEngine) -> CandleHistory:
    return CandleHistory(engine, clock=lambda: NOW_S)


def bar(start_ms: int, close: float = 100.0, timeframe: str = "1m", *, gap: bool = False, **fields: object) -> Bar:
    price = scaled(close)
    whole = Bar(
        exchange="NSE",
        symbol="RELIANCE",
        timeframe=timeframe,
        start_ms=start_ms,
        end_ms=start_ms + LENGTHS_MS.get(timeframe, 375 * MINUTE_MS),
        open=price,
        high=price + 5,
        low=price - 5,
        close=price,
        volume=10,
        gap=gap,
    )
    return replace(whole, **fields)


def minute_bars(count: int, start: str = "09:15") -> list[Bar]:
    return [bar(at(start) + place * MINUTE_MS, 100 + place) for place in range(count)]


async def write(history: CandleHistory, *bars: Bar) -> None:
    history.offer(bars)
    await history.flush()


async def stored(
    history: CandleHistory, timeframe: str = "1m", symbol: str = "RELIANCE", limit: int = 10_000
) -> list[Bar]:
    return await history.between("NSE", symbol, timeframe, 0, 2**40, limit=limit)


async def test_what_is_written_is_read_as_it_was(history: CandleHistory) -> None:
    index = bar(at("09:16"), 24_000.5, volume=None, symbol="NIFTY 50")
    future = bar(at("09:17"), open_interest=2**40, day_volume=2**61, gap=True)
    negative = bar(at("09:18"), -37.63)
    await write(history, index, future, negative)
    assert await stored(history, symbol="NIFTY 50") == [index]
    assert await stored(history) == [future, negative]
    assert history.written == 3


async def test_a_span_is_read_with_its_last_bars_oldest_first(history: CandleHistory) -> None:
    bars = minute_bars(30)
    await write(history, *reversed(bars), bar(at("09:15"), timeframe="5m"), bar(at("09:15"), symbol="TCS"))

    async def between(start: str, end: str, limit: int) -> list[Bar]:
        return await history.between("NSE", "RELIANCE", "1m", at(start) // 1000, at(end) // 1000, limit=limit)

    assert await between("09:20", "09:25", 100) == bars[5:10]
    assert await between("09:00", "12:00", 3) == bars[-3:]
    assert await between("09:45", "12:00", 3) == []


async def test_the_same_bar_twice_is_stored_once_and_the_later_one_counts(history: CandleHistory) -> None:
    first, second = bar(at("09:15"), 100), bar(at("09:15"), 101)
    await write(history, first, second)
    assert await stored(history) == [second]
    await write(history, first)
    assert await stored(history) == [first]


async def test_a_complete_bar_takes_the_place_of_one_with_a_gap_and_never_the_other_way(
    history: CandleHistory,
) -> None:
    partial, longer, complete = (
        bar(at("09:15"), 100, gap=True),
        bar(at("09:15"), 101, gap=True),
        bar(at("09:15"), 102),
    )
    for written, expected in ((partial, partial), (longer, longer), (complete, complete), (partial, complete)):
        await write(history, written)
        assert await stored(history) == [expected]


async def test_two_writers_make_the_same_months_at_once(database_url: str, engine: AsyncEngine, tmp_path: Path) -> None:
    other = engine_for(database_url, tmp_path)
    writers = [CandleHistory(one, clock=lambda: NOW_S) for one in (engine, other, engine, other)]
    months = [at("09:15", date(2026, month, 1)) for month in range(1, 13)]
    for place, writer in enumerate(writers):
        writer.offer(bar(start_ms + place * MINUTE_MS) for start_ms in months)
    await asyncio.gather(*(writer.flush() for writer in writers))
    assert len(await stored(writers[0])) == 48
    await other.dispose()


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def differences(connection: Connection) -> object:
    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or name is None or not name.startswith("candles_")

    context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": ours})
    return compare_metadata(context, metadata)


async def test_months_are_partitions_made_when_needed_and_ahead(postgres_url: str, tmp_path: Path) -> None:
    engine = engine_for(postgres_url, tmp_path)
    await migrate(engine)
    last_of_november = CandleHistory(engine, clock=lambda: at("10:00", date(2026, 11, 27)) / 1000)
    await write(last_of_november, bar(at("23:59", date(2026, 10, 31))), bar(at("00:00", date(2026, 11, 1))))
    async with engine.begin() as connection:
        assert {name for name in await connection.run_sync(tables) if name.startswith("candles_")} == {
            "candles_2026_10",
            "candles_2026_11",
            "candles_2026_12",
        }
        assert (await connection.exec_driver_sql("SELECT count(*) FROM candles_2026_10")).scalar() == 1
        assert await connection.run_sync(differences) == []
    await migrate(engine)
    await downgrade(engine, "base")
    async with engine.connect() as connection:
        assert await connection.run_sync(tables) == {"alembic_version"}
    await engine.dispose()


async def test_a_figure_that_no_table_holds_is_refused_and_spares_the_others(history: CandleHistory) -> None:
    await write(history, bar(at("09:15"), high=2**63), bar(at("09:16"), symbol="A" * 65), bar(at("09:17")))
    assert len(await stored(history)) == 1
    assert history.refused == 2


async def test_more_than_a_batch_is_written_in_order(history: CandleHistory) -> None:
    bars = [bar(at("00:00") + place * MINUTE_MS, place + 1) for place in range(2_345)]
    await write(history, *bars)
    assert await stored(history) == bars
    assert history.waiting == 0


async def test_the_writer_writes_what_is_offered_until_it_is_cancelled(history: CandleHistory) -> None:
    task = asyncio.create_task(history.run(), name="candles")
    for one in minute_bars(3):
        history.offer([one])
        async with asyncio.timeout(10):
            while history.waiting:  # noqa: ASYNC110 - what is tested has nobody to tell when it is done
                await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await stored(history) == minute_bars(3)


class Pauses:
    """Stands in for sleeping: tells each pause, and ends it on cue."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[float] = asyncio.Queue()
        self.over = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.begun.put_nowait(seconds)
        await self.over.acquire()


async def test_an_outage_of_the_database_loses_nothing_within_the_bound_and_the_oldest_beyond_it(
    own_postgres: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tickhub.feeds.candles.history")
    engine = engine_for(own_postgres.url, tmp_path)
    await migrate(engine)
    pauses = Pauses()
    history = CandleHistory(engine, limit=10, clock=lambda: NOW_S, sleep=pauses.sleep)
    bars = minute_bars(20)
    await write(history, bars[0])
    await asyncio.to_thread(own_postgres.kill)
    task = asyncio.create_task(history.run(), name="candles")
    async with asyncio.timeout(30):
        for attempt, one in enumerate(bars[1:9]):
            history.offer([one])
            assert await pauses.begun.get() == [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 30.0, 30.0][attempt]
            if attempt < 7:
                pauses.over.release()
        assert (history.waiting, history.dropped) == (8, 0)
        history.offer(bars[9:14])
        assert (history.waiting, history.dropped) == (10, 3)
        await asyncio.to_thread(own_postgres.start)
        pauses.over.release()
        while history.waiting:
            if not pauses.begun.empty():  # a pooled connection that died may cost one more attempt
                pauses.begun.get_nowait()
                pauses.over.release()
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await stored(history) == [bars[0], *bars[4:14]]
    messages = [record.message for record in caplog.records]
    assert messages.count("candles.database_away") == 1
    assert messages.count("candles.dropped") == 1
    assert messages.count("candles.database_back") == 1
    await engine.dispose()


async def test_reading_from_a_database_that_is_away_says_so(own_postgres: PostgresServer, tmp_path: Path) -> None:
    engine = engine_for(own_postgres.url, tmp_path)
    await migrate(engine)
    history = CandleHistory(engine, clock=lambda: NOW_S)
    await asyncio.to_thread(own_postgres.kill)
    for reading in (
        stored(history),
        history.recent(at("10:00"), [].extend),
        history.purge(),
        write(history, bar(at("09:15"))),
    ):
        with pytest.raises(Unavailable):
            await reading
    await engine.dispose()


async def test_what_is_offered_while_a_batch_is_written_is_written_too(engine: AsyncEngine) -> None:
    class Slow(CandleHistory):
        async def _write(self, batch: Sequence[Bar]) -> None:
            await super()._write(batch)
            if later:
                self.offer(later)
                later.clear()

    later = minute_bars(20)[3:]
    history = Slow(engine, limit=4, clock=lambda: NOW_S)
    await write(history, *minute_bars(3))
    assert await stored(history) == [*minute_bars(3), *minute_bars(20)[-4:]]
    assert history.dropped == 16  # three of them had been written already


async def test_a_restart_reads_what_the_engine_needs(history: CandleHistory) -> None:
    first = opened(nse())
    for minute in range(70):
        first.take(tick(at("09:15:10") + minute * MINUTE_MS, 100 + minute, 10 * (minute + 1)))
    await write(history, bar(at("09:15") - DAY_MS, timeframe="1d"), *first.advance(at("10:24:30")), *first.partial())
    bars: list[Bar] = []
    await history.recent(at("10:24:40"), bars.extend)
    assert {one.timeframe for one in bars} == {"1m", "3m", "5m", "15m", "30m", "1h"}
    assert min(one.start_ms for one in bars if one.timeframe == "1m") == at("09:25")
    second: CandleEngine = nse()
    second.restore(bars, at("10:24:40"))
    [hour, day] = second.forming(at("10:24:50"), [("NSE", "RELIANCE", "1h"), ("NSE", "RELIANCE", "1d")])
    assert (hour.open, hour.high, hour.volume, hour.gap) == (scaled(160), scaled(169), 100, True)
    assert (day.open, day.high, day.volume) == (scaled(100), scaled(169), 700)


async def test_a_restart_reads_whole_instruments_and_gives_others_their_turn(
    history: CandleHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [("NSE", "A"), ("NSE", "B"), ("BSE", "B"), ("NSE", "C"), ("NSE", "D")]
    today = [
        replace(one, exchange=exchange, symbol=symbol)
        for exchange, symbol in names
        for one in (bar(at("09:15"), timeframe="1h"), bar(at("10:15"), timeframe="5m"), *minute_bars(6, "10:15"))
    ]
    await write(history, *today, bar(at("10:15") - DAY_MS, timeframe="1h"), bar(at("09:20")))
    monkeypatch.setattr("feeds.candles.history.READ_BATCH", 3)
    turns = 0
    parts: list[list[Bar]] = []
    turns_at: list[int] = []

    async def another() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def take(bars: list[Bar]) -> None:
        if bars:
            parts.append(bars)
            turns_at.append(turns)

    task = asyncio.create_task(another())
    await history.recent(at("10:24:40"), take)
    task.cancel()
    assert [{(one.exchange, one.symbol) for one in part} for part in parts] == [{name} for name in sorted(names)]
    assert len(set(turns_at)) == len(parts)
    assert {(one.exchange, one.symbol, one.timeframe, one.start_ms): one for part in parts for one in part} == {
        (one.exchange, one.symbol, one.timeframe, one.start_ms): one for one in today
    }
    assert sum(map(len, parts)) == len(today)


async def test_old_bars_are_deleted_by_their_timeframe(history: CandleHistory) -> None:
    old, new = at("09:15") - 31 * DAY_MS, at("09:15") - 29 * DAY_MS
    for timeframe in ("1m", "5m", "1d"):
        await write(
            history, *(bar(start + hour * 3_600_000, 100, timeframe) for start in (old, new) for hour in (0, 7))
        )
    assert await history.purge({"1m": 30, "5m": 29, "1d": None}) == 2 + 3
    assert [one.start_ms for one in await stored(history, "1m")] == [new, new + 7 * 3_600_000]
    assert [one.start_ms for one in await stored(history, "5m")] == [new + 7 * 3_600_000]
    assert len(await stored(history, "1d")) == 4
    assert await history.purge({"1m": 30, "5m": 29, "1d": None}) == 0


def test_every_timeframe_has_a_time_to_be_kept() -> None:
    assert set(KEEP_DAYS) == TIMEFRAMES
