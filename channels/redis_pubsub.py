"""Hearing Redis pub/sub for as long as the process lives: connections that are made again, subscriptions that stay.

What is wanted is kept apart from what is subscribed: callers say `want` and `unwant` at any time, connected or not,
and one task brings the server to the wanted state, in batches. In a cluster there is one connection to each node that
has something wanted; if one of them fails, all are made anew, for the slots may have moved.

A subscription can go deaf without an error. So the listener publishes a probe to itself every second, and connects
anew when a connection has not heard one for a while.
"""

import asyncio
import contextlib
import logging
import math
import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NoReturn

import redis
from redis.asyncio.connection import AbstractConnection

from channels.redis_link import REDIS_ERRORS, Address, RedisLink
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.channels.redis_pubsub")

_FIRST_BACKOFF_S = 0.05
_MESSAGES = frozenset({b"message", b"smessage"})
_SUBSCRIBED = frozenset({b"subscribe", b"ssubscribe", b"psubscribe"})
_UNSUBSCRIBED = frozenset({b"unsubscribe", b"sunsubscribe", b"punsubscribe"})

Handler = Callable[[bytes], None]


class _Wire:
    """One connection to one node."""

    def __init__(self, connection: AbstractConnection, now: float) -> None:
        self.connection = connection
        # When the last probe came in.
        self.heard_at = now


class Listener:
    """Hears a pattern, some fixed pub/sub channels, and those that are wanted.

    `partition` takes the messages of wanted channels, `fixed` those of its channels, `outside` the name and message
    of what matches `pattern`. `interrupted` is called after each reconnect, once everything is subscribed again, and
    after the first connect if something was wanted before. None of them may raise or wait.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        probe: bytes,
        pattern: bytes,
        outside: Callable[[bytes, bytes], None],
        partition: Handler | None = None,
        fixed: Mapping[bytes, Handler] | None = None,
        interrupted: Callable[[], None] = lambda: None,
        probe_interval_s: float = 1.0,
        probe_timeout_s: float = 5.0,
        max_backoff_s: float = 2.0,
    ) -> None:
        self.connected = False
        """Whether everything wanted is subscribed."""
        self.lag_s = 0.0
        """How long the last probe took from here through the server and back."""
        self.received = 0
        """Messages of all kinds, probes included."""
        self.reconnects = 0
        """How many times the connections were lost."""
        self._link = link
        self._probe = probe
        self._pattern = pattern
        self._outside = outside
        self._partition = partition
        self._fixed = dict(fixed or {})
        self._interrupted = interrupted
        self._probe_interval_s = probe_interval_s
        self._probe_timeout_s = probe_timeout_s
        self._max_backoff_s = max_backoff_s
        self._wanted: set[bytes] = set()
        self._wires: dict[Address | None, _Wire] = {}
        self._sent: dict[bytes, _Wire] = {}
        # Subscriptions the server has not confirmed yet; a name may be sent, taken back and sent again meanwhile.
        self._unconfirmed: Counter[bytes] = Counter()
        self._confirmed: set[bytes] = set()
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._changed = asyncio.Event()
        # A subscription was not confirmed in time: the connections are made anew.
        self._distrusted = False
        self._in_session = False

    def want(self, names: Iterable[bytes]) -> None:
        """Hear these channels from as soon as possible, over all reconnects."""
        self._wanted.update(names)
        self._changed.set()

    def unwant(self, names: Iterable[bytes]) -> None:
        """Hear these channels no longer."""
        for name in names:
            self._wanted.discard(name)
            self._release(name)
        self._changed.set()

    async def confirmed(self, names: Iterable[bytes], timeout_s: float) -> None:
        """Returns once the server hears for us on these channels, or is known to be away.

        In the second case, and where the server does not confirm in time, `interrupted` comes later. Cancelling is
        safe.
        """
        if not self._in_session:
            return
        missing = [name for name in names if name not in self._confirmed]
        if not missing:
            return
        loop = asyncio.get_running_loop()
        futures = [self._waiting.setdefault(name, loop.create_future()) for name in missing]
        _, late = await asyncio.wait(futures, timeout=timeout_s)
        if late and self.connected:
            self._distrusted = True
            self._changed.set()

    async def run(self) -> NoReturn:
        """Listens until cancelled, over every outage of the server."""
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._session(tasks)
            except* (*REDIS_ERRORS, Unavailable) as group:
                # An outage is worth one warning, not one for each attempt.
                level = logging.WARNING if self.connected or not self.reconnects else logging.DEBUG
                log.log(level, "broker.disconnected", extra={"cause": type(group.exceptions[0]).__name__})
                if self.connected:
                    backoff_s = _FIRST_BACKOFF_S
            finally:
                await self._hang_up()
            self.reconnects += 1
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing
            backoff_s = min(backoff_s * 2, self._max_backoff_s)

    async def _session(self, tasks: asyncio.TaskGroup) -> NoReturn:
        self._in_session = True
        async with asyncio.timeout(self._probe_timeout_s):
            await self._subscribe_all(tasks)
        self.connected = True
        log.info("broker.listening", extra={"channels": len(self._confirmed)})
        if self.reconnects or self._wanted:
            self._interrupted()
        tasks.create_task(self._keep_probing(), name="broker-probe")
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._distrusted:
                raise redis.ConnectionError("a subscription was not confirmed in time")
            async with asyncio.timeout(self._probe_timeout_s):
                await self._subscribe_wanted(tasks)

    async def _subscribe_all(self, tasks: asyncio.TaskGroup) -> None:
        """Connects, subscribes to everything in one batch, and returns once all of it is confirmed."""
        if self.reconnects:
            await self._link.learn_topology()
        main = await self._wire(await self._link.owner(self._probe), tasks)
        self._unconfirmed[self._pattern] += 1
        await self._send(main, [(b"PSUBSCRIBE", self._pattern)])
        if self._fixed:
            self._unconfirmed.update(self._fixed.keys())
            await self._send(main, [(b"SUBSCRIBE", *self._fixed)])
        while self._unconfirmed or self._wanted != self._sent.keys():
            await self._subscribe_wanted(tasks)
            await self._changed.wait()
            self._changed.clear()

    async def _hang_up(self) -> None:
        self.connected = False
        self._in_session = False
        self._distrusted = False
        wires = list(self._wires.values())
        for name in list(self._waiting):
            self._release(name)
        for held in (self._wires, self._sent, self._unconfirmed, self._confirmed):
            held.clear()
        for wire in wires:
            await wire.connection.disconnect(nowait=True)

    def _release(self, name: bytes) -> None:
        """Lets go on whoever waits for the name to be confirmed."""
        future = self._waiting.pop(name, None)
        if future is not None and not future.done():
            future.set_result(None)

    async def _wire(self, address: Address | None, tasks: asyncio.TaskGroup) -> _Wire:
        wire = self._wires.get(address)
        if wire is None:
            wire = _Wire(self._link.connection(address), asyncio.get_running_loop().time())
            self._wires[address] = wire
            connect: Callable[[], Awaitable[None]] = wire.connection.connect  # untyped in the client library
            await connect()
            tasks.create_task(self._read(wire), name="broker-listen")
            self._unconfirmed[self._probe] += 1
            await self._send(wire, [(b"SUBSCRIBE", self._probe)])
        return wire

    async def _subscribe_wanted(self, tasks: asyncio.TaskGroup) -> None:
        """Brings the server to the wanted state, with one write to each node."""
        sharded = self._link.clustered
        commands: dict[_Wire, list[tuple[bytes, ...]]] = {}
        for name in self._sent.keys() - self._wanted:
            self._confirmed.discard(name)
            word = b"SUNSUBSCRIBE" if sharded else b"UNSUBSCRIBE"
            commands.setdefault(self._sent.pop(name), []).append((word, name))
        for name in self._wanted - self._sent.keys():
            wire = await self._wire(await self._link.owner(name), tasks)
            if name not in self._wanted:  # not any more
                continue
            self._sent[name] = wire
            self._unconfirmed[name] += 1
            word = b"SSUBSCRIBE" if sharded else b"SUBSCRIBE"
            commands.setdefault(wire, []).append((word, name))
        for wire, batch in commands.items():
            await self._send(wire, batch)

    async def _send(self, wire: _Wire, commands: list[tuple[bytes, ...]]) -> None:
        if not wire.connection.is_connected:  # sending would connect it anew, without its subscriptions
            raise redis.ConnectionError("the connection is gone")
        await wire.connection.send_packed_command(wire.connection.pack_commands(commands), check_health=False)

    async def _read(self, wire: _Wire) -> NoReturn:
        read = wire.connection.read_response
        fixed, partition = self._fixed, self._partition
        while True:
            reply = await read(timeout=math.inf, disconnect_on_error=False)
            self.received += 1
            kind, name = reply[0], reply[1]
            if kind in _MESSAGES:
                if name == self._probe:
                    self._take_probe(wire, reply[2])
                elif (handler := fixed.get(name, partition)) is not None:
                    handler(reply[2])
            elif kind == b"pmessage":
                self._outside(reply[2], reply[3])
            else:
                self._take_confirmation(kind, name)

    def _take_probe(self, wire: _Wire, sent_at: bytes) -> None:
        wire.heard_at = asyncio.get_running_loop().time()
        with contextlib.suppress(ValueError):  # not from us
            self.lag_s = wire.heard_at - float(sent_at)

    def _take_confirmation(self, kind: bytes, name: bytes) -> None:
        if kind in _SUBSCRIBED:
            self._unconfirmed[name] -= 1
            if self._unconfirmed[name] <= 0:
                del self._unconfirmed[name]
                if name in self._sent:
                    self._confirmed.add(name)
                self._release(name)
            if not self.connected:
                self._changed.set()
        elif kind in _UNSUBSCRIBED and name in self._sent and not self._unconfirmed[name]:  # not at our word
            raise redis.ConnectionError("the node gave up a slot")

    async def _keep_probing(self) -> NoReturn:
        loop = asyncio.get_running_loop()
        for wire in self._wires.values():
            wire.heard_at = loop.time()
        while True:
            try:
                await self._link.call("PUBLISH", self._probe, repr(loop.time()))
            except Unavailable as exc:
                log.info("broker.probe_failed", extra={"why": exc.why})
            await asyncio.sleep(self._probe_interval_s)
            heard_at = min(wire.heard_at for wire in self._wires.values())
            if loop.time() - heard_at > self._probe_timeout_s:
                raise redis.ConnectionError("the probe was not heard")


def instance_id() -> str:
    """A name for one listener, unlike any other."""
    return secrets.token_hex(6)
