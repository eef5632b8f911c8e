"""A doorbell: that there is something new in the database, told to every process, for what it's worth.

Whoever is rung looks; whoever misses a ring looks within a second anyway. So rings may be lost and may be joined, and
nothing is said in them.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from channels.broker import Broker
from channels.channel import Channel
from channels.namespace import CONTROL
from channels.registry import Registry
from channels.shape import Update
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.hub.instances.doorbell")

JOINED_S: Seconds = 0.02
"""For how long rings that come close together are told as one."""


class Doorbell:
    """One bell as one process sees it. `run` must run for others to hear it here and ours there."""

    def __init__(self, name: str, broker: Broker, registry: Registry) -> None:
        """All bells with one name are one bell."""
        self._channel = Channel(name=f"control:{name}", namespace=CONTROL)
        self._broker = broker
        self._registry = registry
        self._rung = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def on_ring(self, listener: Callable[[], None]) -> None:
        """Call this for every ring from anywhere; it must neither wait nor raise."""
        self._listeners.append(listener)

    def ring(self) -> None:
        """Let everybody look: those of this process at once. Never waits, never raises."""
        self._tell()
        self._rung.set()

    async def run(self) -> NoReturn:
        """Tells other processes, and hears them, until cancelled."""
        await self._registry.watch(self._channel, self._hear)
        while True:
            await self._rung.wait()
            self._rung.clear()
            try:
                await self._broker.publish(self._channel, b"{}")
            except Unavailable as exc:
                log.info("doorbell.unheard", extra={"bell": self._channel.name, "why": exc.why})
            await asyncio.sleep(JOINED_S)

    def _hear(self, _: Update) -> None:
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
