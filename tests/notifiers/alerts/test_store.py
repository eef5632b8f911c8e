"""Alerts at rest: made, found, changed, ended, and how many one may have."""

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.transactions import writing
from notifiers.alerts.alert import Status
from notifiers.alerts.rows import shard_of
from notifiers.alerts.store import Alerts, Changes, Wanted, end
from notifiers.conditions.options import Baseline, Frequency, Options
from notifiers.conditions.tree import Compare, Field, Number
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode
from schemas.tables import alert_changes, alerts, deliveries
from tests.notifiers.alerts.stored import crossing, draft, now_s


@pytest.fixture
def store(engine: AsyncEngine) -> Alerts:
    return Alerts(engine, wall=now_s)


async def changed(engine: AsyncEngine) -> list[tuple[int, int]]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(alert_changes.c.shard, alert_changes.c.alert_id).order_by("id"))
        return [(row.shard, row.alert_id) for row in rows]


async def test_what_was_made_is_found_again_as_it_was_said(store: Alerts, engine: AsyncEngine) -> None:
    options = Options(frequency=Frequency.EVERY, cooldown_ms=60_000)
    baseline = Baseline(price=1, time_ms=2, number=3)
    rung: list[int] = []
    store.on_changed.append(rung.append)

    made = await store.create(draft(options=options, baseline=baseline, name="n", message="m"), limit=1)

    assert await store.get(made.id, "7") == made
    assert (made.options, made.baseline, made.tree, made.status) == (options, baseline, crossing(2500), Status.ACTIVE)
    assert await changed(engine) == [(shard_of("NSE", "TCS"), made.id)]
    assert rung == [made.shard]


async def test_a_strangers_alert_is_not_there(store: Alerts) -> None:
    made = await store.create(draft(), limit=1)
    for attempt in (store.get(made.id, "8"), store.delete(made.id, "8"), store.pause(made.id, "8")):
        with pytest.raises(CommandError) as refused:
            await attempt
        assert refused.value.code is ErrorCode.NOT_FOUND


async def test_all_of_a_users_alerts_are_deleted_and_nobody_elses(store: Alerts, engine: AsyncEngine) -> None:
    mine = [await store.create(draft(), limit=9) for _ in range(3)]
    other = await store.create(draft(user="8"), limit=9)
    before = len(await changed(engine))
    assert await store.delete_all("7") == 3
    assert sorted(alert_id for _, alert_id in (await changed(engine))[before:]) == [one.id for one in mine]
    assert (await store.listed("7"))[1] == 0
    assert await store.get(other.id, "8") == other
    assert await store.delete_all("7") == 0


async def test_of_many_made_at_once_no_more_than_the_limit_are(store: Alerts) -> None:
    made = await asyncio.gather(*(store.create(draft(), limit=3) for _ in range(10)), return_exceptions=True)

    refused = [one for one in made if isinstance(one, CommandError)]
    assert len(refused) == 7
    assert {one.code for one in refused} == {ErrorCode.LIMIT_EXCEEDED}
    assert await store.count_active("7") == 3
    await store.create(draft(user="8"), limit=1)


async def test_a_list_is_filtered_sorted_and_in_pages(store: Alerts) -> None:
    ids = [(await store.create(draft(symbol=symbol), limit=9)).id for symbol in ("TCS", "INFY", "SBIN")]
    await store.pause(ids[0], "7")
    await store.create(draft(user="8"), limit=9)

    page, total = await store.listed("7", sort="id", descending=False, limit=2)
    assert ([one.id for one in page], total) == (ids[:2], 3)
    page, total = await store.listed("7", Wanted(status=Status.ACTIVE, symbol="SBIN", exchange="NSE"))
    assert ([one.id for one in page], total) == (ids[2:], 1)
    with pytest.raises(CommandError):
        await store.listed("7", sort="tree")


async def test_another_name_leaves_the_version_and_another_condition_begins_anew(store: Alerts) -> None:
    made = await store.create(draft(baseline=Baseline(price=5, time_ms=6)), limit=1)

    named = await store.update(made.id, "7", Changes(name="x", channels=(Way.PUSH,), condition=made.condition))
    assert (named.version, named.name, named.channels, named.baseline) == (1, "x", (Way.PUSH,), made.baseline)
    anew = await store.update(made.id, "7", Changes(condition="price crosses above 9", tree=crossing(9)))
    assert (anew.version, anew.tree, anew.baseline) == (2, crossing(9), None)
    with pytest.raises(CommandError) as refused:
        await store.update(made.id, "7", Changes(name="y"), expected_version=1)
    assert refused.value.code is ErrorCode.CONFLICT


async def test_another_instrument_tells_both_shards(store: Alerts, engine: AsyncEngine) -> None:
    made = await store.create(draft(), limit=1)
    moved = await store.update(made.id, "7", Changes(symbol="INFY"))

    assert moved.shard == shard_of("NSE", "INFY") != made.shard
    assert set((await changed(engine))[1:]) == {(made.shard, made.id), (moved.shard, made.id)}


async def test_a_paused_alert_resumes_anew_where_there_is_room(store: Alerts) -> None:
    made = await store.create(draft(), limit=1)
    assert (await store.pause(made.id, "7")).status is Status.PAUSED
    other = await store.create(draft(), limit=1)

    with pytest.raises(CommandError) as refused:
        await store.resume(made.id, "7", limit=1)
    assert refused.value.code is ErrorCode.LIMIT_EXCEEDED
    await store.delete(other.id, "7")
    resumed = await store.resume(made.id, "7", limit=1, baseline=Baseline(price=1, time_ms=1))
    assert (resumed.status, resumed.version, resumed.baseline) == (Status.ACTIVE, 2, Baseline(price=1, time_ms=1))


async def test_what_is_over_does_not_resume(store: Alerts) -> None:
    late = await store.create(draft(expires_at_ms=int(now_s() * 1000)), limit=1)
    await store.pause(late.id, "7")
    with pytest.raises(CommandError) as refused:
        await store.resume(late.id, "7", limit=1)
    assert refused.value.code is ErrorCode.CONFLICT


async def test_a_deleted_alert_is_gone_for_everyone_but_stays_a_row(store: Alerts, engine: AsyncEngine) -> None:
    made = await store.create(draft(), limit=1)
    await store.delete(made.id, "7")

    with pytest.raises(CommandError):
        await store.get(made.id, "7")
    assert await store.listed("7") == ([], 0)
    assert await store.count_active("7") == 0
    async with engine.connect() as connection:
        assert await connection.scalar(select(alerts.c.status)) == "deleted"


async def test_who_disables_an_alert_tells_its_owner_once(store: Alerts, engine: AsyncEngine) -> None:
    made = await store.create(draft(channels=(Way.EMAIL, Way.SMS)), limit=1)

    for again in (False, True):
        async with writing(engine) as connection:
            ended = await end(connection, [made.id], Status.DISABLED, "instrument_ended", int(now_s() * 1000))
        assert bool(ended) is not again

    after = await store.get(made.id, "7")
    assert (after.status, after.status_reason) == (Status.DISABLED, "instrument_ended")
    async with engine.connect() as connection:
        told = (await connection.execute(select(deliveries.c.channel, deliveries.c.kind))).all()
    assert sorted(told) == [("email", "notice"), ("websocket", "notice")]


async def test_alerts_of_a_user_whose_plan_changes_begin_anew_on_prices_as_late_as_the_plans(
    store: Alerts, engine: AsyncEngine
) -> None:
    baseline = Baseline(price=1, time_ms=2)
    mine = await store.create(draft(baseline=baseline), limit=9)
    spread = Compare(left=Field(name="price", exchange="BSE", symbol="TCS"), op=">", right=Number(value=1))
    both = await store.create(draft(tree=spread, delay_s=60), limit=9)
    gold = await store.create(draft(exchange="MCX", symbol="GOLD", delay_s=60), limit=9)
    paused = await store.create(draft(), limit=9)
    await store.pause(paused.id, "7")
    theirs = await store.create(draft(user="8"), limit=9)
    told, rung = len(await changed(engine)), []
    store.on_changed.append(rung.append)

    assert await store.redelay("7", {"NSE": 900, "BSE": 1800, "MCX": None}.__getitem__) == 2

    after = await store.get(mine.id, "7")
    assert (after.delay_s, after.version, after.baseline) == (900, 2, None)
    assert ((await store.get(both.id, "7")).delay_s, (await store.get(gold.id, "7")).delay_s) == (1800, 60)
    assert ((await store.get(paused.id, "7")).version, (await store.get(theirs.id, "8")).version) == (1, 1)
    assert (await changed(engine))[told:] == [(mine.shard, mine.id), (both.shard, both.id)]
    assert rung == [mine.shard]
    assert await store.redelay("7", {"NSE": 900, "BSE": 1800, "MCX": None}.__getitem__) == 0
