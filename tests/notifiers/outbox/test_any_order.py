"""Several workers, reports of providers, people and the passing of time, in any order: what always holds."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.database import engine_for
from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.attempts import Intent, Result
from notifiers.outbox.awaited import Awaited, Found, Nothing
from notifiers.outbox.deliveries import Deliveries, Redrive
from notifiers.outbox.delivery import FINAL, IN_DOUBT, Delivery, Status
from notifiers.outbox.ledger import Claimed
from notifiers.outbox.provider import Outcome
from notifiers.outbox.retries import Failure
from notifiers.outbox.rows import delivery_of
from notifiers.outbox.transitions import RANK
from notifiers.way import Way
from schemas.errors import Unavailable
from schemas.tables import deliveries, delivery_attempts, provider_reports
from tests.notifiers.outbox.conftest import Place
from tests.notifiers.outbox.people import new, time_passes

T = TypeVar("T")
LEASE_S = 60
CALL_S = 15
"""A worker that was held up for longer doesn't call any more."""

FAILURES: list[Failure] = [
    Unavailable("fake", "away"),
    Refused("429", permanent=False),
    Refused("30003", permanent=False, blame=Blame.HANDSET),
    Refused("21617", permanent=True),
]
OUTCOMES = [Outcome(status=one) for one in ("accepted", "sent", "delivered", "read")]  # type: ignore[arg-type]


def _of(several: Sequence[T], place: int) -> T:
    """Which one, of however many there are, the mostly among the newest."""
    return several[-1 - place // 3 % len(several)]


@dataclass
class Call:
    """An attempt that is written down; then made; then told of, or not as its worker was killed."""

    claimed: Claimed
    number: int
    begun_s: float
    said: Outcome | Failure | None = None


class Outbox:
    """What a provider and several workers know, beside what is stored."""

    def __init__(self, runner: asyncio.Runner, engine: AsyncEngine) -> None:
        self.runner = runner
        self.engine = engine
        self.store = Deliveries(self.engine, lease_s=LEASE_S, chance=lambda: 0.0)
        self.now_s = 0.0
        self.reports = 0
        self.claims: list[Claimed] = []
        self.calls: list[Call] = []
        self.questions: list[tuple[Awaited, float]] = []
        self.made: Counter[tuple[int, int]] = Counter()
        """Calls, by delivery and attempt."""
        self.has: set[tuple[int, int]] = set()
        """Attempts that the provider has taken."""
        self.excused: Counter[int] = Counter()
        """Why a delivery may have been taken once more: it was refused afterwards, or somebody wished it."""
        self.last: dict[int, Delivery] = {}
        self.excuses_seen: Counter[int] = Counter()
        self.do(self._empty())
        self.do(self.store.add([new(f"k{key}", alert_id=1 + key % 2, lives_ms=10**8) for key in range(2)]))

    def do(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        return self.runner.run(wait())

    async def _empty(self) -> None:
        async with self.engine.begin() as connection:
            for table in (delivery_attempts, deliveries, provider_reports):
                await connection.execute(delete(table))

    def all(self) -> dict[int, Delivery]:
        async def read() -> dict[int, Delivery]:
            async with self.engine.connect() as connection:
                rows = (await connection.execute(select(deliveries))).mappings()
                return {one.id: one for one in map(delivery_of, rows)}

        return self.do(read())

    # -- what happens ----------------------------------------------------------------------------------------------

    def ask(self, place: int, _: bool) -> None:
        self.do(self.store.add([new(f"k{place}", alert_id=1 + place % 2, lives_ms=10**8)]))

    def claim(self, place: int, _: bool) -> None:
        claimed = self.do(self.store.claims.claim(Way.SMS, 1 + place % 3))
        assert len(claimed) <= 1 + place % 3
        self.claims += claimed

    def give_back(self, place: int, _: bool) -> None:
        if self.claims:
            self.do(self.store.claims.release([_of(self.claims, place)]))

    def begin(self, place: int, _: bool) -> None:
        if self.claims:
            self._begin(_of(self.claims, place))

    def _begin(self, claimed: Claimed) -> None:
        number = claimed.delivery.attempts + 1
        [going] = self.do(self.store.attempts.begin([Intent(claimed=claimed, provider="fake", number=number)]))
        known = any((one.claimed, one.number) == (claimed, number) for one in self.calls)
        if going is not None and not known:  # else it is one call, of which to be written down was repeated
            self.calls.append(Call(claimed, number, self.now_s))

    def call(self, place: int, takes: bool) -> None:
        if self.calls:
            self._call(_of(self.calls, place), takes=takes, failure=FAILURES[place % 4], cut=place >= 4)

    def _call(self, one: Call, *, takes: bool, failure: Failure, cut: bool) -> None:
        if one.said is not None or self.now_s - one.begun_s > LEASE_S - CALL_S:
            return
        place = (one.claimed.delivery.id, one.number)
        self.made[place] += 1
        if takes:
            self.has.add(place)
        one.said = OUTCOMES[0] if takes else failure
        if cut:
            one.said = OutcomeUnknown("fake", "cut")

    def tell(self, place: int, _: bool) -> None:
        if self.calls:
            self._tell(_of(self.calls, place))

    def _tell(self, one: Call) -> None:
        if one.said is None:
            return
        before = self.all()[one.claimed.delivery.id]
        lost = self.do(self._token(before.id)) != one.claimed.token
        self.do(self.store.attempts.end([Result(claimed=one.claimed, number=one.number, said=one.said)]))
        if lost and not isinstance(one.said, Outcome):
            assert self.all()[before.id] == before

    async def _token(self, delivery_id: int) -> str | None:
        async with self.engine.connect() as connection:
            query = select(deliveries.c.lease_token).where(deliveries.c.id == delivery_id)
            return (await connection.execute(query)).scalar_one()

    def wait(self, place: int, _: bool) -> None:
        self._wait((1, 1, 3, 3, 3, 10, 61, 4000)[place])

    def _wait(self, seconds: int) -> None:
        self.now_s += seconds
        self.do(time_passes(self.engine, seconds))

    def reap(self, *_: object) -> None:
        self.do(self.store.sweeps.reap())

    def claim_awaited(self, *_: object) -> None:
        self.questions += [(one, self.now_s) for one in self.do(self.store.awaiting.claim(3))]

    def settle(self, place: int, tells: bool) -> None:
        if not self.questions:
            return
        awaited, asked_s = _of(self.questions, place)
        if self.now_s - asked_s < LEASE_S - CALL_S:
            self.do(self.store.awaiting.settle([self._found(awaited, tells)]))

    def _found(self, awaited: Awaited, tells: bool) -> Found:
        if not tells:
            return Found(awaited=awaited, said=Nothing.NEWS)
        has = (awaited.claimed.delivery.id, awaited.attempt.number) in self.has
        return Found(awaited=awaited, said=OUTCOMES[0] if has else Nothing.TAKEN)

    def report(self, place: int, again: bool) -> None:
        if self.has:
            id_, number = _of(sorted(self.has), place // 4)
            self.reports += not again
            self.do(self.store.report(id_, number, OUTCOMES[place % 4], key=f"r{self.reports}-{id_}-{number}"))

    def report_failure(self, place: int, _: bool) -> None:
        if self.has:
            id_, number = _of(sorted(self.has), place // 4)
            failure = FAILURES[1 + place % 3]
            assert isinstance(failure, Refused)
            self.excused[id_] += 1
            self.do(self.store.report(id_, number, failure, key=f"f{self.excused[id_]}-{id_}"))

    def cancel(self, place: int, _: bool) -> None:
        self.do(self.store.cancel(1 + place % 2, "deleted"))

    def redrive(self, _: int, in_doubt: bool) -> None:
        for one in self.all().values():
            self.excused[one.id] += one.status is Status.DEAD
        self.do(self.store.redrive(Redrive(lives_s=10**5, in_doubt=in_doubt)))

    # -- what always holds -----------------------------------------------------------------------------------------

    def check(self) -> None:
        """No attempt is made twice, no status goes back, and the provider has nothing twice without an excuse."""
        assert all(count == 1 for count in self.made.values())
        taken = Counter(id_ for id_, _ in self.has)
        assert all(count <= 1 + self.excused[id_] for id_, count in taken.items())
        current = self.all()
        for id_, after in current.items():
            before = self.last.get(id_, after)
            excused = self.excused[id_] > self.excuses_seen[id_]
            assert _may_follow(before, after, excused), f"{before.status} ({before.reason}) to {after.status}"
        self.last = current
        self.excuses_seen = self.excused.copy()

    def end(self) -> None:
        """Left to itself with one worker and a provider that works, everything comes to an end."""
        for _ in range(40):
            if all(one.status in FINAL or one.finished_at_ms for one in self.all().values()):
                break
            self._one_round()
        else:
            raise AssertionError(f"no end: {self.all()}")
        for one in self.all().values():
            arrived = one.status in (Status.SENT, Status.DELIVERED, Status.READ)
            assert arrived <= any(id_ == one.id for id_, _ in self.has)

    def _one_round(self) -> None:
        self._wait(4000)
        self.reap()
        awaited = self.do(self.store.awaiting.claim(10))
        if awaited:
            self.do(self.store.awaiting.settle([self._found(one, tells=True) for one in awaited]))
        self.calls.clear()
        for claimed in self.do(self.store.claims.claim(Way.SMS, 10)):
            self._begin(claimed)
        for one in self.calls:
            self._call(one, takes=True, failure=FAILURES[0], cut=False)
            self._tell(one)
        self.check()


def _may_follow(before: Delivery, after: Delivery, excused: bool) -> bool:
    if before.status is after.status:
        return True
    if before.status in (Status.SKIPPED, Status.CANCELLED, Status.READ):
        return False
    if before.status is Status.DELIVERED:
        return after.status is Status.READ
    if before.status is Status.DEAD:
        return (excused and after.status is Status.QUEUED) or before.reason == IN_DOUBT
    if RANK[before.status] == 0:
        return True
    return RANK.get(after.status, 0) > RANK[before.status] or excused


WEIGHTS = {
    Outbox.ask: 3,
    Outbox.claim: 3,
    Outbox.give_back: 1,
    Outbox.begin: 6,
    Outbox.call: 6,
    Outbox.tell: 5,
    Outbox.wait: 4,
    Outbox.reap: 3,
    Outbox.claim_awaited: 3,
    Outbox.settle: 3,
    Outbox.report: 2,
    Outbox.report_failure: 1,
    Outbox.cancel: 1,
    Outbox.redrive: 1,
}
STEPS = 100


def test_whatever_the_order_nothing_is_lost_doubled_or_undone(migrated: Place) -> None:
    @settings(max_examples=10)
    @given(st.integers(0, 2**32))
    def holds(seed: int) -> None:
        """Steps are drawn by a generator of our own: Hypothesis' lists of them hardly ever lead to a call."""
        random = Random(seed)
        outbox = Outbox(runner, engine)
        for step in random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS):
            step(outbox, random.randrange(8), random.random() < 0.5)
            outbox.check()
        outbox.end()

    engine = engine_for(*migrated)
    with asyncio.Runner() as runner:
        try:
            holds()
        finally:
            runner.run(engine.dispose())
