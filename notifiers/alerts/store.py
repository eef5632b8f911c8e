"""Alerts in the database, for those who own them: made, looked up, changed, paused, deleted.

What was deleted is only marked, since what fired refers to it. Each change is told to the engine that has the alert's
shard, by a row of `alert_changes` in the same transaction, and by ringing `on_changed` after it. Every method raises
Unavailable where the database fails, and is safe to cancel: what it does is one transaction.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import ColumnElement, bindparam, func, insert, nulls_last, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.transactions import reading, writing
from notifiers.alerts.alert import Alert, Status
from notifiers.alerts.late import delay_for
from notifiers.alerts.notices import add_notices
from notifiers.alerts.rows import SHOWN, alert_of, json_text, shard_of
from notifiers.conditions import tree as trees
from notifiers.conditions.options import Baseline, Options
from notifiers.conditions.tree import Condition
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode
from schemas.tables import alert_changes, alerts

MAX_PAGE = 500
SORTS = ("id", "created_at_ms", "updated_at_ms", "last_fired_ms", "expires_at_ms", "symbol", "status", "name")

_rows = alerts.c
_KEPT = _rows.status != Status.DELETED.value


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is to be made; all of it has been checked."""

    user: str
    exchange: str
    symbol: str
    condition: str
    """The canonical text of `tree`."""
    tree: Condition
    options: Options = Options()
    channels: tuple[Way, ...] = ()
    name: str | None = None
    message: str | None = None
    language: str | None = None
    delay_s: int = 0
    baseline: Baseline | None = None
    expires_at_ms: int | None = None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What of an alert is to change, checked; what is not set stays.

    Another condition, instrument or other options make it begin anew: `condition` and `tree` come together, and
    `baseline` is the newest price at the moment of the change.
    """

    exchange: str | UnsetType = UNSET
    symbol: str | UnsetType = UNSET
    condition: str | UnsetType = UNSET
    tree: Condition | UnsetType = UNSET
    options: Options | UnsetType = UNSET
    baseline: Baseline | UnsetType | None = UNSET
    channels: tuple[Way, ...] | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    message: str | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    delay_s: int | UnsetType = UNSET
    expires_at_ms: int | UnsetType | None = UNSET


_ANEW = ("exchange", "symbol", "tree", "options", "delay_s", "baseline")
"""What an alert begins anew with, where it becomes another."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts a list holds."""

    status: Status | None = None
    exchange: str | None = None
    symbol: str | None = None


ALL = Wanted()


class Alerts:
    """The table of alerts. `wall` tells the time in Unix seconds."""

    def __init__(self, engine: AsyncEngine, *, wall: Callable[[], float]) -> None:
        self.on_changed: list[Callable[[int], None]] = []
        """Called with the shard after a change is committed; must neither wait nor raise."""
        self._engine = engine
        self._wall = wall

    async def create(self, draft: Draft, *, limit: int) -> Alert:
        """Stores an alert. Raises CommandError LIMIT_EXCEEDED for a user who has `limit` active ones."""
        now_ms = self._now_ms()
        async with writing(self._engine) as connection:
            await _check_room(connection, draft.user, limit)
            made = insert(alerts).values(_inserted(draft, now_ms)).returning(*SHOWN)
            alert = alert_of((await connection.execute(made)).mappings().one())
            await tell(connection, [(alert.shard, alert.id)], now_ms)
        self._ring(alert.shard)
        return alert

    async def get(self, alert_id: int, user: str) -> Alert:
        """One alert of the user's. Raises CommandError NOT_FOUND, also for a deleted one and somebody else's."""
        async with reading(self._engine) as connection:
            return await _one(connection, alert_id, user)

    async def listed(
        self,
        user: str,
        wanted: Wanted = ALL,
        *,
        page: int = 1,
        limit: int = 20,
        sort: str = "created_at_ms",
        descending: bool = True,
    ) -> tuple[list[Alert], int]:
        """A page of the user's alerts, the first is 1, and how many there are. Raises CommandError BAD_REQUEST."""
        if sort not in SORTS:
            raise CommandError(ErrorCode.BAD_REQUEST, "sort is one of {words}", words=", ".join(SORTS))
        if page < 1 or not 1 <= limit <= MAX_PAGE:
            raise CommandError(ErrorCode.BAD_REQUEST, "page is at least 1, limit from 1 to {most}", most=MAX_PAGE)
        conditions = _conditions(user, wanted)
        by = [one.desc() if descending else one.asc() for one in (_rows[sort], _rows.id)]
        if _rows[sort].nullable:
            by[0] = nulls_last(by[0])
        query = select(*SHOWN).where(*conditions).order_by(*by).limit(limit).offset((page - 1) * limit)
        async with reading(self._engine) as connection:
            found = (await connection.execute(query)).mappings().all()
            total = await connection.scalar(select(func.count()).select_from(alerts).where(*conditions))
        return [alert_of(row) for row in found], int(total or 0)

    async def count_active(self, user: str) -> int:
        """How many alerts of the user's are being watched."""
        async with reading(self._engine) as connection:
            return await _active(connection, user)

    async def update(self, alert_id: int, user: str, changes: Changes, *, expected_version: int | None = None) -> Alert:
        """Changes an alert, whatever its status, which stays.

        Raises CommandError NOT_FOUND, or CONFLICT where it has another version than the expected one. The version
        grows where the alert begins anew; who only renames it must not make a firing invalid that is on its way.
        """
        async with writing(self._engine) as connection:
            before = await _one(connection, alert_id, user, locked=True)
            if expected_version is not None and before.version != expected_version:
                raise CommandError(ErrorCode.CONFLICT, "Alert {alert} has been changed meanwhile", alert=alert_id)
            after = await self._write(connection, before, _values(before, changes))
        self._ring(before.shard, after.shard)
        return after

    async def delete(self, alert_id: int, user: str) -> None:
        """Marks an alert as deleted: nobody sees it any more. Raises CommandError NOT_FOUND."""
        async with writing(self._engine) as connection:
            before = await _one(connection, alert_id, user, locked=True)
            await self._write(connection, before, {"status": Status.DELETED.value, "state": None})
        self._ring(before.shard)

    async def delete_all(self, user: str) -> int:
        """Marks all of a user's alerts as deleted; says how many."""
        now_ms = self._now_ms()
        deleting = update(alerts).where(_rows.user_id == user, _KEPT).returning(_rows.shard, _rows.id)
        async with writing(self._engine) as connection:
            marked = deleting.values(status=Status.DELETED.value, state=None, updated_at_ms=now_ms)
            gone = [(row.shard, row.id) for row in await connection.execute(marked)]
            await tell(connection, gone, now_ms)
        self._ring(*(shard for shard, _ in gone))
        return len(gone)

    async def redelay(self, user: str, delay_of: Callable[[str], int | None]) -> int:
        """Has a user's active alerts look at prices that are as late as those of each exchange are for the user now.

        What changes begins anew; says how many that are. `delay_of`: see `notifiers.alerts.late.delay_for`.
        """
        now_ms = self._now_ms()
        query = select(*SHOWN).where(_rows.user_id == user, _rows.status == Status.ACTIVE.value).with_for_update()
        async with writing(self._engine) as connection:
            found = [alert_of(row) for row in (await connection.execute(query)).mappings()]
            late = [(one, delay_for(one, delay_of)) for one in found]
            changed = [(one, delay_s) for one, delay_s in late if delay_s != one.delay_s]
            await _redelay(connection, changed, now_ms)
        self._ring(*(one.shard for one, _ in changed))
        return len(changed)

    async def pause(self, alert_id: int, user: str) -> Alert:
        """Watches an active alert no longer, for the time being.

        Raises CommandError NOT_FOUND, or CONFLICT for one that has ended. A paused one stays as it is.
        """
        async with writing(self._engine) as connection:
            before = await _one(connection, alert_id, user, locked=True)
            if before.status is Status.PAUSED:
                return before
            if before.status is not Status.ACTIVE:
                raise CommandError(ErrorCode.CONFLICT, "Alert {alert} is not active", alert=alert_id)
            after = await self._write(connection, before, {"status": Status.PAUSED.value, "status_reason": None})
        self._ring(before.shard)
        return after

    async def resume(self, alert_id: int, user: str, *, limit: int, baseline: Baseline | None = None) -> Alert:
        """Watches an alert again from now on, whyever it is watched no longer; an active one stays as it is.

        It begins anew: what happened meanwhile doesn't count, and `baseline` is the newest price now. Raises
        CommandError NOT_FOUND, LIMIT_EXCEEDED, or CONFLICT for one whose time is over or that has fired as often as
        it may: that must be changed first.
        """
        async with writing(self._engine) as connection:
            before = await _one(connection, alert_id, user, locked=True)
            if before.status is Status.ACTIVE:
                return before
            self._check_resumable(before)
            await _check_room(connection, user, limit)
            values = {
                "status": Status.ACTIVE.value,
                "status_reason": None,
                "state": None,
                "baseline": json_text(baseline),
                "version": before.version + 1,
            }
            after = await self._write(connection, before, values)
        self._ring(before.shard)
        return after

    async def _write(self, connection: AsyncConnection, before: Alert, values: dict[str, Any]) -> Alert:
        now_ms = self._now_ms()
        changed = update(alerts).where(_rows.id == before.id).values(updated_at_ms=now_ms, **values).returning(*SHOWN)
        after = alert_of((await connection.execute(changed)).mappings().one())
        await tell(connection, [(shard, before.id) for shard in {before.shard, after.shard}], now_ms)
        return after

    def _check_resumable(self, alert: Alert) -> None:
        if alert.expires_at_ms is not None and alert.expires_at_ms <= self._now_ms():
            raise CommandError(ErrorCode.CONFLICT, "Alert {alert} has expired: give it more time", alert=alert.id)
        most = alert.options.max_total
        if most is not None and alert.fired >= most:
            raise CommandError(ErrorCode.CONFLICT, "Alert {alert} has fired as often as it may", alert=alert.id)

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    def _ring(self, *shards: int) -> None:
        for shard in dict.fromkeys(shards):
            for listener in self.on_changed:
                listener(shard)


async def tell(connection: AsyncConnection, changed: Sequence[tuple[int, int]], now_ms: int) -> None:
    """Tells the engines that alerts have changed, each as shard and id, in the transaction that changes them."""
    rows = [{"shard": shard, "alert_id": alert_id, "at_ms": now_ms} for shard, alert_id in changed]
    if rows:
        await connection.execute(insert(alert_changes), rows)


async def end(
    connection: AsyncConnection, alert_ids: Sequence[int], status: Status, reason: str, now_ms: int
) -> list[Alert]:
    """Ends alerts that are active or paused, and writes their owners a notice; answers with those that it ended.

    What only another release can read ends without a notice, and is not among the answer.
    """
    going_on = (Status.ACTIVE.value, Status.PAUSED.value)
    ending = (
        update(alerts)
        .where(_rows.id.in_(alert_ids), _rows.status.in_(going_on))
        .values(status=status.value, status_reason=reason, updated_at_ms=now_ms, state=None)
        .returning(*SHOWN)
    )
    rows = (await connection.execute(ending)).mappings().all()
    ended: list[Alert] = []
    for row in rows:
        with suppress(msgspec.MsgspecError):
            ended.append(alert_of(row))
    await tell(connection, [(row["shard"], row["id"]) for row in rows], now_ms)
    await add_notices(connection, ended, reason, now_ms)
    return ended


async def _redelay(connection: AsyncConnection, changed: Sequence[tuple[Alert, int]], now_ms: int) -> None:
    if not changed:
        return
    rows = [{"alert": one.id, "late": delay_s, "now": now_ms} for one, delay_s in changed]
    anew = {"version": _rows.version + 1, "state": None, "baseline": None}
    redelayed = update(alerts).where(_rows.id == bindparam("alert")).values(**anew)
    await connection.execute(redelayed.values(delay_s=bindparam("late"), updated_at_ms=bindparam("now")), rows)
    await tell(connection, [(one.shard, one.id) for one, _ in changed], now_ms)


async def _check_room(connection: AsyncConnection, user: str, limit: int) -> None:
    """Raises CommandError LIMIT_EXCEEDED. Until the transaction ends, nobody else makes an alert for this user."""
    if connection.dialect.name == "postgresql":  # on SQLite the transaction has had the write lock from its start
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('alerts'), hashtext(:user))"), {"user": user}
        )
    if await _active(connection, user) >= limit:
        raise CommandError(ErrorCode.LIMIT_EXCEEDED, "At most {count} active alerts", count=limit)


async def _active(connection: AsyncConnection, user: str) -> int:
    counted = select(func.count()).select_from(alerts).where(_rows.user_id == user, _rows.status == Status.ACTIVE.value)
    return int(await connection.scalar(counted) or 0)


async def _one(connection: AsyncConnection, alert_id: int, user: str, *, locked: bool = False) -> Alert:
    query = select(*SHOWN).where(_rows.id == alert_id, _rows.user_id == user, _KEPT)
    found = (await connection.execute(query.with_for_update() if locked else query)).mappings().one_or_none()
    if found is None:
        raise CommandError(ErrorCode.NOT_FOUND, "There is no alert {alert}", alert=alert_id)
    return alert_of(found)


def _conditions(user: str, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = [_rows.user_id == user, _KEPT]
    if wanted.status is not None:
        conditions.append(_rows.status == wanted.status.value)
    if wanted.exchange is not None:
        conditions.append(_rows.exchange == wanted.exchange)
    if wanted.symbol is not None:
        conditions.append(_rows.symbol == wanted.symbol)
    return conditions


def _inserted(draft: Draft, now_ms: int) -> dict[str, Any]:
    return {
        "user_id": draft.user,
        "exchange": draft.exchange,
        "symbol": draft.symbol,
        "shard": shard_of(draft.exchange, draft.symbol),
        "status": Status.ACTIVE.value,
        "version": 1,
        "condition": draft.condition,
        "tree": trees.encode(draft.tree),
        "options": json_text(draft.options),
        "channels": json_text(draft.channels),
        "name": draft.name,
        "message": draft.message,
        "language": draft.language,
        "delay_s": draft.delay_s,
        "baseline": json_text(draft.baseline),
        "fired": 0,
        "expires_at_ms": draft.expires_at_ms,
        "created_at_ms": now_ms,
        "updated_at_ms": now_ms,
    }


def _values(before: Alert, changes: Changes) -> dict[str, Any]:
    """The columns that change. What is said again as it is, changes nothing."""
    said = {name: value for name in changes.__struct_fields__ if (value := getattr(changes, name)) is not UNSET}
    values = {name: value for name, value in said.items() if value != getattr(before, name)}
    if any(name in values for name in _ANEW if name != "baseline"):
        values |= {"version": before.version + 1, "state": None, "baseline": said.get("baseline")}
        exchange, symbol = values.get("exchange", before.exchange), values.get("symbol", before.symbol)
        values["shard"] = shard_of(exchange, symbol)
    else:
        values.pop("baseline", None)
    for name in ("options", "baseline", "channels"):
        if name in values:
            values[name] = json_text(values[name])
    if "tree" in values:
        values["tree"] = trees.encode(values["tree"])
    return values
