"""After a split, alerts mean what they meant before it, and nothing fires because of it."""

from datetime import date

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.alerts.alert import Status
from notifiers.alerts.corporate_actions import Action, Applied, CorporateActions, Policy, rescaled_tracks
from notifiers.alerts.late import as_late
from notifiers.alerts.store import Alerts
from notifiers.conditions.options import Baseline, Frequency, Options, Rearm
from notifiers.conditions.tree import Arithmetic, Compare, Field, Number
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Rule
from schemas.errors import CommandError, ErrorCode
from schemas.market import Tick, scaled
from schemas.tables import deliveries
from tests.notifiers.alerts.running import fired, fired_count, running, until
from tests.notifiers.alerts.stored import NOW_MS, crossing, draft, now_s

SPLIT = Action(exchange="NSE", symbol="TCS", kind="split", numerator=1, denominator=2, ex_date=date(2026, 11, 24))
EVERY = Options(frequency=Frequency.EVERY)


@pytest.fixture
def store(engine: AsyncEngine) -> Alerts:
    return Alerts(engine, wall=now_s)


@pytest.fixture
def actions(engine: AsyncEngine) -> CorporateActions:
    return CorporateActions(engine, wall=now_s)


async def test_levels_bands_and_baselines_are_rescaled_and_their_owner_told(
    store: Alerts, actions: CorporateActions, engine: AsyncEngine
) -> None:
    options = Options(frequency=Frequency.EVERY, rearm=Rearm.RECOVER, band=20)
    baseline = Baseline(price=scaled(2400), time_ms=NOW_MS, high=scaled(2410))
    mine = await store.create(draft(options=options, baseline=baseline), limit=9)
    other = await store.create(draft(symbol="INFY"), limit=9)

    assert await actions.apply(SPLIT, Policy.RESCALE, by="admin") == Applied(rescaled=1, disabled=0)

    after = await store.get(mine.id, "7")
    assert (after.tree, after.condition, after.version) == (crossing(1250), "price crosses above 1250", 2)
    assert after.options.band == 10
    assert after.baseline == Baseline(price=scaled(1200), time_ms=NOW_MS, high=scaled(1205))
    assert await store.get(other.id, "7") == other
    async with engine.connect() as connection:
        told = await connection.scalars(select(deliveries.c.content))
        assert ['"reason":"adjusted"' in one for one in told] == [True, True]


async def test_the_same_action_counts_once(store: Alerts, actions: CorporateActions) -> None:
    made = await store.create(draft(), limit=9)
    await actions.apply(SPLIT, Policy.RESCALE, by="admin")
    with pytest.raises(CommandError) as refused:
        await actions.apply(SPLIT, Policy.RESCALE, by="admin")
    assert refused.value.code is ErrorCode.CONFLICT
    assert (await store.get(made.id, "7")).tree == crossing(1250)


async def test_by_the_other_policy_alerts_are_switched_off(store: Alerts, actions: CorporateActions) -> None:
    made = await store.create(draft(), limit=9)
    assert await actions.apply(SPLIT, Policy.DISABLE, by="admin") == Applied(rescaled=0, disabled=1)
    after = await store.get(made.id, "7")
    assert (after.status, after.status_reason, after.tree) == (Status.DISABLED, "corporate_action", crossing(2500))


async def test_what_compares_two_instruments_can_not_be_rescaled_and_is_switched_off(
    store: Alerts, actions: CorporateActions
) -> None:
    difference = Arithmetic(op="-", left=Field(name="price"), right=Field(name="price", exchange="NSE", symbol="TCS"))
    spread = Compare(left=difference, op=">", right=Number(value=80))
    minus = Compare(left=Field(name="price", exchange="NSE", symbol="TCS"), op=">", right=Number(value=2500))
    two = await store.create(draft(symbol="INFY", tree=spread), limit=9)
    foreign = await store.create(draft(symbol="INFY", tree=minus), limit=9)

    await actions.apply(SPLIT, Policy.RESCALE, by="admin")

    statuses = [(await store.get(one.id, "7")).status for one in (two, foreign)]
    assert statuses == [Status.DISABLED, Status.ACTIVE]
    moved = (await store.get(foreign.id, "7")).tree
    assert isinstance(moved, Compare)
    assert moved.right == Number(value=1250)


async def test_the_night_of_a_split_crosses_nothing_and_the_next_day_goes_on(
    store: Alerts, actions: CorporateActions, engine: AsyncEngine
) -> None:
    below = await store.create(draft(options=EVERY), limit=9)
    async with running(engine) as market:
        market.say(2600)
        market.say(2490)
        await until(lambda: market.runner.tally.commits > 0)
        await actions.apply(SPLIT, Policy.RESCALE, by="admin")
        await until(lambda: market.runner.tally.lost > 0)
        await until(lambda: market.runner.shards == 16)
        market.say(1245)
        market.say(1249)
        market.say(1251)
        assert await fired_count(engine, 1) == [(below.id, "fired", 1)]
        market.say(1249)
    assert await fired(engine) == [(below.id, "fired", 1)]


async def test_what_opens_beyond_the_new_level_has_crossed_it(
    store: Alerts, actions: CorporateActions, engine: AsyncEngine
) -> None:
    made = await store.create(draft(options=EVERY), limit=9)
    async with running(engine) as market:
        market.say(2490)
    await actions.apply(SPLIT, Policy.RESCALE, by="admin")
    async with running(engine, owner="b") as market:
        market.say(1255, number=2)
        assert await fired_count(engine, 1) == [(made.id, "fired", 1)]


def test_what_is_remembered_of_late_prices_is_rescaled_as_well() -> None:
    rule = Rule(id=1, version=1, exchange="NSE", symbol="TCS", tree=crossing(2500), options=EVERY)
    after = {}
    for exchange, one in (("NSE", rule), ("NSE@900", as_late(rule, 900))):
        engine = Engine()
        engine.put(one)
        engine.take(Tick(exchange, "TCS", scaled(2400), NOW_MS), 1, NOW_MS)
        before = dict(engine.kept().tracks)
        kept = rescaled_tracks(before, [one], SPLIT)
        assert list(kept) == list(before) == [f"{exchange}:TCS"]
        assert kept != before
        after[exchange] = kept[f"{exchange}:TCS"]
    assert after["NSE"] == after["NSE@900"]
