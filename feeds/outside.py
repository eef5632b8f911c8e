"""Prices that no feed of ours brings: outsiders publish them, and candles are made of them all the same."""

import logging
from collections.abc import Callable, Collection, Sequence

import msgspec

from channels.channel import ChannelNames
from channels.registry import Registry
from channels.shape import Update
from channels.state import Watcher
from feeds.interest import Place
from schemas.errors import CommandError
from schemas.market import MarketPayload, Tick, tick_of

log = logging.getLogger("tickhub.feeds.outside")

MAX_WATCHED = 10_000

_decode = msgspec.json.Decoder(MarketPayload).decode

Take = Callable[[Sequence[Tick], Update], None]
"""Takes one price, and the update that it came with; must neither wait nor raise."""


class OutsidePrices:
    """Hears `market:` channels and hands on what they say as ticks. `wall_ms` stands in where no time is said."""

    def __init__(self, registry: Registry, names: ChannelNames, take: Take, wall_ms: Callable[[], int]) -> None:
        self._registry = registry
        self._names = names
        self._take = take
        self._wall_ms = wall_ms
        self._watched: dict[Place, Watcher] = {}

    async def follow(self, places: Collection[Place]) -> None:
        """From now on hear exactly these instruments, up to MAX_WATCHED."""
        wanted = dict.fromkeys(list(places)[:MAX_WATCHED])
        for place in [one for one in self._watched if one not in wanted]:
            self._registry.unwatch(self._names.parse(_name(place)), self._watched.pop(place))
        for place in wanted:
            if place not in self._watched:
                await self._begin(place)

    async def _begin(self, place: Place) -> None:
        try:
            channel = self._names.parse(_name(place))
        except CommandError:
            return

        beginning = True

        def hear(update: Update) -> None:
            self._hear(place, update, kept=beginning)

        self._watched[place] = hear
        await self._registry.watch(channel, hear)
        beginning = False

    def _hear(self, place: Place, update: Update, *, kept: bool) -> None:
        try:
            said = _decode(update.payload)
        except msgspec.MsgspecError:  # the value was kept by a release with other fields
            log.warning("outside.unreadable", extra={"exchange": place[0], "symbol": place[1]})
            return
        if kept and said.time is None:  # it was said at some time, and is no news
            return
        self._take([tick_of(said, *place, self._wall_ms())], update)


def _name(place: Place) -> str:
    return f"market:{place[0]}:{place[1]}"
