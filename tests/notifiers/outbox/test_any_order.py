"""Several workers, reports of providers, people and the passing of time, in any order: what always holds."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.database import engine_for
from notifiers.alerts.alert import Way
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


PLACES = st.integers(0, 7)
"""Which one, of however many there are, the newest first."""


def _of(several: Sequence[T], place: int) -> T:
    return several[-1 - place % len(several)]


@dataclass
class Call:
    """An attempt that is written down; then made; then told of, or not as its worker was killed."""

    claimed: Claimed
    number: int
    begun_s: float
    said: Outcome | Failure | None = None


class AnyOrder(RuleBasedStateMachine):
    def __init__(self, place: Place) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.engine: AsyncEngine = engine_for(*place)
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

    @initialize()
    def some_are_asked_for(self) -> None:
        self.do(self.store.add([new(f"k{key}", alert_id=1 + key % 2, lives_ms=10**8) for key in range(2)]))

    @rule(key=st.integers(0, 3))
    def ask(self, key: int) -> None:
        self.do(self.store.add([new(f"k{key}", alert_id=1 + key % 2, lives_ms=10**8)]))

    @rule(most=st.integers(1, 3))
    def claim(self, most: int) -> None:
        claimed = self.do(self.store.claims.claim(Way.SMS, most))
        assert len(claimed) <= most
        self.claims += claimed

    @precondition(lambda self: self.claims)
    @rule(place=PLACES)
    def give_back(self, place: int) -> None:
        self.do(self.store.claims.release([_of(self.claims, place)]))

    @precondition(lambda self: self.claims)
    @rule(place=PLACES)
    def begin(self, place: int) -> None:
        self._begin(_of(self.claims, place))

    def _begin(self, claimed: Claimed) -> None:
        number = claimed.delivery.attempts + 1
        [going] = self.do(self.store.attempts.begin([Intent(claimed=claimed, provider="fake", number=number)]))
        if going is not None:
            self.calls.append(Call(claimed, number, self.now_s))

    @precondition(lambda self: self.calls)
    @rule(place=PLACES, takes=st.booleans(), answer=st.integers(0, 3), cut=st.booleans())
    def call(self, place: int, takes: bool, answer: int, cut: bool) -> None:
        self._call(_of(self.calls, place), takes=takes, answer=answer, cut=cut)

    def _call(self, one: Call, *, takes: bool, answer: int, cut: bool) -> None:
        if one.said is not None or self.now_s - one.begun_s > LEASE_S - CALL_S:
            return
        place = (one.claimed.delivery.id, one.number)
        self.made[place] += 1
        if takes:
            self.has.add(place)
        one.said = OUTCOMES[0] if takes else FAILURES[answer]
        if cut:
            one.said = OutcomeUnknown("fake", "cut")

    @precondition(lambda self: self.calls)
    @rule(place=PLACES)
    def tell(self, place: int) -> None:
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

    @rule(seconds=st.sampled_from([1, 3, 30, 61, 4000]))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds
        self.do(time_passes(self.engine, seconds))

    @rule()
    def reap(self) -> None:
        self.do(self.store.sweeps.reap())

    @rule()
    def claim_awaited(self) -> None:
        self.questions += [(one, self.now_s) for one in self.do(self.store.awaiting.claim(3))]

    @precondition(lambda self: self.questions)
    @rule(place=PLACES, tells=st.booleans())
    def settle(self, place: int, tells: bool) -> None:
        awaited, asked_s = _of(self.questions, place)
        if self.now_s - asked_s < LEASE_S - CALL_S:
            self.do(self.store.awaiting.settle([self._found(awaited, tells)]))

    def _found(self, awaited: Awaited, tells: bool) -> Found:
        if not tells:
            return Found(awaited=awaited, said=Nothing.NEWS)
        has = (awaited.claimed.delivery.id, awaited.attempt.number) in self.has
        return Found(awaited=awaited, said=OUTCOMES[0] if has else Nothing.TAKEN)

    @precondition(lambda self: self.has)
    @rule(place=PLACES, outcome=st.sampled_from(OUTCOMES), again=st.booleans())
    def report(self, place: int, outcome: Outcome, again: bool) -> None:
        id_, number = _of(sorted(self.has), place)
        self.reports += not again
        self.do(self.store.report(id_, number, outcome, key=f"r{self.reports}-{id_}-{number}"))

    @precondition(lambda self: self.has)
    @rule(place=PLACES, answer=st.integers(1, 3))
    def report_failure(self, place: int, answer: int) -> None:
        id_, number = _of(sorted(self.has), place)
        failure = FAILURES[answer]
        assert isinstance(failure, Refused)
        self.excused[id_] += 1
        self.do(self.store.report(id_, number, failure, key=f"f{self.excused[id_]}-{id_}"))

    @rule(alert=st.integers(1, 2))
    def cancel(self, alert: int) -> None:
        self.do(self.store.cancel(alert, "deleted"))

    @rule(in_doubt=st.booleans())
    def redrive(self, in_doubt: bool) -> None:
        for one in self.all().values():
            self.excused[one.id] += one.status is Status.DEAD
        self.do(self.store.redrive(Redrive(lives_s=10**5, in_doubt=in_doubt)))

    # -- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def no_attempt_is_made_twice(self) -> None:
        assert all(count == 1 for count in self.made.values())

    @invariant()
    def a_status_never_goes_back(self) -> None:
        current = self.all()
        for id_, after in current.items():
            before = self.last.get(id_, after)
            excused = self.excused[id_] > self.excuses_seen[id_]
            assert _may_follow(before, after, excused), f"{before.status} ({before.reason}) to {after.status}"
        self.last = current
        self.excuses_seen = self.excused.copy()

    @invariant()
    def the_provider_has_it_once(self) -> None:
        taken = Counter(id_ for id_, _ in self.has)
        for id_, count in taken.items():
            assert count <= 1 + self.excused[id_]

    def teardown(self) -> None:
        """Left to itself with one worker and a provider that works, everything comes to an end."""
        try:
            for _ in range(40):
                if all(one.status in FINAL or one.finished_at_ms for one in self.all().values()):
                    break
                self._one_round()
            else:
                raise AssertionError(f"no end: {self.all()}")
            self.the_provider_has_it_once()
            for one in self.all().values():
                arrived = one.status in (Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.READ)
                assert not arrived or any(id_ == one.id for id_, _ in self.has)
        finally:
            self.do(self.engine.dispose())
            self.runner.close()

    def _one_round(self) -> None:
        self.wait(4000)
        self.reap()
        awaited = self.do(self.store.awaiting.claim(10))
        if awaited:
            self.do(self.store.awaiting.settle([self._found(one, tells=True) for one in awaited]))
        self.calls.clear()
        for claimed in self.do(self.store.claims.claim(Way.SMS, 10)):
            self._begin(claimed)
        for one in self.calls:
            self._call(one, takes=True, answer=0, cut=False)
            self._tell(one)
        self.a_status_never_goes_back()


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


def test_whatever_the_order_nothing_is_lost_doubled_or_undone(migrated: Place) -> None:
    run_state_machine_as_test(
        lambda: AnyOrder(migrated), settings=settings(max_examples=40, stateful_step_count=40, deadline=None)
    )
