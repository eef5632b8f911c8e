"""What HTTP asks for is wanted for a while, as if somebody had subscribed: brokers' feeds bring only what is wanted."""

import time
from collections.abc import Collection

from channels.broker import Broker, Clock
from schemas.durations import Seconds

LASTS_S: Seconds = 30.0
_MANY = 10_000


class Wishes:
    """The wants of one process' HTTP. `clock` is monotonic."""

    def __init__(self, broker: Broker, *, clock: Clock = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._ends_at: dict[str, float] = {}

    async def want(self, names: Collection[str]) -> bool:
        """Wants channels for LASTS_S; True where one was not wanted here, so that what is there of it may be old.

        Costs a look-up per name while they are wanted. Raises Unavailable. Cancelling is safe.
        """
        now, ends_at = self._clock(), self._ends_at
        due = [name for name in names if ends_at.get(name, now) < now + LASTS_S / 2]
        if not due:
            return False
        new = any(ends_at.get(name, now) <= now for name in due)
        await self._broker.demand(due, LASTS_S)
        if len(ends_at) > _MANY:
            self._ends_at = ends_at = {name: end for name, end in ends_at.items() if end > now}
        ends_at.update(dict.fromkeys(due, now + LASTS_S))
        return new
