"""Deliveries go to verified addresses of people who are there, as they want to be spoken to."""

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.plans import Plans
from auth.preferences import Preferences
from notifiers.outbox.provider import Addressee
from notifiers.people.addressees import KNOWN_S, Addressees
from tests.notifiers.people.conftest import account

NOBODY = "u_" + "z" * 16


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_an_account_is_reached_at_what_it_has_verified(engine: AsyncEngine, preferences: Preferences) -> None:
    asha = await account(engine)
    ravi = await account(engine, "u_" + "b" * 16, email_verified_at=None, phone_verified_at=None, name="")
    await preferences.put(asha, language="mr", timezone="Asia/Dubai", notifications={"sms_per_month": 5})
    found = await Addressees(engine, Plans()).of([asha, ravi])
    assert found[asha].addressee == Addressee(
        user=asha, name="Asha", email=f"{asha}@example.com", phone="+919876543210", language="mr", timezone="Asia/Dubai"
    )
    assert found[asha].sms_per_month == 5
    assert found[ravi].addressee == Addressee(user=ravi)
    assert found[ravi].sms_per_month == 50


async def test_an_own_cap_is_no_more_than_the_plan_has(engine: AsyncEngine, preferences: Preferences) -> None:
    asha = await account(engine, plan="free")
    await preferences.put(asha, notifications={"sms_per_month": 5})
    assert (await Addressees(engine, Plans()).of([asha]))[asha].sms_per_month == 0


async def test_who_has_left_or_was_shut_out_is_nobody(engine: AsyncEngine) -> None:
    shut_out = await account(engine, status="disabled")
    assert await Addressees(engine, Plans())([shut_out, NOBODY]) == {}


async def test_a_user_of_another_login_has_wishes_and_no_addresses(
    engine: AsyncEngine, preferences: Preferences
) -> None:
    await preferences.put("auth0|7", language="kn")
    found = await Addressees(engine, Plans()).of(["auth0|7"])
    assert found["auth0|7"].addressee == Addressee(user="auth0|7", language="kn")
    assert found["auth0|7"].sms_per_month == 0


async def test_a_user_is_asked_for_once_in_a_while(engine: AsyncEngine, preferences: Preferences) -> None:
    clock, asked = Clock(), []
    addressees = Addressees(engine, Plans(), clock=clock)
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    users = [f"user {number}" for number in range(2500)]
    assert len(await addressees(users)) == 2500
    statements = len(asked)
    assert statements < 20
    assert len(await addressees(users)) == 2500
    assert len(asked) == statements
    await preferences.put(users[0], language="gu")
    assert (await addressees(users))[users[0]].language == "en"
    addressees.forget(users[0])
    assert (await addressees(users))[users[0]].language == "gu"
    clock.now += KNOWN_S
    await preferences.put(users[1], language="hi")
    assert (await addressees(users))[users[1]].language == "hi"
