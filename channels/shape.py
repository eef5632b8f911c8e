"""Shapes: in how many ways one publication is written. Subscribers of one shape share the same bytes."""

from typing import Any, NamedTuple, Protocol

import orjson

from channels.broker import Publication
from channels.channel import Channel
from schemas.commands import Mode


class Update:
    """A publication as this process heard it: with its number here, and its fields once somebody needs them.

    `number` is the offset on a log channel (0: live only, not counted) and the sequence number on a latest channel,
    which only ever grows in this process, whatever the broker's own count does after an outage.
    """

    __slots__ = ("_fields", "number", "publication")

    def __init__(self, publication: Publication, number: int) -> None:
        self.publication = publication
        self.number = number
        self._fields: dict[str, Any] | None = None

    @property
    def payload(self) -> bytes:
        """The JSON object as it was published."""
        return self.publication.payload

    @property
    def fields(self) -> dict[str, Any]:
        """The payload's fields; not to be changed."""
        if self._fields is None:
            self._fields = orjson.loads(self.publication.payload)
        return self._fields


class Encoder(Protocol):
    """What fan-out asks of a wire dialect: the bytes to be written to a socket, framed and complete."""

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
        """One publication. With `base`, only what changed since it; `missed` counts updates that were left out.

        Of a candle's `indicators` only the named ones.
        """


class Shape(NamedTuple):
    """How one subscriber wants a channel."""

    encoder: Encoder
    mode: Mode = "full"
    delta: bool = False
    max_frequency: float | None = None
    """Updates a second; None for every one."""
    indicators: tuple[str, ...] = ()
    """Those that a candle is to bring, by canonical name."""
