"""A circuit breaker: who fails again and again is left alone for a while, and then asked once."""

import logging
import time
from collections.abc import Callable

from schemas.durations import Seconds

log = logging.getLogger("tickhub.notifiers.outbox.breaker")

AFTER = 5
"""Failures in a row."""
FIRST_PAUSE_S: Seconds = 15.0
LONGEST_PAUSE_S: Seconds = 300.0


class Breaker:
    """One provider's. Closed: all may ask. Open: nobody. After a pause, half open: one, and its answer decides.

    `after` None: it opens only when told that nothing else will fare better.
    """

    def __init__(
        self, provider: str, *, after: int | None = AFTER, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._after = after
        self._clock = clock
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._until_s: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether the provider is not, or not fully, trusted."""
        return self._until_s is not None

    def room(self, most: int) -> int:
        """How many calls may begin now, of so many that are wanted."""
        if self._until_s is None:
            return most
        return 0 if self._probing or self._clock() < self._until_s else min(most, 1)

    @property
    def wait_s(self) -> Seconds | None:
        """In how many seconds somebody may ask again; None: once it is known what has come of the one call."""
        if self._until_s is None:
            return 0.0
        return None if self._probing else max(0.0, self._until_s - self._clock())

    def begun(self) -> None:
        """A call is about to begin. What comes of it is to be told."""
        self._probing = self._until_s is not None

    def abandoned(self) -> None:
        """It wasn't made."""
        self._probing = False

    def succeeded(self) -> None:
        """The provider works. What was begun before it opened proves nothing."""
        if self._until_s is not None and self._clock() < self._until_s:
            return
        if self._until_s is not None:
            log.warning("provider.back", extra={"provider": self._provider})
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._until_s = None
        self._probing = False

    def failed(self, why: str) -> None:
        """The provider didn't answer."""
        self._failures += 1
        if self._probing or (self._after is not None and self._failures >= self._after):
            self.broken(why)

    def broken(self, why: str) -> None:
        """Nothing will fare better until somebody acts, or for a while. Said in the log once."""
        now_s = self._clock()
        if self._until_s is None:
            log.error("provider.away", extra={"provider": self._provider, "why": why})
        elif self._probing:
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
        elif now_s < self._until_s:
            return  # begun before it opened
        self._until_s = now_s + self._pause_s
        self._probing = False
