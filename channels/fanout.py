"""Fan-out: one update in, one write per socket out.

The naive way, awaiting a send per subscriber, spends its time in coroutines and system calls. Here an update is
encoded once per shape; the bytes wait in the group of subscribers that share the shape; a flush hands every group's
bytes to its members and then writes to each socket once. When to flush depends on the load:

- while it is low, at once: latency is the cost of the write;
- above `DIRECT_LOAD_PER_S`, or where several updates would share a write often enough, once per interval, for the
  write is what costs;
- where the writes of one flush take long and do carry several updates each, the interval stretches, up to a bound.

A subscriber that reads slowly is served one by one: of each latest channel it is owed the newest value, kept as a
mark in its outbox, not as bytes. A subscriber with `max_frequency` is served the same way, by time.
"""

import asyncio
import math
from itertools import islice

from channels.channel import Channel
from channels.namespace import Policy
from channels.outbox import Outbox, Subscription
from channels.shape import Shape, Update

DIRECT_LOAD_PER_S = 60_000
"""Deliveries a second from which on updates wait for the tick in any case."""

WORTH_WAITING_PER_S = 15_000
"""Writes a second that must be saved for updates to wait below that."""

STRETCH_SHARE = 0.5
"""The share of time that flushing may take before the interval stretches."""

MAX_STRETCH = 2.5
"""The longest interval, in flush intervals."""

SNAPSHOT_OWED = -1
"""The count of a subscription that has been given nothing yet, though there is a value."""

PACE_PHASES = 8
"""Times are rounded up to so many a period: a reader's channels share its writes, and a group is looked through no
more often than that."""

RELEASE_BATCH = 32
"""Held updates joined into one write when a slow reader catches up."""


class Group:
    """The subscribers of one channel that share a shape, and the bytes that wait for the next flush.

    `newest` and `count` are what the members were given last: the update, and how many updates the channel had heard
    by then. Between flushes `offered` and `offered_count` run ahead of them; in paced groups there are no flushes,
    and they are simply the channel's.
    """

    __slots__ = (
        "channel",
        "count",
        "given",
        "log",
        "members",
        "newest",
        "next_due",
        "offered",
        "offered_count",
        "paced",
        "pending",
        "shape",
        "snapshot",
    )

    def __init__(self, channel: Channel, shape: Shape, newest: Update | None, count: int) -> None:
        self.channel = channel
        self.shape = shape
        self.log = channel.namespace.policy is Policy.LOG
        self.paced = shape.max_frequency is not None
        self.members: dict[Outbox, Subscription] = {}
        self.pending: list[bytes] = []
        self.newest = self.offered = newest
        self.count = self.offered_count = count
        self.next_due = 0.0
        """Loop time before which no member of a paced group can be due."""
        self.snapshot: tuple[Update, bytes] | None = None
        self.given: tuple[int, Update | None, int, bytes] | None = None
        """The last encoding for one member alone: the next one is often owed the same."""

    def encode(self, update: Update, *, base: Update | None = None, missed: int = 0, snapshot: bool = False) -> bytes:
        """The update in this group's shape; `base` counts only where the shape wants deltas."""
        shape = self.shape
        return shape.encoder.publication(
            self.channel,
            update,
            mode=shape.mode,
            base=base if shape.delta else None,
            missed=missed,
            snapshot=snapshot,
            indicators=shape.indicators,
        )

    def snapshot_of(self, update: Update) -> bytes:
        """The update as a snapshot, encoded once for all who subscribe before the next one."""
        if self.snapshot is None or self.snapshot[0] is not update:
            self.snapshot = (update, self.encode(update, snapshot=True))
        return self.snapshot[1]


class Fanout:
    """Groups' pending bytes, and the clock that flushes them. Lives in one event loop; nothing here waits."""

    def __init__(self, flush_interval_s: float = 0.010) -> None:
        self._interval = flush_interval_s
        self._next_interval = flush_interval_s
        self._dirty: list[Group] = []
        self._writing: list[Outbox] = []
        self._paced: dict[Group, None] = {}
        self._flush_timer: asyncio.TimerHandle | None = None
        self._pace_timer: asyncio.TimerHandle | None = None
        self._flush_not_before = 0.0
        self._window = 0
        self._window_start = 0.0
        self._window_load = 0
        self._window_sockets = 0
        self._load_per_s = 0.0
        self._saved_per_s = 0.0
        self.deliveries = 0
        self.conflated = 0
        self.bytes = 0

    def offer(self, group: Group, update: Update, count: int, previous: Update | None) -> None:
        """An update for all members of a group; `count` is the channel's, `previous` the channel's update before."""
        group.offered = update
        group.offered_count = count
        if group.paced:
            group.newest = update
            group.count = count
            self._paced[group] = None
            return
        if not group.pending:
            self._dirty.append(group)
        group.pending.append(group.encode(update, base=previous))
        self._window_load += len(group.members)

    def settle(self) -> None:
        """Everything that came at once has been offered: flush now or at the next tick, as the load says."""
        loop = asyncio.get_running_loop()
        if self._paced and self._pace_timer is None:
            self._pace_timer = loop.call_later(self._interval, self._pace, loop)
        if self._flush_timer is not None or not self._dirty:
            return
        now = loop.time()
        if now - self._window_start >= self._interval:
            self._turn_window(now)
        load_per_s = max(self._load_per_s, self._window_load / self._interval)
        if load_per_s <= DIRECT_LOAD_PER_S and self._saved_per_s <= WORTH_WAITING_PER_S:
            self.flush()
        else:
            self._flush_timer = loop.call_at(max(now, self._flush_not_before), self._tick, loop)

    def _turn_window(self, now: float) -> None:
        """See what the last interval or more has brought, and how many writes one flush of it all would have saved."""
        elapsed = now - self._window_start
        self._load_per_s = self._window_load / elapsed
        self._saved_per_s = (self._window_load - self._window_sockets) / elapsed
        self._window += 1
        self._window_start = now
        self._window_load = self._window_sockets = 0

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._flush_timer = None
        started = loop.time()
        delivered = self.deliveries
        writes = self.flush()
        self._flush_not_before = started + self._next_interval
        shared = self.deliveries - delivered >= 2 * writes
        loop.call_soon(self._adapt, loop, started, shared)  # the transports write when this turn of the loop ends

    def _adapt(self, loop: asyncio.AbstractEventLoop, started: float, shared: bool) -> None:
        """Where updates share writes, and the writes take long, let more of them share."""
        spent = loop.time() - started
        stretched = min(max(self._interval, spent / STRETCH_SHARE), MAX_STRETCH * self._interval)
        self._next_interval = stretched if shared else self._interval

    def flush(self) -> int:
        """Hand every group's bytes to its members, then write to each socket once; returns the number of writes."""
        dirty, self._dirty = self._dirty, []
        dirty.sort(key=_latest_last)
        for group in dirty:
            self._distribute(group)
        return self._write()

    def flush_group(self, group: Group) -> None:
        """Bring one group's members up to date, so that somebody may join or leave it."""
        if group.pending:
            self._distribute(group)
            self._write()

    def _distribute(self, group: Group) -> None:
        pending = group.pending
        if not pending:
            return
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        count = len(pending)
        self.deliveries += count * len(group.members)
        pending.clear()
        writing = self._writing
        for outbox in group.members:
            if outbox.behind:
                self._distribute_behind(group, outbox, data)
                if not group.log:
                    self.deliveries -= count
                continue
            chunks = outbox.chunks
            if not chunks:
                writing.append(outbox)
            chunks.append(data)
        group.newest = group.offered
        group.count = group.offered_count

    def _distribute_behind(self, group: Group, outbox: Outbox, data: bytes) -> None:
        if group.log:
            outbox.put(data)
            return
        subscription = group.members[outbox]
        if subscription not in outbox.held:
            subscription.sent = group.newest
            subscription.count = group.count
            outbox.held[subscription] = group

    def _write(self) -> int:
        writing, self._writing = self._writing, []
        total = sockets = 0
        window = self._window
        for outbox in writing:
            chunks = outbox.chunks
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            chunks.clear()
            if outbox.window != window:
                outbox.window = window
                sockets += 1
            size = len(data)
            outbox.sent_bytes += size
            total += size
            outbox.transport.write(data)
        self.bytes += total
        self._window_sockets += sockets
        return len(writing)

    # -- one by one: slow readers, and those who want fewer -------------------------------------------------------

    def _give(self, group: Group, subscription: Subscription) -> None:
        """Queue for the next `_write` the newest update that one subscriber has not been given, if there is one."""
        if group.newest is None or subscription.count >= group.count:
            return
        if subscription.count == SNAPSHOT_OWED:
            self._give_bytes(group, subscription, group.snapshot_of(group.newest))
            return
        missed = group.count - subscription.count - 1
        base = subscription.sent if group.shape.delta else None
        if group.given is None or group.given[:3] != (group.count, base, missed):
            data = group.encode(group.newest, base=base, missed=missed)
            group.given = (group.count, base, missed, data)
        data = group.given[3]
        self.conflated += missed
        self._give_bytes(group, subscription, data)

    def hold_snapshot(self, group: Group, subscription: Subscription) -> None:
        """Owe a slow reader the snapshot: the newest value by the time it reads."""
        subscription.count = SNAPSHOT_OWED
        subscription.outbox.held[subscription] = group

    def _give_bytes(self, group: Group, subscription: Subscription, data: bytes) -> None:
        subscription.sent = group.newest
        subscription.count = group.count
        self.deliveries += 1
        outbox = subscription.outbox
        if not outbox.chunks:
            self._writing.append(outbox)
        outbox.chunks.append(data)

    def resume(self, outbox: Outbox) -> None:
        """The transport has room again: what was held goes out, the longest waiting first, until it is full again."""
        outbox.behind = False
        held = outbox.held
        while held and not outbox.behind:
            for subscription in list(islice(held, RELEASE_BATCH)):
                self._give(held.pop(subscription), subscription)
            self._write()

    def _pace(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pace_timer = None
        now = loop.time()
        for group in list(self._paced):
            if not self._pace_group(group, now):
                del self._paced[group]
        self._write()
        if self._paced:
            self._pace_timer = loop.call_later(self._interval, self._pace, loop)

    def _pace_group(self, group: Group, now: float) -> bool:
        """Serve the members whose time has come; returns whether some still wait."""
        if group.next_due > now:
            return True
        period = 1 / (group.shape.max_frequency or 1)
        next_due = math.inf
        for outbox, subscription in group.members.items():
            if subscription.count >= group.count:
                continue
            if subscription.due <= now and not outbox.behind:
                self._give(group, subscription)
                subscription.due = max(subscription.due + period, next_turn(now, period))
            else:  # a slow reader is looked at again with each tick
                next_due = min(next_due, max(subscription.due, now))
        group.next_due = 0.0 if next_due is math.inf else next_due
        return next_due is not math.inf


def next_turn(now: float, period: float) -> float:
    """The first of the period's phases that is at least one period from now."""
    phase = period / PACE_PHASES
    return math.ceil((now + period) / phase) * phase


def _latest_last(group: Group) -> bool:
    return not group.log
