"""What nobody needs any more is deleted from the database, now and then."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.hub.housekeeping")

EVERY_S: Seconds = 3600.0


class Housekeeping:
    """Purges tables, once an hour. `sleep` is for tests."""

    def __init__(
        self, *purges: Callable[[], Awaitable[object]], sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._purges = purges
        self._sleep = sleep

    async def run(self) -> NoReturn:
        """Purge until cancelled. A database that is away is met again an hour later."""
        while True:
            await self._sleep(EVERY_S)
            for purge in self._purges:
                try:
                    await purge()
                except Unavailable as exc:
                    log.info("housekeeping.put_off", extra={"what": exc.what, "why": exc.why})
