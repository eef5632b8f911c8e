"""Demand: what the subscribers of this process want from the feeds, told to the broker for whoever brings prices.

A want is a channel's name, or `candles:5m:NSE:TCS#rsi(14)` where a candle is to bring an indicator. It is told within
SOON_S of the first subscription and repeated while it lasts; it lapses by itself, also when this process dies.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

from channels.broker import Broker, Clock
from channels.registry import Registry
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.channels.demand")

SOON_S: Seconds = 0.2
REPEAT_S: Seconds = 5.0
LAPSE_S: Seconds = 15.0


class Demand:
    """Tells one registry's wants. `clock` is monotonic."""

    def __init__(
        self,
        registry: Registry,
        broker: Broker,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._registry = registry
        self._broker = broker
        self._clock = clock
        self._sleep = sleep
        self._seen = -1
        self._told: set[str] = set()
        self._told_at = -REPEAT_S
        self._away = False

    async def run(self) -> NoReturn:
        """Tells what is new soon and everything now and then, until cancelled."""
        while True:
            try:
                await self._tell()
                self._away = False
            except Unavailable as exc:
                if not self._away:
                    log.warning("demand.untold", extra={"what": exc.what, "why": exc.why})
                self._away = True
            await self._sleep(SOON_S)

    async def _tell(self) -> None:
        now = self._clock()
        due = now - self._told_at >= REPEAT_S
        if not due and self._seen == self._registry.changes:
            return
        seen, wanted = self._registry.changes, self._registry.wanted()
        if names := (wanted if due else wanted - self._told):
            await self._broker.demand(names, LAPSE_S)
        self._seen, self._told = seen, wanted
        if due:
            self._told_at = now
