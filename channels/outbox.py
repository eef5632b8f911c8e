"""The outbox of one subscriber: what goes out to it next, and what a slow one is owed instead of a queue."""

from collections.abc import Callable
from typing import Any, Protocol

from channels.channel import Channel
from channels.shape import Shape, Update
from schemas.errors import CloseCode, UnsubscribeCode
from schemas.phrases import Phrase

MAX_BUFFERED = 1024 * 1024
"""Bytes that may wait for a slow reader before its connection ends; log channels and replies wait, prices do not."""


class Transport(Protocol):
    """The socket beneath, as fan-out sees it. Nothing here waits."""

    def write(self, data: bytes) -> None:
        """Takes bytes of whole frames; tells the outbox by `pause` when it holds too much, by `resume` when not."""

    def buffered(self) -> int:
        """Bytes taken but not yet handed to the kernel."""

    def disconnect(self, code: CloseCode) -> None:
        """Ends the connection: politely if the peer still reads, by force after a deadline. Safe to call twice."""


class Outbox:
    """One subscriber's way out. `behind` is true while its transport holds more than the high-water mark."""

    __slots__ = (
        "behind",
        "behind_since",
        "buffered",
        "chunks",
        "client",
        "held",
        "on_unsubscribed",
        "sent_bytes",
        "transport",
        "user",
        "window",
    )

    def __init__(self, transport: Transport, *, client: str, user: str) -> None:
        self.transport = transport
        self.client = client
        self.user = user
        self.chunks: list[bytes] = []
        """Gathered during one flush; empty between flushes."""
        self.behind = False
        self.behind_since = 0.0
        self.buffered = 0
        """What the transport held when `stalled` was last asked."""
        self.held: dict[Subscription, Any] = {}
        """Latest channels (and their groups) with news for a slow reader, the one that has waited longest first."""
        self.on_unsubscribed: Callable[[Subscription, UnsubscribeCode, Phrase | None], None] | None = None
        """Told when the registry itself ends a subscription."""
        self.sent_bytes = 0
        self.window = -1
        """The fan-out's window in which this one was last written to."""

    def put(self, data: bytes) -> None:
        """Writes now: replies, heartbeats, recovered messages. Never waits; a reader too slow even for these ends."""
        if self.behind and self.transport.buffered() > MAX_BUFFERED:
            self.transport.disconnect(CloseCode.SLOW)
            return
        self.sent_bytes += len(data)
        self.transport.write(data)

    def pause(self, now: float) -> None:
        """The transport holds too much: from now on prices are conflated."""
        if not self.behind:
            self.behind = True
            self.behind_since = now
            self.buffered = self.transport.buffered()

    def stalled(self, now: float, timeout_s: float) -> bool:
        """Whether the reader, being behind, has taken nothing for so long. To be asked every now and then."""
        if not self.behind:
            return False
        buffered = self.transport.buffered()
        if buffered < self.buffered:
            self.behind_since = now
        self.buffered = buffered
        return now - self.behind_since > timeout_s


class Subscription:
    """One subscriber's place in one channel.

    While it is served in common with its group, `sent` and `count` stand still; they are set when it falls behind or
    is served by time, and say what it was given last: the update, and how many the channel had heard by then.
    """

    __slots__ = ("channel", "count", "due", "outbox", "sent", "shape")

    def __init__(self, outbox: Outbox, channel: Channel, shape: Shape) -> None:
        self.outbox = outbox
        self.channel = channel
        self.shape = shape
        self.sent: Update | None = None
        self.count = 0
        self.due = 0.0
