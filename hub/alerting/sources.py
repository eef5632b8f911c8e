"""What alerts look at, heard through the registry: ticks of `market:` channels, candles of `candles:` channels.

That somebody hears them is told to the feeds as subscribers' wishes are (`channels.demand`), so that a price is
carried, and a candle computed with its indicators, although nobody looks at it but an alert.

Of an exchange that is late (`NSE@900`, see `notifiers.alerts.late`) the delayed channels are heard, and the feeds are
asked for what those repeat.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from functools import partial
from typing import NoReturn, Protocol

import msgspec
from msgspec import structs

from channels.broker import Broker, Clock
from channels.channel import Channel, ChannelNames
from channels.demand import LAPSE_S, REPEAT_S, SOON_S
from channels.registry import Registry
from channels.shape import Update
from notifiers.alerts.late import parted
from notifiers.engine.samples import Bar, Source
from schemas.durations import Seconds
from schemas.errors import CommandError, Unavailable
from schemas.market import CandlePayload, MarketPayload, Tick, moment_ms, scaled, tick_of

log = logging.getLogger("tickhub.hub.alerting.sources")

AT_ONCE = 64
"""How many channels are begun to be heard at the same time."""
COUNTED = 1_000_000_000_000
"""Numbers of counted publications begin with the milliseconds of the Unix epoch: what is below was never counted."""
_MINUTE_MS = 60_000
_LENGTH_MS = {
    "1m": _MINUTE_MS,
    "3m": 3 * _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": 60 * _MINUTE_MS,
    "1d": 1440 * _MINUTE_MS,
}

_decode_price = msgspec.json.Decoder(MarketPayload).decode
_decode_candle = msgspec.json.Decoder(CandlePayload).decode


class Hearer(Protocol):
    """Who takes the samples; neither method waits or raises."""

    def take(self, tick: Tick, number: int, received_ms: int) -> None:
        """Takes a tick."""

    def take_bar(self, bar: Bar, number: int, received_ms: int) -> None:
        """Takes a candle."""


class SteadyClock:
    """Unix milliseconds that only go forward: a wall clock that is set right must not make prices older than others."""

    def __init__(self, *, wall: Clock = time.time, monotonic: Clock = time.monotonic) -> None:
        self._monotonic = monotonic
        self._begin_s = wall() - monotonic()

    def now_ms(self) -> int:
        """The time."""
        return int((self._begin_s + self._monotonic()) * 1000)


class Sources:
    """The sources of one process's engines."""

    def __init__(
        self,
        registry: Registry,
        broker: Broker,
        names: ChannelNames,
        hearer: Hearer,
        *,
        now_ms: Callable[[], int],
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.unreadable = 0
        """Publications that were neither price nor candle."""
        self._registry = registry
        self._broker = broker
        self._names = names
        self._hearer = hearer
        self._now_ms = now_ms
        self._sleep = sleep
        self._wanted: Mapping[Source, Collection[str]] = {}
        self._heard: dict[Source, tuple[Channel, _Ear]] = {}
        self._unnamed: set[Source] = set()
        self._changed = asyncio.Event()
        self._newest_ms = 0

    @property
    def heard(self) -> int:
        """How many sources are heard."""
        return len(self._heard)

    def follow(self, wanted: Mapping[Source, Collection[str]]) -> None:
        """See `notifiers.alerts.runner.Samples`."""
        self._wanted = wanted
        self._changed.set()

    async def run(self) -> NoReturn:
        """Hears what is to be heard, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            for source in [one for one in self._heard if one not in self._wanted]:
                self._registry.unwatch(*self._heard.pop(source))
            new = [one for one in self._wanted if one not in self._heard and one not in self._unnamed]
            for begin in range(0, len(new), AT_ONCE):
                async with asyncio.TaskGroup() as group:
                    for source in new[begin : begin + AT_ONCE]:
                        group.create_task(self._begin(source), name=f"alerts.begin.{source.text}")

    def repeat(self, sources: Collection[Source]) -> None:
        """See `notifiers.alerts.runner.Samples`."""
        for source in sources:
            if source in self._heard:
                self._heard[source][1].repeat()

    async def tell(self) -> NoReturn:
        """Tells the feeds what is wanted: soon after it changes, and again while it lasts. Until cancelled."""
        told: Mapping[Source, Collection[str]] = {}
        left_s: Seconds = 0.0
        while True:
            if self._wanted is not told or left_s <= 0:
                wanted = self._wanted
                try:
                    if names := set(_demanded(wanted)):
                        await self._broker.demand(names, LAPSE_S)
                    told, left_s = wanted, REPEAT_S
                except Unavailable as exc:
                    log.warning("alerts.untold", extra={"what": exc.what, "why": exc.why})
                    left_s = REPEAT_S
            await self._sleep(SOON_S)
            left_s -= SOON_S

    async def _begin(self, source: Source) -> None:
        delay_s = parted(source.exchange)[1]
        try:
            channel = self._names.parse(_name(source))
        except CommandError as exc:  # a symbol that can be no channel's
            self._unnamed.add(source)
            log.warning("alerts.no_such_source", extra={"source": source.text, "why": str(exc)})
            return
        channel = channel.delayed(delay_s) if delay_s else channel
        hear = self._bar if source.timeframe else self._price
        ear = _Ear(partial(hear, late_ms=delay_s * 1000) if delay_s else hear, source, self._now_ms)
        self._heard[source] = (channel, ear)
        await self._registry.watch(channel, ear)
        ear.beginning = False

    def _price(self, source: Source, payload: bytes, number: int, late_ms: int = 0) -> None:
        received_ms = self._now_ms()
        try:
            said = _decode_price(payload)
        except msgspec.MsgspecError:  # kept by a release with other fields
            self.unreadable += 1
            return
        tick = tick_of(said, source.exchange, source.symbol, received_ms - late_ms)
        if late_ms:
            tick = structs.replace(tick, time_ms=tick.time_ms + late_ms)
        self._newest_ms = max(self._newest_ms, tick.time_ms)
        self._hearer.take(tick, number, received_ms)

    def _bar(self, source: Source, payload: bytes, number: int, late_ms: int = 0) -> None:
        received_ms = self._now_ms()
        try:
            bar = bar_of(_decode_candle(payload), source, (self._newest_ms or received_ms) - late_ms)
        except (msgspec.MsgspecError, ValueError):
            self.unreadable += 1
            return
        if bar.start_ms > max(received_ms, self._newest_ms) + _MINUTE_MS:  # all that come after it would be late
            self.unreadable += 1
            return
        if late_ms:
            bar = structs.replace(bar, time_ms=bar.time_ms + late_ms)
        self._hearer.take_bar(bar, number, received_ms)


class _Ear:
    """Hears one channel, and sees to it that what is news has a greater number than all before.

    What nobody counted (published straight to Redis) is numbered here from 1 in each process: that would be below what
    an engine has stored, so such numbers begin with the time.
    """

    def __init__(self, hear: Callable[[Source, bytes, int], None], source: Source, now_ms: Callable[[], int]) -> None:
        self.beginning = True
        """What is said now was said before, and may have been heard by whoever had the shard then."""
        self._hear = hear
        self._source = source
        self._now_ms = now_ms
        self._last = 0
        self._payload: bytes | None = None

    def __call__(self, update: Update) -> None:
        number = update.number if update.number >= COUNTED else self._now_ms()
        if not self.beginning:
            number = max(number, self._last + 1)
        self._last, self._payload = number, update.payload
        self._hear(self._source, update.payload, number)

    def repeat(self) -> None:
        """Say the newest once more, for who has only just begun to hear; to the others its number is no news."""
        if self._payload is not None:
            self._hear(self._source, self._payload, self._last)


def bar_of(said: CandlePayload, source: Source, now_ms: int) -> Bar:
    """A published candle as a sample; `now_ms` is exchange time. Raises ValueError where its start is no time.

    A candle doesn't say when it became so: within it, and not later than now.
    """
    start_ms = _moment_ms(said.start)
    return Bar(
        exchange=source.exchange,
        symbol=source.symbol,
        timeframe=source.timeframe,
        start_ms=start_ms,
        open=scaled(said.open),
        high=scaled(said.high),
        low=scaled(said.low),
        close=scaled(said.close),
        volume=said.volume,
        open_interest=said.open_interest,
        closed=bool(said.closed),
        time_ms=min(start_ms + _LENGTH_MS[source.timeframe], max(start_ms, now_ms)),
        indicators=said.indicators,
    )


def _moment_ms(text: str) -> int:
    moment = moment_ms(text)
    if moment is None:
        raise ValueError("no time")
    return moment


def _name(source: Source) -> str:
    """The channel in real time, also where it is heard late."""
    place = source._replace(exchange=parted(source.exchange)[0]).text
    return f"candles:{place}" if source.timeframe else f"market:{place}"


def _demanded(wanted: Mapping[Source, Collection[str]]) -> Iterator[str]:
    """What the feeds are to carry, as `channels.registry.Registry.wanted` says it."""
    for source, indicators in wanted.items():
        name = _name(source)
        yield name
        for indicator in indicators:
            yield f"{name}#{indicator}"
