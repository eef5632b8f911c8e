"""Allotment: which feed carries which instrument, where there are several. Pure.

The feeds' order in the settings is their order of preference: an instrument belongs to the first feed that lists it,
has room for it, and works. A feed whose credentials are refused, or that has been away for a while, hands over to the
next one that lists the instrument, and takes back when it is well again. But invented prices never stand in for real
ones: the simulator carries what it is the first to list, or nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import reduce

import msgspec

from feeds.feed import Feed, Health, Refusal
from feeds.interest import Place
from schemas.errors import ErrorCode
from schemas.phrases import Phrase

PATIENCE_MS = 30_000
"""For how long a feed may be away before another one stands in."""

INVENTED = frozenset({"simulator", "replay"})
"""Feeds whose prices are nobody's; they stand in for no other."""

_REFUSED = frozenset({Health.TOKEN_EXPIRED, Health.REFUSED})
_AWAY = frozenset({Health.CONNECTING, Health.STALE})


class Allotment(msgspec.Struct, frozen=True):
    """Who carries what; refusals for what a feed lists and none has room for; the rest is listed nowhere."""

    owners: dict[Place, str]
    refusals: tuple[Refusal, ...] = ()
    unlisted: tuple[Place, ...] = ()

    def of(self, feed: str) -> list[Place]:
        """What one feed carries."""
        return [place for place, owner in self.owners.items() if owner == feed]


def allot(
    wanted: Sequence[Place],
    feeds: Sequence[Feed],
    now_ms: int,
    *,
    since_ms: int = 0,
    unready: Collection[str] = (),
) -> Allotment:
    """Divides what is wanted, the most important first, among the feeds as they are now.

    Before `since_ms` none of them was running. What an `unready` feed lists isn't known yet: so nobody knows of what
    the invented ones after it are the first.
    """
    owners: dict[Place, str] = {}
    refusals: list[Refusal] = []
    unlisted: list[Place] = []
    room = {feed.name: feed.status.limit for feed in feeds}
    well = {feed.name: _well(feed, now_ms, since_ms) for feed in feeds}
    for place in wanted:
        listing = _listing(place, feeds, unready)
        if not listing:
            unlisted.append(place)
            continue
        open_to = [feed for feed in listing if room[feed.name] is None or room[feed.name]]
        if not open_to:
            refusals.append(_full(place, listing))
            continue
        chosen = next((feed for feed in open_to if well[feed.name]), open_to[0]).name
        owners[place] = chosen
        if (left := room[chosen]) is not None:
            room[chosen] = left - 1
    return Allotment(owners, tuple(refusals), tuple(unlisted))


def _listing(place: Place, feeds: Sequence[Feed], unready: Collection[str]) -> list[Feed]:
    """The feeds that may carry an instrument, the best first."""
    found: list[Feed] = []
    first = True
    for feed in feeds:
        if feed.name in INVENTED and not first:
            continue
        if feed.find(*place) is not None:
            found.append(feed)
            first = False
        elif feed.name in unready:
            first = False
    return found


def _well(feed: Feed, now_ms: int, since_ms: int) -> bool:
    status = feed.status
    if status.health in _REFUSED:
        return False
    return status.health not in _AWAY or now_ms - max(status.since_ms, since_ms) <= PATIENCE_MS


def _full(place: Place, feeds: Collection[Feed]) -> Refusal:
    limits = {feed.name: feed.status.limit for feed in feeds if feed.status.limit is not None}
    return Refusal(
        exchange=place[0],
        symbol=place[1],
        code=ErrorCode.LIMIT_EXCEEDED,
        reason=no_room(limits),
    )


def no_room(limits: Mapping[str, int]) -> Phrase:
    """What subscribers are told once each feed, by name, carries as many instruments as it may."""
    each = [Phrase("{count} instruments at {feed}", {"count": f"{most:,}", "feed": at}) for at, most in limits.items()]
    told = reduce(lambda first, then: Phrase("{first} and {then}", {"first": first, "then": then}), each)
    return Phrase("The feed's account carries at most {limits}, and all are taken", {"limits": told})
