"""Signals in the database: given, looked up, changed, closed, expired; deleted ones are only marked, for the audit.

Every method raises Unavailable where the database fails, and is safe to cancel: what it does is one transaction.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import ColumnElement, Select, and_, func, insert, nulls_last, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from feeds.signals.rules import SignalType
from feeds.signals.signal import Draft, Outcome, Signal, Source, Status, check
from schemas.durations import Seconds
from schemas.errors import CommandError, ErrorCode
from schemas.storage import begun, database_errors, for_reading
from schemas.tables import signals

TIMEOUT_S: Seconds = 10.0
CLOCKS_DIFFER_S = 300
"""How far ahead of ours the clock of another process may be."""
MAX_ACTIVE = 50_000
"""How many active signals are read at once."""
MAX_PAGE = 500

_rows = signals.c
_SHOWN = tuple(column for column in _rows if column.name not in {"deleted_at", "deleted_by"})
_KEPT = _rows.deleted_at.is_(None)
_ACTIVE = and_(_rows.status == Status.ACTIVE.value, _KEPT)
_OF_RULES = _rows.source != Source.API.value
SORTS = ("id", "created_at", "closed_at", "expires_at", "confidence", "symbol", "status")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which signals a list holds. Times in Unix seconds of their giving: from inclusive, to exclusive."""

    exchange: str | None = None
    hidden: tuple[str, ...] = ()
    """Exchanges that are left out."""
    symbol: str | None = None
    timeframe: str | None = None
    signal_type: SignalType | None = None
    status: Status | None = None
    source: Source | None = None
    min_confidence: float | None = None
    from_s: int | None = None
    to_s: int | None = None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What of a signal is to change; what is not set stays. A `status` of CLOSED closes it by hand."""

    confidence: float | UnsetType = UNSET
    entry_price: int | UnsetType | None = UNSET
    target_price: int | UnsetType | None = UNSET
    stop_loss: int | UnsetType | None = UNSET
    reason: str | dict[str, Any] | UnsetType | None = UNSET
    expires_at: int | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    close_price: int | UnsetType | None = UNSET


class SignalStore:
    """The table of signals."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(self, draft: Draft, *, now_s: int) -> Signal:
        """Stores a signal. Raises CommandError BAD_REQUEST for prices that make no sense, CONFLICT as `issue` None."""
        check(draft)
        with database_errors():
            try:
                async with self._transaction() as connection:
                    return await _insert(connection, draft, now_s)
            except IntegrityError as exc:
                raise CommandError(ErrorCode.CONFLICT, "An active signal for this is there already") from exc

    async def issue(self, draft: Draft, *, now_s: int) -> Signal | None:
        """Stores a signal of the rules; an active opposite one is closed with it, at the entry price.

        None where the same one is active already, in whichever process it was given.
        """
        check(draft)
        with database_errors():
            try:
                async with self._transaction() as connection:
                    if not await self._make_way(connection, draft, now_s):
                        return None
                    return await _insert(connection, draft, now_s)
            except IntegrityError:  # another process was quicker
                return None

    async def get(self, signal_id: int) -> Signal:
        """One signal. Raises CommandError NOT_FOUND, also for one that was deleted."""
        found = await self._read(select(*_SHOWN).where(_rows.id == signal_id, _KEPT))
        if not found:
            raise _not_found(signal_id)
        return found[0]

    async def find(
        self, wanted: Wanted, *, page: int = 1, limit: int = 20, sort: str = "created_at", descending: bool = True
    ) -> tuple[list[Signal], int]:
        """A page of signals, the first is 1, and how many there are in all. Raises CommandError BAD_REQUEST."""
        if sort not in SORTS:
            raise CommandError(ErrorCode.BAD_REQUEST, "sort is one of {words}", words=", ".join(SORTS))
        if page < 1 or not 1 <= limit <= MAX_PAGE:
            raise CommandError(ErrorCode.BAD_REQUEST, "page is at least 1, limit from 1 to {most}", most=MAX_PAGE)
        conditions = _conditions(wanted)
        by = [one.desc() if descending else one.asc() for one in (_rows[sort], _rows.id)]
        if _rows[sort].nullable:  # of a column that isn't, saying so would keep PostgreSQL from its index
            by[0] = nulls_last(by[0])
        query = select(*_SHOWN).where(*conditions).order_by(*by).limit(limit).offset((page - 1) * limit)
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), for_reading(self._engine).connect() as connection:
                found = (await connection.execute(query)).mappings()
                total = await connection.scalar(select(func.count()).select_from(signals).where(*conditions))
        return [_signal(row) for row in found], int(total or 0)

    async def update(self, signal_id: int, changes: Changes, *, by: str | None, now_s: int) -> Signal:
        """Changes an active signal.

        Raises CommandError: NOT_FOUND, CONFLICT for one that has ended, BAD_REQUEST for prices that make no sense.
        """
        with database_errors():
            async with self._transaction() as connection:
                row = await self._locked(connection, signal_id)
                if row.status is not Status.ACTIVE:
                    raise CommandError(ErrorCode.CONFLICT, "Signal {signal} has ended", signal=signal_id)
                values = _values(changes, now_s)
                check(msgspec.convert(msgspec.structs.asdict(row) | values, Signal))
                values |= {"updated_at": now_s, "updated_by": by}
                return await _update(connection, signal_id, values)

    async def delete(self, signal_id: int, *, by: str | None, now_s: int) -> None:
        """Marks a signal as deleted: nobody sees it any more. Raises CommandError NOT_FOUND."""
        with database_errors():
            async with self._transaction() as connection:
                marked = update(signals).where(_rows.id == signal_id, _KEPT).values(deleted_at=now_s, deleted_by=by)
                if not (await connection.execute(marked)).rowcount:
                    raise _not_found(signal_id)

    async def close(self, signal_id: int, *, outcome: Outcome, price: int, now_s: int) -> bool:
        """Closes an active signal; False where it is active no longer."""
        closing = _closing(outcome, price, now_s)
        with database_errors():
            async with self._transaction() as connection:
                statement = update(signals).where(_rows.id == signal_id, _ACTIVE).values(**closing)
                return bool((await connection.execute(statement)).rowcount)

    async def expire(self, now_s: int) -> list[int]:
        """Ends the active signals whose time is over, or has not come: a replay is played again. Answers their ids."""
        ending = {"status": Status.EXPIRED.value, "closed_at": now_s, "updated_at": now_s}
        with database_errors():
            async with self._transaction() as connection:
                over = or_(_rows.expires_at <= now_s, _rows.created_at > now_s + CLOCKS_DIFFER_S)
                statement = update(signals).where(_ACTIVE, over).values(**ending)
                return list((await connection.scalars(statement.returning(_rows.id))).all())

    async def active(self) -> list[Signal]:
        """The signals that stand, the newest MAX_ACTIVE."""
        return await self._read(select(*_SHOWN).where(_ACTIVE).order_by(_rows.id.desc()).limit(MAX_ACTIVE))

    async def ended_since(self, since_s: int) -> list[Signal]:
        """The rules' signals that ended then or later, in this order."""
        query = select(*_SHOWN).where(_OF_RULES, _KEPT, _rows.closed_at >= since_s)
        return await self._read(query.order_by(_rows.closed_at, _rows.id).limit(MAX_ACTIVE))

    async def unannounced(self, since_s: int, *, limit: int = 100) -> list[Signal]:
        """Signals given since then of which nobody was told, oldest first."""
        query = select(*_SHOWN).where(_rows.announced_at.is_(None), _rows.created_at >= since_s, _KEPT)
        return await self._read(query.order_by(_rows.id).limit(limit))

    async def announced(self, ids: Iterable[int], *, now_s: int) -> None:
        """Notes that subscribers were told of these."""
        with database_errors():
            async with self._transaction() as connection:
                await connection.execute(update(signals).where(_rows.id.in_(list(ids))).values(announced_at=now_s))

    async def _make_way(self, connection: AsyncConnection, draft: Draft, now_s: int) -> bool:
        same_place = (_rows.exchange == draft.exchange, _rows.symbol == draft.symbol)
        query = select(_rows.id, _rows.signal_type).where(
            *same_place, _rows.timeframe == draft.timeframe, _ACTIVE, _OF_RULES
        )
        standing = (await connection.execute(query.with_for_update())).first()
        if standing is None:
            return True
        if standing.signal_type == draft.signal_type.value or draft.entry_price is None:
            return False
        closing = _closing(Outcome.REVERSAL, draft.entry_price, now_s)
        await connection.execute(update(signals).where(_rows.id == standing.id).values(**closing))
        return True

    async def _locked(self, connection: AsyncConnection, signal_id: int) -> Signal:
        query = select(*_SHOWN).where(_rows.id == signal_id, _KEPT).with_for_update()
        row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise _not_found(signal_id)
        return _signal(row)

    async def _read(self, query: Select[Any]) -> list[Signal]:
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), for_reading(self._engine).connect() as connection:
                return [_signal(row) for row in (await connection.execute(query)).mappings()]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with asyncio.timeout(TIMEOUT_S), begun(self._engine) as connection:
            yield connection


async def _insert(connection: AsyncConnection, draft: Draft, now_s: int) -> Signal:
    values = msgspec.to_builtins(draft) | {
        "status": Status.ACTIVE.value,
        "created_at": now_s,
        "updated_at": now_s,
    }
    row = (await connection.execute(insert(signals).values(**values).returning(*_SHOWN))).mappings().one()
    return _signal(row)


async def _update(connection: AsyncConnection, signal_id: int, values: dict[str, Any]) -> Signal:
    statement = update(signals).where(_rows.id == signal_id).values(**values).returning(*_SHOWN)
    return _signal((await connection.execute(statement)).mappings().one())


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    equal = ("exchange", "symbol", "timeframe", "signal_type", "status", "source")
    found = [_rows[name] == str(value) for name in equal if (value := getattr(wanted, name)) is not None]
    if wanted.hidden:
        found.append(_rows.exchange.not_in(wanted.hidden))
    if wanted.min_confidence is not None:
        found.append(_rows.confidence >= wanted.min_confidence)
    if wanted.from_s is not None:
        found.append(_rows.created_at >= wanted.from_s)
    if wanted.to_s is not None:
        found.append(_rows.created_at < wanted.to_s)
    return [*found, _KEPT]


def _values(changes: Changes, now_s: int) -> dict[str, Any]:
    values = {name: value for name in changes.__struct_fields__ if (value := getattr(changes, name)) is not UNSET}
    status = values.get("status", Status.ACTIVE)
    if status is Status.ACTIVE and values.get("close_price") is not None:
        raise CommandError(ErrorCode.BAD_REQUEST, "close_price goes with the status CLOSED")
    if status is Status.CLOSED:
        values |= {"outcome": Outcome.MANUAL.value, "closed_at": now_s}
    elif status is Status.EXPIRED:
        values |= {"closed_at": now_s}
    return values | ({"status": status.value} if "status" in values else {})


def _closing(outcome: Outcome, price: int, now_s: int) -> dict[str, Any]:
    return {
        "status": Status.CLOSED.value,
        "outcome": outcome.value,
        "close_price": price,
        "closed_at": now_s,
        "updated_at": now_s,
    }


def _signal(row: Mapping[Any, Any]) -> Signal:
    return msgspec.convert({str(name): value for name, value in row.items()}, Signal)


def _not_found(signal_id: int) -> CommandError:
    return CommandError(ErrorCode.NOT_FOUND, "There is no signal {signal}", signal=signal_id)
