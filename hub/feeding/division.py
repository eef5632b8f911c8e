"""What is wanted of the feeds: read from the broker, divided among them, and told to them as it changes.

Four times a second, as a first subscriber's wish is to reach the vendor at once, and so is the news that a feed's
account is full, or that its token has ended and another feed has to stand in.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NoReturn

from channels.broker import Broker, Clock
from feeds.accounts.runner import BrokerFeed
from feeds.allotment import Allotment, allot
from feeds.candles.worker import CandleWorker
from feeds.feed import Feed, Health, Refusal
from feeds.interest import CandlePlace, Interest, Place
from hub.feeding.board import REFUSALS, encode_refusals
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.hub.feeding.division")

POLL_S: Seconds = 0.25
"""How soon a first subscriber's wish reaches the vendor."""
RETELL_S: Seconds = 30.0
"""How often what can't be carried is said again, for processes that were not there the first time."""

AGAIN_S: Seconds = 5.0
"""How often instruments are divided anew though nothing has changed: patience with a feed may have ended."""

_DELIVERING = frozenset({Health.LIVE, Health.CLOSED})


class Division:
    """Who carries what at present.

    Args:
        feeds: in their order of preference.
        broker: tells what is wanted, and carries what can't be.
        always: what is wanted in any case.
        follow: takes what no feed lists.
        candles: told of instruments that are not listened to.
        clock: monotonic seconds.
        wall: Unix seconds.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        broker: Broker,
        *,
        always: Collection[Place],
        follow: Callable[[Collection[Place]], Awaitable[None]],
        candles: CandleWorker,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        self.exchanges: list[str] = ["NSE", "BSE"]
        """Those whose hours are told, growing in place."""
        self.fed: list[str] = []
        """Those whose prices are to be expected now, changing in place."""
        self.unready: set[str] = set()
        """Feeds that don't know yet what they list."""
        self._feeds = feeds
        self._broker = broker
        self._interest = Interest(always)
        self._follow = follow
        self._candles = candles
        self._clock = clock
        self._wall = wall
        self._allotment = Allotment({})
        self._owners: dict[Place, str | None] = {}
        self._divided: object = None
        self._divided_at: Seconds = 0.0
        self._told: dict[str, list[Place]] = {}
        self._heard: set[Place] = set()
        self._refusals: dict[Place, Refusal] = {}
        self._refused_at: dict[Place, Seconds] = {}

    @property
    def wanted_candles(self) -> Mapping[CandlePlace, frozenset[str]]:
        """The candles that somebody hears, each with the indicators that are asked for."""
        return self._interest.candles

    def owner(self, exchange: str, symbol: str) -> str | None:
        """Which feed an instrument's prices are taken from. None: from none of them."""
        place = (exchange, symbol)
        if place not in self._owners:
            found = allot([place], self._feeds, self._now_ms(), unready=self.unready)
            self._owners[place] = self._allotment.owners.get(place, found.owners.get(place))
        return self._owners[place]

    def listed_anew(self, feed: str) -> None:
        """A feed has another list of instruments."""
        self.unready.discard(feed)
        self._owners.clear()
        self._divided = None

    async def run(self) -> NoReturn:
        """Divides until cancelled. While the broker is away what was wanted last stays so."""
        version, names, since_ms = -1, frozenset[str](), self._now_ms()
        while True:
            try:
                demanded = await self._broker.demanded(version)
                version, names = demanded.version, names if demanded.names is None else demanded.names
            except Unavailable as exc:
                version = -1
                log.debug("feeds.demand_unknown", extra={"what": exc.what})
            await self._divide(names, since_ms)
            await asyncio.sleep(POLL_S)

    def stop(self) -> None:
        """Nothing is listened to any more."""
        for exchange, symbol in self._heard:
            self._candles.interrupted(exchange, symbol)
        self._heard.clear()

    async def _divide(self, names: frozenset[str], since_ms: int) -> None:
        now_s = self._clock()
        self._interest.take(names, now_s)
        wanted = self._interest.instruments(now_s)
        state = (tuple(wanted), *((feed.status.health, feed.status.limit) for feed in self._feeds))
        if state == self._divided and now_s - self._divided_at < AGAIN_S:
            found = self._allotment
        else:
            found = allot(wanted, self._feeds, self._now_ms(), since_ms=since_ms, unready=self.unready)
            self._divided, self._divided_at = state, now_s
        if found.owners != self._allotment.owners:
            self._owners.clear()
        self._allotment = found
        for feed in self._feeds:
            self._tell(feed, found.of(feed.name))
        self._note_outages()
        self._name_exchanges()
        await self._follow(found.unlisted)
        await self._refuse(frozenset(wanted), now_s)

    def _tell(self, feed: Feed, wanted: list[Place]) -> None:
        if wanted != self._told.get(feed.name):
            self._told[feed.name] = wanted
            feed.want(wanted)

    def _note_outages(self) -> None:
        """Tells the candles which instruments of brokers are listened to; whoever simulates brings all."""
        delivering = {
            feed.name for feed in self._feeds if isinstance(feed, BrokerFeed) and feed.status.health in _DELIVERING
        }
        heard = {place for place, owner in self._allotment.owners.items() if owner in delivering}
        for exchange, symbol in self._heard - heard:
            self._candles.interrupted(exchange, symbol)
        for exchange, symbol in heard - self._heard:
            self._candles.resumed(exchange, symbol)
        self._heard = heard

    def _name_exchanges(self) -> None:
        carried = {exchange for exchange, _ in self._allotment.owners}
        self.exchanges += sorted(carried.difference(self.exchanges))
        self.fed[:] = sorted(carried.union(*(feed.exchanges for feed in self._feeds)))

    async def _refuse(self, wanted: Collection[Place], now_s: Seconds) -> None:
        """Says what can't be carried, once more now and then while it is wanted."""
        by_vendors = {place: one for place, one in self._refusals.items() if place in wanted}
        for feed in self._feeds:
            by_vendors |= {(one.exchange, one.symbol): one for one in feed.take_refusals()}
        self._refusals = by_vendors
        standing = by_vendors | {(one.exchange, one.symbol): one for one in self._allotment.refusals}
        self._refused_at = {place: at_s for place, at_s in self._refused_at.items() if place in standing}
        due = [place for place in standing if now_s - self._refused_at.get(place, -RETELL_S) >= RETELL_S]
        if not due:
            return
        try:
            await self._broker.publish(REFUSALS, encode_refusals([standing[place] for place in due]))
        except Unavailable:
            return  # the next turn says it
        self._refused_at.update(dict.fromkeys(due, now_s))

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)
