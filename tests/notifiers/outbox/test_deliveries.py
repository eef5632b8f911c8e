import asyncio
import itertools

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.awaited import Found, Nothing
from notifiers.outbox.deliveries import Deliveries, Redrive, insert_deliveries
from notifiers.outbox.delivery import AttemptState, Delivery, Status
from notifiers.outbox.provider import Outcome
from notifiers.way import Way
from tests.notifiers.outbox.people import (
    begun,
    calling,
    claimed_one,
    fired,
    history,
    new,
    now,
    said,
    time_passes,
)

ACCEPTED, SENT, DELIVERED, READ = (
    Outcome(status="accepted", id="SM1"),
    Outcome(status="sent", id="SM1"),
    Outcome(status="delivered", id="SM1"),
    Outcome(status="read", id="SM1"),
)
UNDELIVERED = Refused("30005", permanent=True, blame=Blame.ADDRESS)


# -- reports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])), ids=str)
async def test_reports_in_any_order_end_at_the_furthest(store: Deliveries, order: tuple[int, ...]) -> None:
    claimed = await calling(store)
    await said(store, claimed, ACCEPTED)
    reports = [SENT, DELIVERED, READ]
    for place in order:
        await store.report(claimed.delivery.id, 1, reports[place], key=f"r{place}")
    assert (await now(store, claimed.delivery.id)).status is Status.READ


async def test_a_report_before_the_provider_has_answered_counts(store: Deliveries) -> None:
    claimed = await calling(store)
    after = await store.report(claimed.delivery.id, 1, DELIVERED, key="r")
    assert after is not None
    assert after.status is Status.DELIVERED
    assert await said(store, claimed, ACCEPTED) == after
    assert store.attempts.late == 0
    assert [one.state for one in (await history(store, after.id)).attempts] == [AttemptState.TAKEN]


async def test_a_report_settles_a_call_that_timed_out(store: Deliveries) -> None:
    claimed = await calling(store)
    await said(store, claimed, OutcomeUnknown("fake", "no answer"))
    after = await store.report(claimed.delivery.id, 1, SENT, key="r")
    assert after is not None
    assert (after.status, after.provider_id) == (Status.SENT, "SM1")


async def test_a_report_before_a_timeout_settles_it_too(store: Deliveries) -> None:
    claimed = await calling(store)
    await store.report(claimed.delivery.id, 1, SENT, key="r")
    assert (await said(store, claimed, OutcomeUnknown("fake", "no answer"))).status is Status.SENT


async def test_a_report_of_failure_before_the_answer_is_final(store: Deliveries) -> None:
    claimed = await calling(store)
    await store.report(claimed.delivery.id, 1, UNDELIVERED, key="r")
    after = await said(store, claimed, ACCEPTED)
    assert (after.status, after.reason) == (Status.DEAD, "30005")


async def test_what_has_arrived_stays_so(store: Deliveries) -> None:
    claimed = await calling(store)
    await said(store, claimed, ACCEPTED)
    await store.report(claimed.delivery.id, 1, DELIVERED, key="a")
    for number, later in enumerate([UNDELIVERED, SENT, Refused("429", permanent=False)]):
        await store.report(claimed.delivery.id, 1, later, key=f"b{number}")
    assert (await now(store, claimed.delivery.id)).status is Status.DELIVERED


async def test_what_failed_for_good_stays_so(store: Deliveries) -> None:
    claimed = await calling(store)
    await said(store, claimed, ACCEPTED)
    await store.report(claimed.delivery.id, 1, UNDELIVERED, key="a")
    after = await store.report(claimed.delivery.id, 1, SENT, key="b")
    assert after is not None
    assert after.status is Status.DEAD


async def test_the_same_report_counts_once(store: Deliveries, engine: AsyncEngine, told: list[Delivery]) -> None:
    off = Refused("30003", permanent=False, blame=Blame.HANDSET)
    claimed = await calling(store)
    await said(store, claimed, ACCEPTED)
    await asyncio.gather(*(store.report(claimed.delivery.id, 1, off, key="r") for _ in range(5)))
    assert (await now(store, claimed.delivery.id)).status is Status.QUEUED
    assert [one.status for one in told] == [Status.CALLING, Status.ACCEPTED, Status.QUEUED]
    await time_passes(engine, 100)
    again = await claimed_one(store)
    await begun(store, again)
    await store.report(claimed.delivery.id, 1, off, key="r")
    assert (await now(store, claimed.delivery.id)).status is Status.CALLING


async def test_an_older_attempt_that_arrived_stops_the_next_one(store: Deliveries, engine: AsyncEngine) -> None:
    claimed = await calling(store)
    await said(store, claimed, Refused("429", permanent=False))
    after = await store.report(claimed.delivery.id, 1, DELIVERED, key="r")
    assert after is not None
    assert after.status is Status.DELIVERED
    await time_passes(engine, 100)
    assert await store.claims.claim(Way.SMS, 1) == []


async def test_an_older_attempt_that_failed_says_nothing_of_the_next_one(
    store: Deliveries, engine: AsyncEngine
) -> None:
    claimed = await calling(store)
    await said(store, claimed, OutcomeUnknown("fake", "cut"), harmless=True)
    await time_passes(engine, 100)
    await begun(store, await claimed_one(store))
    await store.report(claimed.delivery.id, 1, UNDELIVERED, key="r")
    found = await history(store, claimed.delivery.id)
    assert found.delivery.status is Status.CALLING
    assert [one.state for one in found.attempts] == [AttemptState.REFUSED, AttemptState.CALLING]


@pytest.mark.parametrize("attempt", [0, 2, 10**9])
async def test_a_report_of_an_attempt_that_was_never_made_is_nothing(store: Deliveries, attempt: int) -> None:
    claimed = await calling(store)
    assert await store.report(claimed.delivery.id, attempt, DELIVERED, key="r") is None
    assert await store.report(10**9, 1, DELIVERED, key="r") is None
    assert (await now(store, claimed.delivery.id)).status is Status.CALLING


async def test_a_licence_that_fails_after_acceptance_is_not_paid_for_again(store: Deliveries) -> None:
    claimed = await calling(store)
    await said(store, claimed, ACCEPTED)
    refusal = Refused("30007", permanent=True, blame=Blame.PROVIDER)
    after = await store.report(claimed.delivery.id, 1, refusal, key="r")
    assert after is not None
    assert after.status is Status.DEAD


# -- escalation -------------------------------------------------------------------------------------------------------


async def test_an_acknowledgement_cancels_what_waits_for_none(store: Deliveries, engine: AsyncEngine) -> None:
    trigger_id = await fired(engine)
    await store.add(
        [
            new("now", trigger_id=trigger_id, channel=Way.PUSH),
            new("sms", trigger_id=trigger_id, after_ms=60_000, unless_acknowledged=True),
            new("call", trigger_id=trigger_id, after_ms=180_000, unless_acknowledged=True, channel=Way.VOICE),
            new("other", after_ms=60_000, unless_acknowledged=True),
        ]
    )
    assert await store.acknowledge(trigger_id, "web")
    assert not await store.acknowledge(trigger_id, "voice")
    found = {one.delivery.key: one.delivery for one in await store.of_trigger(trigger_id)}
    assert {key: one.status for key, one in found.items()} == {
        "now": Status.QUEUED,
        "sms": Status.CANCELLED,
        "call": Status.CANCELLED,
    }
    await time_passes(engine, 61)
    assert (await claimed_one(store)).delivery.key == "other"


async def test_what_is_read_needs_no_escalation(store: Deliveries, engine: AsyncEngine) -> None:
    trigger_id = await fired(engine)
    claimed = await calling(store, trigger_id=trigger_id)
    await store.add([new("sms", trigger_id=trigger_id, after_ms=60_000, unless_acknowledged=True)])
    await said(store, claimed, DELIVERED)
    waiting = (await store.of_trigger(trigger_id))[0].delivery
    assert waiting.status is Status.QUEUED
    await store.report(claimed.delivery.id, 1, READ, key="r")
    cancelled = await now(store, waiting.id)
    assert (cancelled.status, cancelled.reason) == (Status.CANCELLED, "read")


async def test_what_no_provider_was_asked_about_can_be_cancelled(store: Deliveries) -> None:
    on_its_way = await calling(store, alert_id=7)
    await store.add([new("a", alert_id=7), new("b", alert_id=7, after_ms=1000), new("c", alert_id=8)])
    claimed = await store.claims.claim(Way.SMS, 2)
    assert await store.cancel(7, "deleted") == 2
    assert await store.cancel(7, "deleted") == 0
    assert [await begun(store, one) is not None for one in claimed] == [False, True]
    assert (await now(store, on_its_way.delivery.id)).status is Status.CALLING


# -- once more --------------------------------------------------------------------------------------------------------


async def test_the_dead_are_sent_again_as_the_next_attempt(store: Deliveries, engine: AsyncEngine) -> None:
    dead = await said(store, await calling(store, lives_ms=1000), Refused("x", permanent=True))
    await time_passes(engine, 10)
    assert await store.redrive(Redrive(lives_s=600)) == 1
    assert await store.redrive(Redrive(lives_s=600)) == 0
    claimed = await claimed_one(store)
    assert claimed.delivery.id == dead.id
    assert await begun(store, claimed) is not None
    assert (await said(store, claimed, ACCEPTED, number=2)).status is Status.ACCEPTED
    states = [one.state for one in (await history(store, dead.id)).attempts]
    assert states == [AttemptState.REFUSED, AttemptState.TAKEN]


async def test_only_those_that_are_meant_are_sent_again(store: Deliveries, engine: AsyncEngine) -> None:
    ids = {}
    for key, others in {"a": {}, "b": {"user": "u2"}, "c": {"channel": Way.EMAIL}}.items():
        dead = await said(store, await calling(store, key=key, **others), Refused(f"r{key}", permanent=True))
        ids[key] = dead.id
    await store.add([new("late", lives_ms=0)])
    await store.sweeps.expire()
    assert await store.redrive(Redrive(lives_s=60, user="u2", way=Way.EMAIL)) == 0
    assert await store.redrive(Redrive(lives_s=60, died_since_ms=2**50)) == 0
    assert await store.redrive(Redrive(lives_s=60, user="u2")) == 1
    assert await store.redrive(Redrive(lives_s=60, reason="rc")) == 1
    assert await store.redrive(Redrive(lives_s=60, ids=[ids["a"], ids["b"]])) == 1
    assert await store.redrive(Redrive(lives_s=60)) == 1
    assert await store.redrive(Redrive(lives_s=60)) == 0


async def test_what_may_have_arrived_is_sent_again_only_if_it_is_said(store: Deliveries, engine: AsyncEngine) -> None:
    claimed = await calling(store, lives_ms=2_000)
    await said(store, claimed, OutcomeUnknown("fake", "cut"))
    await time_passes(engine, 10)
    [awaited] = await store.awaiting.claim(1)
    await store.awaiting.settle([Found(awaited=awaited, said=Nothing.NEWS)])
    assert await store.redrive(Redrive(lives_s=60)) == 0
    assert await store.redrive(Redrive(lives_s=60, in_doubt=True)) == 1


async def test_many_are_sent_again_in_parts_and_no_more_than_asked(store: Deliveries) -> None:
    await store.add([new(lives_ms=0) for _ in range(1200)])
    while await store.sweeps.expire():
        pass
    assert await store.redrive(Redrive(lives_s=60, most=700)) == 700
    assert await store.redrive(Redrive(lives_s=60)) == 500


# -- reading ----------------------------------------------------------------------------------------------------------


async def test_an_alerts_deliveries_are_listed_newest_first_with_their_attempts(store: Deliveries) -> None:
    await store.add([new(f"k{number}", alert_id=3) for number in range(5)])
    await store.add([new("other", alert_id=4)])
    claimed = (await store.claims.claim(Way.SMS, 10))[0]
    await begun(store, claimed)
    page, total = await store.of_alert(3, limit=2, offset=3)
    assert total == 5
    assert [(one.delivery.key, len(one.attempts)) for one in page] == [("k1", 0), ("k0", 1)]
    assert await store.of_alert(99, limit=2) == ([], 0)
    assert await store.find(10**9) is None


async def test_a_transaction_that_is_undone_asks_for_nothing(store: Deliveries, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await insert_deliveries(connection, [new()])
        await connection.rollback()
    assert await store.claims.claim(Way.SMS, 1) == []
