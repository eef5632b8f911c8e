"""What is known of who failed to log in is counted where it should be, and nowhere else."""

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.audit import Audit, Level
from auth.failures import ENOUGH, Failures
from auth.identity import Role
from auth.risk import LoginFacts
from schemas.tables import accounts, sessions
from tests.auth.audits import happened, running
from tests.auth.conftest import NOW, Clock


class Account:
    def __init__(self, user: str, role: Role = Role.USER) -> None:
        self.id = user
        self.role = role


@pytest.fixture
async def failures(engine: AsyncEngine, clock: Clock) -> Failures:
    async with engine.begin() as connection:
        for user in ("u_1", "u_2"):
            account = {"id": user, "email": user, "email_key": user, "name": "", "plan": "free", "role": "user"}
            times = {"created_at": NOW, "updated_at": NOW}
            await connection.execute(insert(accounts).values(account | times | {"status": "active"}))
        for number, (user, address, agent) in enumerate([("u_1", "1.1.1.1", "A"), ("u_2", "2.2.2.2", "B")]):
            login = {"id": f"s_{number}", "user_id": user, "address": address, "user_agent": agent, "generation": 1}
            times = {"created_at": NOW, "last_used_at": NOW, "expires_at": NOW}
            await connection.execute(insert(sessions).values(login | times))
    return Failures(engine, wall=clock)


async def test_without_failures_only_what_is_new_counts(failures: Failures) -> None:
    facts = await failures.facts(Account("u_1"), address="1.1.1.1", user_agent="A")
    assert facts == LoginFacts()
    facts = await failures.facts(Account("u_1", Role.ADMIN), address="2.2.2.2", user_agent="B", second_factor=False)
    assert facts == LoginFacts(admin=True, second_factor=False, known_address=False, known_agent=False)


async def test_failures_count_by_account_and_by_address(failures: Failures, engine: AsyncEngine, clock: Clock) -> None:
    audit = Audit(engine, wall=clock)
    tried: list[tuple[str, str | None, str]] = [
        ("login.failed", "u_1", "9.9.9.9"),
        ("password.refused", "u_1", "1.1.1.1"),
        ("login.failed", "u_2", "1.1.1.1"),
        ("login.failed", None, "1.1.1.1"),
        ("login.failed_over", "u_1", "1.1.1.1"),
        ("login.succeeded", "u_1", "1.1.1.1"),
    ]
    async with running(audit):
        for action, actor, address in tried:
            await audit.record(happened(action, Level.WARNING, actor=actor, address=address))
    facts = await failures.facts(Account("u_1"), address="1.1.1.1", user_agent="A")
    assert (facts.account_failures, facts.address_failures) == (2, 3)
    facts = await failures.facts(None, address="9.9.9.9", user_agent="A")
    assert facts == LoginFacts(address_failures=1, account_exists=False, known_address=False, known_agent=False)
    clock.now += 900
    assert (await failures.facts(Account("u_1"), address="1.1.1.1", user_agent="A")).account_failures == 2
    clock.now += 1
    assert await failures.facts(Account("u_1"), address="1.1.1.1", user_agent="A") == LoginFacts()


async def test_failures_are_counted_as_far_as_they_matter(
    failures: Failures, engine: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.failures.MOST_LOOKED_AT", 15)
    audit = Audit(engine, wall=clock)
    async with running(audit):
        for number in range(20):
            audit.note(happened("login.failed", actor="u_1", address="1.1.1.1" if number < 10 else "3.3.3.3"))
            clock.now += 1
        await audit.record(happened())
    facts = await failures.facts(Account("u_1"), address="1.1.1.1", user_agent="A")
    assert (facts.account_failures, facts.address_failures) == (ENOUGH, 5)
