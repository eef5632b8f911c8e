import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.errors import OutcomeUnknown, Refused
from notifiers.outbox import retries
from notifiers.outbox.awaited import Awaited, Found, Nothing
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import IN_DOUBT, NO_REPORT, AttemptState, Delivery, Status
from notifiers.outbox.provider import Outcome
from tests.notifiers.outbox.people import calling, history, now, said, time_passes

ACCEPTED = Outcome(status="accepted", id="SM1")


async def _in_doubt(store: Deliveries, engine: AsyncEngine, **others: int) -> Awaited:
    claimed = await calling(store, **others)
    await said(store, claimed, OutcomeUnknown("fake", "no answer"))
    return await _due(store, engine, retries.ASK_AFTER_MS)


async def _due(store: Deliveries, engine: AsyncEngine, after_ms: int) -> Awaited:
    assert await store.awaiting.claim(10) == []
    await time_passes(engine, after_ms / 1000 + 1)
    [awaited] = await store.awaiting.claim(10)
    assert await store.awaiting.claim(10) == []
    return awaited


async def _settled(store: Deliveries, awaited: Awaited, found: Outcome | Refused | Nothing) -> Delivery:
    await store.awaiting.settle([Found(awaited=awaited, said=found)])
    return await now(store, awaited.claimed.delivery.id)


async def test_a_doubt_is_settled_by_what_the_provider_has(store: Deliveries, engine: AsyncEngine) -> None:
    awaited = await _in_doubt(store, engine)
    assert awaited.attempt.number == 1
    after = await _settled(store, awaited, Outcome(status="delivered", id="SM1"))
    assert (after.status, after.provider_id) == (Status.DELIVERED, "SM1")


async def test_what_the_provider_surely_has_not_is_sent_again(store: Deliveries, engine: AsyncEngine) -> None:
    after = await _settled(store, await _in_doubt(store, engine), Nothing.TAKEN)
    assert after.status is Status.QUEUED
    assert [one.state for one in (await history(store, after.id)).attempts] == [AttemptState.UNTAKEN]
    assert len(await store.claims.claim(after.channel, 1)) == 1


async def test_what_may_be_sent_twice_is_sent_again(store: Deliveries, engine: AsyncEngine) -> None:
    after = await _settled(store, await _in_doubt(store, engine), Nothing.HARMED)
    assert after.status is Status.QUEUED
    assert [one.state for one in (await history(store, after.id)).attempts] == [AttemptState.UNKNOWN]


async def test_a_doubt_that_nobody_can_settle_ends_with_the_deadline(store: Deliveries, engine: AsyncEngine) -> None:
    awaited = await _in_doubt(store, engine, lives_ms=20_000)
    after = await _settled(store, awaited, Nothing.NEWS)
    assert after.status is Status.UNKNOWN
    awaited = await _due(store, engine, 20_000)
    after = await _settled(store, awaited, Nothing.NEWS)
    assert (after.status, after.reason) == (Status.DEAD, IN_DOUBT)
    assert [one.state for one in (await history(store, after.id)).attempts] == [AttemptState.UNKNOWN]


async def test_a_dead_one_in_doubt_is_corrected_by_a_report(store: Deliveries, engine: AsyncEngine) -> None:
    awaited = await _in_doubt(store, engine, lives_ms=2_000)
    assert (await _settled(store, awaited, Nothing.NEWS)).status is Status.DEAD
    after = await store.report(awaited.claimed.delivery.id, 1, Outcome(status="delivered"), key="r")
    assert after is not None
    assert (after.status, after.reason) == (Status.DELIVERED, None)


async def test_what_is_silent_is_looked_after_ever_more_seldom_and_then_left_alone(
    store: Deliveries, engine: AsyncEngine
) -> None:
    delivery = await said(store, await calling(store), ACCEPTED)
    looks = 0
    while delivery.finished_at_ms is None:
        awaited = await _due(store, engine, retries.LOOK_AT_LEAST_EVERY_MS)
        delivery = await _settled(store, awaited, Nothing.NEWS)
        looks += 1
    assert (delivery.status, delivery.reason) == (Status.SENT, NO_REPORT)
    assert looks == 4
    await time_passes(engine, 10_000)
    assert await store.awaiting.claim(10) == []
    late = await store.report(delivery.id, 1, Outcome(status="delivered"), key="r")
    assert late is not None
    assert (late.status, late.reason) == (Status.DELIVERED, None)


async def test_a_look_may_find_that_it_arrived_or_failed(store: Deliveries, engine: AsyncEngine) -> None:
    await said(store, await calling(store), ACCEPTED)
    awaited = await _due(store, engine, retries.LOOK_AFTER_MS)
    assert (await _settled(store, awaited, Outcome(status="sent"))).status is Status.SENT
    awaited = await _due(store, engine, retries.LOOK_AFTER_MS)
    after = await _settled(store, awaited, Refused("30005", permanent=True))
    assert (after.status, after.reason) == (Status.DEAD, "30005")


async def test_the_same_news_again_is_asked_after_later(store: Deliveries, engine: AsyncEngine) -> None:
    await said(store, await calling(store), ACCEPTED)
    awaited = await _due(store, engine, retries.LOOK_AFTER_MS)
    after = await _settled(store, awaited, ACCEPTED)
    assert after.status is Status.ACCEPTED
    await _due(store, engine, 2 * retries.LOOK_AFTER_MS)


@pytest.mark.parametrize("found", list(Nothing))
async def test_who_lost_the_lease_is_not_heard(store: Deliveries, engine: AsyncEngine, found: Nothing) -> None:
    awaited = await _in_doubt(store, engine)
    await time_passes(engine, 61)
    await store.sweeps.reap()
    before = await now(store, awaited.claimed.delivery.id)
    assert await _settled(store, awaited, found) == before
    assert (await _settled(store, awaited, ACCEPTED)).status is Status.ACCEPTED
