"""Order updates of a broker's account, brought to its owner's channel.

They go to `orders:<user>`, where the namespaces file has a namespace `orders` and `KITE_USER` (`UPSTOX_USER`, …) says
which of the hub's users the account belongs to. Without both they go nowhere.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import NoReturn

from channels.broker import Broker
from channels.channel import ChannelNames
from schemas.errors import CommandError, Unavailable

log = logging.getLogger("tickhub.hub.feeding.orders")

MAX_WAITING = 1000


class FeedOrders:
    """Takes order updates at once, and publishes them in their order."""

    def __init__(self, broker: Broker, names: ChannelNames, environ: Callable[[], Mapping[str, str]]) -> None:
        self.lost = 0
        """Updates that could not be published."""
        self._broker = broker
        self._names = names
        self._environ = environ
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING)

    def hear(self, feed: str, data: bytes) -> None:
        """One update of a feed's account, as the vendor's JSON object. Never waits."""
        try:
            self._waiting.put_nowait((feed, data))
        except asyncio.QueueFull:
            self.lost += 1

    async def run(self) -> NoReturn:
        """Publishes what was taken, until cancelled."""
        while True:
            feed, data = await self._waiting.get()
            try:
                await self._publish(feed, data)
            except (CommandError, Unavailable) as exc:
                self.lost += 1
                log.warning("feed.order_lost", extra={"feed": feed, "why": str(exc)})

    async def _publish(self, feed: str, data: bytes) -> None:
        environ = await asyncio.to_thread(self._environ)
        user = environ.get(f"{feed.upper()}_USER", "")
        if user:
            channel = self._names.parse(f"orders:{user}")
            await self._broker.publish(channel, channel.namespace.normalise(data))
