"""Work that an answer doesn't wait for, so that its time tells nothing and a slow mail server holds nobody up."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from schemas.errors import CommandError, Unavailable

log = logging.getLogger("tickhub.hub.api.errands")

MAX_WAITING = 1000

Errand = Callable[[], Coroutine[Any, Any, None]]


class Errands:
    """A bounded queue of errands, and who runs them, one after the other."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[str, Errand]] = asyncio.Queue(MAX_WAITING)

    def send(self, name: str, errand: Errand) -> None:
        """Have it done soon. Raises Unavailable where too much waits already."""
        try:
            self._waiting.put_nowait((name, errand))
        except asyncio.QueueFull:
            raise Unavailable("the queue of mail", "it is full") from None

    async def run(self) -> None:
        """Do what is sent, until cancelled. An errand that the world spoils is logged; who sent it may ask again."""
        while True:
            name, errand = await self._waiting.get()
            try:
                await errand()
            except (CommandError, Unavailable) as exc:
                log.warning("errand.failed", extra={"errand": name, "error": type(exc).__name__})
