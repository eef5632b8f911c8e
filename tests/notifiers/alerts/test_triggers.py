"""What fires becomes lasting, once, and only by who has the shard."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from sqlalchemy import Row, Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.transactions import writing
from notifiers.alerts.alert import SHARDS, Alert, Status
from notifiers.alerts.facts import decode
from notifiers.alerts.rows import json_text
from notifiers.alerts.shards import Lost, Shards, Tenure, evict
from notifiers.alerts.store import Alerts, Changes
from notifiers.alerts.triggers import Batch, Committed, Triggers
from notifiers.conditions import tree as trees
from notifiers.conditions.options import Escalation, Frequency, Options, Rearm
from notifiers.way import Way
from schemas.tables import alert_tracks, alerts, deliveries, triggers
from tests.notifiers.alerts.stored import NOW_MS, crossing, draft, firing, now_s


@pytest.fixture
def store(engine: AsyncEngine) -> Alerts:
    return Alerts(engine, wall=now_s)


@pytest.fixture
def writer(engine: AsyncEngine) -> Triggers:
    return Triggers(engine, wall=now_s)


@pytest.fixture
async def tenures(engine: AsyncEngine) -> dict[int, Tenure]:
    held, _ = await Shards(engine, owner="a").turn()
    assert len(held) == SHARDS
    return {one.shard: one for one in held}


async def rows_of(engine: AsyncEngine, table: Table, *names: str) -> list[Row[Any]]:
    async with engine.connect() as connection:
        columns = [table.c[name] for name in names]
        return list(await connection.execute(select(*columns).order_by(*table.primary_key.columns)))


async def test_a_firing_makes_a_trigger_and_a_delivery_by_each_channel(
    store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    made = await store.create(draft(channels=(Way.EMAIL, Way.SMS)), limit=9)
    batch = Batch([(firing(made.id), NOW_MS + 2)], {"NSE:TCS": b"track"}, {made.id: (1, b"state")})

    assert await writer.commit(batch, tenures[made.shard]) == Committed(fired=1, over={made.id: 1})

    assert await rows_of(
        engine, triggers, "alert_id", "number", "kind", "reason", "received_at_ms", "evaluated_at_ms"
    ) == [(made.id, 1, "fired", None, NOW_MS + 1, NOW_MS + 2)]
    told = await rows_of(engine, deliveries, "channel", "priority", "created_at_ms", "due_at_ms", "expires_at_ms")
    assert [(one.channel, one.due_at_ms - one.created_at_ms) for one in told] == [
        ("websocket", 0),
        ("email", 0),
        ("sms", 0),
    ]
    assert (told[0].priority, told[1].expires_at_ms - told[1].due_at_ms) == (0, 6 * 3_600_000)
    after = await store.get(made.id, "7")
    assert (after.status, after.fired, after.last_fired_ms) == (Status.FIRED, 1, NOW_MS)
    assert await rows_of(engine, alerts, "state") == [(b"state",)]
    assert await rows_of(engine, alert_tracks, "shard", "source", "state") == [(made.shard, "NSE:TCS", b"track")]


async def test_what_fired_on_late_prices_is_told_at_once_with_the_markets_own_times_and_names(
    store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    made = await store.create(draft(delay_s=900, channels=()), limit=9)
    inputs = {"price": 2501.0, "BSE@900:TCS.price": 2500.0}
    late = firing(made.id, source="NSE@900:TCS", inputs=inputs, at_ms=NOW_MS, previous_ms=NOW_MS - 500)
    await writer.commit(Batch([(late, NOW_MS)], {"NSE@900:TCS": b"track"}), tenures[made.shard])
    ((at_ms, text),) = await rows_of(engine, triggers, "at_ms", "facts")
    facts = decode(text)
    assert (at_ms, facts.at_ms, facts.previous_ms) == (NOW_MS - 900_000, NOW_MS - 900_000, NOW_MS - 900_500)
    assert (facts.source, facts.inputs) == ("NSE:TCS", {"price": 2501.0, "BSE:TCS.price": 2500.0})
    ((due_ms, created_ms),) = await rows_of(engine, deliveries, "due_at_ms", "created_at_ms")
    assert due_ms == created_ms
    assert (await store.get(made.id, "7")).last_fired_ms == NOW_MS - 900_000
    assert await rows_of(engine, alert_tracks, "source") == [("NSE@900:TCS",)]


async def test_committing_twice_changes_nothing(
    store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    made = await store.create(draft(options=Options(frequency=Frequency.EVERY)), limit=9)
    batch = Batch([(firing(made.id, ended=False), NOW_MS)])

    assert (await writer.commit(batch, tenures[made.shard])).fired == 1
    assert (await writer.commit(batch, tenures[made.shard])).fired == 0

    assert len(await rows_of(engine, triggers, "id")) == 1
    assert len(await rows_of(engine, deliveries, "id")) == 2
    assert (await store.get(made.id, "7")).fired == 1


async def test_what_its_owner_changed_paused_or_deleted_meanwhile_does_not_fire(
    store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    ids = [(await store.create(draft(), limit=9)).id for _ in range(4)]
    await store.update(ids[0], "7", Changes(condition="price crosses above 9", tree=crossing(9)))
    await store.pause(ids[1], "7")
    await store.delete(ids[2], "7")
    await store.update(ids[3], "7", Changes(name="only renamed"))
    shard = (await store.get(ids[0], "7")).shard

    states = dict.fromkeys(ids, (1, b"old"))
    committed = await writer.commit(Batch([(firing(one), NOW_MS) for one in ids], {}, states), tenures[shard])

    over = {ids[1]: 1, ids[2]: 1, ids[3]: 1}
    assert committed == Committed(fired=1, dropped=3, over=over)
    assert await rows_of(engine, triggers, "alert_id") == [(ids[3],)]
    assert await rows_of(engine, alerts, "state") == [(None,), (None,), (None,), (b"old",)]


@pytest.mark.parametrize("how", ["claimed", "evicted"])
async def test_who_has_lost_the_shard_writes_nothing(
    how: str, store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    made = await store.create(draft(), limit=9)
    if how == "claimed":
        await Shards(engine, owner="a").leave()
        await Shards(engine, owner="b").turn()
    else:
        async with writing(engine) as connection:
            await evict(connection, made.shard)

    with pytest.raises(Lost):
        await writer.commit(Batch([(firing(made.id), NOW_MS)], {"NSE:TCS": b"t"}), tenures[made.shard])

    assert await rows_of(engine, triggers, "id") == []
    assert await rows_of(engine, alert_tracks, "source") == []


async def test_a_suppressed_firing_is_kept_and_told_to_nobody(
    store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    made = await store.create(draft(options=Options(frequency=Frequency.EVERY)), limit=9)
    both = [firing(made.id, ended=False), firing(made.id, suppressed="cooldown", ended=False)]

    committed = await writer.commit(Batch([(one, NOW_MS) for one in both]), tenures[made.shard])

    assert committed == Committed(fired=1, suppressed=1)
    assert await rows_of(engine, triggers, "kind", "number", "reason") == [
        ("fired", 1, None),
        ("suppressed", 1, "cooldown"),
    ]
    assert len(await rows_of(engine, deliveries, "id")) == 2


async def test_manual_rearm_pauses_and_escalation_waits_for_an_acknowledgement(
    store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    steps = (Escalation(channel=Way.SMS, after_s=60), Escalation(channel=Way.VOICE, after_s=180))
    options = Options(frequency=Frequency.EVERY, rearm=Rearm.MANUAL, escalation=steps)
    made = await store.create(draft(options=options, channels=(Way.PUSH,)), limit=9)

    await writer.commit(Batch([(firing(made.id, ended=False), NOW_MS)]), tenures[made.shard])

    assert (await store.get(made.id, "7")).status is Status.PAUSED
    told = await rows_of(engine, deliveries, "channel", "created_at_ms", "due_at_ms", "unless_acknowledged")
    assert [(one.channel, one.due_at_ms - one.created_at_ms, one.unless_acknowledged) for one in told] == [
        ("websocket", 0, False),
        ("push", 0, False),
        ("sms", 60_000, True),
        ("voice", 180_000, True),
    ]


async def test_a_storm_is_told_in_one_digest_for_each_window(
    store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    made = await store.create(draft(options=Options(frequency=Frequency.EVERY), channels=()), limit=9)
    for first in (1, 4):
        storm = [firing(made.id, n, at_ms=NOW_MS + n, storm=True, ended=False) for n in range(first, first + 3)]
        await writer.commit(Batch([(one, NOW_MS) for one in storm]), tenures[made.shard])
    later = firing(made.id, 7, at_ms=NOW_MS + 180_000, storm=True, ended=False)
    await writer.commit(Batch([(later, NOW_MS)]), tenures[made.shard])

    async with engine.connect() as connection:
        told = (await connection.execute(select(deliveries.c.kind, deliveries.c.content).order_by("id"))).all()
    assert [kind for kind, _ in told] == ["digest", "digest"]
    assert '"count":6' in told[0].content
    assert '"count":1' in told[1].content
    assert [row.reason for row in await rows_of(engine, triggers, "reason")] == ["storm"] * 7


async def test_twenty_thousand_fire_on_one_tick(
    writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine, store: Alerts
) -> None:
    one = await store.create(draft(), limit=1)
    await many(engine, one, 20_000)
    ids = [row.id for row in await rows_of(engine, alerts, "id")]
    batch = Batch([(firing(i), NOW_MS) for i in ids], {}, dict.fromkeys(ids, (1, b"s" * 40)))

    assert (await writer.commit(batch, tenures[one.shard])).fired == len(ids)

    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(deliveries)) == 2 * len(ids)
        active = select(func.count()).select_from(alerts).where(alerts.c.status == "active")
        assert await connection.scalar(active) == 0


async def test_shards_that_commit_at_once_get_each_its_own_outcome(
    store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    made = [await store.create(draft(symbol=f"S{number}"), limit=99) for number in range(40)]
    by_shard = {one.shard: one for one in made}
    lost = min(by_shard)
    async with writing(engine) as connection:
        await evict(connection, lost)

    def commit(alert: Alert) -> Coroutine[Any, Any, Committed]:
        batch = Batch([(firing(alert.id), NOW_MS)], {f"NSE:{alert.symbol}": b"t"})
        return writer.commit(batch, tenures[alert.shard])

    outcomes = await asyncio.gather(*map(commit, by_shard.values()), return_exceptions=True)

    for alert, outcome in zip(by_shard.values(), outcomes, strict=True):
        if alert.shard == lost:
            assert isinstance(outcome, Lost)
        else:
            assert outcome == Committed(fired=1, over={alert.id: 1})
    kept = await rows_of(engine, alert_tracks, "shard", "source")
    assert kept == sorted((one.shard, f"NSE:{one.symbol}") for one in by_shard.values() if one.shard != lost)


async def test_one_that_is_cancelled_takes_no_other_with_it(
    store: Alerts, writer: Triggers, tenures: dict[int, Tenure], engine: AsyncEngine
) -> None:
    made = [await store.create(draft(symbol=f"S{number}"), limit=99) for number in range(40)]
    by_shard = {one.shard: one for one in made}
    commits = [
        asyncio.create_task(writer.commit(Batch([(firing(one.id), NOW_MS)]), tenures[one.shard]))
        for one in by_shard.values()
    ]
    await asyncio.sleep(0.001)
    commits[0].cancel()

    done, _ = await asyncio.wait(commits[1:], timeout=10)

    assert [one.result().fired for one in done] == [1] * (len(commits) - 1)
    with pytest.raises(asyncio.CancelledError):
        await commits[0]


async def many(engine: AsyncEngine, like: Alert, count: int) -> None:
    """Makes so many alerts in all like one that is there."""
    row = {
        "user_id": like.user,
        "exchange": like.exchange,
        "symbol": like.symbol,
        "shard": like.shard,
        "status": "active",
        "version": 1,
        "condition": like.condition,
        "tree": trees.encode(like.tree),
        "options": json_text(like.options),
        "channels": json_text(like.channels),
        "delay_s": 0,
        "fired": 0,
        "created_at_ms": NOW_MS,
        "updated_at_ms": NOW_MS,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(alerts), [row] * (count - 1))


@pytest.mark.parametrize("odd", [{"suppressed": "cool\0down"}, {"at_ms": 2**70}], ids=["text", "number"])
async def test_what_the_database_refuses_is_left_out_alone(
    odd: dict[str, Any],
    writer: Triggers,
    tenures: dict[int, Tenure],
    engine: AsyncEngine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if engine.dialect.name == "sqlite" and "suppressed" in odd:
        pytest.skip("takes it")
    store = Alerts(engine, wall=now_s)
    first, bad, last = [await store.create(draft(options=Options(frequency=Frequency.EVERY)), limit=9) for _ in "abc"]
    firings = [firing(first.id, ended=False), firing(bad.id, ended=False, **odd), firing(last.id, ended=False)]
    states = {one.id: (1, b"new") for one in (first, bad, last)}
    batch = Batch([(one, NOW_MS) for one in firings], {"NSE:TCS": b"track"}, states)

    committed = await writer.commit(batch, tenures[first.shard])

    assert committed == Committed(fired=2)
    assert await rows_of(engine, triggers, "alert_id") == [(first.id,), (last.id,)]
    assert await rows_of(engine, alerts, "fired", "state") == [(1, b"new"), (0, b"new"), (1, b"new")]
    assert await rows_of(engine, alert_tracks, "state") == [(b"track",)]
    [record] = [one for one in caplog.records if one.message == "alerts.unwritable"]
    assert record.alert == bad.id  # type: ignore[attr-defined]
