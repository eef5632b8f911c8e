"""How signals have done, by the day in India on which they were given."""

import asyncio
from collections.abc import Collection
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Double, case, cast, desc, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds.signals.rules import SignalType
from feeds.signals.signal import Outcome, Status
from schemas.storage import database_errors
from schemas.tables import signals

TIMEOUT_S = 10.0
_IST_OFFSET_S = 19_800
_DAY_S = 86_400
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

_rows = signals.c


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """The signals of one day. Percentages are None where there is nothing to count."""

    day: date
    total: int
    buy: int
    sell: int
    hold: int
    active: int
    expired: int
    closed: int
    targets: int
    stops: int
    hit_rate: float | None
    """How many of the closed ones reached their target, in percent."""
    average_move: float | None
    """From entry to close in the signal's direction, in percent, the mean of the closed ones that have both prices."""


async def daily(
    engine: AsyncEngine,
    *,
    from_s: int,
    to_s: int,
    exchange: str | None = None,
    symbol: str | None = None,
    hidden: Collection[str] = (),
) -> list[Day]:
    """The days on which signals were given in `from_s <= time < to_s` (Unix seconds), newest first.

    `hidden`: exchanges that do not count. Raises Unavailable. Safe to cancel.
    """
    day = ((_rows.created_at + _IST_OFFSET_S) // _DAY_S).label("day")
    query = select(day, *_FIGURES).where(
        _rows.created_at >= from_s, _rows.created_at < to_s, _rows.deleted_at.is_(None)
    )
    if exchange is not None:
        query = query.where(_rows.exchange == exchange)
    if symbol is not None:
        query = query.where(_rows.symbol == symbol)
    if hidden:
        query = query.where(_rows.exchange.not_in(hidden))
    with database_errors():
        reading = engine.execution_options(sqlite_begin="DEFERRED")
        async with asyncio.timeout(TIMEOUT_S), reading.connect() as connection:
            found = (await connection.execute(query.group_by("day").order_by(desc("day")))).mappings()
            return [_day(dict(row)) for row in found]


def _having(column: Any, value: str) -> Any:
    return func.count(case((column == value, 1)))


def _move() -> Any:
    """In percent, with the sign of the signal's direction; NULL without both prices."""
    change = cast(_rows.close_price - _rows.entry_price, Double) * 100 / cast(_rows.entry_price, Double)
    direction = case((_rows.signal_type == SignalType.BUY.value, 1), (_rows.signal_type == SignalType.SELL.value, -1))
    return case((_rows.status == Status.CLOSED.value, change * direction))


_FIGURES = (
    func.count().label("total"),
    *(_having(_rows.signal_type, one.value).label(one.value.lower()) for one in SignalType),
    *(_having(_rows.status, one.value).label(one.value.lower()) for one in Status),
    _having(_rows.outcome, Outcome.TARGET.value).label("targets"),
    _having(_rows.outcome, Outcome.STOP.value).label("stops"),
    func.avg(_move()).label("average_move"),
)


def _day(row: dict[str, Any]) -> Day:
    closed, targets, move = row["closed"], row["targets"], row["average_move"]
    return Day(
        **row
        | {
            "day": date.fromordinal(_EPOCH_ORDINAL + row["day"]),
            "hit_rate": round(targets * 100 / closed, 2) if closed else None,
            "average_move": None if move is None else round(float(move), 4),
        }
    )
