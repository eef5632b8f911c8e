"""How users can be reached and want to be spoken to, of many at once: their accounts and their preferences."""

from collections.abc import Collection, Iterator

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.account import Account, account_of
from auth.identity import is_account_id
from auth.preferences import Preference, preference_of
from auth.transactions import reading
from schemas.tables import accounts, preferences

_CHUNK = 1000


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One user. Who came through somebody else's login has no account here."""

    user: str
    account: Account | None
    preference: Preference


async def contacts_of(engine: AsyncEngine, users: Collection[str]) -> dict[str, Contact]:
    """Those users; who had an account and has none any more is left out. Raises Unavailable; cancelling is safe."""
    known: dict[str, Account] = {}
    wishes: dict[str, Preference] = {}
    async with reading(engine) as connection:
        for chunk in _chunks(users):
            known |= await _accounts(connection, [user for user in chunk if is_account_id(user)])
            wishes |= await _preferences(connection, chunk)
    return {
        user: Contact(user=user, account=known.get(user), preference=wishes.get(user, Preference()))
        for user in users
        if user in known or not is_account_id(user)
    }


def _chunks(users: Collection[str]) -> Iterator[list[str]]:
    """SQLite takes no more than some thousand parameters."""
    ordered = list(users)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


async def _accounts(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Account]:
    if not ids:
        return {}
    rows = (await connection.execute(select(accounts).where(accounts.c.id.in_(ids)))).all()
    return {row.id: account_of(row) for row in rows}


async def _preferences(connection: AsyncConnection, users: Collection[str]) -> dict[str, Preference]:
    rows = (await connection.execute(select(preferences).where(preferences.c.user_id.in_(users)))).all()
    return {row.user_id: preference_of(row) for row in rows}
