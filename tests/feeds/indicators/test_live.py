"""Candles bring the indicators that somebody asked for."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from feeds.candles.bars import Bar
from feeds.indicators.evaluation import evaluate
from feeds.indicators.indicator import parse
from feeds.indicators.live import LiveIndicators
from feeds.interest import CandlePlace
from schemas.errors import Unavailable
from schemas.market import PRICE_SCALE

PLACE = ("NSE", "TCS", "5m")
MINUTES_5 = 300_000
ASKED = ("rsi", "sma(5)", "sma(volume,5)")


def bar(number: int, *, closed: bool = True) -> Bar:
    close = (1000 + number * 37 % 50) * PRICE_SCALE
    return Bar(
        exchange="NSE",
        symbol="TCS",
        timeframe="5m",
        start_ms=number * MINUTES_5,
        end_ms=(number + 1) * MINUTES_5,
        open=close,
        high=close + PRICE_SCALE,
        low=close - PRICE_SCALE,
        close=close,
        volume=100 + number,
        closed=closed,
    )


class Stored:
    """Bars as a database holds them."""

    def __init__(self, *bars: Bar) -> None:
        self.bars = list(bars)
        self.away = False
        self.held: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def between(
        self, exchange: str, symbol: str, timeframe: str, from_s: int, to_s: int, *, limit: int
    ) -> list[Bar]:
        assert (exchange, symbol, timeframe) == PLACE
        bars = self.bars[-limit:]
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        if self.away:
            raise Unavailable("database", "away")
        return bars


class Desk:
    """The indicators under test, with what is asked for."""

    def __init__(self, history: Stored | None) -> None:
        self.asked: Mapping[CandlePlace, frozenset[str]] = {PLACE: frozenset(ASKED)}
        self._go = asyncio.Semaphore(0)
        self._slept = asyncio.Semaphore(0)
        self.live = LiveIndicators(history, lambda: self.asked, sleep=self._sleep)

    async def _sleep(self, _: float) -> None:
        self._slept.release()
        await self._go.acquire()

    async def turn(self) -> None:
        self._go.release()
        await self._slept.acquire()

    @asynccontextmanager
    async def running(self, *, begun: bool = True) -> AsyncIterator[None]:
        task = asyncio.create_task(self.live.run())
        if begun:
            await self._slept.acquire()
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def say(self, one: Bar) -> dict[str, object] | None:
        return self.live.annotate("NSE", "TCS", "5m", one, one.closed)  # type: ignore[return-value]


def expected(*bars: Bar) -> dict[str, object]:
    return evaluate({text: parse(text) for text in ASKED}, bars)  # type: ignore[return-value]


async def test_values_go_on_from_the_history() -> None:
    bars = [bar(number) for number in range(70)]
    desk = Desk(Stored(*bars[:60]))
    async with desk.running():
        for number in range(60, 70):
            forming = bar(number, closed=False)
            assert desk.say(forming) == pytest.approx(expected(*bars[:number], forming))
            assert desk.say(bars[number]) == pytest.approx(expected(*bars[: number + 1]))


async def test_nobody_asked_nothing_is_added() -> None:
    desk = Desk(Stored())
    desk.asked = {PLACE: frozenset()}
    async with desk.running():
        assert desk.say(bar(0)) is None
        desk.asked = {}
        await desk.turn()
        assert desk.say(bar(1)) is None


async def test_bars_that_close_while_the_history_is_read_count_once() -> None:
    bars = [bar(number) for number in range(63)]
    history = Stored(*bars[:60])
    history.held = asyncio.Event()
    desk = Desk(history)
    async with desk.running(begun=False):
        await history.asked.wait()
        assert desk.say(bars[59]) is None
        assert desk.say(bars[60]) is None
        assert desk.say(bars[61]) is None
        history.held.set()
        await desk._slept.acquire()
        assert desk.say(bars[62]) == pytest.approx(expected(*bars))


async def test_without_a_history_values_come_once_enough_bars_have_closed() -> None:
    for history in (None, Stored()):
        if history is not None:
            history.away = True
        desk = Desk(history)
        async with desk.running():
            values = [desk.say(bar(number)) for number in range(20)]
        first = [next(n for n, value in enumerate(values) if value and value[name] is not None) for name in ASKED]
        assert first == [14, 4, 4]


async def test_asking_for_others_begins_anew_and_asking_no_more_ends() -> None:
    desk = Desk(Stored(*[bar(number) for number in range(60)]))
    async with desk.running():
        desk.asked = {PLACE: frozenset({"atr"})}
        await desk.turn()
        assert set(desk.say(bar(60)) or ()) == {"atr"}
        desk.asked = {}
        await desk.turn()
        assert desk.say(bar(61)) is None


async def test_a_name_from_another_release_is_left_out() -> None:
    desk = Desk(Stored(*itertools.islice((bar(number) for number in itertools.count()), 60)))
    desk.asked = {PLACE: frozenset({"rsi", "oracle(7)"})}
    async with desk.running():
        assert set(desk.say(bar(60)) or ()) == {"rsi"}
