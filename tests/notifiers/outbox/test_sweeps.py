from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import IN_DOUBT, AttemptState, Delivery, Status
from notifiers.outbox.provider import Outcome
from notifiers.outbox.transitions import LOST
from notifiers.way import Way
from schemas.tables import provider_reports
from tests.notifiers.outbox.people import calling, claimed_one, history, new, now, said, time_passes


async def test_a_lease_that_ends_without_an_attempt_gives_the_delivery_back(
    store: Deliveries, engine: AsyncEngine
) -> None:
    await store.add([new()])
    claimed = await claimed_one(store)
    assert await store.sweeps.reap() == 0
    await time_passes(engine, 61)
    assert await store.sweeps.reap() == 1
    assert await now(store, claimed.delivery.id) == (await claimed_one(store)).delivery


async def test_a_lease_that_ends_in_a_call_leaves_a_doubt(
    store: Deliveries, engine: AsyncEngine, told: list[Delivery]
) -> None:
    claimed = await calling(store)
    told.clear()
    await time_passes(engine, 61)
    await store.sweeps.reap()
    found = await history(store, claimed.delivery.id)
    assert (found.delivery.status, found.delivery.reason) == (Status.UNKNOWN, IN_DOUBT)
    assert [(one.state, one.reason) for one in found.attempts] == [(AttemptState.UNKNOWN, LOST)]
    assert told == [found.delivery]


async def test_what_waits_for_too_long_is_dead_though_nobody_serves_its_channel(
    store: Deliveries, engine: AsyncEngine, told: list[Delivery]
) -> None:
    await store.add([new("short", channel=Way.VOICE, lives_ms=5_000), new("held", after_ms=9_000, lives_ms=5_000)])
    await store.add([new("long")])
    assert await store.sweeps.expire() == 0
    await time_passes(engine, 6)
    assert await store.sweeps.expire() == 2
    assert {(one.key, one.status, one.reason) for one in told} == {
        ("short", Status.DEAD, "expired"),
        ("held", Status.DEAD, "expired"),
    }


async def test_what_waits_for_a_provider_says_so(store: Deliveries, told: list[Delivery]) -> None:
    await store.add([new("a"), new("b", after_ms=60_000), new("c", channel=Way.EMAIL)])
    await store.sweeps.explain([Way.SMS], "provider unavailable")
    await store.sweeps.explain([Way.SMS], "provider unavailable")
    assert [(one.key, one.reason) for one in told] == [("a", "provider unavailable")]
    assert (await claimed_one(store)).delivery.reason == "provider unavailable"


async def test_old_reports_are_forgotten(store: Deliveries, engine: AsyncEngine) -> None:
    claimed = await calling(store)
    await said(store, claimed, Outcome(status="accepted"))
    await store.report(claimed.delivery.id, 1, Outcome(status="sent"), key="new")
    async with engine.begin() as connection:
        await connection.execute(provider_reports.insert().values(key="old", received_at_ms=1))
    await store.sweeps.prune_reports()
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.min(provider_reports.c.key)))).scalar_one() == "new"
