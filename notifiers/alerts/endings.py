"""Alerts whose time is over, and those of instruments that are traded no longer: ended, and their owners told."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.transactions import reading, writing
from notifiers.alerts.alert import Alert, Status
from notifiers.alerts.shards import Tenure
from notifiers.alerts.store import end
from notifiers.alerts.writing import hold
from schemas.database_clock import NowMs
from schemas.market import IST
from schemas.tables import alerts, instruments

GRACE_MS = 60_000
"""How late a price may come and still fire an alert that expired in between."""
EXPIRED = "expired"
INSTRUMENT_ENDED = "instrument_ended"
MISFIT = "misfit"
"""The reasons, as `notifiers.wording` knows them. Misfits are conditions that this release can't run."""
_PAGE = 500

_rows = alerts.c


class Endings:
    """Ends alerts, by the database's clock."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def expire(self, tenure: Tenure) -> list[Alert]:
        """Ends alerts of the shard that have expired, up to a page of them. Raises Lost, Unavailable."""
        over = _rows.expires_at_ms <= NowMs() - GRACE_MS
        return await self._end(tenure, over, Status.EXPIRED, EXPIRED)

    async def retire(self, tenure: Tenure) -> list[Alert]:
        """Disables alerts of the shard whose instrument has ended, up to a page. Raises Lost, Unavailable."""
        async with reading(self._engine) as connection:
            now_ms = int(await connection.scalar(select(NowMs())) or 0)
        return await self._end(tenure, _has_ended(_day(now_ms)), Status.DISABLED, INSTRUMENT_ENDED)

    async def disable(self, tenure: Tenure, alert_ids: Sequence[int], reason: str) -> list[Alert]:
        """Disables these alerts of the shard. Raises Lost, Unavailable."""
        return await self._end(tenure, _rows.id.in_(alert_ids), Status.DISABLED, reason)

    async def _end(self, tenure: Tenure, over: ColumnElement[bool], status: Status, reason: str) -> list[Alert]:
        """Looks first: mostly there is nothing to be written, and SQLite has one writer at a time."""
        active = (_rows.shard == tenure.shard, _rows.status == Status.ACTIVE.value)
        async with reading(self._engine) as connection:
            ids = list(await connection.scalars(select(_rows.id).where(*active, over).order_by(_rows.id).limit(_PAGE)))
        if not ids:
            return []
        async with writing(self._engine) as connection:
            await hold(connection, tenure)
            still = list(await connection.scalars(select(_rows.id).where(_rows.id.in_(ids), *active, over)))
            now_ms = int(await connection.scalar(select(NowMs())) or 0)
            return await end(connection, still, status, reason, now_ms) if still else []


def _day(now_ms: int) -> date:
    return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(IST).date()


def _has_ended(today: date) -> ColumnElement[bool]:
    """It was listed once, and nothing of its name is any more."""
    one = instruments.c
    same = and_(one.exchange == _rows.exchange, one.symbol == _rows.symbol)
    live = and_(or_(one.delisted_on.is_(None), one.delisted_on > today), or_(one.expiry.is_(None), one.expiry >= today))
    listed = select(one.id).where(same)
    return and_(listed.exists(), ~listed.where(live).exists())
