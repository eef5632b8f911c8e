"""What the feeds say of themselves, as a process with subscribers hears it: health, limits, refusals."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NoReturn

import msgspec

from channels.broker import Broker, Clock
from channels.channel import Channel
from channels.namespace import CONTROL
from channels.registry import Registry
from channels.shape import Update
from feeds.allotment import no_room
from feeds.feed import Refusal
from feeds.interest import Interest, Place
from schemas.durations import Seconds
from schemas.errors import CommandError, ErrorCode, Unavailable, UnsubscribeCode
from schemas.phrases import Phrase

log = logging.getLogger("tickhub.hub.feeding.board")

REFUSALS = Channel(name="control:refusals", namespace=CONTROL)
"""Carries from the feeds what they can't carry."""

REFUSED_FOR_S: Seconds = 60.0
"""For how long a refused instrument is refused at once, before the feeds are asked again."""
ROOM_AFTER_S: Seconds = 15.0
"""For how long a refusal for want of room holds whatever the status says: that is told less often."""
_POLL_S: Seconds = 1.0

_encode = msgspec.json.Encoder().encode


def encode_refusals(refusals: Sequence[Refusal]) -> bytes:
    """Refusals as a payload: an object, as every payload is."""
    return b'{"refusals":%s}' % _encode(refusals)


class _Refusals(msgspec.Struct):
    refusals: list[Refusal]


class _Source(msgspec.Struct):
    instruments: int = 0
    limit: int | None = None


class FeedBoard:
    """`listed` tells whether some feed lists an instrument: what none lists may come from outside, and is let be."""

    def __init__(
        self,
        registry: Registry,
        broker: Broker,
        *,
        listed: Callable[[Channel], bool],
        always: Collection[Place] = (),
        clock: Clock = time.monotonic,
    ) -> None:
        self.feeds: dict[str, Any] = {}
        """The fields of `status:feeds`."""
        self._registry = registry
        self._broker = broker
        self._listed = listed
        self._always = always
        self._clock = clock
        self._refused: dict[Place, tuple[Seconds, CommandError]] = {}
        self._full: Phrase | None = None
        self._carried: frozenset[Place] | None = None  # not known yet

    async def run(self) -> NoReturn:
        """Follows what is carried while the feeds are full, until cancelled."""
        version = -1
        while True:
            await asyncio.sleep(_POLL_S)
            now_s = self._clock()
            self._refused = {place: entry for place, entry in self._refused.items() if entry[0] > now_s}
            if self._full is None:
                version, self._carried = -1, None
                continue
            try:
                demanded = await self._broker.demanded(version)
            except Unavailable:
                continue
            if demanded.names is not None:
                interest = Interest(self._always)
                interest.take(demanded.names, now_s)
                version, self._carried = demanded.version, frozenset(interest.instruments(now_s))

    def hear_status(self, update: Update) -> None:
        """What `status:feeds` says."""
        self.feeds = update.fields
        try:
            sources = msgspec.convert(update.fields.get("sources", {}), dict[str, _Source])
        except msgspec.ValidationError:
            return
        limits = {name: one.limit for name, one in sources.items()}
        full = bool(sources) and all(one.limit is not None and one.instruments >= one.limit for one in sources.values())
        self._full = no_room({name: limit for name, limit in limits.items() if limit is not None}) if full else None
        if not full:  # what was refused for want of room may try again
            self._refused = {
                place: entry
                for place, entry in self._refused.items()
                if entry[1].code is not ErrorCode.LIMIT_EXCEEDED
                or entry[0] - self._clock() > REFUSED_FOR_S - ROOM_AFTER_S
            }

    def hear_refusals(self, update: Update) -> None:
        """What the feeds have refused: its subscribers are told, and newcomers for a while."""
        try:
            refusals = msgspec.json.decode(update.payload, type=_Refusals).refusals
        except (msgspec.MsgspecError, RecursionError):
            log.warning("feed_board.unreadable")
            return
        for one in refusals:
            error = CommandError(_code(one.code), one.reason.text, **one.reason.values)
            self._refused[one.exchange, one.symbol] = (self._clock() + REFUSED_FOR_S, error)
            self._registry.end_instrument(one.exchange, one.symbol, UnsubscribeCode.NOT_CARRIED, one.reason)

    def refusal(self, channel: Channel) -> CommandError | None:
        """Why a channel's instrument can't be carried, where that is known."""
        if channel.exchange is None or channel.symbol is None:
            return None
        place = (channel.exchange, channel.symbol)
        entry = self._refused.get(place)
        if entry is not None and self._clock() < entry[0]:
            return entry[1]
        if self._full is None or self._carried is None or place in self._carried or not self._listed(channel):
            return None
        return CommandError(ErrorCode.LIMIT_EXCEEDED, self._full.text, **self._full.values)


def _code(text: str) -> ErrorCode:
    return ErrorCode(text) if text in set(ErrorCode) else ErrorCode.NOT_AVAILABLE
