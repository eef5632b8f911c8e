"""How far deliveries have come, told to their owners as it happens.

Nobody waits for it: what a worker commits and what a provider reports is put into a queue, and published from there.
Where it is full, the oldest are passed over: the API tells the present state of every delivery anyway.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from hub.metrics import Metrics
from notifiers.errors import Refused
from notifiers.outbox.delivery import FINAL, Delivery, Status
from notifiers.way import Way
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.hub.delivering.progress")

MAX_WAITING = 10_000

_UNTOLD = frozenset({Status.QUEUED, Status.CALLING})
"""They last for moments, but for a queued one that has a reason to wait."""

Tell = Callable[[Delivery, int], Awaitable[None]]
"""Publishes how far a delivery has come by a time (Unix milliseconds), as `SocketProvider.progress` does."""


class Progress:
    """Publishes what happens to deliveries; `note` is for `Deliveries`."""

    def __init__(self, tell: Tell, *, wall: Callable[[], float] = time.time) -> None:
        self.passed_over = 0
        self.ended: Counter[tuple[Way, Status]] = Counter()
        """How many came to their end in this process, by channel and how."""
        self._tell = tell
        self._wall = wall
        self._waiting: asyncio.Queue[tuple[Delivery, int]] = asyncio.Queue(MAX_WAITING)

    def note(self, deliveries: Sequence[Delivery]) -> None:
        """These have just changed. Never waits, never raises."""
        now_ms = int(self._wall() * 1000)
        for delivery in deliveries:
            if delivery.status in FINAL:
                self.ended[delivery.channel, delivery.status] += 1
            if delivery.channel is Way.WEBSOCKET or (delivery.status in _UNTOLD and delivery.reason is None):
                continue
            if self._waiting.full():
                self._waiting.get_nowait()
                self.passed_over += 1
            self._waiting.put_nowait((delivery, now_ms))

    def measure(self, metrics: Metrics) -> None:
        """Add what can be counted here to `/metrics`."""
        metrics.counter_by(
            "deliveries_ended",
            "Deliveries that came to their end, by channel and how, such as `sms:dead`.",
            "end",
            lambda: {f"{way}:{status}": float(count) for (way, status), count in self.ended.items()},
        )

    async def run(self) -> NoReturn:
        """Publish until cancelled."""
        while True:
            delivery, at_ms = await self._waiting.get()
            try:
                await self._tell(delivery, at_ms)
            except (Unavailable, Refused) as exc:
                log.info("progress.untold", extra={"delivery": delivery.id, "why": str(exc)})
