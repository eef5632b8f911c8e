"""Rows that nobody can read, written by another release or spoilt: they end alone, and hold up nothing."""

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.errors import OutcomeUnknown
from notifiers.outbox import retries
from notifiers.outbox.attempts import Result
from notifiers.outbox.awaited import Found, Nothing
from notifiers.outbox.deliveries import Deliveries, Redrive
from notifiers.outbox.delivery import UNREADABLE, Delivery, Status
from notifiers.outbox.provider import Outcome
from notifiers.way import Way
from schemas.tables import deliveries, delivery_attempts
from tests.notifiers.outbox.people import (
    CueProvider,
    calling,
    claimed_one,
    new,
    now,
    said,
    time_passes,
)
from tests.notifiers.outbox.test_worker import working

SPOILT = [{"content": "{bad"}, {"content": "[1]"}, {"kind": "newkind"}]


async def spoil(engine: AsyncEngine, delivery: int | None = None, **values: Any) -> None:
    """The delivery, or all."""
    which = [] if delivery is None else [deliveries.c.id == delivery]
    async with engine.begin() as connection:
        await connection.execute(update(deliveries).where(*which).values(values))


async def stored(engine: AsyncEngine, key: str) -> tuple[str, str | None, str | None, bool]:
    rows = deliveries.c
    query = select(rows.status, rows.reason, rows.lease_token, rows.finished_at_ms.is_not(None))
    async with engine.connect() as connection:
        status, reason, token, finished = (await connection.execute(query.where(rows.key == key))).one()
        return status, reason, token, finished


DEAD = ("dead", UNREADABLE, None, True)


@pytest.mark.parametrize("spoilt", SPOILT, ids=["no-json", "no-object", "kind"])
async def test_a_claim_ends_what_it_cannot_read_and_takes_the_others(
    store: Deliveries, engine: AsyncEngine, spoilt: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    await store.add([new("odd")])
    await spoil(engine, **spoilt)
    await store.add([new("fine")])
    assert [one.delivery.key for one in await store.claims.claim(Way.SMS, 10)] == ["fine"]
    assert await stored(engine, "odd") == DEAD
    assert await store.claims.claim(Way.SMS, 10) == []
    assert [one.message for one in caplog.records if one.levelno >= logging.ERROR] == ["delivery.unreadable"]


@pytest.mark.parametrize("sweep", ["reap", "expire", "explain"])
async def test_sweeps_end_what_they_cannot_read(store: Deliveries, engine: AsyncEngine, sweep: str) -> None:
    await store.add([new("odd", lives_ms=5_000), new("fine", lives_ms=5_000)])
    if sweep == "reap":
        await store.claims.claim(Way.SMS, 10)
    async with engine.begin() as connection:
        await connection.execute(update(deliveries).where(deliveries.c.key == "odd").values(content="{bad"))
    if sweep == "explain":
        await store.sweeps.explain([Way.SMS], "away")
    else:
        await time_passes(engine, 61)
        assert await getattr(store.sweeps, sweep)() == 1
    assert await stored(engine, "odd") == DEAD
    assert (await stored(engine, "fine"))[1] != UNREADABLE


async def test_what_is_awaited_and_cannot_be_read_is_ended(store: Deliveries, engine: AsyncEngine) -> None:
    claimed = await calling(store, key="odd")
    await said(store, claimed, OutcomeUnknown("fake", "no answer"))
    await time_passes(engine, retries.ASK_AFTER_MS / 1000 + 1)
    await spoil(engine, content="{bad")
    assert await store.awaiting.claim(10) == []
    assert await stored(engine, "odd") == DEAD


async def test_a_result_of_what_cannot_be_read_any_more_changes_nothing_else(
    store: Deliveries, engine: AsyncEngine
) -> None:
    claimed = await calling(store, key="odd")
    await spoil(engine, content="{bad")
    result = Result(claimed=claimed, number=1, said=Outcome(status="accepted", id="x"))
    assert await store.attempts.end([result]) == [None]
    assert await stored(engine, "odd") == DEAD
    assert await store.report(claimed.delivery.id, 1, Outcome(status="delivered"), key="r") is None


async def test_lists_leave_out_what_cannot_be_read(store: Deliveries, engine: AsyncEngine) -> None:
    await store.add([new("odd", alert_id=7), new("fine", alert_id=7), new("new-state", alert_id=7)])
    async with engine.begin() as connection:
        rows = deliveries.c
        await connection.execute(update(deliveries).where(rows.key == "odd").values(content="{bad"))
        await connection.execute(update(deliveries).where(rows.key == "new-state").values(status="newstatus"))
    found, total = await store.of_alert(7, limit=10)
    assert ([one.delivery.key for one in found], total) == (["fine"], 3)
    found, _ = await store.listed(Status.QUEUED, limit=10)
    assert [one.delivery.key for one in found] == ["fine"]


async def test_the_unreadable_are_redriven_only_by_their_reason(store: Deliveries, engine: AsyncEngine) -> None:
    await store.add([new("odd")])
    await spoil(engine, content="{bad")
    assert await store.claims.claim(Way.SMS, 1) == []
    await spoil(engine, content="{}")  # by a release that can read it
    assert await store.redrive(Redrive(lives_s=60)) == 0
    assert await store.redrive(Redrive(lives_s=60, reason=UNREADABLE)) == 1
    assert (await claimed_one(store)).delivery.key == "odd"


async def test_an_attempt_that_cannot_be_read_counts_as_missing(store: Deliveries, engine: AsyncEngine) -> None:
    claimed = await calling(store)
    async with engine.begin() as connection:
        await connection.execute(update(delivery_attempts).values(state="newstate"))
    await time_passes(engine, 61)
    assert await store.sweeps.reap() == 1
    assert (await now(store, claimed.delivery.id)).status is Status.UNKNOWN


async def _in_doubt(store: Deliveries, engine: AsyncEngine) -> Delivery:
    claimed = await calling(store)
    await said(store, claimed, OutcomeUnknown("fake", "no answer"))
    await time_passes(engine, retries.ASK_AFTER_MS / 1000 + 1)
    return await now(store, claimed.delivery.id)


async def _forget_attempts(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(delete(delivery_attempts))


async def test_a_doubt_without_its_attempt_stays_one_until_it_is_too_late(
    store: Deliveries, engine: AsyncEngine
) -> None:
    delivery = await _in_doubt(store, engine)
    await _forget_attempts(engine)
    assert await store.awaiting.claim(10) == []
    after = await now(store, delivery.id)
    assert (after.status, after.finished_at_ms) == (Status.UNKNOWN, None)
    assert after.due_at_ms > delivery.due_at_ms
    await time_passes(engine, 3_601)
    assert await store.awaiting.claim(10) == []
    assert (await now(store, delivery.id)).status is Status.DEAD


async def test_a_doubt_that_was_never_attempted_is_queued(store: Deliveries, engine: AsyncEngine) -> None:
    delivery = await _in_doubt(store, engine)
    await _forget_attempts(engine)
    await spoil(engine, attempts=0)
    assert await store.awaiting.claim(10) == []
    assert (await now(store, delivery.id)).status is Status.QUEUED


async def test_what_is_silent_without_its_attempt_is_looked_after_later(store: Deliveries, engine: AsyncEngine) -> None:
    delivery = await said(store, await calling(store), Outcome(status="accepted", id="x"))
    await _forget_attempts(engine)
    await time_passes(engine, retries.LOOK_AT_LEAST_EVERY_MS / 1000 + 1)
    assert await store.awaiting.claim(10) == []
    after = await now(store, delivery.id)
    assert after.status is Status.ACCEPTED
    assert after.due_at_ms > delivery.due_at_ms - retries.LOOK_AT_LEAST_EVERY_MS


async def test_an_attempt_that_is_gone_once_its_answer_comes_ends_nothing(
    store: Deliveries, engine: AsyncEngine
) -> None:
    delivery = await _in_doubt(store, engine)
    [awaited] = await store.awaiting.claim(10)
    await _forget_attempts(engine)
    await store.awaiting.settle([Found(awaited=awaited, said=Nothing.TAKEN)])
    assert (await now(store, delivery.id)).status is Status.UNKNOWN


async def test_facts_that_the_provider_cannot_read_end_the_delivery_at_once(engine: AsyncEngine) -> None:
    ended = asyncio.Event()

    def tell(changed: Any) -> None:
        if any(one.status is Status.DEAD for one in changed):
            ended.set()

    store = Deliveries(engine, on_progress=tell, chance=lambda: 0.0)
    provider = CueProvider("fake", Way.SMS, msgspec.ValidationError("Object missing required field"))
    provider.resend_unknown = True
    await store.add([new("odd")])
    async with working(store, provider), asyncio.timeout(10):
        await ended.wait()
    assert await stored(engine, "odd") == DEAD
    assert len(provider.jobs) == 1


async def test_facts_that_a_gate_cannot_read_are_left_to_the_provider(store: Deliveries) -> None:
    async def gate(asked: Any, _: Any) -> dict[int, Any]:
        if any(one.key == "odd" for one in asked):
            raise msgspec.ValidationError("Object missing required field")
        return {}

    provider = CueProvider()
    both = asyncio.Event()
    provider.always = lambda: (len(provider.jobs) == 2 and both.set()) or Outcome(status="accepted", id="x")
    await store.add([new("odd"), new("fine")])
    async with working(store, provider, gates=[gate]), asyncio.timeout(10):
        await both.wait()
    assert {job.delivery.key for job in provider.jobs} == {"odd", "fine"}
