"""Logins: the newest refresh token is good, an older one ends them, and what ends them reaches their access tokens."""

import asyncio
import logging
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.account import Status, credentials_of
from auth.accounts import Accounts
from auth.identity import Identity, Plan, Role
from auth.passwords import Passwords
from auth.preferences import Preferences
from auth.refresh_tokens import RefreshTokens
from auth.refusals import Reason, TokenRefused
from auth.revocations import Revocation, Revocations
from auth.sessions import MAX_SESSIONS, RefreshReused, Session, Sessions, Tokens
from auth.tokens import LEEWAY_S, TokenIssuer, TokenVerifier
from schemas.errors import Unavailable
from schemas.tables import accounts, revocations
from schemas.tables import sessions as table
from tests.auth.conftest import NOW, Clock
from tests.auth.keys import SECRET

ACCESS_S = 900
REFRESH_S = 7 * 86_400
NOBODY = "u_aaaaaaaaaaaaaaaa"


class House:
    """One process with what belongs to logins."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self.engine, self.clock = engine, clock
        self.accounts = Accounts(engine, passwords=Passwords(), wall=clock)
        self.preferences = Preferences(engine, wall=clock)
        self.revocations = Revocations(engine, clock=clock)
        self.refresh_tokens = RefreshTokens(SECRET, REFRESH_S, clock=clock)
        self.verifier = TokenVerifier(secret=SECRET, clock=clock)
        self.sessions = Sessions(
            engine,
            access=TokenIssuer(SECRET, ACCESS_S, clock=clock),
            refresh=self.refresh_tokens,
            revocations=self.revocations,
            account_of=self.accounts.get,
            language_of=self._language_of,
            wall=clock,
        )

    async def _language_of(self, user: str) -> str | None:
        return (await self.preferences.get(user)).language

    async def person(self, email: str = "asha@example.in", plan: Plan = Plan.BASIC) -> str:
        return (await self.accounts.create(email, None, "Asha", plan=plan)).id

    async def start(self, user: str) -> Tokens:
        return await self.start_with(user, credentials_of(None))

    async def start_with(self, user: str, credentials: str) -> Tokens:
        return await self.sessions.start(user, credentials=credentials, user_agent="Firefox", address="192.0.2.1")

    async def refresh(self, token: str) -> Tokens:
        return await self.sessions.refresh(token, user_agent="Chrome", address="192.0.2.2")

    def identity(self, tokens: Tokens) -> Identity:
        return self.verifier.verify_now(tokens.access_token)

    async def row(self, session: str) -> Any:
        async with self.engine.connect() as connection:
            return (await connection.execute(select(table).where(table.c.id == session))).one()

    async def revoked(self) -> list[tuple[str, int]]:
        query = select(revocations.c.token_id, revocations.c.expires_at).order_by(revocations.c.id)
        async with self.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(query)]


@pytest.fixture
def house(engine: AsyncEngine, clock: Clock) -> House:
    return House(engine, clock)


@pytest.fixture
def other_house(other_engine: AsyncEngine, clock: Clock) -> House:
    return House(other_engine, clock)


@pytest.fixture
async def user(house: House) -> str:
    return await house.person()


async def refused(coroutine: Any) -> Reason:
    with pytest.raises(TokenRefused) as caught:
        await coroutine
    return caught.value.reason


async def test_a_login_gives_tokens_of_its_session(house: House, user: str) -> None:
    tokens = await house.start(user)
    identity = house.identity(tokens)
    assert (identity.user, identity.session, identity.plan, identity.role) == (
        user,
        tokens.session,
        Plan.BASIC,
        Role.USER,
    )
    assert (tokens.expires_in, tokens.refresh_expires_in, tokens.user) == (ACCESS_S, REFRESH_S, user)
    assert not tokens.revocations
    claims = house.refresh_tokens.read(tokens.refresh_token)
    assert (claims.user, claims.session, claims.generation) == (user, tokens.session, 0)


async def test_tokens_do_not_show_themselves(house: House, user: str) -> None:
    tokens = await house.start(user)
    assert tokens.access_token not in repr(tokens)
    assert tokens.refresh_token not in f"{tokens} {tokens!r}"


async def test_each_refresh_makes_the_next_generation(house: House, user: str, clock: Clock) -> None:
    tokens = await house.start(user)
    for generation in range(1, 4):
        clock.now += 3600
        before, tokens = tokens, await house.refresh(tokens.refresh_token)
        assert tokens.session == before.session
        assert house.refresh_tokens.read(tokens.refresh_token).generation == generation
    row = await house.row(tokens.session)
    assert (row.generation, row.created_at, row.last_used_at) == (3, NOW, NOW + 3 * 3600)
    assert (row.expires_at, row.user_agent, row.address) == (NOW + 3 * 3600 + REFRESH_S, "Chrome", "192.0.2.2")


async def test_a_refresh_carries_what_the_account_is_now(house: House, user: str) -> None:
    tokens = await house.start(user)
    assert house.identity(tokens).language is None
    await house.accounts.administer(user, plan=Plan.PRO, role=Role.ADMIN)
    await house.preferences.put(user, language="mr")
    identity = house.identity(await house.refresh(tokens.refresh_token))
    assert (identity.plan, identity.role, identity.language) == (Plan.PRO, Role.ADMIN, "mr")


async def test_a_token_is_as_old_as_what_it_says(house: House, user: str, clock: Clock) -> None:
    async def slow(user_id: str) -> Any:
        account = await house.accounts.get(user_id)
        clock.now += 2
        return account

    house.sessions._account_of = slow
    tokens = await house.start(user)
    assert house.identity(tokens).issued_at == NOW
    assert house.identity(await house.refresh(tokens.refresh_token)).issued_at == NOW + 2


async def test_a_refresh_token_that_comes_again_ends_the_session(
    house: House, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = await house.start(user)
    second = await house.refresh(first.refresh_token)
    with caplog.at_level(logging.WARNING), pytest.raises(RefreshReused) as caught:
        await house.refresh(first.refresh_token)
    assert (caught.value.reason, caught.value.user, caught.value.session) == (Reason.REUSED, user, first.session)
    expected = Revocation(token_id=first.session, expires_at=NOW + ACCESS_S + LEEWAY_S)
    assert caught.value.revocations == [expected]
    assert expected.ends(house.identity(first))
    assert expected.ends(house.identity(second))
    assert await refused(house.refresh(second.refresh_token)) is Reason.ENDED
    assert await refused(house.refresh(first.refresh_token)) is Reason.ENDED
    row = await house.row(first.session)
    assert (row.ended_at, row.end_reason, row.generation) == (NOW, "reused", 1)
    assert [record.message for record in caplog.records] == ["session.reused"]
    assert first.refresh_token not in caplog.text


async def test_other_sessions_live_on_after_a_reuse(house: House, user: str) -> None:
    stolen, other = await house.start(user), await house.start(user)
    await house.refresh(stolen.refresh_token)
    assert await refused(house.refresh(stolen.refresh_token)) is Reason.REUSED
    assert (await house.refresh(other.refresh_token)).session == other.session


async def test_of_two_who_refresh_at_once_one_wins_and_the_other_is_reuse(
    house: House, other_house: House, user: str
) -> None:
    for _ in range(5):
        tokens = await house.start(user)
        coming = [one.refresh(tokens.refresh_token) for one in (house, other_house)]
        outcomes = await asyncio.gather(*coming, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["RefreshReused", "Tokens"]
        (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Tokens)]
        assert await refused(house.refresh(winner.refresh_token)) is Reason.ENDED


async def test_of_many_who_refresh_at_once_one_wins_and_the_session_ends_once(
    house: House, other_house: House, user: str
) -> None:
    tokens = await house.start(user)
    coming = [one.refresh(tokens.refresh_token) for one in (house, other_house) for _ in range(6)]
    outcomes = await asyncio.gather(*coming, return_exceptions=True)
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, TokenRefused)]
    assert (reasons.count(Reason.REUSED), reasons.count(Reason.ENDED), len(outcomes)) == (1, 10, 12)
    assert [session for session, _ in await house.revoked()] == [tokens.session]


async def test_a_session_ends_a_week_after_its_last_use(house: House, user: str, clock: Clock) -> None:
    tokens = await house.start(user)
    clock.now += REFRESH_S - 1
    tokens = await house.refresh(tokens.refresh_token)
    clock.now += REFRESH_S
    assert await refused(house.refresh(tokens.refresh_token)) is Reason.EXPIRED
    clock.now += LEEWAY_S
    assert await refused(house.refresh(tokens.refresh_token)) is Reason.EXPIRED
    assert await house.sessions.listed(user) == []


async def test_a_session_that_is_forgotten_or_never_was_has_ended(house: House, user: str) -> None:
    tokens = await house.start(user)
    async with house.engine.begin() as connection:
        await connection.execute(delete(table))
    assert await refused(house.refresh(tokens.refresh_token)) is Reason.ENDED
    assert await refused(house.refresh(house.refresh_tokens.issue(user, "s_never", 0))) is Reason.ENDED
    assert await refused(house.refresh("nonsense")) is Reason.MALFORMED


async def test_a_session_is_refreshed_by_its_own_user_alone(house: House, user: str) -> None:
    other = await house.person("ravi@example.in")
    tokens = await house.start(user)
    for generation in (0, 1):
        forged = house.refresh_tokens.issue(other, tokens.session, generation)
        assert await refused(house.refresh(forged)) is Reason.ENDED
    assert (await house.refresh(tokens.refresh_token)).user == user


async def test_a_database_older_than_the_token_is_no_reuse(house: House, user: str) -> None:
    tokens = await house.start(user)
    assert await refused(house.refresh(house.refresh_tokens.issue(user, tokens.session, 1))) is Reason.ENDED
    assert (await house.refresh(tokens.refresh_token)).session == tokens.session


async def test_a_disabled_account_neither_logs_in_nor_refreshes(house: House, user: str) -> None:
    tokens = await house.start(user)
    await house.accounts.administer(user, status=Status.DISABLED)
    assert await refused(house.start(user)) is Reason.DISABLED
    assert await refused(house.refresh(tokens.refresh_token)) is Reason.DISABLED
    await house.accounts.administer(user, status=Status.ACTIVE)
    assert (await house.refresh(tokens.refresh_token)).session == tokens.session


async def test_an_account_that_is_disabled_in_between_gets_no_session(house: House, user: str) -> None:
    async def just_before(user_id: str) -> Any:
        account = await house.accounts.get(user_id)
        await house.accounts.administer(user_id, status=Status.DISABLED)
        return account

    house.sessions._account_of = just_before
    assert await refused(house.start(user)) is Reason.DISABLED
    assert await house.sessions.listed(user) == []


async def test_who_has_no_account_has_no_session(house: House) -> None:
    for user in (NOBODY, "auth0|77"):
        assert await refused(house.start(user)) is Reason.ENDED
        assert await refused(house.refresh(house.refresh_tokens.issue(user, "s_never", 0))) is Reason.ENDED
        assert await house.sessions.listed(user) == []
        assert await house.sessions.end_all(user, "logout") == []


async def test_a_deleted_account_takes_its_sessions_along(house: House, user: str) -> None:
    tokens = await house.start(user)
    async with house.engine.begin() as connection:
        await connection.execute(delete(accounts).where(accounts.c.id == user))
    assert await refused(house.refresh(tokens.refresh_token)) is Reason.ENDED


async def test_a_logout_ends_the_session_and_its_access_tokens_everywhere(
    house: House, other_house: House, user: str
) -> None:
    tokens, other = await house.start(user), await house.start(user)
    (told,) = await house.sessions.end(tokens.session, user, "logout")
    assert told == Revocation(token_id=tokens.session, expires_at=NOW + ACCESS_S + LEEWAY_S)
    assert await house.revoked() == [(tokens.session, told.expires_at)]
    await other_house.revocations.poll()
    assert other_house.revocations.is_revoked(house.identity(tokens))
    assert not other_house.revocations.is_revoked(house.identity(other))
    assert await refused(house.refresh(tokens.refresh_token)) is Reason.ENDED
    assert (await house.row(tokens.session)).end_reason == "logout"


async def test_a_session_ends_once(house: House, user: str) -> None:
    tokens = await house.start(user)
    ended = await asyncio.gather(*(house.sessions.end(tokens.session, user, "logout") for _ in range(5)))
    assert sorted(len(one) for one in ended) == [0, 0, 0, 0, 1]
    assert await house.sessions.end(tokens.session, user, "logout") == []
    assert len(await house.revoked()) == 1


async def test_what_is_no_session_does_not_end(house: House, user: str) -> None:
    await house.start(user)
    for text in ("", "s_", "s_0123456789abcdef01234567", "x" * 999, "s_\0", "\ud800", "' OR 1=1"):
        assert await house.sessions.end(text, user, "logout") == []
    assert len(await house.sessions.listed(user)) == 1


async def test_nobody_ends_or_sees_somebody_elses_session(house: House, user: str) -> None:
    other = await house.person("ravi@example.in")
    tokens = await house.start(user)
    assert await house.sessions.end(tokens.session, other, "logout") == []
    assert await house.sessions.end_all(other, "logout") == []
    assert await house.sessions.listed(other) == []
    assert (await house.refresh(tokens.refresh_token)).user == user


async def test_all_sessions_of_a_user_end_but_the_one_that_asked(house: House, user: str) -> None:
    other = await house.start(await house.person("ravi@example.in"))
    mine = [await house.start(user) for _ in range(4)]
    ended = await house.sessions.end_all(user, "password", except_session=mine[1].session)
    gone = {mine[0].session, mine[2].session, mine[3].session}
    assert {revocation.token_id for revocation in ended} == {session for session, _ in await house.revoked()} == gone
    assert [session.id for session in await house.sessions.listed(user)] == [mine[1].session]
    assert [one.token_id for one in await house.sessions.end_all(user, "logout")] == [mine[1].session]
    assert await house.sessions.end_all(user, "logout") == []
    assert (await house.refresh(other.refresh_token)).session == other.session


async def test_a_refresh_and_an_end_at_once_leave_no_token_that_lives(
    house: House, other_house: House, user: str
) -> None:
    for _ in range(5):
        tokens = await house.start(user)
        outcome, ended = await asyncio.gather(
            house.refresh(tokens.refresh_token), other_house.sessions.end_all(user, "logout"), return_exceptions=True
        )
        assert isinstance(ended, list)
        (told,) = ended
        if isinstance(outcome, Tokens):
            assert told.ends(house.identity(outcome))
            assert house.identity(outcome).expires_at <= (told.expires_at or 0)
            assert await refused(house.refresh(outcome.refresh_token)) is Reason.ENDED
        else:
            assert isinstance(outcome, TokenRefused)


async def test_two_who_end_everything_at_once_do_not_block_each_other(
    house: House, other_house: House, user: str
) -> None:
    for _ in range(8):
        await house.start(user)
    ended = await asyncio.gather(*(one.sessions.end_all(user, "logout") for one in (house, other_house) * 3))
    assert sorted(len(one) for one in ended) == [0, 0, 0, 0, 0, 8]


async def test_the_session_used_longest_ago_makes_room(
    house: House, user: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_SESSIONS == 50
    monkeypatch.setattr("auth.sessions.MAX_SESSIONS", 3)
    made = []
    for _ in range(3):
        made.append(await house.start(user))
        clock.now += 10
    await house.refresh(made[0].refresh_token)
    clock.now += 10
    newest = await house.start(user)
    assert [revocation.token_id for revocation in newest.revocations] == [made[1].session]
    assert {one.id for one in await house.sessions.listed(user)} == {made[0].session, made[2].session, newest.session}
    assert (await house.row(made[1].session)).end_reason == "limit"
    assert [session for session, _ in await house.revoked()] == [made[1].session]


async def test_logins_at_once_do_not_exceed_the_limit(
    house: House, other_house: House, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.sessions.MAX_SESSIONS", 3)
    await asyncio.gather(*(one.start(user) for one in (house, other_house) for _ in range(5)))
    assert len(await house.sessions.listed(user)) == 3


async def test_sessions_are_listed_with_what_their_owner_knows_them_by(house: House, user: str, clock: Clock) -> None:
    first = await house.start(user)
    clock.now += 10
    second = await house.start(user)
    clock.now += 10
    await house.refresh(first.refresh_token)
    later, earlier = await house.sessions.listed(user)
    assert later == Session(
        id=first.session,
        created_at=NOW,
        last_used_at=NOW + 20,
        expires_at=NOW + 20 + REFRESH_S,
        user_agent="Chrome",
        address="192.0.2.2",
    )
    assert (earlier.id, earlier.user_agent) == (second.session, "Firefox")


async def test_what_a_client_says_of_itself_is_kept_within_bounds(house: House, user: str) -> None:
    await house.sessions.start(user, credentials=credentials_of(None), user_agent="\0x" * 500, address="1" * 99)
    (session,) = await house.sessions.listed(user)
    assert (session.user_agent, session.address) == ("x" * 256, "1" * 45)


async def test_sessions_whose_time_is_up_are_forgotten(house: House, user: str, clock: Clock) -> None:
    old = await house.start(user)
    clock.now += 60
    new = await house.start(user)
    await house.sessions.end(new.session, user, "logout")
    clock.now = NOW + REFRESH_S + LEEWAY_S - 1
    assert await house.sessions.purge() == 0
    clock.now += 1
    assert await house.sessions.purge() == 1
    assert await refused(house.refresh(new.refresh_token)) is Reason.ENDED
    async with house.engine.connect() as connection:
        assert (await connection.execute(select(table.c.id))).scalars().all() == [new.session]
    assert old.session != new.session


async def test_a_session_ends_with_its_revocation_or_not_at_all(
    house: House, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = await house.start(user)
    newer = await house.refresh(tokens.refresh_token)

    async def fail(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(house.revocations, "write", fail)
    for doing in (
        house.sessions.end(tokens.session, user, "logout"),
        house.sessions.end_all(user, "logout"),
        house.refresh(tokens.refresh_token),
    ):
        with pytest.raises(Unavailable):
            await doing
    monkeypatch.undo()
    assert await house.revoked() == []
    assert (await house.refresh(newer.refresh_token)).session == tokens.session


async def test_without_its_tables_the_database_is_told_to_be_away(house: House, user: str) -> None:
    tokens = await house.start(user)
    async with house.engine.begin() as connection:
        await connection.run_sync(table.drop)
    for doing in (
        house.start(user),
        house.refresh(tokens.refresh_token),
        house.sessions.end(tokens.session, user, "logout"),
        house.sessions.end_all(user, "logout"),
        house.sessions.listed(user),
        house.sessions.purge(),
    ):
        with pytest.raises(Unavailable):
            await doing


async def test_a_refresh_that_is_cancelled_leaves_its_token_good_or_used(house: House, user: str) -> None:
    for turns in range(0, 30, 3):
        tokens = await house.start(user)
        task = asyncio.create_task(house.refresh(tokens.refresh_token))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        row = await house.row(tokens.session)
        assert row.ended_at is None
        if row.generation == 0:
            assert (await house.refresh(tokens.refresh_token)).session == tokens.session
        else:
            assert await refused(house.refresh(tokens.refresh_token)) is Reason.REUSED


async def test_ids_are_told_apart(house: House, user: str) -> None:
    made = {(await house.start(user)).session for _ in range(20)}
    assert len(made) == 20
    async with house.engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(table)) == 20
    async with house.engine.begin() as connection:
        await connection.execute(update(table).values(ended_at=NOW))
    assert await house.sessions.listed(user) == []


async def test_a_login_by_a_password_that_was_changed_meanwhile_comes_too_late(house: House) -> None:
    user = (await house.accounts.create("asha@example.in", "monsoon-Tram-81", "Asha")).id
    account = await house.accounts.get(user)
    assert account is not None
    assert (await house.start_with(user, account.credentials)).user == user
    await house.accounts.set_password(user, "harvest-Kite-52")
    assert await refused(house.start_with(user, account.credentials)) is Reason.ENDED


async def test_a_refresh_token_of_any_generation_tells_whose_session_it_is(house: House) -> None:
    user = await house.person()
    first = await house.start(user)
    await house.refresh(first.refresh_token)
    assert house.sessions.whose(first.refresh_token) == (user, first.session)
    with pytest.raises(TokenRefused) as caught:
        house.sessions.whose("x.y.z")
    assert caught.value.reason is Reason.MALFORMED
