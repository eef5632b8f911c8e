"""What an alert looks at: whether there are such instruments, whether its owner may see them, and their prices now."""

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta

import msgspec

from auth.identity import Identity
from auth.permissions import Action, Permissions
from channels.broker import Broker, Clock, Publication
from channels.channel import Channel, ChannelNames
from feeds.instruments import Instruments
from feeds.market_hours.sessions import ist_day
from hub.http.requests import exchange_of
from notifiers.conditions.checking import Checked
from notifiers.conditions.options import Baseline
from schemas.errors import CommandError, ErrorCode
from schemas.market import IST, MarketPayload, scaled

_payload_of = msgspec.json.Decoder(MarketPayload).decode


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the instruments of an alert: how late its owner's prices are, and when the first one ends."""

    delay_s: int
    ends_at_ms: int | None


class AlertMarket:
    """The instruments of alerts. `clock` tells Unix seconds."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        instruments: Callable[[], Instruments],
        permissions: Permissions,
        clock: Clock = time.time,
    ) -> None:
        self._broker = broker
        self._names = names
        self._instruments = instruments
        self._permissions = permissions
        self._clock = clock

    def channel(self, exchange: str | None, symbol: str, *, place: str = "$.exchange") -> Channel:
        """The instrument that somebody names. Raises CommandError, as `ChannelNames.parse` does and `exchange_of`."""
        if exchange is None and ":" in symbol:
            return self._names.parse(f"market:{symbol}")
        return self._names.parse(f"market:{exchange_of(exchange or 'NSE', place)}:{symbol}")

    async def watch(self, identity: Identity, channel: Channel, condition: Checked) -> Watched:
        """What there is to know before an alert is made.

        Raises CommandError INVALID_SYMBOL for an instrument that nobody knows, or that has expired; PERMISSION_DENIED
        where the plan has no prices of one.
        """
        others = [self._names.parse(f"market:{exchange}:{symbol}") for exchange, symbol in condition.instruments]
        channels = list(dict.fromkeys((channel, *others)))
        for one in channels:
            await self.require(one)
        delays = [self._delay_s(identity, one) for one in channels]
        if any(timeframe for _, _, timeframe in condition.sources):
            candles = self._names.parse(f"candles:1m:{channel.exchange}:{channel.symbol}").namespace
            self._permissions.allow_namespace(identity, Action.READ, candles)
        ends = [end for one in channels if (end := self._expiry(one)) is not None]
        return Watched(delay_s=max(delays), ends_at_ms=_end_ms(min(ends)) if ends else None)

    async def baseline(self, channel: Channel, delay_s: int) -> Baseline | None:
        """The newest price for who has prices so late, in the form in which an alert begins with it."""
        found = await self._newest(channel, delay_s)
        return None if found is None else self._baseline(found, delay_s)

    async def price(self, channel: Channel, delay_s: int) -> float | None:
        """The newest price that somebody may see who has prices so late."""
        found = await self._newest(channel, delay_s)
        return None if found is None else _payload_of(found.payload).price

    async def _newest(self, channel: Channel, delay_s: int) -> Publication | None:
        heard = channel.delayed(delay_s) if delay_s else channel
        return (await self._broker.last([heard])).get(heard.name)

    async def require(self, channel: Channel) -> None:
        """Refuses an instrument that nobody knows, or that has expired. Raises CommandError INVALID_SYMBOL."""
        place = f"{channel.exchange}:{channel.symbol}"
        expiry = self._expiry(channel)
        if expiry is not None and expiry < ist_day(self._now_ms()):
            raise CommandError(
                ErrorCode.INVALID_SYMBOL, "{place} expired on {day}", place=place, day=expiry.isoformat()
            )
        listed = self._instruments().get(channel.exchange or "", channel.symbol or "")
        if listed is None and not await self._broker.last([channel]):
            raise CommandError(ErrorCode.INVALID_SYMBOL, "No instrument {place}", place=place)

    def _delay_s(self, identity: Identity, channel: Channel) -> int:
        """API keys need no scope of prices for alerts: they get none, but what becomes of them."""
        self._permissions.allow_namespace(identity, Action.READ, channel.namespace)
        return self._permissions.plans.delay_s(identity, channel.exchange or "")

    def _expiry(self, channel: Channel) -> date | None:
        listed = self._instruments().get(channel.exchange or "", channel.symbol or "")
        return None if listed is None else listed.expiry

    def _baseline(self, publication: Publication, delay_s: int) -> Baseline:
        read = _payload_of(publication.payload)
        return Baseline(
            price=scaled(read.price),
            time_ms=_time_ms(read.time) or self._now_ms() - delay_s * 1000,
            number=publication.offset,
            high=None if read.high is None else scaled(read.high),
            low=None if read.low is None else scaled(read.low),
        )

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _end_ms(day: date) -> int:
    """The end of a day in India."""
    after = datetime(day.year, day.month, day.day, tzinfo=IST) + timedelta(days=1)
    return int(after.timestamp() * 1000) - 1


def _time_ms(text: str | None) -> int | None:
    """Of a published time; None for what is none, as outsiders may write it."""
    try:
        read = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if read is None or read.tzinfo is None else round(read.timestamp() * 1000)
