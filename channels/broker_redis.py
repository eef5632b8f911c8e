"""The Broker over Redis or Redis Cluster: the twin for many processes.

Publications travel in envelopes on 64 partitions' pub/sub channels (see `redis_scripts`), so that many ticks share one
message and a process hears only the partitions in which it has subscribers.

While Redis is away: `subscribe` remembers the wish and returns, and once Redis is back the sink's `interrupted` brings
whoever waits up to date; everything that needs an answer, `history` foremost, raises `Unavailable`. A log channel
can't be subscribed to without its position, so its subscribers are refused meanwhile; a latest channel's just wait.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import msgspec

from channels.broker import Clock, Count, Demanded, HistoryPage, Member, Publication, Receipt, Sink
from channels.channel import Channel, ChannelNames
from channels.lease import Fence, Lease, LeaseLost
from channels.namespace import Policy
from channels.outsiders import Outsiders
from channels.redis_calls import Entry, latest_call, new_epoch, publish_call, receipts
from channels.redis_lease import RedisLease
from channels.redis_link import Call, RedisLink
from channels.redis_pubsub import Listener, instance_id
from channels.redis_scripts import ASKED_POSITION_S, COUNT, DEMAND, DEMANDED, HISTORY, Keys, partition_of
from schemas.commands import Position
from schemas.errors import Unavailable

PRESENCE_TIMEOUT_S = 0.5
_REPLY_LIFE_S = 10
_LATEST_AT_ONCE = 500
_PLACES_CACHED = 100_000
_FENCED = -1
_DEMAND_AT_ONCE = 1000

_encode_members = msgspec.json.Encoder().encode
_decode_members = msgspec.json.Decoder(list[Member]).decode


class _Places:
    """The partition and the bytes of each channel's name, remembered: this is asked for every tick."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, bytes]] = {}

    def of(self, name: str) -> tuple[int, bytes]:
        place = self._known.get(name)
        if place is None:
            if len(self._known) >= _PLACES_CACHED:
                self._known.clear()
            encoded = name.encode("ascii")
            place = self._known[name] = (partition_of(encoded), encoded)
        return place


class RedisBroker:
    """See `Broker`. Making one does not connect; `close` it.

    `url` as in `redis_link`. `timeout_s` bounds every call. A listener that does not hear its own probe, one every
    `probe_interval_s`, for `probe_timeout_s`, connects anew.
    """

    def __init__(
        self,
        url: str,
        *,
        names: ChannelNames,
        prefix: str = "hub:",
        timeout_s: float = 2.0,
        probe_interval_s: float = 1.0,
        probe_timeout_s: float = 5.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self.publications = 0
        """How many publications were delivered to the sink."""
        self.outsiders = Outsiders(names, prefix, clock=clock)
        self._keys = Keys(prefix)
        self._link = RedisLink(url, timeout_s=timeout_s)
        self._timeout_s = timeout_s
        self._publish_word = b"SPUBLISH" if self._link.clustered else b"PUBLISH"
        self._places = _Places()
        self._sink: Sink | None = None
        self._subscribed: Counter[str] = Counter()
        self._in_partition: Counter[int] = Counter()
        # By the bytes in an envelope: the channels somebody here hears, apart by how their positions are written.
        self._latest: dict[bytes, str] = {}
        self._logs: dict[bytes, str] = {}
        self._questions: asyncio.Queue[bytes] = asyncio.Queue(maxsize=100)
        self.listener = Listener(
            self._link,
            probe=self._keys.probe(instance_id()),
            pattern=self._keys.outsiders(),
            outside=self._deliver_outside,
            partition=self._deliver_envelope,
            fixed={self._keys.ask: self._take_question},
            interrupted=self._interrupted,
            probe_interval_s=probe_interval_s,
            probe_timeout_s=probe_timeout_s,
        )

    @property
    def connected(self) -> bool:
        """Whether everything that is subscribed is heard at present."""
        return self.listener.connected

    @property
    def lag_s(self) -> float:
        """How long a message takes from here through Redis and back, measured every second."""
        return self.listener.lag_s

    @property
    def received(self) -> int:
        """How many messages came from Redis."""
        return self.listener.received

    @property
    def raw_rejected(self) -> Counter[str]:
        """How many raw publications of outsiders were dropped, by reason."""
        return self.outsiders.rejected

    async def publish(self, channel: Channel, payload: bytes, *, key: str | None = None) -> Receipt:
        """See `Broker`. Never sent twice: with a `key`, publishing again after `Unavailable` is safe."""
        partition, _ = self._places.of(channel.name)
        call = publish_call(self._keys, self._publish_word, partition, [Entry(channel, payload, key)])
        return receipts(await self._link.run(call))[0]

    async def publish_latest(self, batch: Sequence[tuple[Channel, bytes]], *, fence: Fence | None = None) -> None:
        """See `Broker`. One round trip for up to 500 values of each partition."""
        by_partition: dict[int, list[bytes]] = {}
        for channel, payload in batch:
            if channel.namespace.policy is not Policy.LATEST:
                raise ValueError(f"{channel.name} is no latest channel")
            if b"\n" in payload:
                raise ValueError("a payload is one line")
            partition, name = self._places.of(channel.name)
            by_partition.setdefault(partition, []).extend((name, payload))
        step = 2 * _LATEST_AT_ONCE
        for start in range(0, max(map(len, by_partition.values()), default=0), step):
            replies = await self._link.run_all(
                [
                    latest_call(self._keys, self._publish_word, partition, values[start : start + step], fence)
                    for partition, values in by_partition.items()
                    if start < len(values)
                ]
            )
            if _FENCED in replies:
                raise LeaseLost

    async def subscribe(self, channels: Iterable[Channel]) -> None:
        """See `Broker`. Never raises `Unavailable`: while Redis is away, the wish is kept and `interrupted` follows."""
        channels = list(channels)
        partitions = {self._add(channel) for channel in channels}
        names = [self._keys.envelopes[partition] for partition in partitions]
        self.listener.want(names)
        try:
            await self.listener.confirmed(names, self._timeout_s)
        except asyncio.CancelledError:
            self._remove(channels)
            raise

    async def unsubscribe(self, channels: Iterable[Channel]) -> None:
        """See `Broker`. Does not wait for Redis."""
        self._remove(channels)

    async def listen(self, sink: Sink) -> None:
        """See `Broker`."""
        self._sink = sink
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.listener.run(), name="broker-listener")
                tasks.create_task(self._answer(), name="broker-presence")
        finally:
            self._sink = None

    async def history(self, channel: Channel, *, since: Position | None = None, limit: int) -> HistoryPage:
        """See `Broker`."""
        partition, name = self._places.of(channel.name)
        asked: list[bytes | int] = [] if since is None else [since.epoch.encode(), since.offset]
        keys = [self._keys.position(partition, name), self._keys.log(partition, name)]
        epoch, offset, complete, entries = await self._link.run(
            Call(HISTORY, keys, [new_epoch(), ASKED_POSITION_S * 1000, limit, *asked])
        )
        text = epoch.decode()
        return HistoryPage(
            Position(text, int(offset)),
            tuple(Publication(channel.name, fields[1], int(id_[:-2]), text) for id_, fields in entries),
            complete=bool(complete),
        )

    async def last(self, channels: Iterable[Channel]) -> dict[str, Publication]:
        """See `Broker`. One round trip."""
        by_partition: dict[int, list[bytes]] = {}
        for channel in channels:
            partition, name = self._places.of(channel.name)
            by_partition.setdefault(partition, []).append(name)
        if not by_partition:
            return {}
        replies = await self._link.call_all(
            [("HMGET", self._keys.last[partition], *names) for partition, names in by_partition.items()]
        )
        found: dict[str, Publication] = {}
        for names, values in zip(by_partition.values(), replies, strict=True):
            for name, value in zip(names, values, strict=True):
                if value is not None:
                    seq, _, payload = value.partition(b" ")
                    text = name.decode()
                    found[text] = Publication(text, payload, int(seq))
        return found

    async def presence(self, channel: Channel) -> list[Member]:
        """See `Broker`. Asks every process, and waits at most half a second for those that do not answer."""
        token = secrets.token_hex(8)
        expected = await self._link.subscribers(self._keys.ask)
        await self._link.call("PUBLISH", self._keys.ask, b"%s %s" % (token.encode(), channel.name.encode()))
        members: set[Member] = set()
        deadline = time.monotonic() + min(PRESENCE_TIMEOUT_S, self._timeout_s / 2)
        for _ in range(expected):
            left_s = max(deadline - time.monotonic(), 0.01)  # a timeout of 0 would wait for ever
            reply = await self._link.call("BLPOP", self._keys.reply(token), f"{left_s:.3f}")
            if reply is None:
                break
            members.update(_decode_members(reply[1]))
        return sorted(members)

    async def claim(self, key: str, ttl_s: float) -> bool:
        """See `Broker`."""
        milliseconds = max(1, int(ttl_s * 1000))
        reply = await self._link.call("SET", self._keys.claim(key), b"1", b"NX", b"PX", milliseconds)
        return reply is not None

    async def count(self, key: str, window_s: float, cost: int = 1) -> Count:
        """See `Broker`. One round trip; the server's clock tells when the counter ends."""
        call = Call(COUNT, [self._keys.counter(key)], [cost, max(1, int(window_s * 1000))])
        count, milliseconds = await self._link.run(call)
        return Count(count, milliseconds / 1000)

    def lease(self, name: str) -> Lease:
        """See `Broker`."""
        return RedisLease(self._link, name=name, key=self._keys.lease(name), owner=instance_id().encode())

    async def demand(self, names: Collection[str], ttl_s: float) -> None:
        """See `Broker`. The server's clock tells when the demand ends."""
        keys, wanted = [self._keys.demand, self._keys.demand_version], [name.encode() for name in names]
        milliseconds = int(ttl_s * 1000)
        for start in range(0, len(wanted), _DEMAND_AT_ONCE):
            await self._link.run(Call(DEMAND, keys, [milliseconds, *wanted[start : start + _DEMAND_AT_ONCE]]))

    async def demanded(self, known: int = -1) -> Demanded:
        """See `Broker`."""
        keys = [self._keys.demand, self._keys.demand_version]
        version, *found = await self._link.run(Call(DEMANDED, keys, [str(known).encode()]))
        names = frozenset(name.decode() for name in found[0]) if found else None
        return Demanded(int(version), names)

    async def check(self) -> None:
        """See `Broker`."""
        await self._link.call("EXISTS", self._keys.ingest)

    async def close(self) -> None:
        """See `Broker`."""
        await self._link.close()

    def _add(self, channel: Channel) -> int:
        partition, name = self._places.of(channel.name)
        self._subscribed[channel.name] += 1
        if self._subscribed[channel.name] == 1:
            self._in_partition[partition] += 1
        latest = channel.namespace.policy is Policy.LATEST  # which may change while the old claim is being given up
        heard, other = (self._latest, self._logs) if latest else (self._logs, self._latest)
        heard[name] = channel.name
        other.pop(name, None)
        return partition

    def _remove(self, channels: Iterable[Channel]) -> None:
        empty: list[bytes] = []
        for channel in channels:
            self._subscribed[channel.name] -= 1
            if self._subscribed[channel.name] > 0:
                continue
            del self._subscribed[channel.name]
            partition, name = self._places.of(channel.name)
            if self._latest.pop(name, None) is None and self._logs.pop(name, None) is None:
                continue
            self._in_partition[partition] -= 1
            if not self._in_partition[partition]:
                empty.append(self._keys.envelopes[partition])
        self.listener.unwant(empty)

    def _deliver_envelope(self, envelope: bytes) -> None:
        # The hot path: every tick of every instrument in the partition passes here.
        latest, logs = self._latest, self._logs
        heard: list[Publication] = []
        lines = iter(envelope.split(b"\n"))
        try:
            for name, position, payload in zip(lines, lines, lines, strict=True):
                if (channel := latest.get(name)) is not None:
                    heard.append(Publication(channel, payload, int(position)))
                elif (channel := logs.get(name)) is not None:
                    epoch, _, offset = position.partition(b" ")
                    heard.append(Publication(channel, payload, int(offset), epoch.decode()))
        except ValueError:  # somebody else speaks on the hub's own channels; gaps that this leaves are noticed
            self.outsiders.reject("envelope")
        self._deliver(heard)

    def _deliver_outside(self, name: bytes, data: bytes) -> None:
        channel = self.outsiders.channel(name)
        if channel is None:
            return
        payload = self.outsiders.payload(channel, data)
        if payload is not None and channel.name in self._subscribed:
            self._deliver([Publication(channel.name, payload)])

    def _deliver(self, publications: list[Publication]) -> None:
        if publications and self._sink is not None:
            self.publications += len(publications)
            self._sink.deliver(publications)

    def _interrupted(self) -> None:
        if self._sink is not None:
            self._sink.interrupted()

    def _take_question(self, question: bytes) -> None:
        if not self._questions.full():  # whoever asks so often gets an incomplete answer
            self._questions.put_nowait(question)

    async def _answer(self) -> None:
        while True:
            token, _, name = (await self._questions.get()).decode("ascii", "replace").partition(" ")
            members = self._sink.members(name) if self._sink is not None else []
            key = self._keys.reply(token)
            try:
                await self._link.call_all([("RPUSH", key, _encode_members(members)), ("EXPIRE", key, _REPLY_LIFE_S)])
            except Unavailable:
                continue  # whoever asked waits half a second and does without
