"""From a feed to the broker: updates become payloads, and what the markets and feeds are doing is told.

Prices that can't be published are dropped, never kept: the next ones are newer. So nothing here grows while the
broker is away.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from channels.broker import Broker, Clock
from channels.channel import Channel, ChannelNames
from channels.lease import Fence
from feeds.feed import FeedStatus, Health, Update
from feeds.market_hours.sessions import MarketSession
from schemas.durations import Seconds
from schemas.errors import CommandError, Unavailable
from schemas.market import Depth, MarketState, Tick, depth_payload, ist_text, tick_payload

log = logging.getLogger("tickhub.feeds.publisher")

Batch = Sequence[tuple[Channel, bytes]]

SessionOf = Callable[[str], MarketSession]
"""What an exchange does now."""

_encode = msgspec.json.Encoder().encode
_MAX_CHANNELS = 200_000
_QUIET = frozenset({MarketState.CLOSED, MarketState.POST_CLOSE})


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
        self.fence: Fence | None = None
        """Shown with everything that is published, where a lease says who may."""
        self.on_published: list[Callable[[Batch], None]] = []
        """Called with what the broker took, in its order; must neither wait nor raise."""
        self._stale_since: dict[str, int] = {}
        self._ticks: dict[tuple[str, str], Channel | None] = {}
        self._depths: dict[tuple[str, str], Channel | None] = {}
        self._heard: dict[str | None, Seconds] = {}
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

        While the broker is away they are dropped and counted. Cancelling may lose the batch, nothing else. Raises
        LeaseLost where the fence is not the newest.
        """
        await self.publish_payloads(self._payloads(updates))

    async def publish_payloads(self, batch: Batch) -> None:
        """Publishes values of `latest` channels that are payloads already; as `publish`."""
        if not batch:
            return
        if await self._send(batch):
            self.published += len(batch)
            for listener in self.on_published:
                listener(batch)
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

    async def status_feeds(
        self,
        exchanges: Sequence[str],
        session_of: SessionOf,
        statuses: Callable[[], Mapping[str, FeedStatus]] = dict,
    ) -> None:
        """Tells `status:feeds` on every change and every REPEAT_S, until cancelled.

        Beside each exchange's health stand `stale_since`, for those that are, and under `sources` what each feed says
        of itself. `exchanges` is read each time; so it may grow.
        """

        def read() -> _Status:
            sessions = {exchange: session_of(exchange) for exchange in exchanges}
            fields: dict[str, Any] = {one: self.health(one, session) for one, session in sessions.items()}
            if stale := self._stale(fields):
                fields["stale_since"] = {exchange: ist_text(since_ms) for exchange, since_ms in stale.items()}
            if sources := statuses():
                fields["sources"] = {name: _source_fields(status) for name, status in sources.items()}
            return fields, _next_change_ms(sessions.values())

        await self._tell("status:feeds", read)

    async def status_market(self, exchanges: Sequence[str], session_of: SessionOf) -> None:
        """Tells `status:market` on every change and every REPEAT_S, with the present time, until cancelled.

        A session's change is told at its very second, anything else (a halt, another exchange) within POLL_S.
        `exchanges` is read each time; so it may grow.
        """

        def read() -> _Status:
            sessions = {exchange: session_of(exchange) for exchange in exchanges}
            fields = {exchange: _session_fields(session) for exchange, session in sessions.items()}
            return fields, _next_change_ms(sessions.values())

        await self._tell("status:market", read, timed=True)

    def _stale(self, fields: Mapping[str, Any]) -> dict[str, int]:
        """Since when the stale exchanges are so: since their last price, or since we know."""
        now_ms = int(self._wall() * 1000)
        for exchange, health in fields.items():
            if health is not Health.STALE:
                self._stale_since.pop(exchange, None)
            elif exchange not in self._stale_since:
                heard_s = self._heard.get(exchange)
                ago_s = 0.0 if heard_s is None else self._clock() - heard_s
                self._stale_since[exchange] = now_ms - int(ago_s * 1000)
        return dict(self._stale_since)

    def _payloads(self, updates: Sequence[Update]) -> list[tuple[Channel, bytes]]:
        batch: list[tuple[Channel, bytes]] = []
        ticks, depths = self._ticks, self._depths
        for update in updates:
            key = (update.exchange, update.symbol)
            if type(update) is Tick:
                if channel := ticks.get(key) or self._channel("market", ticks, key):
                    batch.append((channel, tick_payload(update)))
            elif type(update) is Depth and (channel := depths.get(key) or self._channel("depth", depths, key)):
                batch.append((channel, depth_payload(update)))
        self.refused += len(updates) - len(batch)
        self._heard.update(dict.fromkeys({channel.exchange for channel, _ in batch}, self._clock()))
        return batch

    def _channel(
        self, namespace: str, known: dict[tuple[str, str], Channel | None], key: tuple[str, str]
    ) -> Channel | None:
        """The channel of an instrument that is new, or was refused."""
        if key in known:
            return known[key]
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
            await self._broker.publish_latest(batch, fence=self.fence)
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

    async def _tell(self, name: str, read: Callable[[], "_Status"], *, timed: bool = False) -> None:
        channel = self._names.parse(name)
        told: dict[str, Any] | None = None
        told_s = 0.0
        while True:
            now_s, (fields, change_ms) = self._clock(), read()
            if fields != told or now_s - told_s >= self.REPEAT_S:
                time_field = {"time": ist_text(int(self._wall() * 1000))} if timed else {}
                if await self._send([(channel, _encode(fields | time_field))]):
                    told, told_s = fields, now_s
            await self._sleep(self._pause_s(change_ms))

    def _pause_s(self, change_ms: int | None) -> Seconds:
        """Until the change that is known to come, but at most POLL_S."""
        if change_ms is None:
            return self.POLL_S
        return min(self.POLL_S, max(_SHORTEST_PAUSE_S, change_ms / 1000 - self._wall()))


_Status = tuple[dict[str, Any], int | None]
"""What to tell, and when it is known to change (Unix milliseconds)."""

_SHORTEST_PAUSE_S: Seconds = 0.001
"""A sleep may end a little early by the other clock."""


def _source_fields(status: FeedStatus) -> dict[str, Any]:
    fields: dict[str, Any] = {"state": status.health.value, "since": ist_text(status.since_ms)}
    if status.reason:
        fields["reason"] = status.reason
    fields["instruments"] = status.instruments
    if status.limit is not None:
        fields["limit"] = status.limit
    return fields


def _next_change_ms(sessions: Iterable[MarketSession]) -> int | None:
    changes = [session.phase_until_ms or session.until_ms for session in sessions]
    return min((change_ms for change_ms in changes if change_ms is not None), default=None)


def _session_fields(session: MarketSession) -> dict[str, Any]:
    fields: dict[str, Any] = {"state": session.state.value}
    if session.until_ms is not None:
        fields["until"] = ist_text(session.until_ms).replace(".000", "")  # sessions change on whole seconds
    if session.phase:
        fields["phase"] = session.phase
    if session.provisional:
        fields["provisional"] = True
    return fields
