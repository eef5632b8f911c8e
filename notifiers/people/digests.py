"""Look-back digests: an alert is told at once when it fires, and what it fires soon after that in one delivery.

The window begins when the first one was sent. What comes within it is counted in a digest that is due at its end; there
is one for each window, whoever asks for it how often.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import structs
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.transactions import reading, writing
from notifiers.alerts.asking import asked
from notifiers.alerts.facts import encode, of_content
from notifiers.outbox.delivery import Delivery, Kind, Status
from notifiers.outbox.new_deliveries import insert_deliveries
from schemas.tables import deliveries

IN_DIGEST = "in digest"
"""The reason of what is told in one."""

_MINUTE_MS = 60_000
_CHUNK = 500


class _Place(NamedTuple):
    """What has a window of its own."""

    alert: int
    user: str
    channel: str
    endpoint: str


class _First(NamedTuple):
    """The delivery with which a window began, and when."""

    id: int
    sent_at_ms: int


class Digests:
    """Written to the table of deliveries; `wall` tells Unix seconds."""

    def __init__(self, engine: AsyncEngine, *, wall: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._wall = wall

    async def take(self, asked: Sequence[Delivery], minutes: Mapping[int, int]) -> frozenset[int]:
        """Which of these deliveries a digest tells of, by their ids; the others are the first ones, and go at once.

        `minutes` are the windows' lengths, by delivery. May be asked again about the same ones. Raises Unavailable;
        cancelling is safe.
        """
        now_ms = int(self._wall() * 1000)
        firsts = await self._firsts(asked, now_ms - max(minutes.values()) * _MINUTE_MS)
        late: dict[_Place, list[Delivery]] = {}
        for one in sorted(asked, key=lambda one: one.id):
            place, length_ms = _place(one), minutes[one.id] * _MINUTE_MS
            first = firsts.get(place)
            if first is None or first.id == one.id or first.sent_at_ms + length_ms <= now_ms:
                firsts[place] = _First(one.id, now_ms)
            else:
                late.setdefault(place, []).append(one)
        taken: set[int] = set()
        for place, several in late.items():
            length_ms = minutes[several[-1].id] * _MINUTE_MS
            taken |= await self._digest(firsts[place], several, length_ms, now_ms)
        return frozenset(taken)

    async def _firsts(self, asked: Sequence[Delivery], since_ms: int) -> dict[_Place, _First]:
        """The newest one that was sent of each place since then."""
        rows = deliveries.c
        found: dict[_Place, _First] = {}
        places = sorted({_place(one) for one in asked})
        async with reading(self._engine) as connection:
            for start in range(0, len(places), _CHUNK):
                query = (
                    select(
                        rows.alert_id,
                        rows.user_id,
                        rows.channel,
                        rows.endpoint,
                        func.max(rows.sent_at_ms),
                        func.max(rows.id),
                    )
                    .where(
                        or_(*(_is_place(place) for place in places[start : start + _CHUNK])),
                        rows.kind == Kind.ALERT.value,
                        rows.sent_at_ms > since_ms,
                    )
                    .group_by(rows.alert_id, rows.user_id, rows.channel, rows.endpoint)
                )
                for alert, user, channel, endpoint, sent_at_ms, number in await connection.execute(query):
                    found[_Place(alert, user, channel, endpoint)] = _First(number, sent_at_ms)
        return found

    async def _digest(self, first: _First, several: Sequence[Delivery], length_ms: int, now_ms: int) -> set[int]:
        """Has them told in one; of none where that is on its way already."""
        last, place = several[-1], _place(several[-1])
        async with writing(self._engine) as connection:
            count = await _counted(connection, first, place) + len(several)
            facts = structs.replace(of_content(last.content), kind=Kind.DIGEST, count=count, since_ms=first.sent_at_ms)
            wanted = asked(
                *("look-back", first.id, *place),
                trigger_id=last.trigger_id,
                alert_id=place.alert,
                user=last.user,
                kind=Kind.DIGEST,
                way=last.channel,
                endpoint=last.endpoint,
                after_ms=first.sent_at_ms + length_ms - now_ms,
                content=encode(facts),
            )
            await insert_deliveries(connection, [wanted], renew_content=True)
            status = await connection.scalar(select(deliveries.c.status).where(deliveries.c.key == wanted.key))
        return {one.id for one in several} if status == Status.QUEUED.value else set()


async def _counted(connection: AsyncConnection, first: _First, place: _Place) -> int:
    """How many of the window have been taken before."""
    rows = deliveries.c
    query = (
        select(func.count())
        .select_from(deliveries)
        .where(
            _is_place(place),
            rows.id > first.id,
            rows.kind == Kind.ALERT.value,
            rows.status == Status.SKIPPED.value,
            rows.reason == IN_DIGEST,
        )
    )
    return int(await connection.scalar(query) or 0)


def _place(delivery: Delivery) -> _Place:
    return _Place(delivery.alert_id or 0, delivery.user, delivery.channel.value, delivery.endpoint)


def _is_place(place: _Place) -> ColumnElement[bool]:
    rows = deliveries.c
    return and_(
        rows.alert_id == place.alert,
        rows.user_id == place.user,
        rows.channel == place.channel,
        rows.endpoint == place.endpoint,
    )
