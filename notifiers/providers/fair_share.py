"""How much of a channel one user may take up: servers that users have chosen may be slow, and on purpose."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from notifiers.errors import Refused
from schemas.durations import Seconds

AT_ONCE = 8
"""Calls in flight for one user: an eighth of what a worker makes at a time by one channel."""
BUSY_S: Seconds = 1.0


class FairShare:
    """Counts the calls in flight of each user's."""

    def __init__(self, most: int = AT_ONCE) -> None:
        self._most = most
        self._calls: Counter[str] = Counter()

    @contextmanager
    def place(self, user: str) -> Iterator[None]:
        """For the length of a call. Raises Refused, for now, where the user has as many as they may."""
        if self._calls[user] >= self._most:
            raise Refused("busy", permanent=False, retry_after_s=BUSY_S)
        self._calls[user] += 1
        try:
            yield
        finally:
            self._calls[user] -= 1
            if not self._calls[user]:
                del self._calls[user]
