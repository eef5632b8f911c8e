"""The Broker port: how publications get from whoever says them to every process that hears them.

Two twins stand behind it, `broker_memory` (one process) and `broker_redis` (many), held to one contract suite.
Local delivery is not the broker's business: everything that is delivered comes out of `listen`, so each channel
has one order in each process.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from channels.channel import Channel
from channels.lease import Fence, Lease
from schemas.commands import Position

IDEMPOTENCY_WINDOW_S = 24 * 3600.0
"""For how long the same idempotency key publishes once."""


class Publication(msgspec.Struct, frozen=True, gc=False):
    """One message on one channel, as every listener gets it.

    `payload` is one compact JSON object without line breaks. `offset` counts up by one per publication: on a log
    channel it is the offset in `epoch`, from 1, on a latest channel (epoch "") the sequence number, which begins at
    the milliseconds of the Unix epoch and leaps ahead when the server behind the broker restarts, so that it never
    goes back. An offset of 0 means that nobody counted it: it came straight from Redis pub/sub, live only.
    """

    channel: str
    payload: bytes
    offset: int = 0
    epoch: str = ""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Where a publication went. `duplicate`: its key was used before, nothing was published, this is the first's."""

    offset: int
    epoch: str = ""
    duplicate: bool = False


class HistoryPage(msgspec.Struct, frozen=True):
    """A log channel's present position, and publications in order of offset.

    `complete` is False where publications after the asked position are gone or the epoch is another one; then
    `publications` holds what is left.
    """

    position: Position
    publications: tuple[Publication, ...]
    complete: bool = True


class Member(msgspec.Struct, frozen=True, order=True):
    """One connection that hears a channel."""

    client: str
    user: str


class Demanded(msgspec.Struct, frozen=True, gc=False):
    """What is wanted now, by all processes. `names` is None where nothing has changed since the asked version."""

    version: int
    names: frozenset[str] | None = None


class Count(msgspec.Struct, frozen=True, gc=False):
    """Where a counter of `Broker.count` stands, and in how many seconds it ends."""

    count: int
    resets_in_s: float


class Sink(Protocol):
    """Where a broker delivers: one per process, synchronous, never raising, never waiting."""

    def deliver(self, publications: Sequence[Publication]) -> None:
        """Takes publications in the order in which their channels have them. Unknown channels are not passed."""

    def interrupted(self) -> None:
        """Messages may have been lost since the last delivery; called once `listen` hears again.

        Also called after the first connect, if anything was subscribed before it.

        The sink compares positions and fills or tells the gaps.
        """

    def members(self, channel: str) -> list[Member]:
        """Who hears the channel in this process."""


class Broker(Protocol):
    """Every method raises `schemas.errors.Unavailable` where the server behind it fails or does not answer in time.

    Cancelling any of them is safe; a cancelled `publish` may or may not have published.
    """

    async def publish(self, channel: Channel, payload: bytes, *, key: str | None = None) -> Receipt:
        """Publish a payload that the namespace's schema has already normalised.

        The same `key` on the same channel publishes once within IDEMPOTENCY_WINDOW_S.
        """

    async def publish_latest(self, batch: Sequence[tuple[Channel, bytes]], *, fence: Fence | None = None) -> None:
        """Publish many values of `latest` channels at the least cost; the way of the feeds.

        The order within one channel is kept. Raises ValueError for a log channel, and LeaseLost where a newer holder
        of the fence's lease has published to one of the channels' neighbours: then a part may have been published.
        """

    async def subscribe(self, channels: Iterable[Channel]) -> None:
        """Hear these channels; returns once the broker does. Counted: each needs its own `unsubscribe`.

        Does not raise `Unavailable`: while the server is away the wish is kept, and the sink's `interrupted` is called
        once it is granted. Cancelling takes the wish back.
        """

    async def unsubscribe(self, channels: Iterable[Channel]) -> None:
        """Hear these channels no longer, once every `subscribe` has been taken back."""

    async def listen(self, sink: Sink) -> None:
        """Deliver to `sink` until cancelled, surviving every outage of the server. One call at a time."""

    async def history(self, channel: Channel, *, since: Position | None = None, limit: int) -> HistoryPage:
        """A log channel's position, with the last `limit` publications, or with the first `limit` after `since`.

        Where `since` is of another epoch: the last `limit`. A channel's history lapses as a whole, the namespace's
        `history_age_s` after its last publication.
        """

    async def last(self, channels: Iterable[Channel]) -> dict[str, Publication]:
        """The newest value of each latest channel that has one, by channel name."""

    async def presence(self, channel: Channel) -> list[Member]:
        """Who hears the channel, in all processes, sorted."""

    async def claim(self, key: str, ttl_s: float) -> bool:
        """True for the first caller with this key in all processes within `ttl_s`, False for every other."""

    async def count(self, key: str, window_s: float, cost: int = 1) -> Count:
        """Add `cost` to a counter that all processes share.

        It begins with the first cost and ends `window_s` later, whatever is added in between. A cost of 0 only looks,
        and a negative one gives back, to no less than 0; neither begins a counter.
        """

    def lease(self, name: str) -> Lease:
        """A lease that one process at a time holds; several calls with one name compete."""

    async def demand(self, names: Collection[str], ttl_s: float) -> None:
        """Want names (of channels, or whatever callers agree on) for so long; wanting again prolongs."""

    async def demanded(self, known: int = -1) -> Demanded:
        """What all processes want now; `known` is the version that the caller has."""

    async def check(self) -> None:
        """Does a round trip to the server behind the broker."""

    async def close(self) -> None:
        """Lets go of all connections. Safe to call twice."""


Clock = Callable[[], float]
"""Seconds, monotonic or not as the callee needs; handed in so that tests can jump."""
