"""Counters that end by themselves, in this process alone; a bounded number of them."""

import time
from itertools import islice

from channels.broker import Clock, Count

MAX_COUNTERS = 100_000
_FIRST_SWEEP = 1000


class Counters:
    """What `Broker.count` does, for one process.

    Once there are `max_counters` that have not ended, the oldest tenth is forgotten. `clock` is monotonic seconds.
    """

    def __init__(self, *, clock: Clock = time.monotonic, max_counters: int = MAX_COUNTERS) -> None:
        self._clock = clock
        self._max = max_counters
        self._sweep_at = min(max_counters, _FIRST_SWEEP)
        # By key, the oldest first: the count and when it ends.
        self._counters: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._counters)

    def count(self, key: str, window_s: float, cost: int = 1) -> Count:
        """See `Broker.count`."""
        now = self._clock()
        held, ends_at = self._counters.get(key, (0, 0.0))
        if ends_at > now:
            held = max(0, held + cost)
            self._counters[key] = (held, ends_at)
            return Count(held, ends_at - now)
        if cost <= 0:
            return Count(0, window_s)
        self._begin(key, cost, now, window_s)
        return Count(cost, window_s)

    def _begin(self, key: str, cost: int, now: float, window_s: float) -> None:
        self._counters.pop(key, None)  # so that it stands with the newest
        if len(self._counters) >= self._sweep_at:
            self._sweep(now)
        self._counters[key] = (cost, now + window_s)

    def _sweep(self, now: float) -> None:
        """Forgets what has ended; the next sweep comes with twice as many, so that each count costs little."""
        left = {key: counter for key, counter in self._counters.items() if counter[1] > now}
        for key in list(islice(left, max(0, len(left) - self._max * 9 // 10))):
            del left[key]
        self._counters = left
        self._sweep_at = min(self._max, max(_FIRST_SWEEP, 2 * len(left)))
