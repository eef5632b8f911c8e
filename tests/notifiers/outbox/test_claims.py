import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.outbox.claims import NO_ENDPOINT
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import Delivery, Status
from notifiers.outbox.gates import Hold, Instead, Skip, Verdict
from notifiers.outbox.provider import Outcome
from notifiers.way import Way
from tests.notifiers.outbox.people import begun, claimed_one, new, now, said, time_passes


async def test_the_same_key_asks_for_one_delivery(store: Deliveries) -> None:
    await store.add([new("a", content='{"n":1}'), new("a", content='{"n":2}')])
    await store.add([new("a"), new("b")])
    assert [one.delivery.key for one in await store.claims.claim(Way.SMS, 10)] == ["a", "b"]


async def test_what_is_claimed_is_nobody_elses(store: Deliveries) -> None:
    await store.add([new() for _ in range(40)])
    batches = await asyncio.gather(*(store.claims.claim(Way.SMS, 7) for _ in range(8)))
    ids = [one.delivery.id for batch in batches for one in batch]
    assert len(ids) == len(set(ids))
    assert all(len(batch) <= 7 for batch in batches)
    rest = await store.claims.claim(Way.SMS, 100)
    assert len(ids) + len(rest) == 40


async def test_the_most_urgent_are_claimed_first(store: Deliveries) -> None:
    await store.add([new("late", priority=5), new("middle", priority=3), new("first", priority=0)])
    assert [one.delivery.key for one in await store.claims.claim(Way.SMS, 2)] == ["first", "middle"]


@pytest.mark.parametrize("way", [Way.SMS, Way.VOICE])
async def test_who_has_many_due_does_not_keep_others_waiting(store: Deliveries, way: Way) -> None:
    await store.add([new(user="many", channel=way) for _ in range(200)])
    await store.add([new("other", user="other", channel=way)])
    urgent = new("urgent", user="many", channel=way, priority=0)
    await store.add([urgent])
    order = []
    for _ in range(3):
        [claimed] = await store.claims.claim(way, 1)
        order.append(claimed.delivery.user)
        assert await begun(store, claimed) is not None
        await said(store, claimed, Outcome(status="accepted", id="x"))
    assert order == ["many", "other", "many"]


async def test_users_take_turns_within_one_claim(store: Deliveries) -> None:
    await store.add([new(user=user, channel=Way.VOICE) for user in ("a",) * 5 + ("b",) * 2 + ("c",)])
    users = [one.delivery.user for one in await store.claims.claim(Way.VOICE, 5)]
    assert sorted(users) == ["a", "a", "b", "b", "c"]


async def test_only_what_is_due_by_the_channel_is_claimed(store: Deliveries, engine: AsyncEngine) -> None:
    await store.add([new("mail", channel=Way.EMAIL), new("later", after_ms=60_000)])
    assert await store.claims.claim(Way.SMS, 10) == []
    assert await store.claims.due([Way.SMS, Way.EMAIL, Way.PUSH]) == {Way.EMAIL}
    await time_passes(engine, 61)
    assert await store.claims.due([Way.SMS]) == {Way.SMS}
    assert (await claimed_one(store)).delivery.key == "later"


async def test_what_is_given_back_is_claimed_at_once(store: Deliveries) -> None:
    await store.add([new()])
    first = await claimed_one(store)
    await store.claims.release([first])
    second = await claimed_one(store)
    assert second.delivery == first.delivery
    assert second.token != first.token


async def test_a_claim_that_is_lost_gives_nothing_back(store: Deliveries, engine: AsyncEngine) -> None:
    await store.add([new()])
    first = await claimed_one(store)
    await time_passes(engine, 61)
    await store.sweeps.reap()
    second = await claimed_one(store)
    await store.claims.release([first])
    assert await store.claims.claim(Way.SMS, 1) == []
    assert await begun(store, first) is None
    assert await begun(store, second) is not None


async def test_what_is_held_waits_with_its_reason(store: Deliveries, engine: AsyncEngine, told: list[Delivery]) -> None:
    await store.add([new(lives_ms=600_000)])
    claimed = await claimed_one(store)
    until_ms = claimed.delivery.due_at_ms + 300_000
    await store.claims.judge([(claimed, Hold(until_ms, "quiet hours"))])
    held = await now(store, claimed.delivery.id)
    assert (held.status, held.reason, held.due_at_ms) == (Status.QUEUED, "quiet hours", until_ms)
    assert told == [held]
    assert await store.claims.claim(Way.SMS, 1) == []
    await time_passes(engine, 301)
    assert (await claimed_one(store)).delivery.id == held.id


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_hold_beyond_the_deadline_keeps_it_or_lets_it_pass(store: Deliveries, keeps: bool) -> None:
    await store.add([new(lives_ms=600_000)])
    claimed = await claimed_one(store)
    before = claimed.delivery
    until_ms = before.due_at_ms + 3_600_000
    await store.claims.judge([(claimed, Hold(until_ms, "quiet hours", keeps=keeps))])
    held = await now(store, before.id)
    if keeps:
        assert (held.due_at_ms, held.expires_at_ms) == (until_ms, before.expires_at_ms + 3_600_000)
    else:
        assert held.due_at_ms == held.expires_at_ms == before.expires_at_ms


@pytest.mark.parametrize("verdict", [Skip("suppressed"), Instead(Way.EMAIL, "quiet hours")])
async def test_what_is_skipped_is_final_and_may_go_by_another_channel(store: Deliveries, verdict: Verdict) -> None:
    await store.add([new("a", content='{"n":7}', priority=2, alert_id=5)])
    claimed = await claimed_one(store)
    await store.claims.judge([(claimed, verdict)])
    await store.claims.judge([(claimed, verdict)])  # as after a commit that was not heard of
    skipped = await now(store, claimed.delivery.id)
    assert (skipped.status, skipped.reason) == (Status.SKIPPED, verdict.reason if not isinstance(verdict, Hold) else "")
    assert skipped.finished_at_ms is not None
    instead = [one.delivery for one in await store.claims.claim(Way.EMAIL, 10)]
    assert len(instead) == isinstance(verdict, Instead)
    for one in instead:
        assert (one.content, one.priority, one.alert_id, one.user) == ({"n": 7}, 2, 5, "u1")
        assert abs(one.expires_at_ms - skipped.expires_at_ms) < 1_000
        assert one.key != "a"


async def test_one_delivery_is_made_for_each_endpoint(store: Deliveries) -> None:
    await store.add([new("a", channel=Way.PUSH, unless_acknowledged=True)])
    claimed = await claimed_one(store, Way.PUSH)
    mine = await store.claims.divide(claimed, ["e1", "e2", "e3"])
    assert mine is not None
    assert (mine.delivery.endpoint, mine.delivery.key, mine.token) == ("e1", "a", claimed.token)
    others = [one.delivery for one in await store.claims.claim(Way.PUSH, 10)]
    assert [one.endpoint for one in others] == ["e2", "e3"]
    assert all(one.unless_acknowledged for one in others)
    assert await begun(store, mine) is not None


async def test_a_delivery_without_endpoints_is_skipped(store: Deliveries) -> None:
    await store.add([new(channel=Way.WEBHOOK)])
    claimed = await claimed_one(store, Way.WEBHOOK)
    assert await store.claims.divide(claimed, []) is None
    skipped = await now(store, claimed.delivery.id)
    assert (skipped.status, skipped.reason) == (Status.SKIPPED, NO_ENDPOINT)


async def test_dividing_again_after_the_lease_makes_no_more(store: Deliveries, engine: AsyncEngine) -> None:
    """The worker dies between dividing and attempting; another one finds one whole delivery per endpoint."""
    await store.add([new("a", channel=Way.PUSH)])
    await store.claims.divide(await claimed_one(store, Way.PUSH), ["e1", "e2"])
    await time_passes(engine, 61)
    await store.sweeps.reap()
    assert sorted(one.delivery.endpoint for one in await store.claims.claim(Way.PUSH, 10)) == ["e1", "e2"]
