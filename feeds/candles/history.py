"""Closed candles in the database: written in batches beside the ticks' way, read by time, deleted when they are old.

On PostgreSQL the table is partitioned by the month (in India) of a bar's start. The writer makes a month's partition
when it first needs it, and the next one's some days ahead.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import RowMapping, delete, func, not_, or_, select, text, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from channels.broker import Clock
from feeds.candles.bars import Bar
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.market import IST
from schemas.storage import begun, database_errors
from schemas.tables import candles

log = logging.getLogger("tickhub.feeds.candles.history")

TIMEOUT_S = 10.0
RECENT_S = 60.0
"""For reading all recent bars; a caller that is in a hurry sets its own."""
BATCH = 1_000
"""Bars of one transaction."""
READ_BATCH = 500
"""Bars that are read and handed out before others get their turn: 5 ms of work."""
QUEUE = 200_000
"""Bars that wait while the database is away: the closed bars of 3,000 instruments in about 40 minutes."""
PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Between attempts while the database is away; the last one is repeated."""
KEEP_DAYS: Mapping[str, int | None] = {"1m": 30, "3m": 60, "5m": 90, "15m": 180, "30m": 365, "1h": 730, "1d": None}
"""For how long bars are kept by default. None: for good."""
PARTITION_LOCK = 0x63616E646C6573
"""The key of PostgreSQL's advisory lock while a partition is made: the bytes of the table's name."""

_AHEAD = timedelta(days=5)
_HOUR_S = 3_600
_DAY_S = 86_400
_LARGEST = 2**63 - 1
_LONGEST_SYMBOL = 64
_WITHIN_AN_HOUR = ("1m", "3m", "5m", "15m", "30m")
_FIGURES = ("open", "high", "low", "close", "volume", "open_interest", "day_volume", "gap")


class CandleHistory:
    """The stored candles. Reading raises Unavailable where the database fails; writing waits for it.

    `offer` may be called at any time; `run` or `flush` writes what was offered. Cancelling is safe everywhere.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        limit: int = QUEUE,
        clock: Clock = time.time,
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._queue: deque[Bar] = deque()
        self._limit = limit
        self._filled = asyncio.Event()
        self._writing = asyncio.Lock()
        self._partitions: set[str] = set()
        self._clock = clock
        self._sleep = sleep
        self.written = 0
        self.dropped = 0
        """Bars that were given up, the oldest ones, as the database was away for too long."""
        self.refused = 0
        """Bars whose figures no table can hold."""

    @property
    def waiting(self) -> int:
        """Bars that are still to be written."""
        return len(self._queue)

    # -- writing ------------------------------------------------------------------------------------------------------

    def offer(self, bars: Iterable[Bar]) -> None:
        """Takes bars to be written soon. The same bar twice is stored once, and never with a gap instead of without."""
        for bar in bars:
            if _fits(bar):
                self._queue.append(bar)
            else:
                self.refused += 1
        too_many = len(self._queue) - self._limit
        if too_many > 0:
            if not self.dropped:
                log.warning("candles.dropped", extra={"waiting": len(self._queue)})
            self.dropped += too_many
            for _ in range(too_many):
                self._queue.popleft()
        if self._queue:
            self._filled.set()

    async def run(self) -> None:
        """Writes what is offered until cancelled, surviving every outage of the database."""
        failures = 0
        while True:
            await self._filled.wait()
            try:
                await self.flush()
            except Unavailable as exc:
                if not failures:
                    log.warning("candles.database_away", extra={"why": exc.why})
                await self._sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
                failures += 1
                continue
            if failures:
                log.info("candles.database_back", extra={"written": self.written, "dropped": self.dropped})
            failures = 0

    async def flush(self) -> None:
        """Writes all that waits. Raises Unavailable; what was not written still waits then."""
        async with self._writing:
            while self._queue:
                batch = list(islice(self._queue, BATCH))
                await self._write(batch)
                self.written += len(batch)
                # What was dropped meanwhile went off the same end, so only what is left of the batch may go.
                written = set(map(id, batch))
                while self._queue and id(self._queue[0]) in written:
                    self._queue.popleft()
            self._filled.clear()

    async def _write(self, batch: Sequence[Bar]) -> None:
        rows = [_row(bar) for bar in batch]
        async with self._transaction() as connection:
            if connection.dialect.name == "postgresql":
                await self._make_partitions(connection, rows)
            await connection.execute(_upsert(connection.dialect.name), rows)
        self._partitions.update(name for name, _, _ in self._months(rows))

    async def _make_partitions(self, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        for name, start_s, end_s in self._months(rows):
            if name in self._partitions:
                continue
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PARTITION_LOCK})
            # Names and numbers are made here; PostgreSQL takes no parameters in this place.
            await connection.exec_driver_sql(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF candles FOR VALUES FROM ({start_s}) TO ({end_s})"
            )

    def _months(self, rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, int, int]]:
        """The partitions that these rows need, and the one that will be needed soon."""
        soon = int((datetime.fromtimestamp(self._clock(), IST) + _AHEAD).timestamp())
        return sorted({_month(start_s) for start_s in (*(row["starts_at"] for row in rows), soon)})

    # -- reading ------------------------------------------------------------------------------------------------------

    async def between(
        self, exchange: str, symbol: str, timeframe: str, from_s: int, to_s: int, *, limit: int
    ) -> list[Bar]:
        """The stored bars that start in `from_s <= start < to_s` (Unix seconds), the last `limit`, oldest first."""
        rows = candles.c
        query = (
            select(candles)
            .where(rows.exchange == exchange, rows.symbol == symbol, rows.timeframe == timeframe)
            .where(rows.starts_at >= from_s, rows.starts_at < to_s)
            .order_by(rows.starts_at.desc())
            .limit(limit)
        )
        return [_bar(row.values()) for row in reversed(await self._read(query))]

    async def recent(self, now_ms: int, take: Callable[[list[Bar]], object]) -> None:
        """Hands out what `CandleEngine.restore` needs: all bars of the last hour, hours and days of the last 24.

        An instrument's bars come together, some instruments at a time, and between the calls others have their turn:
        the bars of 3,000 instruments are about 300,000. Raises Unavailable, perhaps after some of them.
        """
        with database_errors():
            reading = self._engine.execution_options(sqlite_begin="DEFERRED")
            async with asyncio.timeout(RECENT_S), reading.connect() as connection:
                rows = await connection.stream(_recent(now_ms // 1000))
                waiting: list[Bar] = []
                while batch := await rows.fetchmany(READ_BATCH):
                    waiting.extend(map(_bar, batch))
                    begin = _begin_of_last(waiting)
                    take(waiting[:begin])
                    del waiting[:begin]
                    await asyncio.sleep(0)
                take(waiting)

    async def _read(self, query: Any) -> list[RowMapping]:
        with database_errors():
            reading = self._engine.execution_options(sqlite_begin="DEFERRED")
            async with asyncio.timeout(TIMEOUT_S), reading.connect() as connection:
                return list((await connection.execute(query)).mappings())

    # -- deleting -----------------------------------------------------------------------------------------------------

    async def purge(self, keep_days: Mapping[str, int | None] = KEEP_DAYS) -> int:
        """Deletes bars older than so many days by timeframe, an hour of them at a time; says how many they were."""
        now_s = int(self._clock())
        deleted = 0
        for timeframe, days in keep_days.items():
            if days is not None:
                deleted += await self._purge(timeframe, now_s - days * _DAY_S)
        return deleted

    async def _purge(self, timeframe: str, until_s: int) -> int:
        rows = candles.c
        of_timeframe = rows.timeframe == timeframe
        deleted = 0
        while True:
            oldest = await self._read(select(func.min(rows.starts_at).label("at")).where(of_timeframe))
            oldest_s = oldest[0]["at"]
            if oldest_s is None or oldest_s >= until_s:
                return deleted
            old = delete(candles).where(of_timeframe, rows.starts_at < min(oldest_s + _HOUR_S, until_s))
            async with self._transaction() as connection:
                deleted += (await connection.execute(old)).rowcount

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), begun(self._engine) as connection:
                yield connection


def _fits(bar: Bar) -> bool:
    numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume or 0, bar.open_interest or 0, bar.day_volume or 0)
    return all(abs(number) <= _LARGEST for number in numbers) and len(bar.symbol) <= _LONGEST_SYMBOL


def _row(bar: Bar) -> dict[str, Any]:
    row = {name: getattr(bar, name) for name in ("exchange", "symbol", "timeframe", *_FIGURES)}
    return row | {"starts_at": bar.start_ms // 1000, "ends_at": bar.end_ms // 1000}


def _bar(row: Any) -> Bar:
    """The bar of a row with the table's columns in their order."""
    exchange, symbol, timeframe, starts_at, ends_at, open_, high, low, close, volume, interest, day_volume, gap = row
    return Bar(
        exchange=exchange,
        symbol=symbol,
        timeframe=timeframe,
        start_ms=starts_at * 1000,
        end_ms=ends_at * 1000,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        open_interest=interest,
        day_volume=day_volume,
        gap=gap,
    )


def _recent(now_s: int) -> Any:
    """All bars of the last hour, hours and days of the last 24, each instrument's together.

    Two queries in one: with OR, SQLite would look for rows that answer both.
    """
    rows = candles.c
    hour = select(candles).where(rows.timeframe.in_(_WITHIN_AN_HOUR), rows.starts_at > now_s - _HOUR_S)
    day = select(candles).where(rows.timeframe.in_(("1h", "1d")), rows.starts_at > now_s - _DAY_S)
    either = union_all(hour, day)
    return either.order_by(either.selected_columns.exchange, either.selected_columns.symbol)


def _begin_of_last(bars: Sequence[Bar]) -> int:
    """Where the bars of the last instrument begin."""
    exchange, symbol = bars[-1].exchange, bars[-1].symbol
    place = len(bars) - 1
    while place and bars[place - 1].symbol == symbol and bars[place - 1].exchange == exchange:
        place -= 1
    return place


def _upsert(dialect: str) -> Any:
    """A bar without a gap is final for one with; otherwise what is written later counts."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(candles)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=list(candles.primary_key),
        set_={name: new[name] for name in (*_FIGURES, "ends_at")},
        where=or_(candles.c.gap, not_(new.gap)),
    )


def _month(start_s: int) -> tuple[str, int, int]:
    """The partition of a bar: its name, and from when until when it reaches (Unix seconds)."""
    first = datetime.fromtimestamp(start_s, IST).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    return f"candles_{first:%Y_%m}", int(first.timestamp()), int(following.timestamp())
