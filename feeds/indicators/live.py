"""Indicators on the candles that go out: those that somebody asked for, kept up to date bar by bar."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn, Protocol

from channels.broker import Clock
from feeds.candles.bars import Bar
from feeds.indicators.evaluation import IndicatorSet, Value
from feeds.indicators.indicator import Indicator, history_for, parse
from feeds.interest import CandlePlace
from schemas.durations import Seconds
from schemas.errors import CommandError, Unavailable

log = logging.getLogger("tickhub.feeds.indicators.live")

POLL_S: Seconds = 0.25
MAX_SETS = 5_000
"""Candles with indicators at one time; more are not served, which their subscribers see by the missing field."""
_KEPT = 10
"""Closed bars that are remembered while the history is being read."""


class History(Protocol):
    """Stored bars."""

    async def between(
        self, exchange: str, symbol: str, timeframe: str, from_s: int, to_s: int, *, limit: int
    ) -> list[Bar]:
        """The last `limit` bars that start in a span. Raises Unavailable."""


class _Watched:
    """One candle whose indicators are asked for: the set, once the history has been read."""

    def __init__(self, asked: frozenset[str]) -> None:
        self.asked = asked
        self.indicators = {text: one for text in sorted(asked) if (one := _read(text)) is not None}
        self.set: IndicatorSet | None = None
        self.closed: list[Bar] = []


class LiveIndicators:
    """`asked` tells which candles' indicators somebody wants now. `wall` is Unix seconds."""

    def __init__(
        self,
        history: History | None,
        asked: Callable[[], Mapping[CandlePlace, frozenset[str]]],
        *,
        sleep: Callable[[Seconds], Awaitable[None]],
        wall: Clock = time.time,
    ) -> None:
        self._history = history
        self._asked = asked
        self._sleep = sleep
        self._wall = wall
        self._watched: dict[CandlePlace, _Watched] = {}

    def annotate(self, exchange: str, symbol: str, timeframe: str, bar: Bar, closed: bool) -> dict[str, Value] | None:
        """The values that go out with a bar; None where nobody asked, or the history is still being read."""
        watched = self._watched.get((exchange, symbol, timeframe))
        if watched is None:
            return None
        if watched.set is None:
            if closed:
                watched.closed = [*watched.closed[1 - _KEPT :], bar]
            return None
        return watched.set.closed(bar) if closed else watched.set.forming(bar)

    async def run(self) -> NoReturn:
        """Begins and ends sets as they are asked for, until cancelled."""
        while True:
            await self._turn()
            await self._sleep(POLL_S)

    async def _turn(self) -> None:
        asked = self._asked()
        wanted = {place: names for place, names in asked.items() if names}
        for place, watched in list(self._watched.items()):
            if wanted.get(place) != watched.asked:
                del self._watched[place]
        for place, names in wanted.items():
            if place not in self._watched and len(self._watched) < MAX_SETS:
                self._watched[place] = _Watched(names)
                await self._begin(place, self._watched[place])

    async def _begin(self, place: CandlePlace, watched: _Watched) -> None:
        bars: list[Bar] = []
        if self._history is not None:
            exchange, symbol, timeframe = place
            until_s = int(self._wall()) + 1
            try:
                bars = await self._history.between(
                    exchange, symbol, timeframe, 0, until_s, limit=history_for(watched.indicators.values())
                )
            except Unavailable as exc:
                log.warning("indicators.without_history", extra={"why": exc.why})
        begun = IndicatorSet(watched.indicators, bars)
        for bar in watched.closed:
            begun.closed(bar)
        watched.closed = []
        watched.set = begun


def _read(text: str) -> Indicator | None:
    try:
        return parse(text)
    except CommandError:  # a process of another release asks for what this one does not know
        return None
