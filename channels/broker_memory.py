"""The Broker in one process, without a server: the twin for `make run`, for tests, and for one small machine.

Everything is lost when the process ends; a new process has a new epoch, so nobody recovers from it wrongly.
"""

import asyncio
import secrets
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterable, Sequence

from channels.broker import (
    IDEMPOTENCY_WINDOW_S,
    Clock,
    Count,
    Demanded,
    HistoryPage,
    Member,
    Publication,
    Receipt,
    Sink,
)
from channels.channel import Channel
from channels.counters import Counters
from channels.lease import Fence, Lease, LeaseLost, LocalLease
from channels.namespace import Policy
from schemas.commands import Position

MAX_LAST_VALUES = 200_000
MAX_KEYS = 1_000_000
_SWEEP_EVERY = 1000


class _Log:
    """One log channel: the present offset, and the publications that are still kept."""

    def __init__(self, size: int) -> None:
        self.offset = 0
        self.kept: deque[Publication] = deque(maxlen=size)
        # When the history lapses, on the broker's clock.
        self.ends_at = 0.0


_UNSAID = _Log(0)
"""What a channel looks like that nobody has published to."""


class MemoryBroker:
    """Publications go straight to the sink of `listen`, in the call that publishes them.

    `clock` is monotonic seconds, `wall_clock` seconds since the Unix epoch: sequence numbers of latest channels start
    at its milliseconds, so that they grow over restarts too.
    """

    def __init__(
        self,
        *,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        max_last_values: int = MAX_LAST_VALUES,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._clock = clock
        self._max_last_values = max_last_values
        self._max_keys = max_keys
        self._epoch = secrets.token_hex(6)
        self._first_seq = int(wall_clock() * 1000)
        self._sink: Sink | None = None
        self._subscribed: Counter[str] = Counter()
        self._last: OrderedDict[str, Publication] = OrderedDict()
        self._logs: dict[str, _Log] = {}
        self._receipts: OrderedDict[tuple[str, str], tuple[float, Receipt]] = OrderedDict()
        self._claims: dict[str, float] = {}
        self._counters = Counters(clock=clock)
        self._calls = 0
        self._locks: dict[str, asyncio.Lock] = {}
        self._fences: dict[str, int] = {}
        self._demanded: dict[str, float] = {}
        self._demand_version = 0

    @property
    def connected(self) -> bool:
        """Whether somebody listens."""
        return self._sink is not None

    async def publish(self, channel: Channel, payload: bytes, *, key: str | None = None) -> Receipt:
        """See `Broker`. Delivers before it returns."""
        _check(payload)
        self._sweep()
        if key is not None and (first := self._receipts.get((channel.name, key))) and first[0] > self._clock():
            return Receipt(first[1].offset, first[1].epoch, duplicate=True)
        publication = self._append(channel, payload)
        receipt = Receipt(publication.offset, publication.epoch)
        if key is not None:
            self._remember((channel.name, key), receipt)
        self._deliver([publication])
        return receipt

    async def publish_latest(self, batch: Sequence[tuple[Channel, bytes]], *, fence: Fence | None = None) -> None:
        """See `Broker`. Delivers before it returns, in one call of the sink."""
        if fence is not None and fence.number < self._fences.get(fence.name, 0):
            raise LeaseLost
        for channel, payload in batch:
            if channel.namespace.policy is not Policy.LATEST:
                raise ValueError(f"{channel.name} is no latest channel")
            _check(payload)
        self._deliver([self._set_last(channel.name, payload) for channel, payload in batch])

    async def subscribe(self, channels: Iterable[Channel]) -> None:
        """See `Broker`."""
        self._subscribed.update(channel.name for channel in channels)

    async def unsubscribe(self, channels: Iterable[Channel]) -> None:
        """See `Broker`."""
        for channel in channels:
            if self._subscribed[channel.name] > 1:
                self._subscribed[channel.name] -= 1
            else:
                del self._subscribed[channel.name]

    async def listen(self, sink: Sink) -> None:
        """See `Broker`."""
        self._sink = sink
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._sink = None

    async def history(self, channel: Channel, *, since: Position | None = None, limit: int) -> HistoryPage:
        """See `Broker`."""
        log = self._logs.get(channel.name, _UNSAID)
        self._lapse(log)
        position = Position(self._epoch, log.offset)
        if since is None or since.epoch != self._epoch:
            kept = tuple(log.kept)[-limit:] if limit else ()
            return HistoryPage(position, kept, complete=since is None)
        after = tuple(publication for publication in log.kept if publication.offset > since.offset)
        if since.offset >= log.offset:
            complete = since.offset == log.offset
        else:
            complete = bool(after) and after[0].offset == since.offset + 1
        return HistoryPage(position, after[:limit], complete=complete)

    async def last(self, channels: Iterable[Channel]) -> dict[str, Publication]:
        """See `Broker`."""
        names = (channel.name for channel in channels)
        return {name: self._last[name] for name in names if name in self._last}

    async def presence(self, channel: Channel) -> list[Member]:
        """See `Broker`."""
        return sorted(self._sink.members(channel.name)) if self._sink is not None else []

    async def claim(self, key: str, ttl_s: float) -> bool:
        """See `Broker`."""
        self._sweep()
        now = self._clock()
        if self._claims.get(key, 0.0) > now:
            return False
        self._claims[key] = now + ttl_s
        return True

    async def count(self, key: str, window_s: float, cost: int = 1) -> Count:
        """See `Broker`."""
        return self._counters.count(key, window_s, cost)

    def lease(self, name: str) -> Lease:
        """See `Broker`."""

        def next_number() -> int:
            self._fences[name] = self._fences.get(name, 0) + 1
            return self._fences[name]

        return LocalLease(name, self._locks.setdefault(name, asyncio.Lock()), next_number)

    async def demand(self, names: Collection[str], ttl_s: float) -> None:
        """See `Broker`."""
        if any(name not in self._demanded for name in names):
            self._demand_version += 1
        self._demanded.update(dict.fromkeys(names, self._clock() + ttl_s))

    async def demanded(self, known: int = -1) -> Demanded:
        """See `Broker`."""
        now = self._clock()
        ended = [name for name, ends_at in self._demanded.items() if ends_at <= now]
        for name in ended:
            del self._demanded[name]
        self._demand_version += bool(ended)
        names = None if known == self._demand_version else frozenset(self._demanded)
        return Demanded(self._demand_version, names)

    async def check(self) -> None:
        """See `Broker`. There is no server that could fail."""

    async def close(self) -> None:
        """See `Broker`. There is no connection to let go of."""

    def _append(self, channel: Channel, payload: bytes) -> Publication:
        if channel.namespace.policy is Policy.LATEST:
            return self._set_last(channel.name, payload)
        log = self._log(channel)
        log.offset += 1
        log.ends_at = self._clock() + channel.namespace.history_age_s
        publication = Publication(channel.name, payload, log.offset, self._epoch)
        log.kept.append(publication)
        return publication

    def _set_last(self, name: str, payload: bytes) -> Publication:
        held = self._last.get(name)
        publication = Publication(name, payload, held.offset + 1 if held else self._next_first_seq())
        self._last[name] = publication
        self._last.move_to_end(name)
        return publication

    def _next_first_seq(self) -> int:
        if len(self._last) >= self._max_last_values:
            _, dropped = self._last.popitem(last=False)
            # Whoever comes back after being dropped must not start below where it was.
            self._first_seq = max(self._first_seq, dropped.offset + 1)
        return self._first_seq

    def _log(self, channel: Channel) -> _Log:
        log = self._logs.get(channel.name)
        if log is None:
            log = self._logs[channel.name] = _Log(channel.namespace.history_size)
        elif log.kept.maxlen != channel.namespace.history_size:  # its namespace has been replaced
            log.kept = deque(log.kept, maxlen=channel.namespace.history_size)
        self._lapse(log)
        return log

    def _lapse(self, log: _Log) -> None:
        if log.kept and log.ends_at <= self._clock():
            log.kept.clear()

    def _remember(self, key: tuple[str, str], receipt: Receipt) -> None:
        self._receipts.pop(key, None)
        self._receipts[key] = (self._clock() + IDEMPOTENCY_WINDOW_S, receipt)
        if len(self._receipts) > self._max_keys:
            self._receipts.popitem(last=False)

    def _deliver(self, publications: list[Publication]) -> None:
        if self._sink is not None:
            heard = [publication for publication in publications if publication.channel in self._subscribed]
            if heard:
                self._sink.deliver(heard)

    def _sweep(self) -> None:
        """Every thousandth call forgets what has lapsed, so that memory does not grow with all that ever was."""
        self._calls += 1
        if self._calls % _SWEEP_EVERY:
            return
        now = self._clock()
        while self._receipts and next(iter(self._receipts.values()))[0] <= now:
            self._receipts.popitem(last=False)
        self._claims = {key: ends_at for key, ends_at in self._claims.items() if ends_at > now}
        for log in self._logs.values():
            self._lapse(log)


def _check(payload: bytes) -> None:
    if b"\n" in payload:
        raise ValueError("a payload is one line")
