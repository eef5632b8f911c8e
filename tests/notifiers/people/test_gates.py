"""Late gates: what somebody wants, may be sent and has left of it, each with the reason that history shows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.plans import Plans
from auth.preferences import Preferences
from notifiers.outbox.delivery import Delivery, Kind, Status
from notifiers.outbox.gates import Hold, Instead, Skip, Verdict
from notifiers.people.addressees import Addressees
from notifiers.people.digests import IN_DIGEST, Digests
from notifiers.people.gates import BUDGET, NO_ADDRESS, OFF, QUIET_HOURS, SUPPRESSED, UNSUBSCRIBED, PersonalGates
from notifiers.people.sms_budget import SPENT, SmsBudget
from notifiers.people.suppressions import Suppressions
from notifiers.way import Way
from schemas.market import IST
from schemas.tables import deliveries
from tests.notifiers.people.conftest import NOW_MS, Wall, account, content, delivery, store, stored

ASHA = "u_" + "a" * 16
NIGHT = {"start": "22:00", "end": "07:00"}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


class Gates:
    """All gates, asked as the worker asks them: what one holds or skips, the next ones don't see."""

    def __init__(self, engine: AsyncEngine, wall: Wall, preferences: Preferences) -> None:
        self.engine = engine
        self.wall = wall
        self.preferences = preferences
        self.addressees = Addressees(engine, Plans())
        self.suppressions = Suppressions(engine, wall=wall)
        self.personal = PersonalGates(
            self.addressees,
            suppressions=self.suppressions,
            budget=SmsBudget(engine, wall=wall),
            digests=Digests(engine, wall=wall),
            wall=wall,
        )

    async def wish(self, user: str, **notifications: Any) -> None:
        await self.preferences.put(user, notifications=notifications)
        self.addressees.forget(user)

    async def judge(self, *deliveries: Delivery) -> Mapping[int, Verdict]:
        people = await self.addressees({one.user for one in deliveries})
        verdicts: dict[int, Verdict] = {}
        left = list(deliveries)
        for gate in self.personal.gates:
            if left:
                verdicts |= await gate(left, people)
                left = [one for one in left if one.id not in verdicts]
        return verdicts


@pytest.fixture
async def gates(engine: AsyncEngine, wall: Wall, preferences: Preferences) -> Gates:
    await account(engine, ASHA)
    return Gates(engine, wall, preferences)


async def test_who_says_nothing_gets_everything(gates: Gates) -> None:
    several = [
        delivery(number, user=ASHA, channel=way, kind=kind)
        for number, (way, kind) in enumerate([(way, kind) for way in Way for kind in Kind], 1)
    ]
    assert await gates.judge(*several) == {}


async def test_what_is_switched_off_is_skipped(gates: Gates) -> None:
    await gates.wish(ASHA, channels={"sms": False}, kinds={"notice": {"email": False}})
    verdicts = await gates.judge(
        delivery(1, user=ASHA, channel=Way.SMS),
        delivery(2, user=ASHA, channel=Way.EMAIL),
        delivery(3, user=ASHA, channel=Way.EMAIL, kind=Kind.NOTICE),
        delivery(4, user=ASHA, channel=Way.PUSH, kind=Kind.NOTICE),
        delivery(5, user=ASHA, channel=Way.SMS, kind=Kind.TEST),
    )
    assert verdicts == {1: Skip(OFF), 3: Skip(OFF), 5: Skip(OFF)}


async def test_what_was_unsubscribed_is_skipped(gates: Gates) -> None:
    await gates.wish(ASHA, unsubscribed=[{"channel": "email", "kind": "alert"}, {"channel": "sms"}])
    verdicts = await gates.judge(
        delivery(1, user=ASHA, channel=Way.EMAIL),
        delivery(2, user=ASHA, channel=Way.EMAIL, kind=Kind.DIGEST),
        delivery(3, user=ASHA, channel=Way.SMS, kind=Kind.DIGEST),
    )
    assert verdicts == {1: Skip(UNSUBSCRIBED), 3: Skip(UNSUBSCRIBED)}


async def test_only_verified_addresses_are_written_to(gates: Gates) -> None:
    ravi = await account(gates.engine, "u_" + "b" * 16, email_verified_at=None, phone_verified_at=None)
    several = [delivery(number, user=ravi, channel=way) for number, way in enumerate(Way)]
    verdicts = await gates.judge(*several)
    assert {several[number].channel for number in verdicts} == {Way.EMAIL, Way.SMS, Way.VOICE}
    assert set(verdicts.values()) == {Skip(NO_ADDRESS)}
    foreign = await gates.judge(*[delivery(number, user="auth0|7", channel=way) for number, way in enumerate(Way)])
    assert foreign == verdicts


async def test_a_suppressed_address_is_not_written_to(gates: Gates) -> None:
    await gates.suppressions.add(Way.SMS, "+919876543210", "STOP")
    verdicts = await gates.judge(
        delivery(1, user=ASHA, channel=Way.SMS), delivery(2, user=ASHA, channel=Way.VOICE), delivery(3, user=ASHA)
    )
    assert verdicts == {1: Skip(SUPPRESSED)}


# -- quiet hours ------------------------------------------------------------------------------------------------------


async def test_quiet_hours_hold_until_they_end(gates: Gates) -> None:
    await gates.wish(ASHA, quiet_hours=[NIGHT])
    gates.wall.now_ms = at("2026-11-23T23:30")
    verdicts = await gates.judge(
        delivery(1, user=ASHA), delivery(2, user=ASHA, channel=Way.WEBSOCKET), delivery(3, user=ASHA, kind=Kind.TEST)
    )
    assert verdicts == {1: Hold(at("2026-11-24T07:00"), QUIET_HOURS, keeps=True)}
    gates.wall.now_ms = at("2026-11-24T07:00")
    assert await gates.judge(delivery(1, user=ASHA)) == {}


async def test_quiet_hours_are_by_the_users_own_clock(gates: Gates) -> None:
    await gates.preferences.put(ASHA, timezone="America/New_York", notifications={"quiet_hours": [NIGHT]})
    gates.wall.now_ms = at("2026-11-23T23:30")  # half past one in the afternoon
    assert await gates.judge(delivery(1, user=ASHA)) == {}
    gates.wall.now_ms = at("2026-11-24T12:30")  # two in the morning
    assert await gates.judge(delivery(1, user=ASHA)) == {1: Hold(at("2026-11-24T17:30"), QUIET_HOURS, keeps=True)}


async def test_quiet_hours_drop_or_take_another_channel(gates: Gates) -> None:
    await gates.wish(
        ASHA,
        quiet_hours=[
            NIGHT | {"channels": ["sms"], "action": "drop"},
            NIGHT | {"channels": ["voice", "push"], "action": "downgrade", "to": "push"},
        ],
    )
    gates.wall.now_ms = at("2026-11-23T23:30")
    verdicts = await gates.judge(
        *[
            delivery(number, user=ASHA, channel=way)
            for number, way in enumerate((Way.SMS, Way.VOICE, Way.PUSH, Way.EMAIL))
        ]
    )
    assert verdicts == {0: Skip(QUIET_HOURS), 1: Instead(Way.PUSH, QUIET_HOURS)}


async def test_what_is_critical_passes_quiet_hours_by_consent_alone(gates: Gates) -> None:
    gates.wall.now_ms = at("2026-11-23T23:30")
    critical = delivery(1, user=ASHA, content=content(critical=True))
    await gates.wish(ASHA, quiet_hours=[NIGHT])
    assert list(await gates.judge(critical)) == [1]
    await gates.wish(ASHA, quiet_hours=[NIGHT], critical_override=True)
    assert await gates.judge(critical, delivery(2, user=ASHA)) == {
        2: Hold(at("2026-11-24T07:00"), QUIET_HOURS, keeps=True)
    }


# -- digest -----------------------------------------------------------------------------------------------------------


async def test_what_fires_again_soon_is_told_in_one(gates: Gates) -> None:
    await gates.wish(ASHA, digest={"minutes": 15})
    first, second = [delivery(number, user=ASHA, content=content(number=number)) for number in (1, 2)]
    await store(gates.engine, first)
    assert await gates.judge(first, second) == {2: Skip(IN_DIGEST)}
    (digest,) = await stored(gates.engine, kind="digest")
    assert (digest.due_at_ms - digest.created_at_ms, digest.status) == (15 * 60_000, "queued")
    assert '"count":1' in digest.content


async def test_a_digest_counts_all_of_its_window(gates: Gates) -> None:
    await gates.wish(ASHA, digest={"minutes": 15})
    sent = delivery(1, user=ASHA, status=Status.DELIVERED, sent_at_ms=NOW_MS - 60_000)
    late = delivery(2, user=ASHA, status=Status.SKIPPED, reason=IN_DIGEST)
    other = delivery(3, user=ASHA, status=Status.SKIPPED, reason=IN_DIGEST, channel=Way.PUSH)
    waiting = [delivery(number, user=ASHA, content=content(price=float(number))) for number in (4, 5)]
    await store(gates.engine, sent, late, other, *waiting)
    for _ in range(2):  # as after a crash between the digest and what it tells of
        assert await gates.judge(*waiting) == {4: Skip(IN_DIGEST), 5: Skip(IN_DIGEST)}
    (digest,) = await stored(gates.engine, kind="digest")
    assert digest.due_at_ms - digest.created_at_ms == 14 * 60_000
    assert '"count":3' in digest.content
    assert '"price":5.0' in digest.content


async def test_after_its_window_an_alert_is_told_at_once(gates: Gates) -> None:
    await gates.wish(ASHA, digest={"minutes": 15, "channels": ["email"]})
    sent = delivery(1, user=ASHA, status=Status.DELIVERED, sent_at_ms=NOW_MS - 15 * 60_000)
    recent = delivery(2, user=ASHA, status=Status.DELIVERED, sent_at_ms=NOW_MS - 1000, channel=Way.PUSH)
    await store(gates.engine, sent, recent)
    again = delivery(3, user=ASHA), delivery(4, user=ASHA, channel=Way.PUSH), delivery(5, user=ASHA, alert_id=2)
    assert await gates.judge(*again) == {}


async def test_a_digest_that_is_on_its_way_takes_no_more(gates: Gates) -> None:
    await gates.wish(ASHA, digest={"minutes": 15})
    sent = delivery(1, user=ASHA, status=Status.DELIVERED, sent_at_ms=NOW_MS - 60_000)
    await store(gates.engine, sent)
    assert list(await gates.judge(delivery(2, user=ASHA))) == [2]
    async with gates.engine.begin() as connection:
        await connection.execute(update(deliveries).where(deliveries.c.kind == "digest").values(status="calling"))
    assert await gates.judge(delivery(3, user=ASHA)) == {}


async def test_what_is_critical_or_follows_up_is_not_put_off(gates: Gates) -> None:
    await gates.wish(ASHA, digest={"minutes": 15})
    await store(gates.engine, delivery(1, user=ASHA, status=Status.DELIVERED, sent_at_ms=NOW_MS - 60_000))
    assert await gates.judge(
        delivery(2, user=ASHA, content=content(critical=True)),
        delivery(3, user=ASHA, unless_acknowledged=True),
        delivery(4, user=ASHA, kind=Kind.NOTICE),
        delivery(5, user=ASHA, channel=Way.WEBSOCKET),
    ) == {}  # fmt: skip


# -- budget -----------------------------------------------------------------------------------------------------------


async def test_the_sms_of_a_month_are_counted_in_parts_from_its_first_day_in_india(gates: Gates) -> None:
    await gates.wish(ASHA, sms_per_month=10)
    gates.wall.now_ms = at("2026-11-23T12:00")
    spent = {"user": ASHA, "channel": Way.SMS, "status": Status.DELIVERED}
    await store(
        gates.engine,
        delivery(1, **spent, cost=7, sent_at_ms=at("2026-11-01T00:00")),
        delivery(2, **spent, cost=50, sent_at_ms=at("2026-10-31T23:59")),
        delivery(3, **spent | {"channel": Way.EMAIL}, cost=50, sent_at_ms=at("2026-11-02T00:00")),
    )
    assert await SmsBudget(gates.engine, wall=gates.wall).used(ASHA) == 7
    texts = [delivery(number, user=ASHA, channel=Way.SMS) for number in range(11, 17)]
    assert await gates.judge(*texts) == {14: Skip(BUDGET), 15: Skip(BUDGET), 16: Skip(BUDGET)}


async def test_calls_come_out_of_the_same_budget(gates: Gates) -> None:
    await gates.wish(ASHA, sms_per_month=3)
    gates.wall.now_ms = at("2026-11-23T12:00")
    called = delivery(1, user=ASHA, channel=Way.VOICE, status=Status.READ, cost=1, sent_at_ms=at("2026-11-02T00:00"))
    await store(gates.engine, called)
    wanted = [
        delivery(number, user=ASHA, channel=way) for number, way in ((11, Way.VOICE), (12, Way.SMS), (13, Way.VOICE))
    ]
    assert await gates.judge(*wanted) == {13: Skip(BUDGET)}


async def test_who_has_used_up_their_sms_is_told_once_a_month(gates: Gates) -> None:
    await gates.wish(ASHA, sms_per_month=0)
    for number in (1, 2):
        assert await gates.judge(delivery(number, user=ASHA, channel=Way.SMS)) == {number: Skip(BUDGET)}
    (notice,) = await stored(gates.engine, kind="notice")
    assert (notice.user_id, notice.channel) == (ASHA, "websocket")
    assert f'"reason":"{SPENT}"' in notice.content
    gates.wall.now_ms = at("2026-12-01T00:00")
    await gates.judge(delivery(3, user=ASHA, channel=Way.SMS))
    assert len(await stored(gates.engine, kind="notice")) == 2
