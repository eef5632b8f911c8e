"""The Feed port: a source of prices.

A feed connects, decodes and hands on; it knows nothing of sockets, channels or Redis. Each source is one module
whose decoding is pure (`bytes -> ticks`) and whose I/O is a thin shell around that: brokers' protocols stand behind
`feeds.brokers.source` and share one runner, the simulator and the replay run by themselves.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from feeds.instruments import Instrument
from schemas.market import Depth, Tick
from schemas.phrases import Phrase

Update = Tick | Depth

Publish = Callable[[Sequence[Update]], Awaitable[None]]
"""Takes updates in the order in which they happened, all that are at hand at once: a batch costs less than its parts.

It never raises for a world that is away, and takes as long as its batch needs; a feed that reads a connection may
simply wait for it.
"""


class Health(StrEnum):
    """What can be said of a source, or of an exchange's prices."""

    LIVE = "live"
    STALE = "stale"
    """The market is open, and nothing has come for a while."""
    CLOSED = "closed"
    """Nothing is to be expected now."""
    CONNECTING = "connecting"
    """Not connected, and trying."""
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a word, not a password
    """The credentials are refused; somebody has to log in again. They are read anew at every attempt."""
    REFUSED = "refused"
    """The vendor refuses for another reason: too many connections, no subscription to data."""
    STANDBY = "standby"
    """Another process has the account."""


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a source knows of itself. `since_ms` is when it came to be so (Unix milliseconds)."""

    health: Health
    since_ms: int
    reason: str = ""
    """One sentence for people, without credentials."""
    instruments: int = 0
    """Subscribed at present."""
    limit: int | None = None
    """The most that the account carries. None: no limit."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument that a source can't carry. `code` is the error code that subscribers get."""

    exchange: str
    symbol: str
    code: str
    reason: Phrase


class Feed(Protocol):
    """One source of prices."""

    @property
    def name(self) -> str:
        """The source's name in the settings, the logs and the metrics."""

    @property
    def status(self) -> FeedStatus:
        """What can be said of the source now."""

    @property
    def exchanges(self) -> Collection[str]:
        """The exchanges that it brings prices of, whether they are wanted or not."""

    def find(self, exchange: str, symbol: str) -> Instrument | None:
        """The instrument of that name, if this source can carry it."""

    def want(self, wanted: Collection[tuple[str, str]]) -> None:
        """From now on carry exactly these instruments, (exchange, symbol); the first ones where not all fit.

        A source that carries everything anyway ignores it. Returns at once; what can't be carried is told in
        `take_refusals`.
        """

    def take_refusals(self) -> list[Refusal]:
        """What has been refused since the last call."""

    async def run(self, publish: Publish) -> None:
        """Hands updates to `publish` until cancelled. Called once at a time; may be called again after it ended.

        A source that is away is tried again with growing pauses; whatever else goes wrong is raised.
        """
