"""Alerts as the engine takes them, read from the database: all of a shard, or those that have changed."""

import logging
from collections.abc import AsyncIterator, Collection, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.transactions import reading
from notifiers.alerts.alert import Status
from notifiers.alerts.late import as_late
from notifiers.alerts.rows import baseline_of, options_of
from notifiers.conditions import tree as trees
from notifiers.conditions.options import Options
from notifiers.engine.samples import Rule
from schemas.tables import alert_changes, alert_tracks, alerts

log = logging.getLogger("tickhub.notifiers.alerts.rules")

PAGE = 1000
"""Rules that are read at once: to make them keeps the event loop for some ten milliseconds."""
_CHUNK = 5000

_rows = alerts.c
_COLUMNS = (
    _rows.id,
    _rows.version,
    _rows.exchange,
    _rows.symbol,
    _rows.tree,
    _rows.options,
    _rows.baseline,
    _rows.fired,
    _rows.last_fired_ms,
    _rows.expires_at_ms,
    _rows.created_at_ms,
    _rows.state,
    _rows.delay_s,
)


class Page(NamedTuple):
    """Alerts that were read together."""

    rules: list[Rule]
    unreadable: list[int]
    """Ids of those that only another release can read."""


async def rules_of(engine: AsyncEngine, shard: int) -> AsyncIterator[Page]:
    """All active alerts of a shard, page by page. Raises Unavailable."""
    last = 0
    while True:
        async with reading(engine) as connection:
            query = _active(shard).where(_rows.id > last).order_by(_rows.id).limit(PAGE)
            rows = (await connection.execute(query)).all()
        yield _page(rows)
        if len(rows) < PAGE:
            return
        last = rows[-1].id


async def changed_rules(engine: AsyncEngine, shard: int, ids: Collection[int]) -> Page:
    """Those among the alerts that are active in the shard now. Raises Unavailable."""
    rows: list[Row[Any]] = []
    ordered = sorted(ids)
    async with reading(engine) as connection:
        for begin in range(0, len(ordered), _CHUNK):
            query = _active(shard).where(_rows.id.in_(ordered[begin : begin + _CHUNK]))
            rows += (await connection.execute(query)).all()
    return _page(rows)


async def tracks_of(engine: AsyncEngine, shard: int) -> list[tuple[str, bytes]]:
    """How far each source had come when it was stored last. Raises Unavailable."""
    query = select(alert_tracks.c.source, alert_tracks.c.state).where(alert_tracks.c.shard == shard)
    async with reading(engine) as connection:
        return [(row[0], row[1]) for row in await connection.execute(query)]


async def newest_change(engine: AsyncEngine) -> int:
    """The id of the newest change, 0 where there is none. Raises Unavailable."""
    async with reading(engine) as connection:
        return int(await connection.scalar(select(func.max(alert_changes.c.id))) or 0)


def _active(shard: int) -> Select[Any]:
    return select(*_COLUMNS).where(_rows.shard == shard, _rows.status == Status.ACTIVE.value)


def _page(rows: Sequence[Row[Any]]) -> Page:
    page = Page([], [])
    for row in rows:
        try:
            page.rules.append(_rule(row))
        except msgspec.MsgspecError as exc:
            log.error("alerts.unreadable", extra={"alert": row.id, "why": str(exc)})  # noqa: TRY400 - no bug
            page.unreadable.append(row.id)
    return page


def _rule(row: Sequence[Any]) -> Rule:
    alert_id, version, exchange, symbol, tree, options, baseline, *rest = row
    fired, last_ms, expires_ms, created_ms, state, delay_s = rest
    rule = Rule(
        id=alert_id,
        version=version,
        exchange=exchange,
        symbol=symbol,
        tree=trees.decode(tree),
        options=_options(options),
        baseline=None if baseline is None else baseline_of.decode(baseline),
        fired=fired,
        last_fired_ms=last_ms,
        expires_at_ms=expires_ms,
        created_at_ms=created_ms,
        state=None if state is None else bytes(state),
    )
    return as_late(rule, delay_s)


@lru_cache(maxsize=4096)
def _options(text: str) -> Options:
    """Most alerts say the same."""
    return options_of.decode(text)
