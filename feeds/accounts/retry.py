"""When to try a vendor again: growing pauses for what heals by itself, and patience where somebody has to act.

A vendor that is down answers nobody sooner for being asked more often, and one that has refused counts the attempts:
every 403 in a loop makes the next login harder. So a lost connection is tried again after 1, 2, 4 … 60 s (a random
part of that, so that many hubs don't return together), a refusal after 60, 120 … 600 s or as `Retry-After` says, and
refused credentials at once when they change.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from channels.broker import Clock
from feeds.brokers.source import Credentials
from feeds.errors import ConnectionLost, CredentialsMissing, VendorRefused
from feeds.waiting import Chance, Sleep
from schemas.durations import Seconds

Failure = VendorRefused | ConnectionLost | CredentialsMissing
"""Why an attempt or a connection ended."""

FIRST_PAUSE_S: Seconds = 1.0
LONGEST_PAUSE_S: Seconds = 60.0
FIRST_REFUSAL_S: Seconds = 60.0
LONGEST_REFUSAL_S: Seconds = 600.0
LIVED_S: Seconds = 60.0
"""A connection that was live for this long was a good one; after it, pauses are short again."""
POLL_S: Seconds = 1.0
"""How often refused or missing credentials are read again."""


class Pauses:
    """How long one socket waits before its next attempt. Pure."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._losses = 0
        self._refusals = 0

    def after(self, failure: Failure, lived_s: Seconds) -> Seconds:
        """The pause after a failure; `lived_s` is for how long the connection was live before it.

        Refused credentials have a short one here: `Admission` holds the whole account back.
        """
        if lived_s >= LIVED_S:
            self._losses = self._refusals = 0
        match failure:
            case CredentialsMissing() | VendorRefused(expired=True):
                return POLL_S
            case VendorRefused(status=status, retry_after_s=asked_s) if status < 500:
                self._refusals += 1
                return max(asked_s, refusal_pause_s(self._refusals)) * (1 + self._chance() / 10)
            case VendorRefused(retry_after_s=asked_s):
                return asked_s + self._after_loss()
            case ConnectionLost():
                return self._after_loss()

    def _after_loss(self) -> Seconds:
        ceiling_s = min(LONGEST_PAUSE_S, math.ldexp(FIRST_PAUSE_S, min(self._losses, 30)))
        self._losses += 1
        return self._chance() * ceiling_s


def refusal_pause_s(refusals: int) -> Seconds:
    """The least pause after so many refusals in a row, at least one."""
    return min(LONGEST_REFUSAL_S, math.ldexp(FIRST_REFUSAL_S, min(refusals - 1, 30)))


class Admission:
    """One account's way to its vendor: one attempt at a time, and none for long with credentials that were refused."""

    def __init__(self, read: Callable[[], Credentials], *, clock: Clock, sleep: Sleep, chance: Chance) -> None:
        self._read = read
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._lock = asyncio.Lock()
        self._refused: Credentials | None = None
        self._refusals = 0
        self._until_s: Seconds = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Credentials]:
        """Waits until an attempt is right, and holds others back while it lasts. Raises `CredentialsMissing`.

        The credentials are those of this moment. Cancelling is safe.
        """
        async with self._lock:
            credentials = await asyncio.to_thread(self._read)
            while credentials == self._refused and self._clock() < self._until_s:
                await self._sleep(POLL_S)
                credentials = await asyncio.to_thread(self._read)
            with self.judged(credentials):
                yield credentials

    @contextmanager
    def judged(self, credentials: Credentials) -> Iterator[None]:
        """Notes it where the vendor refuses these credentials, during an attempt or later."""
        try:
            yield
        except VendorRefused as exc:
            if exc.expired:
                self._refuse(credentials, exc.retry_after_s)
            raise

    def _refuse(self, credentials: Credentials, asked_s: Seconds) -> None:
        if credentials != self._refused:
            self._refusals = 0
        elif self._clock() < self._until_s:
            return  # another socket of the account has been told the same
        self._refusals += 1
        self._refused = credentials
        pause_s = max(asked_s, refusal_pause_s(self._refusals)) * (1 + self._chance() / 10)
        self._until_s = self._clock() + pause_s
