"""Deliveries to be made, the people whom they are for, and providers that fail on cue."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.errors import OutcomeUnknown, Refused
from notifiers.outbox.attempts import Intent, Result
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import Delivery, History, Kind, NewDelivery
from notifiers.outbox.ledger import Claimed
from notifiers.outbox.provider import Addressee, Job, Outcome
from notifiers.outbox.retries import Failure
from notifiers.way import Way
from schemas.errors import Unavailable
from schemas.tables import alerts, deliveries, triggers

_numbers = itertools.count(1)

Answer = Outcome | Refused | Unavailable | OutcomeUnknown | Exception


def new(key: str = "", **others: Any) -> NewDelivery:
    """A delivery that is due at once and lives for an hour."""
    given = {"user": "u1", "kind": Kind.ALERT, "channel": Way.SMS, "content": '{"n":1}', "lives_ms": 3_600_000}
    return NewDelivery(key=key or f"k{next(_numbers)}", **(given | others))


async def addressees_of(users: Collection[str]) -> Mapping[str, Addressee]:
    """Everybody is there, but for `nobody`."""
    return {user: Addressee(user=user) for user in users if user != "nobody"}


async def endpoints_of(_: Way, user: str) -> Sequence[str]:
    """As many as the user's name says: `u2` has two."""
    return [f"e{number}" for number in range(int(user.removeprefix("u")))]


def token_of(delivery_id: int, attempt: int) -> str:
    return f"{delivery_id}.{attempt}"


async def time_passes(engine: AsyncEngine, seconds: float) -> None:
    """As far as the deliveries can tell: all their times are so much longer ago."""
    names = ("due_at_ms", "expires_at_ms", "lease_until_ms", "sent_at_ms")
    earlier = {name: deliveries.c[name] - round(seconds * 1000) for name in names}
    in_order = select(deliveries.c.id).order_by(deliveries.c.id).with_for_update()
    async with engine.begin() as connection:
        await connection.execute(in_order)  # as the workers lock, so that nobody waits in a ring
        await connection.execute(update(deliveries).values(earlier))


async def fired(engine: AsyncEngine) -> int:
    """An alert that has fired: the id of its trigger."""
    now = {"created_at_ms": 0, "updated_at_ms": 0}
    alert = now | {
        "user_id": "u1",
        "exchange": "NSE",
        "symbol": "TCS",
        "shard": 0,
        "status": "active",
        "version": 1,
        "condition": "price > 1",
        "tree": "{}",
        "options": "{}",
        "channels": "[]",
        "delay_s": 0,
        "fired": 1,
    }
    times = dict.fromkeys(("at_ms", "received_at_ms", "evaluated_at_ms", "enqueued_at_ms"), 0)
    async with engine.begin() as connection:
        alert_id = (await connection.execute(insert(alerts).values(alert))).inserted_primary_key[0]
        trigger = times | {"alert_id": alert_id, "number": 1, "kind": "fired", "user_id": "u1", "facts": "{}"}
        return int((await connection.execute(insert(triggers).values(trigger))).inserted_primary_key[0])


async def claimed_one(store: Deliveries, way: Way = Way.SMS) -> Claimed:
    """The only delivery that is due."""
    [claimed] = await store.claims.claim(way, 10)
    return claimed


async def begun(store: Deliveries, claimed: Claimed, provider: str = "fake") -> Delivery | None:
    """Its next attempt, written down."""
    intent = Intent(claimed=claimed, provider=provider, number=claimed.delivery.attempts + 1)
    [delivery] = await store.attempts.begin([intent])
    return delivery


async def calling(store: Deliveries, **others: Any) -> Claimed:
    """A new delivery that a provider is being asked about."""
    await store.add([new(**others)])
    claimed = await claimed_one(store, others.get("channel", Way.SMS))
    delivery = await begun(store, claimed)
    assert delivery is not None
    return Claimed(delivery=delivery, token=claimed.token)


async def said(
    store: Deliveries, claimed: Claimed, answer: Outcome | Failure, number: int = 1, **others: bool
) -> Delivery:
    """The delivery after this result."""
    await store.attempts.end([Result(claimed=claimed, number=number, said=answer, **others)])
    return await now(store, claimed.delivery.id)


async def now(store: Deliveries, delivery_id: int) -> Delivery:
    """The delivery as it is."""
    return (await history(store, delivery_id)).delivery


async def history(store: Deliveries, delivery_id: int) -> History:
    found = await store.find(delivery_id)
    assert found is not None
    return found


class CueProvider:
    """Answers as it was told to, one call after the other, and accepts where it wasn't told anything."""

    def __init__(self, name: str = "fake", way: Way = Way.SMS, *answers: Answer) -> None:
        self.name = name
        self.way = way
        self.time_limit_s = 5.0
        self.resend_unknown = False
        self.answers: list[Answer] = list(answers)
        self.always: Callable[[], Answer] = lambda: Outcome(status="accepted", id=f"id{len(self.jobs)}")
        self.jobs: list[Job] = []
        self.found: list[Outcome | Unavailable | None] = []
        self.seen: list[Outcome | Refused | Unavailable | None] = []
        self.searched: list[Job] = []
        self.closed = 0
        self.hold = asyncio.Event()
        """Calls wait for it."""
        self.hold.set()
        self.asked = asyncio.Event()

    async def send(self, job: Job) -> Outcome:
        self.jobs.append(job)
        self.asked.set()
        await self.hold.wait()
        return _given(self.answers.pop(0) if self.answers else self.always())

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        self.searched.append(job)
        answer = self.found.pop(0) if self.found else None
        return None if answer is None else _given(answer)

    async def look(self, delivery: Delivery) -> Outcome | None:
        answer = self.seen.pop(0) if self.seen else None
        return None if answer is None else _given(answer)

    async def close(self) -> None:
        self.closed += 1


def _given(answer: Answer) -> Outcome:
    if isinstance(answer, Outcome):
        return answer
    raise answer
