import asyncio

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.attempts import Intent, Result
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import IN_DOUBT, AttemptState, Delivery, Status
from notifiers.outbox.ledger import Claimed
from notifiers.outbox.provider import Outcome
from notifiers.outbox.retries import HANDSET_PAUSE_MS, Failure
from schemas.errors import Unavailable
from schemas.tables import deliveries
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

ACCEPTED = Outcome(status="accepted", id="SM1", detail="queued", cost=2)


async def test_an_attempt_is_written_down_before_it_is_made(store: Deliveries, told: list[Delivery]) -> None:
    await store.add([new()])
    claimed = await claimed_one(store)
    delivery = await begun(store, claimed, "twilio")
    found = await history(store, claimed.delivery.id)
    assert found.delivery == delivery
    assert told == [delivery]
    assert (found.delivery.status, found.delivery.attempts) == (Status.CALLING, 1)
    [attempt] = found.attempts
    assert (attempt.number, attempt.state, attempt.provider) == (1, AttemptState.CALLING, "twilio")


async def test_an_intent_that_is_repeated_is_one_attempt(store: Deliveries) -> None:
    """As after a commit of which the answer was lost."""
    await store.add([new()])
    claimed = await claimed_one(store)
    first, second = await begun(store, claimed), await begun(store, claimed)
    assert first == second is not None
    assert len((await history(store, claimed.delivery.id)).attempts) == 1


async def test_of_two_workers_one_may_call(store: Deliveries, engine: AsyncEngine) -> None:
    await store.add([new()])
    slow = await claimed_one(store)
    await time_passes(engine, 61)
    await store.sweeps.reap()
    quick = await claimed_one(store)
    answers = await asyncio.gather(begun(store, slow), begun(store, quick))
    assert answers[0] is None
    assert answers[1] is not None


async def test_the_lease_begins_anew_with_the_attempt(store: Deliveries, engine: AsyncEngine) -> None:
    await store.add([new()])
    claimed = await claimed_one(store)
    await time_passes(engine, 50)
    await begun(store, claimed)
    await time_passes(engine, 50)
    assert await store.sweeps.reap() == 0


async def test_the_attempt_has_the_newest_content(store: Deliveries, engine: AsyncEngine) -> None:
    await store.add([new()])
    claimed = await claimed_one(store)
    async with engine.begin() as connection:
        await connection.execute(update(deliveries).values(content='{"n":2}'))
    delivery = await begun(store, claimed)
    assert delivery is not None
    assert delivery.content == {"n": 2}


async def test_what_is_too_late_is_not_attempted(store: Deliveries, engine: AsyncEngine) -> None:
    await store.add([new(lives_ms=10_000)])
    claimed = await claimed_one(store)
    await time_passes(engine, 11)
    assert await begun(store, claimed) is None
    dead = await now(store, claimed.delivery.id)
    assert (dead.status, dead.reason) == (Status.DEAD, "expired")


@pytest.mark.parametrize("unless_acknowledged", [True, False])
async def test_what_is_acknowledged_between_claim_and_attempt_is_not_escalated(
    store: Deliveries, engine: AsyncEngine, unless_acknowledged: bool
) -> None:
    trigger_id = await fired(engine)
    await store.add([new(trigger_id=trigger_id, unless_acknowledged=unless_acknowledged)])
    claimed = await claimed_one(store)
    await store.acknowledge(trigger_id, "web")
    assert (await begun(store, claimed) is None) is unless_acknowledged
    expected = Status.CANCELLED if unless_acknowledged else Status.CALLING
    assert (await now(store, claimed.delivery.id)).status is expected


async def test_what_the_provider_took_is_awaited(store: Deliveries, told: list[Delivery]) -> None:
    claimed = await calling(store)
    told.clear()
    accepted = await said(store, claimed, ACCEPTED)
    assert (accepted.status, accepted.provider_id, accepted.provider_status) == (Status.ACCEPTED, "SM1", "queued")
    assert accepted.cost == 2
    assert accepted.sent_at_ms is not None
    assert accepted.finished_at_ms is None
    assert told == [accepted]
    [attempt] = (await history(store, accepted.id)).attempts
    assert (attempt.state, attempt.provider_id) == (AttemptState.TAKEN, "SM1")


@pytest.mark.parametrize("status", ["delivered", "read"])
async def test_what_has_arrived_is_final(store: Deliveries, status: str) -> None:
    delivered = await said(store, await calling(store), Outcome(status=status))  # type: ignore[arg-type]
    assert delivered.status == status
    assert delivered.finished_at_ms is not None


@pytest.mark.parametrize(
    ("failure", "status", "reason", "state"),
    [
        (Unavailable("fake", "connection refused"), Status.QUEUED, "provider unavailable", AttemptState.UNAVAILABLE),
        (Refused("429", permanent=False), Status.QUEUED, "429", AttemptState.REFUSED),
        (Refused("30003", permanent=True, blame=Blame.HANDSET), Status.QUEUED, "30003", AttemptState.UNREACHED),
        (Refused("20003", permanent=True, blame=Blame.PROVIDER), Status.QUEUED, "20003", AttemptState.REFUSED),
        (Refused("21614", permanent=True, blame=Blame.ADDRESS), Status.DEAD, "21614", AttemptState.REFUSED),
        (Refused("21617", permanent=True), Status.DEAD, "21617", AttemptState.REFUSED),
        (OutcomeUnknown("fake", "no answer"), Status.UNKNOWN, IN_DOUBT, AttemptState.UNKNOWN),
    ],
    ids=["unavailable", "for_now", "handset", "provider", "address", "message", "unknown"],
)
async def test_each_failure_has_its_consequence(
    store: Deliveries, failure: Failure, status: Status, reason: str, state: AttemptState
) -> None:
    after = await said(store, await calling(store), failure)
    assert (after.status, after.reason) == (status, reason)
    assert (after.finished_at_ms is not None) is (status is Status.DEAD)
    (attempt,) = (await history(store, after.id)).attempts
    assert attempt.state is state
    if status is Status.QUEUED:  # but not at once
        assert attempt.finished_at_ms is not None
        assert after.due_at_ms > attempt.finished_at_ms
    else:
        assert not await store.claims.claim(after.channel, 1)


async def test_a_handset_that_is_off_is_tried_once_more(store: Deliveries, engine: AsyncEngine) -> None:
    off = Refused("30003", permanent=False, blame=Blame.HANDSET)
    first = await said(store, await calling(store), off)
    assert first.status is Status.QUEUED
    await time_passes(engine, HANDSET_PAUSE_MS / 1000 + 1)
    claimed = await claimed_one(store)
    await begun(store, claimed)
    assert (await said(store, claimed, off, number=2)).status is Status.DEAD


async def test_to_send_twice_is_no_doubt_where_it_is_harmless(store: Deliveries) -> None:
    after = await said(store, await calling(store), OutcomeUnknown("smtp", "cut"), harmless=True)
    assert after.status is Status.QUEUED
    assert (await history(store, after.id)).attempts[0].state is AttemptState.UNKNOWN


async def test_another_provider_is_asked_under_the_same_lease(store: Deliveries) -> None:
    claimed = await calling(store)
    [kept] = await store.attempts.end(
        [Result(claimed=claimed, number=1, said=Unavailable("fake", "away"), elsewhere=True)]
    )
    assert kept is not None
    assert not await store.claims.claim(kept.channel, 1)
    assert await begun(store, Claimed(delivery=kept, token=claimed.token), "other") is not None
    attempts = (await history(store, kept.id)).attempts
    assert [(one.number, one.provider) for one in attempts] == [(1, "fake"), (2, "other")]


async def test_a_refusal_for_good_goes_nowhere_else(store: Deliveries) -> None:
    refusal = Refused("x", permanent=True)
    [kept] = await store.attempts.end([Result(claimed=await calling(store), number=1, said=refusal, elsewhere=True)])
    assert kept is None


@pytest.mark.parametrize(
    "failure",
    [Unavailable("fake", "x"), Refused("x", permanent=True), OutcomeUnknown("fake", "x")],
    ids=["unavailable", "refused", "unknown"],
)
async def test_a_late_failure_changes_nothing_of_the_delivery(
    store: Deliveries, engine: AsyncEngine, failure: Failure
) -> None:
    claimed = await calling(store)
    await time_passes(engine, 61)
    await store.sweeps.reap()
    before = await now(store, claimed.delivery.id)
    assert await said(store, claimed, failure) == before
    assert store.attempts.late == 1


async def test_a_late_success_settles_a_doubt(store: Deliveries, engine: AsyncEngine) -> None:
    claimed = await calling(store)
    await time_passes(engine, 61)
    await store.sweeps.reap()
    assert (await now(store, claimed.delivery.id)).status is Status.UNKNOWN
    assert (await said(store, claimed, ACCEPTED)).status is Status.ACCEPTED


async def test_a_late_success_stops_another_try(store: Deliveries, engine: AsyncEngine) -> None:
    """The provider was thought not to have it; another worker has claimed it again, and hears in time."""
    first = await calling(store)
    await said(store, first, Unavailable("fake", "x"))
    await time_passes(engine, 61)
    second = await claimed_one(store)
    assert (await said(store, first, ACCEPTED)).status is Status.ACCEPTED
    assert await begun(store, second) is None


async def test_a_result_that_is_repeated_counts_once(store: Deliveries) -> None:
    claimed = await calling(store)
    refusal = Refused("429", permanent=False)
    first = await said(store, claimed, refusal)
    assert await said(store, claimed, refusal) == first
    accepted = await calling(store)
    once = await said(store, accepted, ACCEPTED)
    assert await said(store, accepted, ACCEPTED) == once


async def test_a_bad_address_is_told_before_it_is_stored(engine: AsyncEngine) -> None:
    bad: list[tuple[int, str, Status]] = []

    async def on_bad_address(delivery: Delivery, reason: str) -> None:
        bad.append((delivery.id, reason, (await now(store, delivery.id)).status))

    store = Deliveries(engine, on_bad_address=on_bad_address)
    claimed = await calling(store)
    await said(store, claimed, Refused("21614", permanent=True, blame=Blame.ADDRESS))
    await said(store, await calling(store), Refused("21617", permanent=True))
    assert bad == [(claimed.delivery.id, "21614", Status.CALLING)]


async def test_many_are_stored_together(store: Deliveries) -> None:
    await store.add([new() for _ in range(300)])
    batch = [one for _ in range(2) for one in await store.claims.claim(new().channel, 150)]
    going = await store.attempts.begin([Intent(claimed=one, provider="fake", number=1) for one in batch])
    assert None not in going
    await store.attempts.end([Result(claimed=one, number=1, said=ACCEPTED) for one in batch])
    assert {(await now(store, one.delivery.id)).status for one in batch[::50]} == {Status.ACCEPTED}


async def test_garbage_of_a_provider_can_be_stored(store: Deliveries) -> None:
    garbage = Outcome(status="accepted", id="x\0\ud800" + "y" * 500, detail="\0" * 3 + "é" * 100, cost=2**40)
    after = await said(store, await calling(store), garbage)
    assert after.status is Status.ACCEPTED
    assert after.provider_id is not None
    assert len(after.provider_id) == 128
    assert (await said(store, await calling(store), Refused("\0\udfff" * 99, permanent=True))).status is Status.DEAD


async def test_a_result_of_a_delivery_that_is_gone_is_nothing(store: Deliveries, engine: AsyncEngine) -> None:
    claimed = await calling(store)
    gone = Claimed(delivery=claimed.delivery.__class__(**{**_fields(claimed.delivery), "id": 10**6}), token="t")
    assert await store.attempts.end([Result(claimed=gone, number=1, said=ACCEPTED)]) == [None]
    assert await store.attempts.begin([Intent(claimed=gone, provider="fake", number=2)]) == [None]


def _fields(delivery: Delivery) -> dict[str, object]:
    return {name: getattr(delivery, name) for name in delivery.__struct_fields__}
