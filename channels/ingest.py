"""The way in for outsiders: the durable stream, and the last values of what they publish raw.

Any number of processes run an `Ingest`; a lease in Redis makes one of them the leader. It takes the oldest entries of
the stream, publishes them in order, and deletes them. The stream itself is the list of what is still to be done, so
there is no consumer group whose pending entries could be overtaken: a new leader begins where the stream begins.

The lease only spares work. What makes each entry count once is that the publishing script remembers the id of the last
entry published in each partition and refuses all that are not greater. So a leader may die between any two steps, or
wake up late and go on beside its successor, and still nothing is lost, doubled or out of order.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import NoReturn

from channels.broker import Clock
from channels.channel import Channel, ChannelNames
from channels.lease import Fence
from channels.namespace import Policy
from channels.outsiders import Outsiders
from channels.redis_calls import Entry, latest_call, new_epoch, publish_call, receipts
from channels.redis_lease import RedisLease
from channels.redis_link import Call, RedisLink
from channels.redis_pubsub import Listener, instance_id
from channels.redis_scripts import INGEST_DEAD, INGEST_READ, Keys, partition_of
from schemas.errors import CommandError, ErrorCode, Unavailable

log = logging.getLogger("tickhub.channels.ingest")

BLOCK_MS = 1000
BATCH_ENTRIES = 200
BATCH_BYTES = 4 * 1024 * 1024
MAX_DEAD = 10_000
MAX_DEAD_FIELDS = 64
MAX_DEAD_BYTES = 64 * 1024
MAX_KEY_BYTES = 256
_MAX_BACKOFF_S = 2.0
_RAW_AT_ONCE = 500
_MAX_RAW = 50_000

_Fields = list[bytes]
"""Field, value, field, value, … as the entry has them."""


class _Batch:
    """Entries of the stream, sorted out."""

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.good: dict[int, list[Entry]] = {}
        self.bad: list[tuple[bytes, _Fields, str]] = []


class Ingest:
    """Takes the stream and the raw publications of outsiders. Making one does not connect; `run` it.

    `url` as in `redis_link`. `clock` is monotonic seconds.
    """

    def __init__(self, url: str, *, names: ChannelNames, clock: Clock, prefix: str = "hub:") -> None:
        self.published = 0
        """Entries that were published."""
        self.duplicates = 0
        """Entries that had been published before, under their key or by a leader that died."""
        self.dead = 0
        """Entries that could not be published."""
        self._names = names
        self._clock = clock
        self._prefix = prefix
        self._keys = Keys(prefix)
        self._link = RedisLink(url)
        self._lease = RedisLease(
            self._link, name="ingest", key=self._keys.lease("ingest"), owner=instance_id().encode()
        )
        # Waits for entries, so its deadline is longer than the wait.
        self._waiting_link = RedisLink(url, timeout_s=BLOCK_MS / 1000 + 2.0, max_parallel=1)
        self._publish_word = b"SPUBLISH" if self._link.clustered else b"PUBLISH"
        self._raw: dict[Channel, bytes] = {}
        self._raw_came = asyncio.Event()

    async def run(self) -> NoReturn:
        """Waits to lead, and leads, until cancelled; then gives up the lease at once. Call it once."""
        try:
            await self._lease.hold(self._lead)
        finally:
            await self._link.close()
            await self._waiting_link.close()

    @property
    def leading(self) -> bool:
        """Whether this process is the one that takes entries."""
        return self._lease.held

    async def _lead(self, _: Fence) -> NoReturn:
        outsiders = Outsiders(self._names, self._prefix, clock=self._clock)
        listener = Listener(
            self._link,
            probe=self._keys.probe(instance_id()),
            pattern=self._keys.outsiders(),
            outside=lambda name, data: self._take_raw(outsiders, name, data),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run(), name="ingest-listen")
            tasks.create_task(self._keep_raw(), name="ingest-raw")
            await self._consume()

    async def _consume(self) -> NoReturn:
        backoff_s = 0.1
        while True:
            try:
                if not await self._take_batch():
                    await self._waiting_link.call(
                        "XREAD", b"COUNT", 1, b"BLOCK", BLOCK_MS, b"STREAMS", self._keys.ingest, b"0-0"
                    )
                backoff_s = 0.1
            except Unavailable as exc:
                log.warning("ingest.retrying", extra={"why": exc.why, "wait_s": backoff_s})
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, _MAX_BACKOFF_S)

    async def _take_batch(self) -> int:
        """Publishes the stream's oldest entries and deletes them; answers how many there were."""
        incarnation, entries = await self._link.run(
            Call(INGEST_READ, [self._keys.ingest, self._keys.ingest_state], [BATCH_ENTRIES, new_epoch(), BATCH_BYTES])
        )
        if not entries:
            return 0
        batch = self._sort(entries)
        if batch.good:
            await self._publish(batch, incarnation)
        if batch.bad:
            await self._bury(batch, incarnation)
        await self._link.call("XDEL", self._keys.ingest, *batch.ids)
        return len(entries)

    def _sort(self, entries: list[tuple[bytes, _Fields]]) -> _Batch:
        batch = _Batch()
        for id_, fields in entries:
            batch.ids.append(id_)
            try:
                entry = self._read(id_, fields)
            except CommandError as exc:
                batch.bad.append((id_, fields, str(exc)))
            else:
                batch.good.setdefault(partition_of(entry.channel.name.encode()), []).append(entry)
        return batch

    def _read(self, id_: bytes, fields: _Fields) -> Entry:
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        channel = self._names.parse(_text(values, b"channel"))
        key = _text(values, b"key") if b"key" in values else None
        return Entry(channel, channel.namespace.normalise(_value(values, b"data")), key, id_)

    async def _publish(self, batch: _Batch, incarnation: bytes) -> None:
        replies = await self._link.run_all(
            [
                publish_call(self._keys, self._publish_word, partition, entries, incarnation=incarnation)
                for partition, entries in batch.good.items()
            ]
        )
        done = [receipt for reply in replies for receipt in receipts(reply)]
        duplicates = sum(receipt.duplicate for receipt in done)
        self.duplicates += duplicates
        self.published += len(done) - duplicates

    async def _bury(self, batch: _Batch, incarnation: bytes) -> None:
        arguments: list[bytes | int] = [incarnation, MAX_DEAD]
        for id_, fields, reason in batch.bad:
            kept = [text[:MAX_DEAD_BYTES] for text in fields[: 2 * MAX_DEAD_FIELDS]]
            arguments += [id_, len(kept) + 4, *kept, b"reason", reason[:1000].encode(), b"id", id_]
        added = await self._link.run(Call(INGEST_DEAD, [self._keys.dead, self._keys.dead_state], arguments))
        self.dead += added
        if added:
            log.warning("ingest.dead", extra={"entries": added})

    def _take_raw(self, outsiders: Outsiders, name: bytes, data: bytes) -> None:
        channel = outsiders.channel(name)
        if channel is None or channel.namespace.policy is not Policy.LATEST:
            return
        payload = outsiders.payload(channel, data)
        if payload is not None and (channel in self._raw or len(self._raw) < _MAX_RAW):
            self._raw[channel] = payload
            self._raw_came.set()

    async def _keep_raw(self) -> NoReturn:
        """Stores raw values, so that snapshots show them; what comes while a store is on its way is conflated."""
        while True:
            await self._raw_came.wait()
            self._raw_came.clear()
            values, self._raw = self._raw, {}
            try:
                await self._store(values)
            except Unavailable as exc:
                log.warning("ingest.raw_lost", extra={"values": len(values), "why": exc.why})

    async def _store(self, values: Mapping[Channel, bytes]) -> None:
        by_partition: dict[int, list[bytes]] = {}
        for channel, payload in values.items():
            name = channel.name.encode()
            by_partition.setdefault(partition_of(name), []).extend((name, payload))
        step = 2 * _RAW_AT_ONCE
        await self._link.run_all(
            [
                latest_call(self._keys, b"", partition, held[start : start + step])
                for partition, held in by_partition.items()
                for start in range(0, len(held), step)
            ]
        )


def _value(values: Mapping[bytes, bytes], field: bytes) -> bytes:
    try:
        return values[field]
    except KeyError:
        raise CommandError(ErrorCode.BAD_REQUEST, "The entry has no field {field}", field=field.decode()) from None


def _text(values: Mapping[bytes, bytes], field: bytes) -> str:
    value = _value(values, field)
    if len(value) > MAX_KEY_BYTES:
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "The field {field} holds at most {most} bytes",
            field=field.decode(),
            most=MAX_KEY_BYTES,
        )
    try:
        return value.decode()
    except UnicodeDecodeError as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, "The field {field} is no UTF-8", field=field.decode()) from exc
