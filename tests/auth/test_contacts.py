"""Many users are looked up at once: who has left is missing, who came by another login is not."""

from sqlalchemy.ext.asyncio import AsyncEngine

from auth.accounts import Accounts
from auth.contacts import contacts_of
from auth.passwords import Passwords
from auth.preferences import Preference, Preferences
from tests.auth.conftest import Clock

GONE = "u_" + "z" * 16


async def test_accounts_and_preferences_come_together(engine: AsyncEngine, clock: Clock) -> None:
    accounts = Accounts(engine, passwords=Passwords(), wall=clock)
    asha = await accounts.create("asha@example.com", None, "Asha")
    preferences = Preferences(engine, wall=clock)
    await preferences.put(asha.id, language="mr")
    await preferences.put("auth0|7", theme="dark")
    await preferences.put(GONE, theme="dark")
    found = await contacts_of(engine, [asha.id, "auth0|7", "auth0|8", GONE])
    assert list(found) == [asha.id, "auth0|7", "auth0|8"]
    assert found[asha.id].account == asha
    assert found[asha.id].preference == Preference(language="mr")
    assert (found["auth0|7"].account, found["auth0|7"].preference) == (None, Preference(theme="dark"))
    assert found["auth0|8"].preference == Preference()


async def test_thousands_are_no_more_than_one_statement_takes(engine: AsyncEngine) -> None:
    users = [f"user {number}" for number in range(40_000)]
    assert len(await contacts_of(engine, users)) == 40_000
    assert await contacts_of(engine, []) == {}
