import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.breaker import AFTER
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import AttemptState, Delivery, History, Status
from notifiers.outbox.gates import Hold, Instead, Skip, Verdict
from notifiers.outbox.pace import Pace
from notifiers.outbox.provider import Addressee, Outcome
from notifiers.outbox.worker import Worker
from notifiers.way import Way
from schemas.errors import Unavailable
from schemas.tables import deliveries
from tests.notifiers.outbox.people import (
    CueProvider,
    addressees_of,
    endpoints_of,
    history,
    new,
    time_passes,
    token_of,
)

AWAY = Unavailable("fake", "connection refused")


class News:
    """Waits for what becomes of deliveries."""

    def __init__(self) -> None:
        self.seen: list[Delivery] = []
        self._came = asyncio.Event()

    def __call__(self, changed: Sequence[Delivery]) -> None:
        self.seen += changed
        self._came.set()

    async def until(self, *statuses: Status, count: int = 1, key: str = "") -> list[Delivery]:
        """The first so many that came to one of these states (each once)."""
        async with asyncio.timeout(10):
            while True:
                found = {one.id: one for one in self.seen if one.status in statuses and (not key or one.key == key)}
                if len(found) >= count:
                    return list(found.values())
                self._came.clear()
                await self._came.wait()


@pytest.fixture
def news() -> News:
    return News()


@pytest.fixture
def store(engine: AsyncEngine, news: News) -> Deliveries:
    """Pauses are as short as they may be."""
    return Deliveries(engine, on_progress=news, chance=lambda: 0.0)


@asynccontextmanager
async def working(store: Deliveries, *providers: CueProvider, **others: Any) -> AsyncIterator[Worker]:
    """A worker that runs within the block, and is drained at its end."""
    ways: dict[Way, list[CueProvider]] = {}
    for provider in providers:
        ways.setdefault(provider.way, []).append(provider)
    given = {"addressees_of": addressees_of, "endpoints_of": endpoints_of, "token_of": token_of}
    worker = Worker(store, ways, **(given | {"poll_s": 0.02, "sweep_s": 0.02} | others))
    task = asyncio.create_task(worker.run())
    try:
        yield worker
        await worker.drain(5)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [provider.closed for provider in providers] == [1] * len(providers)


async def states(store: Deliveries, delivery: Delivery) -> list[tuple[str, AttemptState]]:
    found: History = await history(store, delivery.id)
    return [(one.provider, one.state) for one in found.attempts]


async def test_each_delivery_goes_to_its_provider_once(store: Deliveries, news: News) -> None:
    sms, mail = CueProvider(), CueProvider("smtp", Way.EMAIL)
    await store.add([new() for _ in range(150)] + [new(channel=Way.EMAIL) for _ in range(30)])
    async with working(store, sms, mail) as worker:
        await news.until(Status.ACCEPTED, count=180)
    assert len({job.delivery.id for job in sms.jobs}) == len(sms.jobs) == 150
    assert len({job.delivery.id for job in mail.jobs}) == len(mail.jobs) == 30
    assert worker.calls == {("fake", "accepted"): 150, ("smtp", "accepted"): 30}


async def test_a_job_says_what_its_provider_needs(store: Deliveries, news: News) -> None:
    provider = CueProvider()
    await store.add([new("a", content='{"n":1}'), new("b", content='{"language":"mr"}')])
    async with working(store, provider):
        await news.until(Status.ACCEPTED, count=2)
    first, second = sorted(provider.jobs, key=lambda job: job.delivery.key)
    assert (first.attempt, first.addressee, first.language) == (1, Addressee(user="u1"), "en")
    assert first.token == f"{first.delivery.id}.1"
    assert (first.delivery.status, first.delivery.attempts) == (Status.CALLING, 1)
    assert second.language == "mr"


async def test_several_workers_call_once(store: Deliveries, news: News) -> None:
    providers = [CueProvider() for _ in range(3)]
    await store.add([new() for _ in range(300)])
    async with working(store, providers[0]), working(store, providers[1]), working(store, providers[2]):
        await news.until(Status.ACCEPTED, count=300)
    ids = [job.delivery.id for provider in providers for job in provider.jobs]
    assert len(ids) == len(set(ids)) == 300


async def test_the_bell_is_quicker_than_the_poll(store: Deliveries, news: News) -> None:
    provider = CueProvider()
    async with working(store, provider, poll_s=3600) as worker:
        await store.add([new()])
        worker.ring()
        await news.until(Status.ACCEPTED)


async def test_the_most_urgent_goes_first(store: Deliveries, news: News) -> None:
    provider = CueProvider()
    await store.add([new(f"k{number}", priority=9 - number) for number in range(6)])
    async with working(store, provider, concurrency={Way.SMS: 1}):
        await news.until(Status.ACCEPTED, count=6)
    assert [job.delivery.key for job in provider.jobs] == [f"k{number}" for number in reversed(range(6))]


async def test_no_more_calls_at_a_time_than_allowed(store: Deliveries, news: News) -> None:
    provider = CueProvider()
    provider.hold.clear()
    await store.add([new() for _ in range(10)])
    async with working(store, provider, concurrency={Way.SMS: 3}):
        await news.until(Status.CALLING, count=3)
        await provider.asked.wait()
        await asyncio.sleep(0.1)  # time in which a fourth could begin
        assert len(provider.jobs) == 3
        provider.hold.set()
        await news.until(Status.ACCEPTED, count=10)


# -- failures ---------------------------------------------------------------------------------------------------------


async def test_what_could_not_be_asked_is_asked_again(store: Deliveries, news: News) -> None:
    provider = CueProvider("fake", Way.SMS, AWAY, Refused("429", permanent=False))
    await store.add([new()])
    async with working(store, provider):
        [done] = await news.until(Status.ACCEPTED)
    assert await states(store, done) == [
        ("fake", AttemptState.UNAVAILABLE),
        ("fake", AttemptState.REFUSED),
        ("fake", AttemptState.TAKEN),
    ]


@pytest.mark.parametrize(
    "first",
    [AWAY, Refused("429", permanent=False), Refused("20003", permanent=True, blame=Blame.PROVIDER)],
    ids=["unavailable", "for_now", "account"],
)
async def test_after_a_definite_no_the_next_provider_is_asked(store: Deliveries, news: News, first: Any) -> None:
    providers = CueProvider("one", Way.SMS, first), CueProvider("two")
    await store.add([new()])
    async with working(store, *providers):
        [done] = await news.until(Status.ACCEPTED)
    assert done.provider == "two"
    assert [len(provider.jobs) for provider in providers] == [1, 1]


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (OutcomeUnknown("one", "cut"), Status.UNKNOWN),
        (Refused("x", permanent=True), Status.DEAD),
        (Refused("x", permanent=True, blame=Blame.ADDRESS), Status.DEAD),
        (Refused("x", permanent=True, blame=Blame.HANDSET), Status.QUEUED),
    ],
    ids=["unknown", "message", "address", "handset"],
)
async def test_after_anything_else_no_other_provider_is_asked(
    store: Deliveries, news: News, first: Any, status: Status
) -> None:
    providers = CueProvider("one", Way.SMS, first), CueProvider("two")
    await store.add([new()])
    async with working(store, *providers):
        await news.until(status)
    assert [len(provider.jobs) for provider in providers] == [1, 0]


async def test_a_provider_that_stalls_is_in_doubt_after_its_limit(store: Deliveries, news: News) -> None:
    provider = CueProvider()
    provider.time_limit_s = 0.05
    provider.hold.clear()
    await store.add([new()])
    async with working(store, provider):
        [doubtful] = await news.until(Status.UNKNOWN)
    [attempt] = (await history(store, doubtful.id)).attempts
    assert (attempt.state, attempt.reason) == (AttemptState.UNKNOWN, "no answer in time")


async def test_a_bug_in_a_provider_spares_the_others(
    store: Deliveries, news: News, caplog: pytest.LogCaptureFixture
) -> None:
    provider = CueProvider("fake", Way.SMS, KeyError("price"))
    await store.add([new("a", priority=0), new("b")])
    async with working(store, provider, concurrency={Way.SMS: 1}):
        await news.until(Status.UNKNOWN, key="a")
        await news.until(Status.ACCEPTED, key="b")
    assert "delivery.bug" in caplog.messages


async def test_the_breaker_spares_a_provider_that_is_away(
    store: Deliveries, news: News, caplog: pytest.LogCaptureFixture
) -> None:
    provider = CueProvider()
    provider.always = lambda: AWAY
    await store.add([new() for _ in range(3 * AFTER)])
    with caplog.at_level(logging.ERROR):
        async with working(store, provider, concurrency={Way.SMS: 1}) as worker:
            waiting = await news.until(Status.QUEUED, count=3 * AFTER)
            assert worker.closed == [Way.SMS]
    assert len(provider.jobs) == AFTER
    assert {one.reason for one in waiting} == {"provider unavailable"}
    assert [record.message for record in caplog.records] == ["provider.away"]


async def test_after_a_pause_one_call_decides_whether_the_provider_is_back(store: Deliveries, news: News) -> None:
    clock = [1000.0]
    provider = CueProvider()
    provider.always = lambda: AWAY
    await store.add([new() for _ in range(AFTER + 5)])
    async with working(store, provider, concurrency={Way.SMS: 1}, clock=lambda: clock[0]) as worker:
        await news.until(Status.QUEUED, count=AFTER + 5)
        del provider.always
        provider.always = lambda: Outcome(status="accepted")
        clock[0] += 16
        for lane in worker._lanes.values():
            lane.ring()
        await news.until(Status.ACCEPTED, count=AFTER + 5)
        assert worker.closed == []


async def test_an_open_breaker_sends_everything_to_the_next_provider(store: Deliveries, news: News) -> None:
    refusal = Refused("20003", permanent=True, blame=Blame.PROVIDER)
    one, two = CueProvider("one", Way.SMS, refusal), CueProvider("two")
    await store.add([new()])
    async with working(store, one, two) as worker:
        await news.until(Status.ACCEPTED)
        await store.add([new() for _ in range(5)])
        worker.ring()
        await news.until(Status.ACCEPTED, count=6)
    assert [len(one.jobs), len(two.jobs)] == [1, 6]


async def test_one_dead_webhook_says_nothing_of_the_others(store: Deliveries, news: News) -> None:
    provider = CueProvider("webhook", Way.WEBHOOK, *[AWAY] * (2 * AFTER))
    await store.add([new(channel=Way.WEBHOOK, endpoint="e") for _ in range(2 * AFTER)])
    async with working(store, provider, concurrency={Way.WEBHOOK: 1}):
        await news.until(Status.ACCEPTED, count=2 * AFTER)


async def test_the_pace_is_kept(store: Deliveries, news: News) -> None:
    clock = [1000.0]
    provider = CueProvider()
    await store.add([new() for _ in range(4)])
    pace = Pace("fake", 1.0, clock=lambda: clock[0])
    async with working(store, provider, paces={"fake": pace}) as worker:
        for count in (1, 2, 3, 4):
            await news.until(Status.ACCEPTED, count=count)
            assert len(provider.jobs) == count
            clock[0] += 1.0
            worker._lanes[Way.SMS].ring()


async def test_what_is_too_late_is_dead(store: Deliveries, news: News, engine: AsyncEngine) -> None:
    provider = CueProvider()
    await store.add([new(lives_ms=1000)])
    await time_passes(engine, 2)
    async with working(store, provider):
        [dead] = await news.until(Status.DEAD)
    assert dead.reason == "expired"
    assert provider.jobs == []


# -- gates ------------------------------------------------------------------------------------------------------------


def gate(verdicts: Mapping[str, Verdict]) -> Callable[..., Awaitable[Mapping[int, Verdict]]]:
    """Says this of the deliveries with those keys."""

    async def judge(asked: Sequence[Delivery], people: Mapping[str, Addressee]) -> Mapping[int, Verdict]:
        assert all(one.user in people for one in asked)
        return {one.id: verdicts[one.key] for one in asked if one.key in verdicts}

    return judge


async def test_gates_hold_skip_and_turn_aside(store: Deliveries, news: News) -> None:
    sms, mail = CueProvider(), CueProvider("smtp", Way.EMAIL)
    await store.add([new("held"), new("skipped"), new("aside"), new("gone", user="nobody"), new("goes")])
    gates = [
        gate({"held": Hold(2**45, "quiet hours"), "skipped": Skip("switched off")}),
        gate({"aside": Instead(Way.EMAIL, "quiet hours"), "skipped": Hold(1, "never asked")}),
    ]
    async with working(store, sms, mail, gates=gates):
        await news.until(Status.ACCEPTED, count=2)
        await news.until(Status.SKIPPED, count=3)
    last = {one.key: (one.status, one.reason) for one in news.seen}
    assert [job.delivery.key for job in sms.jobs] == ["goes"]
    assert len(mail.jobs) == 1
    assert last["held"] == (Status.QUEUED, "quiet hours")
    assert last["skipped"] == (Status.SKIPPED, "switched off")
    assert last["aside"] == (Status.SKIPPED, "quiet hours")
    assert last["gone"] == (Status.SKIPPED, "no such user")


async def test_gates_that_cannot_tell_delay(store: Deliveries, news: News) -> None:
    failures = [Unavailable("Redis", "away")]

    async def sometimes(asked: Sequence[Delivery], _: Mapping[str, Addressee]) -> Mapping[int, Verdict]:
        if failures:
            raise failures.pop()
        return {}

    provider = CueProvider()
    await store.add([new()])
    async with working(store, provider, gates=[sometimes]):
        [done] = await news.until(Status.ACCEPTED)
    assert done.attempts == 1


async def test_a_bug_in_a_gate_holds_up_only_what_it_meets(
    store: Deliveries, news: News, caplog: pytest.LogCaptureFixture
) -> None:
    async def buggy(asked: Sequence[Delivery], _: Mapping[str, Addressee]) -> Mapping[int, Verdict]:
        return {one.id: Skip(one.content["reason"]) for one in asked if "reason" not in one.content or 1 / 0}

    async def picky(asked: Sequence[Delivery], people: Mapping[str, Addressee]) -> Mapping[int, Verdict]:
        bad = [one for one in asked if one.key == "bad"]
        return await buggy(bad, people)

    provider = CueProvider()
    await store.add([new("bad"), new("good")])
    async with working(store, provider, gates=[picky]):
        await news.until(Status.ACCEPTED, key="good")
        [held] = await news.until(Status.QUEUED, key="bad")
    assert held.reason == "internal error"
    assert "delivery.bug" in caplog.messages


async def test_push_goes_to_every_endpoint_of_its_owner(store: Deliveries, news: News) -> None:
    provider = CueProvider("push", Way.PUSH)
    await store.add([new(user="u3", channel=Way.PUSH), new(user="u0", channel=Way.PUSH)])
    async with working(store, provider):
        await news.until(Status.ACCEPTED, count=3)
        [skipped] = await news.until(Status.SKIPPED)
    assert sorted(job.delivery.endpoint for job in provider.jobs) == ["e0", "e1", "e2"]
    assert (skipped.user, skipped.reason) == ("u0", "no endpoint")


# -- doubts and silence -----------------------------------------------------------------------------------------------


async def doubtful(store: Deliveries, news: News, engine: AsyncEngine, provider: CueProvider) -> Delivery:
    """A delivery in doubt that is to be asked about, with nobody at work."""
    await store.add([new()])
    hurried, provider.resend_unknown = provider.resend_unknown, False
    async with working(store, provider):
        [delivery] = await news.until(Status.UNKNOWN)
    provider.resend_unknown = hurried
    provider.closed = 0
    news.seen.clear()
    await time_passes(engine, 10)
    return delivery


@pytest.mark.parametrize(("found", "calls"), [(Outcome(status="sent", id="x"), 1), (None, 2)], ids=["has", "has_not"])
async def test_a_doubt_is_settled_by_asking(
    store: Deliveries, news: News, engine: AsyncEngine, found: Outcome | None, calls: int
) -> None:
    provider = CueProvider("fake", Way.SMS, OutcomeUnknown("fake", "cut"))
    delivery = await doubtful(store, news, engine, provider)
    provider.found = [found]
    async with working(store, provider):
        await news.until(Status.SENT, Status.ACCEPTED)
    assert len(provider.jobs) == calls
    [job] = provider.searched
    assert (job.delivery.id, job.attempt, job.token) == (delivery.id, 1, f"{delivery.id}.1")


async def test_a_doubt_that_cannot_be_settled_is_asked_about_again(
    store: Deliveries, news: News, engine: AsyncEngine
) -> None:
    provider = CueProvider("fake", Way.SMS, OutcomeUnknown("fake", "cut"))
    await doubtful(store, news, engine, provider)
    provider.found = [AWAY, Outcome(status="sent")]
    async with working(store, provider):
        while len(provider.searched) < 2:
            await time_passes(engine, 15)
            await asyncio.sleep(0.02)
        await news.until(Status.SENT)
    assert len(provider.jobs) == 1


async def test_where_it_is_harmless_it_is_sent_again_without_asking(
    store: Deliveries, news: News, engine: AsyncEngine
) -> None:
    provider = CueProvider("fake", Way.SMS, OutcomeUnknown("fake", "cut"))
    provider.resend_unknown = True
    await doubtful(store, news, engine, provider)
    async with working(store, provider):
        await news.until(Status.ACCEPTED)
    assert len(provider.jobs) == 2
    assert provider.searched == []


async def test_a_silent_provider_is_looked_after(store: Deliveries, news: News, engine: AsyncEngine) -> None:
    provider = CueProvider()
    await store.add([new()])
    async with working(store, provider):
        await news.until(Status.ACCEPTED)
        provider.seen = [None, AWAY, Outcome(status="delivered")]
        while provider.seen:
            await time_passes(engine, 300)
            await asyncio.sleep(0.02)
        await news.until(Status.DELIVERED)


async def test_a_provider_that_is_not_here_any_more_leaves_a_doubt(
    store: Deliveries, news: News, engine: AsyncEngine
) -> None:
    provider = CueProvider("fake", Way.SMS, OutcomeUnknown("fake", "cut"))
    delivery = await doubtful(store, news, engine, provider)
    async with engine.begin() as connection:
        await connection.execute(update(deliveries).values(expires_at_ms=0))
    async with working(store, CueProvider("other")):
        [dead] = await news.until(Status.DEAD)
    assert (dead.id, dead.reason) == (delivery.id, "unknown")


# -- the end ----------------------------------------------------------------------------------------------------------


async def test_draining_finishes_the_calls_in_flight_and_begins_no_more(store: Deliveries, news: News) -> None:
    provider = CueProvider()
    provider.hold.clear()
    await store.add([new("a", priority=0), new("b")])
    async with working(store, provider, concurrency={Way.SMS: 1}) as worker:
        await provider.asked.wait()
        draining = asyncio.create_task(worker.drain(10))
        await asyncio.sleep(0.05)  # time in which it could wrongly end
        assert not draining.done()
        provider.hold.set()
        await draining
    assert [job.delivery.key for job in provider.jobs] == ["a"]
    assert news.seen[-1].status is Status.ACCEPTED
    assert [one.delivery.key for one in await store.claims.claim(Way.SMS, 10)] == ["b"]


async def test_draining_has_an_end(store: Deliveries) -> None:
    provider = CueProvider()
    provider.hold.clear()
    await store.add([new()])
    async with working(store, provider) as worker:
        await provider.asked.wait()
        await worker.drain(0.05)
        provider.hold.set()


def test_a_call_must_end_before_its_lease(store: Deliveries) -> None:
    provider = CueProvider()
    provider.time_limit_s = 58
    with pytest.raises(ValueError, match="lease"):
        Worker(store, {Way.SMS: [provider]}, addressees_of=addressees_of, endpoints_of=endpoints_of, token_of=token_of)


async def test_a_process_whose_clock_jumps_loses_nothing_and_doubles_nothing(
    store: Deliveries, news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases, deadlines and what is due are by the database's clock: three days ahead or behind is the same."""
    provider = CueProvider()
    jumps = itertools.cycle([-3, 0, 3])
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + next(jumps) * 86_400)
    await store.add([new() for _ in range(20)])
    await store.add([new("later", after_ms=3_600_000)])
    async with working(store, provider):
        await news.until(Status.ACCEPTED, count=20)
    assert len(provider.jobs) == 20
    assert {one.status for one in news.seen} == {Status.CALLING, Status.ACCEPTED}
