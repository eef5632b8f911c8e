"""The Feed port: a source of prices.

A feed connects, decodes and hands on; it knows nothing of sockets, channels or Redis. Each source is one module
whose decoding is pure (`bytes -> ticks`) and whose I/O is a thin shell around that.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from schemas.market import Depth, Tick

Update = Tick | Depth

Publish = Callable[[Sequence[Update]], Awaitable[None]]
"""Takes updates in the order in which they happened, all that are at hand at once: a batch costs less than its parts.

It never raises for a world that is away, and takes as long as its batch needs; a feed that reads a connection may
simply wait for it.
"""


class Feed(Protocol):
    """One source of prices."""

    @property
    def name(self) -> str:
        """The source's name in the settings, the logs and the metrics."""

    async def run(self, publish: Publish) -> None:
        """Hands updates to `publish` until cancelled. Called once.

        A source that is away is tried again with growing pauses; whatever else goes wrong is raised.
        """
