"""How fast a provider may be asked: so many calls a second, by this process and by all of them together.

Within a process a token bucket, over all processes a counter of each window of time, where there is one to share. While
that is away, each process keeps the pace by itself.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from channels.broker import Count
from schemas.durations import Seconds
from schemas.errors import Unavailable

SharedCount: TypeAlias = Callable[[str, Seconds, int], Awaitable[Count]]
"""Adds to a counter that all processes share, as `Broker.count` does: key, window, cost. Raises Unavailable."""


class Pace:
    """`per_s` calls a second; `burst` at once after a pause, in this process."""

    def __init__(
        self,
        provider: str,
        per_s: float,
        *,
        burst: int = 1,
        shared: SharedCount | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if per_s <= 0 or burst < 1:
            raise ValueError("a pace is above 0, and lets one through")
        self._key = f"pace:{provider}"
        self._per_s = per_s
        self._burst = burst
        self._shared = shared
        self._clock = clock
        self._tokens = float(burst)
        self._filled_s = clock()
        self._window_s = max(1.0, 1 / per_s)
        self._per_window = max(1, int(per_s * self._window_s))
        self._closed_until_s = 0.0

    async def take(self, most: int) -> int:
        """How many calls may be made now, of so many that are wanted; they count as made. Cancelling may waste them."""
        now_s = self._clock()
        self._fill(now_s)
        granted = min(most, int(self._tokens)) if now_s >= self._closed_until_s else 0
        self._tokens -= granted
        if granted and self._shared is not None:
            allowed = await self._take_shared(self._shared, granted)
            self._tokens += granted - allowed
            return allowed
        return granted

    async def give_back(self, count: int) -> None:
        """So many were not made after all."""
        if count <= 0:
            return
        self._tokens = min(self._burst, self._tokens + count)
        if self._shared is not None:
            with suppress(Unavailable):  # the window ends by itself
                await self._shared(self._key, self._window_s, -count)

    @property
    def wait_s(self) -> Seconds:
        """In how many seconds another call may be made."""
        now_s = self._clock()
        self._fill(now_s)
        return max((1 - self._tokens) / self._per_s, self._closed_until_s - now_s, 0.0)

    async def _take_shared(self, count_up: SharedCount, wanted: int) -> int:
        try:
            counted = await count_up(self._key, self._window_s, wanted)
        except Unavailable:
            return wanted
        too_many = min(wanted, max(0, counted.count - self._per_window))
        if too_many:
            self._closed_until_s = self._clock() + counted.resets_in_s
            with suppress(Unavailable):
                await count_up(self._key, self._window_s, -too_many)
        return wanted - too_many

    def _fill(self, now_s: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s
