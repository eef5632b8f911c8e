"""What one transaction writes of what has fired: triggers, deliveries, and what alerts and engines have become."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.alerts.alert import Status
from notifiers.alerts.facts import encode
from notifiers.alerts.late import as_plain
from notifiers.alerts.memory import keep_states, keep_tracks, settle
from notifiers.alerts.shards import Lost, Tenure
from notifiers.alerts.trigger_rows import (
    COLUMNS,
    DIGEST_MS,
    FIRED,
    STORM,
    Fired,
    Occasion,
    Owned,
    asked_of,
    digest_of,
    facts_of,
    owned,
    status_after,
    trigger_row,
    window_of,
)
from notifiers.engine.samples import Firing
from notifiers.outbox.delivery import Kind, NewDelivery
from notifiers.outbox.new_deliveries import insert_deliveries
from schemas.tables import alert_shards, alerts, triggers

_CHUNK = 5000
_TRIGGER_COLUMNS = (triggers.c.id, triggers.c.alert_id, triggers.c.kind, triggers.c.number)

TriggerKey = tuple[int, str, int]
"""Alert, kind and number."""


class Batch(msgspec.Struct, frozen=True):
    """What a shard's engine has to say: what fired, each with the time of its evaluation, and what is to be kept.

    `states` are the rules' by id, with the version that they are of; `tracks` the sources', by text.
    """

    firings: Sequence[tuple[Firing, int]] = ()
    tracks: Mapping[str, bytes] = {}
    states: Mapping[int, tuple[int, bytes]] = {}


class Committed(msgspec.Struct, frozen=True):
    """What a commit has made: triggers that fired, suppressed ones, and firings that counted no more."""

    fired: int = 0
    suppressed: int = 0
    dropped: int = 0
    over: Mapping[int, int] = {}
    """Alerts of the batch that are watched no longer, each with the version that fired."""


async def hold(connection: AsyncConnection, tenure: Tenure) -> None:
    """Keeps the shard from changing hands until the transaction ends. Raises Lost where it has already."""
    if not await held(connection, [tenure]):
        raise Lost(tenure)


async def held(connection: AsyncConnection, tenures: Collection[Tenure]) -> set[Tenure]:
    """Those among the shards that have not changed hands; until the transaction ends they won't."""
    row = alert_shards.c
    query = select(row.shard, row.fence).where(row.shard.in_([one.shard for one in tenures])).order_by(row.shard)
    now = {Tenure(*one) for one in await connection.execute(query.with_for_update(read=True))}
    return now.intersection(tenures)


async def write(connection: AsyncConnection, said: Mapping[Tenure, Batch], now_ms: int) -> dict[Tenure, Committed]:
    """Writes what the engines of several shards say, all of them held."""
    firings = [one for batch in said.values() for one in batch.firings]
    states = {alert: state for batch in said.values() for alert, state in batch.states.items()}
    known = await _owned(connection, {firing.rule for firing, _ in firings})
    valid = [
        Fired(as_plain(firing, alert.delay_s), evaluated_ms, alert)
        for firing, evaluated_ms in firings
        if (alert := known.get(firing.rule)) is not None and alert.version == firing.version
    ]
    fresh = await _insert(connection, valid, now_ms)
    last = {one.alert.id: one for one in valid if one.firing.suppressed is None}
    await settle(connection, _settled(last, states))
    await keep_states(connection, states)
    tracks = {(one.shard, source): state for one, batch in said.items() for source, state in batch.tracks.items()}
    await keep_tracks(connection, tracks, now_ms)
    over = {firing.rule: firing.version for firing, _ in firings if firing.rule not in known}
    over |= {one.alert.id: one.alert.version for one in last.values() if not _goes_on(one)}
    return {tenure: _committed(batch, valid, fresh, over) for tenure, batch in said.items()}


def _committed(batch: Batch, valid: Sequence[Fired], fresh: Sequence[Fired], over: Mapping[int, int]) -> Committed:
    """What has become of one of several batches."""
    rules = {firing.rule for firing, _ in batch.firings}
    kinds = [one.kind for one in fresh if one.alert.id in rules]
    fired, left = kinds.count(FIRED), sum(one.alert.id in rules for one in valid)
    ended = {alert: version for alert, version in over.items() if alert in rules}
    return Committed(fired, len(kinds) - fired, len(batch.firings) - left, ended)


async def _insert(connection: AsyncConnection, valid: Sequence[Fired], now_ms: int) -> list[Fired]:
    """Writes triggers and deliveries of what is new, and answers with it."""
    if not valid:
        return []
    texts = [encode(facts_of(one.firing, one.alert)) for one in valid]
    rows = [trigger_row(one, text, now_ms) for one, text in zip(valid, texts, strict=True)]
    ids = await insert_triggers(connection, rows)
    fresh = [
        (one, text, made)
        for one, text in zip(valid, texts, strict=True)
        if (made := ids.get((one.alert.id, one.kind, one.number))) is not None
    ]
    told = [(one, text, made) for one, text, made in fresh if one.kind == FIRED]
    wanted: list[NewDelivery] = []
    for one, text, made in told:
        if not one.firing.storm:
            wanted += asked_of(one.alert, Occasion(Kind.ALERT, one.firing.number, made, text))
    await insert_deliveries(connection, wanted)
    await _digest(connection, [(one, made) for one, _, made in told if one.firing.storm])
    return [one for one, _, _ in fresh]


def _goes_on(fired: Fired) -> bool:
    return status_after(fired.firing, fired.alert) is Status.ACTIVE


async def insert_triggers(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> dict[TriggerKey, int]:
    """Writes triggers that are not there yet; answers with the ids of those that were not."""
    statement = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(triggers)
    unique = [triggers.c.alert_id, triggers.c.kind, triggers.c.number]
    inserted = statement.on_conflict_do_nothing(index_elements=unique).returning(*_TRIGGER_COLUMNS)
    made = await connection.execute(inserted, list(rows))
    return {(alert, kind, number): trigger for trigger, alert, kind, number in made}


async def _owned(connection: AsyncConnection, ids: Iterable[int]) -> dict[int, Owned]:
    """The active ones among the alerts, locked in the order of their ids, so that no two writers wait in a circle."""
    found: dict[int, Owned] = {}
    ordered = sorted(ids)
    for begin in range(0, len(ordered), _CHUNK):
        query = (
            select(*COLUMNS)
            .where(alerts.c.id.in_(ordered[begin : begin + _CHUNK]), alerts.c.status == Status.ACTIVE.value)
            .order_by(alerts.c.id)
            .with_for_update()
        )
        for row in (await connection.execute(query)).mappings():
            found[row["id"]] = owned(row)
    return found


def _settled(last: Mapping[int, Fired], states: dict[int, tuple[int, bytes]]) -> list[dict[str, Any]]:
    """What has become of alerts by firing; their states are taken out of those that are left to be kept."""
    rows: list[dict[str, Any]] = []
    for alert_id in sorted(last):
        firing, alert = last[alert_id].firing, last[alert_id].alert
        _, state = states.pop(alert_id, (0, None))
        row = {"id": alert_id, "fired": firing.number, "last_fired_ms": firing.at_ms, "state": state}
        rows.append(row | {"status": status_after(firing, alert).value})
    return rows


async def _digest(connection: AsyncConnection, storms: Sequence[tuple[Fired, int]]) -> None:
    """One delivery for all that an alert fires in a window of a storm; while it waits, it counts on."""
    last = {(one.alert.id, window_of(one.firing.at_ms)): (one, made) for one, made in storms}
    wanted: list[NewDelivery] = []
    for since_ms in {window for _, window in last}:
        counts = await _storm_counts(connection, [alert for alert, window in last if window == since_ms], since_ms)
        for alert_id, count in counts.items():
            one, made = last[alert_id, since_ms]
            wanted += digest_of(one, count, made)
    await insert_deliveries(connection, wanted, renew_content=True)


async def _storm_counts(connection: AsyncConnection, alert_ids: Sequence[int], since_ms: int) -> dict[int, int]:
    rows = triggers.c
    counts: dict[int, int] = {}
    for begin in range(0, len(alert_ids), _CHUNK):
        query = (
            select(rows.alert_id, func.count())
            .where(
                rows.alert_id.in_(alert_ids[begin : begin + _CHUNK]),
                rows.kind == FIRED,
                rows.reason == STORM,
                rows.at_ms >= since_ms,
                rows.at_ms < since_ms + DIGEST_MS,
            )
            .group_by(rows.alert_id)
        )
        counts |= {row[0]: row[1] for row in await connection.execute(query)}
    return counts
