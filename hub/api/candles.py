"""Candles as far as a bearer may see them: the stored ones, and the one that forms."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from auth.identity import Identity
from channels.broker import Broker, Clock, Publication
from channels.channel import Channel, ChannelNames
from feeds.candles.bars import Bar
from feeds.candles.history import CandleHistory
from feeds.instruments import Instruments
from feeds.market_hours.sessions import ist_day
from hub.api import market_view
from hub.api.wishes import Wishes
from schemas.durations import Seconds

POLL_S: Seconds = 0.05
POLLS = 15
"""How long a feed is waited for, once something is wanted that was not before."""

PAGE = 2000
"""Stored bars that are read at a time: some 10 ms of work."""

DelayOf = Callable[[Identity, Channel], int]
"""By how many seconds a channel comes late to a bearer. Raises CommandError PERMISSION_DENIED."""


class Candles:
    """Candles of `candles:` channels."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        instruments: Callable[[], Instruments],
        history: CandleHistory,
        delay_of: DelayOf,
        clock: Clock = time.time,
    ) -> None:
        self._broker = broker
        self._names = names
        self._instruments = instruments
        self._history = history
        self._delay_of = delay_of
        self._clock = clock
        self._wishes = Wishes(broker)

    async def newest(self, identity: Identity, channel: Channel, limit: int, to_s: int | None = None) -> list[Bar]:
        """The last `limit` bars that start before `to_s`, up to what the bearer may see, the forming one among them."""
        heard = self._heard(identity, channel)
        now_s = int(self._clock()) - heard.delay_s
        until_s = now_s + 1 if to_s is None else min(to_s, now_s + 1)
        bars = await self._stored(channel, limit, until_s)
        if heard.delay_s:  # a bar that ended later would show what is not to be seen yet
            bars = _ended(bars, now_s)
        newest = await self._forming(channel, heard, bars) if until_s > now_s else None
        if newest is None or (bars and newest.start_ms < bars[-1].start_ms):
            return bars
        if bars and newest.start_ms == bars[-1].start_ms:  # what a process that ended left of it
            bars.pop()
        return [*bars, newest][-limit:]

    async def closed(self, channel: Channel, limit: int, *, to_s: int, seen_s: int) -> list[Bar]:
        """The last `limit` stored bars that start before `to_s`, those of them that were over by `seen_s`.

        Read a page at a time, so that it may be many. Raises Unavailable.
        """
        pages: list[list[Bar]] = []
        until_s = min(to_s, seen_s)
        while limit > 0:
            page = await self._stored(channel, min(limit, PAGE), until_s)
            pages.append(page)
            limit -= len(page)
            if len(page) < PAGE:
                break
            until_s = page[0].start_ms // 1000
        return _ended([bar for page in reversed(pages) for bar in page], seen_s)

    async def _stored(self, channel: Channel, limit: int, until_s: int) -> list[Bar]:
        exchange, symbol, timeframe = channel.exchange or "", channel.symbol or "", channel.timeframe or ""
        return await self._history.between(exchange, symbol, timeframe, 0, until_s, limit=limit)

    def _heard(self, identity: Identity, channel: Channel) -> Channel:
        delay_s = self._delay_of(identity, channel)
        return channel.delayed(delay_s) if delay_s else channel

    async def _forming(self, channel: Channel, heard: Channel, bars: Sequence[Bar]) -> Bar | None:
        """The newest candle that was told; feeds tell the forming ones that somebody wants."""
        listed = self._instruments().get(channel.exchange or "", channel.symbol or "") is not None
        new = listed and await self._wishes.want([channel.name])
        found: Mapping[str, Publication] = await self._broker.last([heard])
        if new and not heard.delay_s and await self._moves(channel, bars):
            found = await renewed(self._broker, [heard], found)
        return market_view.bar_of(channel, found[heard.name]) if heard.name in found else None

    async def _moves(self, channel: Channel, bars: Sequence[Bar]) -> bool:
        """Whether there was a price after the last closed candle, so that one is forming."""
        market = self._names.parse(f"market:{channel.exchange}:{channel.symbol}")
        found = await self._broker.last([market])
        time_ms = market_view.price_time_ms(found[market.name]) if market.name in found else None
        return time_ms is not None and (not bars or time_ms >= bars[-1].end_ms)


async def renewed(
    broker: Broker, old: Sequence[Channel], found: Mapping[str, Publication]
) -> Mapping[str, Publication]:
    """What was found, with what comes of the old ones within POLLS times POLL_S."""
    for _ in range(POLLS):
        if not old:
            break
        await asyncio.sleep(POLL_S)
        newer = await broker.last(old)
        old = [one for one in old if newer.get(one.name) == found.get(one.name)]
        found = {**found, **newer}
    return found


def last_days(bars: Sequence[Bar], count: int | None) -> Sequence[Bar]:
    """Those of the last so many days in India that have any."""
    if count is None or not bars:
        return bars
    days = sorted({ist_day(bar.start_ms) for bar in bars})[-count:]
    return [bar for bar in bars if ist_day(bar.start_ms) >= days[0]]


def _ended(bars: Sequence[Bar], now_s: int) -> list[Bar]:
    return [bar for bar in bars if bar.end_ms <= now_s * 1000]
