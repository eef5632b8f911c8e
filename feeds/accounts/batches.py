"""What several sockets have heard, handed on together: whatever has come while the last batch was on its way."""

import asyncio
from collections.abc import Sequence

from feeds.feed import Publish, Update


class Batches:
    """Updates between the sockets that decode them and the one that publishes them, in the order in which they came.

    Holds about MOST updates: whoever waits for `room` before the next `put` reads no further meanwhile, and so the
    vendor is the one who drops prices, newest kept, which is what its feed does anyway.
    """

    MOST = 20_000

    def __init__(self) -> None:
        self._pending: list[Update] = []
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        """Whether whoever puts has to wait."""
        return not self._room.is_set()

    def put(self, updates: Sequence[Update]) -> None:
        """Takes updates; never waits."""
        self._pending.extend(updates)
        self._some.set()
        if len(self._pending) >= self.MOST:
            self._room.clear()

    async def room(self) -> None:
        """Returns once there is room for more."""
        await self._room.wait()

    async def pour(self, publish: Publish) -> None:
        """Hands everything to `publish` until cancelled, all that is at hand at once. What is left then is dropped."""
        try:
            while True:
                await self._some.wait()
                self._some.clear()
                batch, self._pending = self._pending, []
                self._room.set()
                await publish(batch)
        finally:
            self._pending = []
            self._some.clear()
            self._room.set()
