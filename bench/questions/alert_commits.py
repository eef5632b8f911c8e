"""Alerts at rest: from a price to the commit of what it fires, many alerts at once, and loading them."""

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.questions.asking import Options, say
from bench.report import Answer
from hub.database import engine_for, migrate
from hub.process import GC_THRESHOLD
from notifiers.alerts.rows import json_text, shard_of
from notifiers.alerts.runner import Runner
from notifiers.alerts.shards import Shards, Tenure
from notifiers.alerts.triggers import Batch, Committed, Triggers
from notifiers.conditions.options import Frequency
from notifiers.conditions.options import Options as AlertOptions
from notifiers.conditions.tree import Cross, Field, Number, encode
from notifiers.engine.samples import Source
from notifiers.way import Way
from schemas.market import Tick, scaled
from schemas.tables import alerts
from tests.servers import PostgresServer, ServerError, close_reaper

_RULES = 200_000
_INSTRUMENTS = 2_000
_AT_ONCE = 20_000
_PER_S = 100
_LIMIT_MS = 20.0
_AT_ONCE_S = 10.0
_MILLION_S = 30.0
_LEVEL = 100
_CROWD = "CROWD"


def alert_commits(options: Options) -> Answer:
    """From a tick to the commit of what it fires, on both databases."""
    answer = Answer(
        "alert_commits",
        f"{_RULES:,} alerts at rest: loaded, {_PER_S} firings a second, {_AT_ONCE:,} on one tick",
        ("database", "rules/s loaded", "p50 ms", "p99 ms", "max ms", f"{_AT_ONCE:,} at once, s"),
        notes=["an alert has two deliveries; the feed is in the same process, the database is not (SQLite: a thread)"],
    )
    with _databases(answer) as urls:
        for title, url, where in urls:
            say(f"{title}: {_RULES:,} alerts")
            measured = asyncio.run(_measure(url, where, max(options.window_s, 4.0)))
            _tell(answer, title, *measured)
    return answer


@contextmanager
def _databases(answer: Answer) -> Iterator[list[tuple[str, str, Path]]]:
    with ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = [("SQLite", "", where)]
        stack.callback(close_reaper)
        try:
            server = stack.enter_context(PostgresServer())
            urls.append(("PostgreSQL", server.url, where))
        except ServerError as exc:
            answer.notes.append(f"without PostgreSQL: {exc}")
        yield urls


def _tell(answer: Answer, title: str, loaded_s: float, lags_ms: list[float], at_once_s: float) -> None:
    lags_ms.sort()
    p50, p99 = lags_ms[len(lags_ms) // 2], lags_ms[int(len(lags_ms) * 0.99)]
    answer.rows.append((title, round(_RULES / loaded_s), p50, p99, lags_ms[-1], at_once_s))
    answer.target(f"{title}: p99 < {_LIMIT_MS:g} ms at {_PER_S} firings/s: {p99:.1f} ms", reached=p99 < _LIMIT_MS)
    answer.target(f"{title}: {_AT_ONCE:,} at once < {_AT_ONCE_S:g} s: {at_once_s:.1f}", reached=at_once_s < _AT_ONCE_S)
    million_s = loaded_s * 1_000_000 / _RULES
    answer.target(f"{title}: a million in < {_MILLION_S:g} s: {million_s:.0f} s", reached=million_s < _MILLION_S)


class _Timed(Triggers):
    """Notes when what a tick fired was committed, by the tick's number."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, wall=time.time)
        self.said: dict[int, float] = {}
        self.lags_ms: list[float] = []
        self.fired = 0

    async def commit(self, batch: Batch, tenure: Tenure) -> Committed:
        """As it is, with a look at the clock."""
        committed = await super().commit(batch, tenure)
        now = time.perf_counter()
        self.lags_ms += [(now - self.said[firing.sample]) * 1000 for firing, _ in batch.firings]
        self.fired += committed.fired
        return committed


class _Nowhere:
    def follow(self, wanted: Mapping[Source, Collection[str]]) -> None:
        """The prices come by themselves."""

    def repeat(self, sources: Collection[Source]) -> None:
        """See `notifiers.alerts.runner.Samples`."""


async def _measure(url: str, where: Path, window_s: float) -> tuple[float, list[float], float]:
    gc.set_threshold(GC_THRESHOLD, 20, 100)
    engine = engine_for(url, where)
    await migrate(engine)
    await _store(engine)
    try:
        async with _running(engine) as (runner, timed, loaded_s):
            say(f"{_PER_S} firings a second")
            await _fire_steadily(runner, timed, window_s)
            lags_ms, timed.lags_ms, timed.fired = timed.lags_ms, [], 0
            say(f"{_AT_ONCE:,} at once")
            return loaded_s, lags_ms, await _fire_at_once(runner, timed)
    finally:
        await engine.dispose()


async def _store(engine: AsyncEngine) -> None:
    """A few of each instrument's alerts are close to the price, the others are never reached; and the crowd's."""
    every = json_text(AlertOptions(frequency=Frequency.EVERY))
    rows = [
        _row(f"S{number % _INSTRUMENTS}", _LEVEL if number < _INSTRUMENTS else 1000 + number % 500, every)
        for number in range(_RULES - _AT_ONCE)
    ]
    rows += [_row(_CROWD, _LEVEL, json_text(AlertOptions()))] * _AT_ONCE
    async with engine.begin() as connection:
        for begin in range(0, len(rows), 20_000):
            await connection.execute(insert(alerts), rows[begin : begin + 20_000])


def _row(symbol: str, level: float, options: str | None) -> dict[str, object]:
    return {
        "user_id": "7",
        "exchange": "NSE",
        "symbol": symbol,
        "shard": shard_of("NSE", symbol),
        "status": "active",
        "version": 1,
        "condition": f"price crosses above {level}",
        "tree": encode(Cross(left=Field(name="price"), right=Number(value=level), direction="above")),
        "options": options,
        "channels": json_text((Way.EMAIL,)),
        "delay_s": 0,
        "fired": 0,
        "created_at_ms": 0,
        "updated_at_ms": 0,
    }


@asynccontextmanager
async def _running(engine: AsyncEngine) -> AsyncIterator[tuple[Runner, _Timed, float]]:
    timed = _Timed(engine)
    runner = Runner(engine, Shards(engine, owner="bench"), timed)
    runner.samples = _Nowhere()
    began = time.perf_counter()
    task = asyncio.create_task(runner.run(), name="runner")
    while runner.shards < 16:  # noqa: ASYNC110 - the runner's doing
        await asyncio.sleep(0.01)
    try:
        yield runner, timed, time.perf_counter() - began
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _fire_steadily(runner: Runner, timed: _Timed, window_s: float) -> None:
    """Each tick fires one alert: all instruments begin below the level, and go above it in turn."""
    for number in range(_INSTRUMENTS):
        _say(runner, timed, f"S{number}", _LEVEL - 1, number + 1)
    await _settled(runner)
    begin = time.perf_counter()
    count = min(_INSTRUMENTS, int(window_s * _PER_S))
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number / _PER_S - time.perf_counter()))
        _say(runner, timed, f"S{number}", _LEVEL + 1, _INSTRUMENTS + number + 1)
    while timed.fired < count:  # noqa: ASYNC110 - the runner's doing
        await asyncio.sleep(0.01)


async def _settled(runner: Runner) -> None:
    """Until what new alerts remember of their first price is stored, which they do once in their life."""
    commits = -1
    while runner.tally.commits != commits:
        commits = runner.tally.commits
        await asyncio.sleep(3)


async def _fire_at_once(runner: Runner, timed: _Timed) -> float:
    _say(runner, timed, _CROWD, _LEVEL - 1, 10_000_000)
    await _settled(runner)
    began = time.perf_counter()
    _say(runner, timed, _CROWD, _LEVEL + 1, 10_000_001)
    while timed.fired < _AT_ONCE:  # noqa: ASYNC110 - the runner's doing
        await asyncio.sleep(0.01)
    return time.perf_counter() - began


def _say(runner: Runner, timed: _Timed, symbol: str, price: float, number: int) -> None:
    timed.said[number] = time.perf_counter()
    now_ms = int(time.time() * 1000)
    runner.take(Tick("NSE", symbol, scaled(price), now_ms), number, now_ms)
