"""From a feed to the broker: updates become payloads, and what the markets and feeds are doing is told.

Prices that can't be published are dropped, never kept: the next ones are newer. So nothing here grows while the
broker is away.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from channels.broker import Broker, Clock
from channels.channel import Channel, ChannelNames
from feeds.feed import Update
from feeds.sessions import MarketSession
from schemas.durations import Seconds
from schemas.errors import CommandError, Unavailable
from schemas.market import MarketState, Tick, depth_payload, ist_text, tick_payload

log = logging.getLogger("tickhub.feeds.publisher")

SessionOf = Callable[[str], MarketSession]
"""What an exchange does now."""

_encode = msgspec.json.Encoder().encode
_MAX_CHANNELS = 200_000
_QUIET = frozenset({MarketState.CLOSED, MarketState.POST_CLOSE})


class Health(StrEnum):
    """What can be said of an exchange's prices."""

    LIVE = "live"
    STALE = "stale"
    """The market is open, and nothing has come for a while."""
    CLOSED = "closed"


class Publisher:
    """Publishes what the feeds of one process hand over. `clock` is monotonic, `wall` Unix seconds."""

    POLL_S: Seconds = 0.5
    """How soon a change of state is noticed."""
    REPEAT_S: Seconds = 10.0
    """How often a state is told again without a change."""
    STALE_AFTER_S: Seconds = 10.0

    def __init__(
        self,
        broker: Broker,
        names: ChannelNames,
        *,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._broker = broker
        self._names = names
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._ticks: dict[tuple[str, str], Channel | None] = {}
        self._depths: dict[tuple[str, str], Channel | None] = {}
        self._heard: dict[str, Seconds] = {}
        self._away = False
        self._lost = 0
        self.published = 0
        """Updates that the broker took."""
        self.dropped = 0
        """Updates that it could not take because it was away."""
        self.refused = 0
        """Updates whose exchange or symbol makes no channel."""

    async def publish(self, updates: Sequence[Update]) -> None:
        """Publishes updates in their order; this is the `Publish` of every feed.

        While the broker is away they are dropped and counted. Cancelling may lose the batch, nothing else.
        """
        batch = self._payloads(updates)
        if not batch:
            return
        if await self._send(batch):
            self.published += len(batch)
        else:
            self.dropped += len(batch)
            self._lost += len(batch)

    def health(self, exchange: str, session: MarketSession) -> Health:
        """Whether an exchange's prices flow as its session lets expect."""
        if session.state in _QUIET:
            return Health.CLOSED
        heard_s = self._heard.get(exchange)
        fresh = heard_s is not None and self._clock() - heard_s <= self.STALE_AFTER_S
        return Health.LIVE if fresh else Health.STALE

    async def status_feeds(self, exchanges: Sequence[str], session_of: SessionOf) -> None:
        """Tells `status:feeds` on every change and every REPEAT_S, until cancelled."""
        await self._tell(
            "status:feeds",
            lambda: {exchange: self.health(exchange, session_of(exchange)) for exchange in exchanges},
        )

    async def status_market(self, exchanges: Sequence[str], session_of: SessionOf) -> None:
        """Tells `status:market` on every change and every REPEAT_S, with the present time, until cancelled."""
        await self._tell(
            "status:market",
            lambda: {exchange: _session_fields(session_of(exchange)) for exchange in exchanges},
            timed=True,
        )

    def _payloads(self, updates: Sequence[Update]) -> list[tuple[Channel, bytes]]:
        batch: list[tuple[Channel, bytes]] = []
        ticks, depths = self._ticks, self._depths
        for update in updates:
            key = (update.exchange, update.symbol)
            if isinstance(update, Tick):
                channel = ticks[key] if key in ticks else self._channel("market", ticks, key)
                if channel is not None:
                    batch.append((channel, tick_payload(update)))
            else:
                channel = depths[key] if key in depths else self._channel("depth", depths, key)
                if channel is not None:
                    batch.append((channel, depth_payload(update)))
        self.refused += len(updates) - len(batch)
        self._heard.update(dict.fromkeys({channel.exchange or "" for channel, _ in batch}, self._clock()))
        return batch

    def _channel(
        self, namespace: str, known: dict[tuple[str, str], Channel | None], key: tuple[str, str]
    ) -> Channel | None:
        if len(known) >= _MAX_CHANNELS:
            known.clear()
        exchange, symbol = key
        try:
            known[key] = self._names.parse(f"{namespace}:{exchange}:{symbol}")
        except CommandError as exc:
            known[key] = None
            log.warning("publisher.refused", extra={"exchange": exchange, "symbol": symbol, "code": exc.code})
        return known[key]

    async def _send(self, batch: Sequence[tuple[Channel, bytes]]) -> bool:
        try:
            await self._broker.publish_latest(batch)
        except Unavailable as exc:
            if not self._away:
                self._away = True
                self._lost = 0
                log.warning("publisher.broker_away", extra={"what": exc.what, "why": exc.why})
            return False
        if self._away:
            self._away = False
            log.info("publisher.broker_back", extra={"dropped": self._lost})
        return True

    async def _tell(self, name: str, read: Callable[[], dict[str, Any]], *, timed: bool = False) -> None:
        channel = self._names.parse(name)
        told: dict[str, Any] | None = None
        told_s = 0.0
        while True:
            now_s, fields = self._clock(), read()
            if fields != told or now_s - told_s >= self.REPEAT_S:
                time_field = {"time": ist_text(int(self._wall() * 1000))} if timed else {}
                if await self._send([(channel, _encode(fields | time_field))]):
                    told, told_s = fields, now_s
            await self._sleep(self.POLL_S)


def _session_fields(session: MarketSession) -> dict[str, str]:
    fields = {"state": session.state.value}
    if session.until_ms is not None:
        fields["until"] = ist_text(session.until_ms).replace(".000", "")  # sessions change on whole seconds
    return fields
