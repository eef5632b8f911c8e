"""Candles as they run: ticks in, closed and forming candles out to their channels, closed ones into the database.

A thin shell around `feeds.candles.engine`: it brings the clock, the publishing and the storing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from channels.broker import Clock
from feeds.candles.bars import Bar, candle_payload
from feeds.candles.engine import MAX_AHEAD_MS, CandleEngine, Key
from feeds.candles.history import CandleHistory
from feeds.feed import Update
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.market import Tick

log = logging.getLogger("tickhub.feeds.candles.worker")

Name = tuple[str, str, str, str]
"""The parts of a channel's name: `candles`, timeframe, exchange, symbol."""
PublishCandles = Callable[[Sequence[tuple[Name, bytes]]], Awaitable[None]]
"""Publishes payloads in their order. Never raises for a broker that is away."""
Indicators = dict[str, float | dict[str, float] | None]
Annotate = Callable[[str, str, str, Bar, bool], Indicators | None]
"""Exchange, symbol, timeframe, bar and whether it has closed in; what to publish beside it out. Called once for each
closed bar, in order of time; for forming ones as they are told."""
Listener = Callable[[Bar], None]

_SLICE = 250
"""Instruments whose candles are closed before others get their turn: 3,000 of them end their hour at once."""
_BATCH = 500
"""Candles of one publication."""


def _nothing(*_: object) -> None:
    return None


class CandleWorker:
    """The candles of one process. `wanted` names the forming ones that somebody hears; closed ones always go out.

    `clock` (Unix seconds) is that of the ticks: a replay hands in its own. `history` None: nothing is stored.
    """

    POLL_S: Seconds = 0.25
    """How soon after its time a bar closes."""

    def __init__(
        self,
        engine: CandleEngine,
        *,
        publish: PublishCandles,
        wanted: Callable[[], Collection[Key]],
        history: CandleHistory | None = None,
        annotate: Annotate = _nothing,
        clock: Clock = time.time,
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.on_closed: list[Listener] = []
        """Called once with every bar that closed, in order; must neither wait nor raise."""
        self._engine = engine
        self._publish = publish
        self._wanted = wanted
        self._history = history
        self._annotate = annotate
        self._clock = clock
        self._sleep = sleep
        self._telling = asyncio.Lock()
        self.published = 0
        self.ahead = 0
        """Ticks from further ahead than a clock may be wrong."""

    def take(self, updates: Iterable[Update]) -> None:
        """What a feed brought, in its order. Costs about 1 µs a tick; ticks from the future are left out."""
        take, latest_ms = self._engine.take, self._now_ms() + MAX_AHEAD_MS
        for update in updates:
            if type(update) is Tick:
                if update.time_ms <= latest_ms:
                    take(update)
                else:
                    self.ahead += 1

    def interrupted(self, exchange: str, symbol: str = "") -> None:
        """The exchange's source went away, or the instrument isn't asked for any more: its bars get a gap."""
        self._engine.interrupted(exchange, self._now_ms(), symbol)

    def resumed(self, exchange: str, symbol: str = "") -> None:
        """It is back."""
        self._engine.resumed(exchange, self._now_ms(), symbol)

    async def restore(self) -> None:
        """Goes on from what an earlier process stored; before the first tick. Without the database bars get gaps.

        Others have their turn every few milliseconds. Cancelling is safe: what is restored by then counts.
        """
        if self._history is None:
            return
        count = 0

        def take(bars: list[Bar]) -> None:
            nonlocal count
            count += len(bars)
            self._engine.restore_some(bars, self._now_ms())

        try:
            await self._history.recent(self._now_ms(), take)
        except Unavailable as exc:
            log.warning("candles.not_restored", extra={"why": exc.why, "bars": count})
        else:
            if count:
                log.info("candles.restored", extra={"bars": count, "instruments": len(self._engine)})
        finally:
            self._engine.end_restore(self._now_ms())

    async def run(self) -> None:
        """Closes and tells bars by the clock until cancelled; cancelling may lose what was about to be told."""
        while True:
            await self.tell()
            await self._sleep(self.POLL_S)

    async def tell(self) -> None:
        """Stores and publishes what has closed, and publishes the forming bars that are due."""
        async with self._telling:
            now_ms = self._now_ms()
            while (closed := self._engine.advance(now_ms, at_most=_SLICE)) or self._engine.closing:
                if self._history is not None:
                    self._history.offer(closed)
                await self._send(closed)
                await asyncio.sleep(0)
            await self._send(self._engine.forming(now_ms, self._wanted()))

    def stop(self) -> None:
        """Hands the minutes that still form to the history, for the next process; its `flush` then writes them."""
        if self._history is not None:
            self._history.offer([*self._engine.advance(self._now_ms()), *self._engine.partial()])

    async def _send(self, bars: Sequence[Bar]) -> None:
        for place in range(0, len(bars), _BATCH):
            batch = [self._said(bar) for bar in bars[place : place + _BATCH]]
            await self._publish(batch)
            self.published += len(batch)
            await asyncio.sleep(0)

    def _said(self, bar: Bar) -> tuple[Name, bytes]:
        if bar.closed:
            for listener in self.on_closed:
                listener(bar)
        indicators = self._annotate(bar.exchange, bar.symbol, bar.timeframe, bar, bar.closed)
        return ("candles", bar.timeframe, bar.exchange, bar.symbol), candle_payload(bar, indicators)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
