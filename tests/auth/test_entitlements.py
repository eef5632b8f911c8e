"""What was granted counts over what older tokens say: here, elsewhere, over a restart, in the order of the grants."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from auth.entitlements import Entitlement, Entitlements
from auth.identity import Identity, Plan, Role
from auth.tokens import LEEWAY_S
from schemas.errors import Unavailable
from schemas.tables import entitlements as table
from tests.auth.conftest import NOW, Clock

NOWHERE = create_async_engine("sqlite+aiosqlite://")
"""A database that is never asked."""


def bearer(user: str = "7", issued_at: int = NOW - 10, **more: Any) -> Identity:
    return Identity(user=user, token_id="t", issued_at=issued_at, expires_at=NOW + 900, **more)


def rights(identity: Identity) -> tuple[Plan, Role]:
    return identity.plan, identity.role


async def rows(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(select(table).order_by(table.c.id))).all())


async def test_a_grant_counts_over_an_older_token_and_no_other(engine: AsyncEngine, clock: Clock) -> None:
    granted = Entitlements(engine, clock=clock)
    assert granted.applied_to(bearer()) == bearer()
    await granted.grant("7", Plan.PRO, Role.PUBLISHER, "root")
    assert rights(granted.applied_to(bearer())) == (Plan.PRO, Role.PUBLISHER)
    assert (granted.of("7"), granted.of("8")) == ((Plan.PRO, Role.PUBLISHER), None)
    assert granted.applied_to(bearer("8")) == bearer("8")
    newer = bearer(issued_at=NOW + LEEWAY_S + 1, plan=Plan.ENTERPRISE)
    assert granted.applied_to(newer) == newer
    changed = granted.applied_to(bearer(session="s_1", language="hi"))
    assert changed == bearer(session="s_1", language="hi", plan=Plan.PRO, role=Role.PUBLISHER)


async def test_over_a_foreign_token_a_grant_counts_whenever_it_was_issued(engine: AsyncEngine, clock: Clock) -> None:
    granted = Entitlements(engine, clock=clock)
    await granted.grant("7", Plan.BASIC, Role.USER, "root")
    theirs = bearer(issued_at=NOW + 90 * 86_400, plan=Plan.PRO, role=Role.ADMIN, foreign=True)
    assert rights(granted.applied_to(theirs)) == (Plan.BASIC, Role.USER)
    assert granted.applied_to(theirs).foreign


async def test_a_row_of_a_newer_release_is_passed_over_and_logged_once(
    engine: AsyncEngine, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    granted = Entitlements(engine, clock=clock)
    row = {"user_id": "8", "plan": "platinum", "role": "user", "changed_at": NOW, "changed_by": "root"}
    async with engine.begin() as connection:
        number = await connection.scalar(insert(table).values(row).returning(table.c.id))
    await Entitlements(engine, clock=clock).grant("7", Plan.PRO, Role.USER, "root")
    for _ in range(3):
        await granted.poll()
    assert (granted.of("7"), granted.of("8")) == ((Plan.PRO, Role.USER), None)
    (line,) = [one.__dict__ for one in caplog.records if one.message == "journal.unreadable"]
    assert (line["table"], line["id"]) == ("entitlements", number)


async def test_a_key_is_never_made_an_administrators(engine: AsyncEngine, clock: Clock) -> None:
    granted = Entitlements(engine, clock=clock)
    await granted.grant("7", Plan.BASIC, Role.ADMIN, "root")
    assert rights(granted.applied_to(bearer())) == (Plan.BASIC, Role.ADMIN)
    assert rights(granted.applied_to(bearer(scopes=frozenset({"socket"})))) == (Plan.BASIC, Role.PUBLISHER)


async def test_grants_reach_other_instances_by_polling_and_survive_a_restart(
    engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock
) -> None:
    one, two = Entitlements(engine, clock=clock), Entitlements(other_engine, clock=clock)
    heard: list[Entitlement] = []
    two.on_news.append(heard.append)
    told = [await one.grant("7", Plan.PRO, Role.USER, "root"), await one.grant("7", Plan.FREE, Role.USER, "root")]
    await two.poll()
    await two.poll()
    assert heard == told
    assert rights(two.applied_to(bearer(plan=Plan.BASIC))) == (Plan.FREE, Role.USER)
    again = Entitlements(other_engine, clock=clock)
    await again.poll()
    assert rights(again.applied_to(bearer(plan=Plan.BASIC))) == (Plan.FREE, Role.USER)


async def test_of_a_users_grants_the_last_counts_in_whatever_order_they_are_heard() -> None:
    granted = Entitlements(NOWHERE)
    first, second = [
        Entitlement(id=number, user="7", plan=plan, role=Role.USER, changed_at=NOW, by="root")
        for number, plan in ((1, Plan.PRO), (2, Plan.BASIC))
    ]
    assert granted.apply(second)
    assert not granted.apply(first)
    assert not granted.apply(second)
    assert rights(granted.applied_to(bearer())) == (Plan.BASIC, Role.USER)


async def test_a_grant_in_the_callers_transaction_counts_once_that_is_committed(
    engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock
) -> None:
    granted = Entitlements(engine, clock=clock)
    async with engine.connect() as connection:
        await granted.grant("7", Plan.PRO, Role.USER, "root", connection=connection)
        await connection.rollback()
    assert await rows(engine) == []
    async with engine.begin() as connection:
        entitlement = await granted.grant("7", Plan.PRO, Role.USER, "root", connection=connection)
    assert granted.applied_to(bearer()) == bearer()
    elsewhere = Entitlements(other_engine, clock=clock)
    heard: list[Entitlement] = []
    elsewhere.on_news.append(heard.append)
    await elsewhere.poll()
    assert heard == [entitlement]
    assert granted.apply(entitlement)
    assert rights(granted.applied_to(bearer())) == (Plan.PRO, Role.USER)


async def test_only_each_users_last_grant_is_kept(engine: AsyncEngine, clock: Clock) -> None:
    granted = Entitlements(engine, clock=clock)
    for user, plan in (("7", Plan.PRO), ("8", Plan.PRO), ("7", Plan.BASIC)):
        await granted.grant(user, plan, Role.USER, "root")
        clock.now -= 60  # set right meanwhile: the order of grants is not the clock's
    await granted.purge()
    assert [(row.user_id, row.plan) for row in await rows(engine)] == [("8", "pro"), ("7", "basic")]


async def test_a_grant_that_the_database_did_not_take_changes_nothing(engine: AsyncEngine, clock: Clock) -> None:
    granted = Entitlements(engine, clock=clock)
    async with engine.begin() as connection:
        await connection.run_sync(table.drop)
    with pytest.raises(Unavailable):
        await granted.grant("7", Plan.PRO, Role.USER, "root")
    assert granted.applied_to(bearer()) == bearer()


@given(st.permutations(range(1, 7)), st.lists(st.sampled_from(Plan), min_size=6, max_size=6))
def test_every_order_of_hearing_ends_the_same(order: list[int], plans: list[Plan]) -> None:
    granted = Entitlements(NOWHERE)
    for number in [*order, *reversed(order)]:
        plan = plans[number - 1]
        granted.apply(Entitlement(id=number, user="7", plan=plan, role=Role.USER, changed_at=NOW, by="root"))
    assert granted.applied_to(bearer()).plan is plans[-1]
