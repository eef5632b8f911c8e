"""An address that was suppressed is written to by that channel no more, until it is taken back."""

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.people.suppressions import Suppressions
from notifiers.way import Way
from schemas.tables import suppressions as table
from tests.notifiers.people.conftest import Wall


@pytest.fixture
def suppressions(engine: AsyncEngine, wall: Wall) -> Suppressions:
    return Suppressions(engine, wall=wall)


async def test_the_first_reason_stays(suppressions: Suppressions) -> None:
    assert await suppressions.reason(Way.SMS, "+919876543210") is None
    await suppressions.add(Way.SMS, "+919876543210", "STOP")
    await suppressions.add(Way.SMS, "+919876543210", "Twilio 21610")
    assert await suppressions.reason(Way.SMS, "+919876543210") == "STOP"
    assert await suppressions.reason(Way.VOICE, "+919876543210") is None


async def test_it_is_taken_back_once(suppressions: Suppressions) -> None:
    await suppressions.add(Way.EMAIL, "Asha@Example.com", "SMTP 550")
    assert await suppressions.remove(Way.EMAIL, " asha@example.com")
    assert not await suppressions.remove(Way.EMAIL, "asha@example.com")
    assert await suppressions.reason(Way.EMAIL, "asha@example.com") is None


async def test_many_are_looked_up_at_once(suppressions: Suppressions) -> None:
    await suppressions.add(Way.EMAIL, "3@example.com", "SMTP 550")
    await suppressions.add(Way.SMS, "4@example.com", "STOP")
    places = {(Way.EMAIL, f"{number}@example.com") for number in range(2500)}
    assert await suppressions.among(places) == {(Way.EMAIL, "3@example.com")}
    assert await suppressions.among(set()) == set()


async def test_no_address_is_kept(suppressions: Suppressions, engine: AsyncEngine) -> None:
    await suppressions.add(Way.EMAIL, "asha@example.com", "x" * 100)
    async with engine.connect() as connection:
        row = (await connection.execute(select(table))).one()
    assert "asha" not in str(row)
    assert len(row.reason) == 64
