"""How many SMS a user has had this month, in the parts that providers charge for; a call counts as one."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.transactions import reading, writing
from notifiers.alerts.asking import asked
from notifiers.alerts.facts import Facts, encode
from notifiers.outbox.delivery import Delivery, Kind
from notifiers.outbox.new_deliveries import insert_deliveries
from notifiers.way import Way
from schemas.market import IST
from schemas.tables import deliveries

SPENT = "sms_budget"
"""The reason of the notice that tells it."""

COUNTED = frozenset({Way.SMS, Way.VOICE})

_CHUNK = 1000


class SmsBudget:
    """Counts what providers have taken since the month began in India; `wall` tells Unix seconds.

    What several workers have on the wire at the same time is not counted yet, so that a user may get as many more.
    """

    def __init__(self, engine: AsyncEngine, *, wall: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._wall = wall

    async def beyond(self, texts: Sequence[Delivery], budgets: Mapping[str, int]) -> list[Delivery]:
        """Which of these SMS and calls are too many; their owners are told, once a month. Raises Unavailable.

        An SMS counts as one part before it is sent.
        """
        month_ms, month = _month(self._wall())
        left = dict(budgets)
        for user, used in (await self._used(sorted(budgets), month_ms)).items():
            left[user] -= used
        too_many: list[Delivery] = []
        for one in texts:
            left[one.user] = left.get(one.user, 0) - 1
            if left[one.user] < 0:
                too_many.append(one)
        if too_many:
            await self._tell({one.user: one for one in reversed(too_many)}, month)
        return too_many

    async def used(self, user: str) -> int:
        """How many parts a user has had this month."""
        return (await self._used([user], _month(self._wall())[0])).get(user, 0)

    async def _used(self, users: Sequence[str], since_ms: int) -> dict[str, int]:
        rows = deliveries.c
        found: dict[str, int] = {}
        async with reading(self._engine) as connection:
            for start in range(0, len(users), _CHUNK):
                query = (
                    select(rows.user_id, func.sum(rows.cost))
                    .where(
                        rows.user_id.in_(users[start : start + _CHUNK]),
                        rows.channel.in_(sorted(COUNTED)),
                        rows.sent_at_ms >= since_ms,
                    )
                    .group_by(rows.user_id)
                )
                found |= {user: int(cost) for user, cost in await connection.execute(query)}
        return found

    async def _tell(self, spent: Mapping[str, Delivery], month: str) -> None:
        now_ms = int(self._wall() * 1000)
        notices = [
            asked(
                *(Kind.NOTICE, SPENT, user, month),
                trigger_id=None,
                alert_id=one.alert_id or 0,
                user=user,
                kind=Kind.NOTICE,
                way=Way.WEBSOCKET,
                content=_notice(one, now_ms),
            )
            for user, one in spent.items()
        ]
        async with writing(self._engine) as connection:
            await insert_deliveries(connection, notices)


def _notice(delivery: Delivery, now_ms: int) -> str:
    """Told with the alert whose SMS was the first too many."""
    told = delivery.content
    return encode(
        Facts(
            kind=Kind.NOTICE,
            alert_id=delivery.alert_id or 0,
            exchange=str(told.get("exchange", "")),
            symbol=str(told.get("symbol", "")),
            condition=str(told.get("condition", "")),
            at_ms=now_ms,
            reason=SPENT,
        )
    )


def _month(now_s: float) -> tuple[int, str]:
    """When the month began, and its name: `2026-11`."""
    now = datetime.fromtimestamp(now_s, IST)
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(start.timestamp() * 1000), f"{start:%Y-%m}"
