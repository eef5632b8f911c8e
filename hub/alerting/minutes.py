"""Stored minutes as the prices that may have made them.

Of a minute four prices are known, and neither their order nor their times: the extreme nearer to the open is taken to
have come first, and all of them to lie apart evenly.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from feeds.candles.bars import Bar
from feeds.market_hours.sessions import ist_day
from schemas.market import MarketState, Tick


class Minutes(msgspec.Struct, frozen=True):
    """One instrument's minutes, oldest first, and the last one before them."""

    bars: Sequence[Bar]
    before: Bar | None = None


def ticks_of(minutes: Minutes) -> Iterator[Tick]:
    """The prices, with the figures of the day as far as its minutes tell them.

    Each day begins with the close of the day before, told before the market opens: whoever counts volumes learns from
    it where to begin.
    """
    close = None if minutes.before is None else minutes.before.close
    for _, bars in groupby(minutes.bars, key=lambda bar: ist_day(bar.start_ms)):
        first, *others = bars
        day = _Day(first, close)
        yield day.dawn
        for bar in (first, *others):
            yield from day.minute(bar)
        close = day.price


class _Day:
    """A day's figures as they grow."""

    def __init__(self, first: Bar, close: int | None) -> None:
        self.first = first
        self.price = self._high = self._low = first.open
        self._close = close
        self._volume = None if first.volume is None else max(0, (first.day_volume or first.volume) - first.volume)

    @property
    def dawn(self) -> Tick:
        """Before the day's first trade."""
        price, time_ms = self._close or self.first.open, self.first.start_ms - 1
        return Tick(
            self.first.exchange, self.first.symbol, price, time_ms, MarketState.PRE_OPEN,
            close=self._close, volume=self._volume,
        )  # fmt: skip

    def minute(self, bar: Bar) -> Iterator[Tick]:
        """The prices of the day's next minute, its last one within its last millisecond."""
        prices = path(bar)
        before, last = self._volume, len(prices) - 1
        for place, price in enumerate(prices):
            if before is not None:
                self._volume = before + (bar.volume or 0) * (place + 1) // len(prices)
            time_ms = bar.start_ms + (bar.end_ms - bar.start_ms) * place // (last or 1)
            yield self._tick(bar, price, min(time_ms, bar.end_ms - 1))

    def _tick(self, bar: Bar, price: int, time_ms: int) -> Tick:
        self.price = price
        self._high, self._low = max(self._high, price), min(self._low, price)
        return Tick(
            bar.exchange, bar.symbol, price, time_ms, MarketState.CONTINUOUS,
            self.first.open, self._high, self._low, self._close, self._volume,
            open_interest=bar.open_interest,
        )  # fmt: skip


def path(bar: Bar) -> list[int]:
    """The prices of a bar in the order taken, none twice in a row.

    So few trades as to leave no room for that order came in the other one.
    """
    nearer_first = bar.high - bar.open <= bar.open - bar.low
    extremes = (bar.high, bar.low) if nearer_first else (bar.low, bar.high)
    prices = _without_repetition(bar.open, *extremes, bar.close)
    if bar.volume is None or bar.volume >= len(prices):
        return prices
    return _without_repetition(bar.open, *reversed(extremes), bar.close)


def _without_repetition(*prices: int) -> list[int]:
    return [price for price, _ in groupby(prices)]
