"""Engines that take shards, follow changes, and go on where another one ceased."""

import asyncio
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.database import engine_for, migrate
from notifiers.alerts.alert import Status
from notifiers.alerts.endings import Endings
from notifiers.alerts.runner import Runner
from notifiers.alerts.shards import Shards
from notifiers.alerts.store import Alerts, Changes
from notifiers.conditions.options import Baseline, Frequency, Options
from notifiers.engine.samples import Source
from schemas.market import scaled
from schemas.tables import alert_shards, alert_tracks, alerts, deliveries, instruments
from tests.notifiers.alerts.running import fired, fired_count, running, until
from tests.notifiers.alerts.stored import NOW_MS, crossing, draft, now_s
from tests.servers import PostgresServer

EVERY = Options(frequency=Frequency.EVERY)
TCS = Source("NSE", "TCS")


@pytest.fixture
def store(engine: AsyncEngine) -> Alerts:
    return Alerts(engine, wall=now_s)


async def test_an_alert_that_is_there_at_the_start_fires(store: Alerts, engine: AsyncEngine) -> None:
    made = await store.create(draft(), limit=9)
    async with running(engine) as market:
        assert list(market.wanted) == [TCS]
        for price in (2499, 2501, 2499, 2501):
            market.say(price)
        assert await fired_count(engine, 1) == [(made.id, "fired", 1)]
        assert (await store.get(made.id, "7")).status is Status.FIRED
        await until(lambda: TCS not in market.wanted)
    assert await fired(engine) == [(made.id, "fired", 1)]


async def test_alerts_are_made_changed_and_deleted_while_it_runs(store: Alerts, engine: AsyncEngine) -> None:
    async with running(engine) as market:
        store.on_changed.append(lambda _: market.runner.ring())
        made = await store.create(draft(options=EVERY), limit=9)
        await until(lambda: TCS in market.wanted)
        market.say(2499)
        await store.update(made.id, "7", Changes(condition="price crosses above 2600", tree=crossing(2600)))
        await changes_read(market.runner, store)
        for price in (2501, 2601):
            market.say(price)
        assert await fired_count(engine, 1) == [(made.id, "fired", 1)]
        await store.delete(made.id, "7")
        await until(lambda: market.runner.rules == 1)
        market.say(2599)
        market.say(2601)
    assert await fired(engine) == [(made.id, "fired", 1)]


async def changes_read(runner: Runner, store: Alerts) -> None:
    """Returns once another alert, made now, is watched: so all changes before it are known."""
    watched = runner.rules
    await store.create(draft(tree=crossing(9e9)), limit=99)
    await until(lambda: runner.rules > watched)


async def test_a_name_or_an_end_that_changes_loses_nothing_of_what_is_remembered(
    store: Alerts, engine: AsyncEngine
) -> None:
    made = await store.create(draft(options=EVERY), limit=9)
    async with running(engine) as market:
        store.on_changed.append(lambda _: market.runner.ring())
        market.say(2499)
        await store.update(made.id, "7", Changes(name="n", expires_at_ms=NOW_MS + 86_400_000))
        await changes_read(market.runner, store)
        market.say(2501)
        assert await fired_count(engine, 1) == [(made.id, "fired", 1)]


async def test_who_comes_after_goes_on_from_the_last_price(store: Alerts, engine: AsyncEngine) -> None:
    made = await store.create(draft(options=EVERY), limit=9)
    async with running(engine) as market:
        market.say(2499)
    async with running(engine, owner="b") as market:
        market.say(2499, number=1)
        market.say(2501, number=2)
        assert await fired_count(engine, 1) == [(made.id, "fired", 1)]
    async with running(engine, owner="c") as market:
        market.say(2501, number=2)
        market.say(2502, number=3)
        market.say(2499, number=4)
        market.say(2501, number=5)
        assert await fired_count(engine, 2) == [(made.id, "fired", 1), (made.id, "fired", 2)]


async def test_who_has_lost_its_shards_says_nothing_more_and_takes_them_anew(
    store: Alerts, engine: AsyncEngine
) -> None:
    made = await store.create(draft(options=EVERY), limit=9)
    async with running(engine) as market:
        market.say(2499)
        async with engine.begin() as connection:
            fence = alert_shards.c.fence + 1
            await connection.execute(update(alert_shards).values(owner=None, fence=fence, lease_until_ms=0))
        market.say(2501)
        await until(lambda: market.runner.tally.lost > 0)
        await until(lambda: market.runner.shards == 16)
        market.say(2499)
        market.say(2502)
        assert await fired_count(engine, 1) == [(made.id, "fired", 1)]


async def test_two_engines_share_and_one_that_leaves_is_replaced(store: Alerts, engine: AsyncEngine) -> None:
    await store.create(draft(options=EVERY), limit=9)
    async with running(engine) as first:
        async with running(engine, owner="b", shards=8) as second:
            await until(lambda: first.runner.shards == second.runner.shards == 8)
            assert [TCS in first.wanted, TCS in second.wanted].count(True) == 1
        await until(lambda: first.runner.shards == 16)


async def test_what_fires_while_the_database_is_away_is_committed_in_order_once_it_is_back(
    own_postgres: PostgresServer,
) -> None:
    engine = engine_for(own_postgres.url, Path())
    await migrate(engine)
    store = Alerts(engine, wall=now_s)
    ids = [(await store.create(draft(options=EVERY, tree=crossing(level)), limit=9)).id for level in (10, 20, 30)]
    try:
        async with running(engine) as market:
            market.say(5)
            await asyncio.to_thread(own_postgres.kill)
            for price in (15, 25, 5, 35):
                market.say(price)
            await asyncio.to_thread(own_postgres.start)
            found = await fired_count(engine, 5)
        assert [(ids.index(alert), number) for alert, _, number in found] == [(0, 1), (1, 1), (0, 2), (1, 2), (2, 1)]
    finally:
        await engine.dispose()


async def test_what_has_expired_and_what_is_traded_no_longer_ends_with_a_notice(
    store: Alerts, engine: AsyncEngine
) -> None:
    over = await store.create(draft(expires_at_ms=1), limit=9)
    ended = await store.create(draft(symbol="NIFTY25NOVFUT"), limit=9)
    live = await store.create(draft(symbol="INFY", expires_at_ms=9_999_999_999_999), limit=9)
    async with engine.begin() as connection:
        for symbol, expiry in (("NIFTY25NOVFUT", "2025-11-25"), ("INFY", None)):
            await connection.execute(insert(instruments).values(instrument(symbol, expiry)))
    endings = Endings(engine)
    for tenure in (await Shards(engine, owner="a").turn()).held:
        await endings.expire(tenure)
        await endings.retire(tenure)

    assert (await store.get(over.id, "7")).status is Status.EXPIRED
    after = await store.get(ended.id, "7")
    assert (after.status, after.status_reason) == (Status.DISABLED, "instrument_ended")
    assert (await store.get(live.id, "7")).status is Status.ACTIVE
    async with engine.connect() as connection:
        told = await connection.execute(select(deliveries.c.alert_id, deliveries.c.kind).distinct())
        assert sorted(told.all()) == [(over.id, "notice"), (ended.id, "notice")]


def instrument(symbol: str, expiry: str | None) -> dict[str, object]:
    return {
        "exchange": "NSE",
        "exchange_token": symbol,
        "listed_on": date(2020, 1, 1),
        "symbol": symbol,
        "name": "",
        "kind": "FUT",
        "tick_size": 1,
        "lot_size": 1,
        "has_derivatives": False,
        "isin": "",
        "series": "",
        "underlying": "",
        "expiry": None if expiry is None else date.fromisoformat(expiry),
        "option_type": "",
    }


ABSURD = '{"is":"compare","left":{"is":"field","name":"nothing"},"op":">","right":{"is":"number","value":1}}'


@pytest.mark.parametrize(
    "spoilt",
    [{"tree": ABSURD}, {"tree": '{"is":"of another release"}'}, {"tree": "no JSON"}, {"options": '{"frequency":"?"}'}],
)
async def test_a_condition_that_can_not_be_run_is_switched_off_and_the_others_go_on(
    store: Alerts, engine: AsyncEngine, spoilt: dict[str, str]
) -> None:
    bad, good = await store.create(draft(), limit=9), await store.create(draft(), limit=9)
    async with engine.begin() as connection:
        await connection.execute(update(alerts).where(alerts.c.id == bad.id).values(**spoilt))
    async with running(engine) as market:
        market.say(2499)
        market.say(2501)
        assert await fired_count(engine, 1) == [(good.id, "fired", 1)]
        status = select(alerts.c.status).where(alerts.c.id == bad.id)
        async with asyncio.timeout(5), engine.connect() as connection:
            while await connection.scalar(status) != "disabled":
                await connection.rollback()
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("spoilt", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\xa3abc"])
async def test_a_state_that_can_not_be_read_is_begun_anew(store: Alerts, engine: AsyncEngine, spoilt: bytes) -> None:
    made = await store.create(draft(options=EVERY), limit=9)
    track = {"shard": made.shard, "source": "NSE:TCS", "state": spoilt, "updated_at_ms": 0}
    async with engine.begin() as connection:
        await connection.execute(update(alerts).values(state=spoilt))
        await connection.execute(insert(alert_tracks).values(track))
    async with running(engine) as market:
        market.say(2499)
        market.say(2501)
        assert await fired_count(engine, 1) == [(made.id, "fired", 1)]


async def test_what_came_between_an_alerts_making_and_its_reading_counts(store: Alerts, engine: AsyncEngine) -> None:
    await store.create(draft(tree=crossing(9999)), limit=9)
    async with running(engine) as market:
        await until(lambda: bool(market.wanted))
        market.say(99)
        baseline = Baseline(price=scaled(99), time_ms=NOW_MS + 1000, number=1)
        market.say(101)
        market.say(99)  # and back, before anybody rings
        made = await store.create(draft(tree=crossing(100), baseline=baseline, options=EVERY), limit=9)
        market.runner.ring()
        assert await fired_count(engine, 1) == [(made.id, "fired", 1)]
        market.say(101)
        assert await fired_count(engine, 2) == [(made.id, "fired", 1), (made.id, "fired", 2)]
