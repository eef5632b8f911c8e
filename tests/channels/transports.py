"""Sockets with faults, and a wire dialect that shows what it was asked: what the tests of fan-out need."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from channels.channel import Channel
from channels.outbox import Outbox
from channels.shape import Update
from schemas.commands import Mode
from schemas.errors import CloseCode


class Owner(Protocol):
    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Pipe:
    """A transport to a peer that reads as much as it is let: a `Transport`, and a session's `Socket`.

    `window` is how many bytes the peer still takes; None for all. What it does not take is buffered, and the owner
    told, as asyncio's own transports do: `pause` above the high-water mark, `resume` at the low one.
    """

    HIGH_WATER = 64 * 1024
    LOW_WATER = 16 * 1024

    def __init__(self, *, window: int | None = None) -> None:
        self.window = window
        self.owner: Owner | None = None
        self.last_heard = 0.0
        self.received: list[bytes] = []
        self.closed: CloseCode | None = None
        self.writes = 0
        self.most_buffered = 0
        self.paused = False
        self._waiting: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if self.closed is not None:
            return
        self.writes += 1
        self._waiting.append(data)
        self._size += len(data)
        self._pass()
        self.most_buffered = max(self.most_buffered, self._size)
        if self._size > self.HIGH_WATER and not self.paused:
            self.paused = True
            if self.owner is not None:
                self.owner.pause()

    def buffered(self) -> int:
        return self._size

    def disconnect(self, code: CloseCode) -> None:
        if self.closed is None:
            self.closed = code

    def read(self, size: int | None = None) -> None:
        """The peer takes `size` bytes more, or everything from now on."""
        self.window = None if size is None else (self.window or 0) + size
        self._pass()
        if self.paused and self._size <= self.LOW_WATER:
            self.paused = False
            if self.owner is not None:
                self.owner.resume()

    def stall(self) -> None:
        """The peer takes nothing more, and its buffer is full at once."""
        self.window = 0
        if not self.paused:
            self.paused = True
            if self.owner is not None:
                self.owner.pause()

    def _pass(self) -> None:
        while self._waiting and (self.window is None or self.window > 0):
            data = self._waiting.pop(0)
            self._size -= len(data)
            self.received.append(data)
            if self.window is not None:
                self.window -= len(data)

    def taken(self) -> bytes:
        """Everything received since the last call."""
        data = b"".join(self.received)
        self.received.clear()
        return data


class Reader:
    """One subscriber without a session: its outbox, its pipe, and what it has been told, as `LineDialect` says it."""

    def __init__(
        self, resume: Callable[[Outbox], None], *, client: str = "c", user: str = "u", window: int | None = None
    ) -> None:
        self.pipe = Pipe(window=window)
        self.pipe.owner = self
        self.outbox = Outbox(self.pipe, client=client, user=user)
        self._resume = resume

    def pause(self) -> None:
        self.outbox.pause(asyncio.get_running_loop().time())

    def resume(self) -> None:
        self._resume(self.outbox)

    def told(self) -> list[dict[str, Any]]:
        """What has come since the last call, in order."""
        return [orjson.loads(line) for line in self.pipe.taken().splitlines()]


class LineDialect:
    """An `Encoder` that writes down what it was asked to encode, one JSON object a line, padded to `size` bytes."""

    def __init__(self, *, size: int = 0) -> None:
        self.size = size
        self.calls = 0

    def publication(
        self,
        channel: Channel,
        update: Update,
        *,
        mode: Mode,
        base: Update | None,
        missed: int,
        snapshot: bool,
        indicators: tuple[str, ...] = (),
    ) -> bytes:
        self.calls += 1
        line = {
            "channel": channel.name,
            "number": update.number,
            "value": orjson.loads(update.payload),
            "mode": mode,
            "base": None if base is None else base.number,
            "missed": missed,
            "snapshot": snapshot,
        }
        return orjson.dumps(line).ljust(self.size) + b"\n"
