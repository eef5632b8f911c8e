"""What is revoked stays revoked: in memory, over a restart, on the other instances, and while the database is away."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from auth import transactions
from auth.identity import Identity
from auth.revocations import NotDurable, Revocation, Revocations
from hub.database import engine_for, migrate
from schemas.errors import Unavailable
from schemas.tables import revocations as table
from tests.auth.conftest import NOW, Clock
from tests.auth.revoking import revoke_token, revoke_user
from tests.servers import FaultProxy, PostgresServer


def token(
    token_id: str = "t1", user: str = "7", issued_at: int = NOW - 10, expires_at: int = NOW + 900, **more: Any
) -> Identity:
    return Identity(user=user, token_id=token_id, issued_at=issued_at, expires_at=expires_at, **more)


async def rows(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(select(table).order_by(table.c.id))).all())


async def test_a_revoked_token_is_revoked_and_no_other(engine: AsyncEngine, clock: Clock) -> None:
    revoked = Revocations(engine, clock=clock)
    assert not revoked.is_revoked(token())
    assert await revoke_token(revoked, token()) == Revocation(token_id="t1", expires_at=NOW + 900)
    assert revoked.is_revoked(token())
    assert revoked.is_revoked(token(user="8"))
    assert not revoked.is_revoked(token("t2"))


async def test_a_users_tokens_of_that_time_and_before_are_revoked(engine: AsyncEngine, clock: Clock) -> None:
    revoked = Revocations(engine, clock=clock)
    await revoke_user(revoked, "7", NOW + 0.9)
    assert revoked.is_revoked(token(issued_at=NOW))
    assert revoked.is_revoked(token(issued_at=0))
    assert not revoked.is_revoked(token(issued_at=NOW + 1))
    assert not revoked.is_revoked(token(user="8"))


async def test_a_login_and_a_key_are_revoked_by_their_own_ids(engine: AsyncEngine, clock: Clock) -> None:
    revoked = Revocations(engine, clock=clock)
    await revoked.revoke([Revocation(token_id=one, expires_at=NOW + 900) for one in ("s_1", "k_1")])
    assert revoked.is_revoked(token("t1", session="s_1"))
    assert revoked.is_revoked(token("t2", session="s_1"))
    assert revoked.is_revoked(token("k_1", scopes=frozenset({"market"})))
    assert not revoked.is_revoked(token("t3", session="s_2"))


async def test_revoking_a_user_leaves_logins_and_keys_to_be_revoked_one_by_one(
    engine: AsyncEngine, clock: Clock
) -> None:
    revoked = Revocations(engine, clock=clock)
    await revoke_user(revoked, "7", NOW)
    assert revoked.is_revoked(token())
    assert not revoked.is_revoked(token(session="s_1"))
    assert not revoked.is_revoked(token("k_1", scopes=frozenset()))


async def test_what_is_written_in_the_callers_transaction_counts_once_it_is_committed(
    engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock
) -> None:
    revoked, elsewhere = Revocations(engine, clock=clock), Revocations(other_engine, clock=clock)
    revocation = Revocation(token_id="s_1", expires_at=NOW + 900)
    async with engine.connect() as connection:
        await revoked.write(connection, [revocation])
        await connection.rollback()
    assert await rows(engine) == []
    async with engine.begin() as connection:
        await revoked.write(connection, [revocation])
        assert not revoked.is_revoked(token(session="s_1"))
    await elsewhere.poll()
    assert elsewhere.is_revoked(token(session="s_1"))


async def test_an_earlier_revocation_takes_nothing_back(engine: AsyncEngine, clock: Clock) -> None:
    revoked = Revocations(engine, clock=clock)
    await revoke_user(revoked, "7", NOW)
    await revoke_user(revoked, "7", NOW - 100)
    assert revoked.is_revoked(token(issued_at=NOW))
    again = Revocations(engine, clock=clock)
    await again.poll()
    assert again.is_revoked(token(issued_at=NOW))


async def test_revocations_survive_a_restart(engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock) -> None:
    before = Revocations(engine, clock=clock)
    await revoke_token(before, token())
    await revoke_user(before, "9", NOW)
    after = Revocations(other_engine, clock=clock)
    await after.poll()
    assert after.is_revoked(token())
    assert after.is_revoked(token("t2", user="9"))
    assert not after.is_revoked(token("t2"))


async def test_another_instance_hears_by_polling(engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock) -> None:
    one, two = Revocations(engine, clock=clock), Revocations(other_engine, clock=clock)
    heard: list[Revocation] = []
    two.on_news.append(heard.append)
    await one.poll()
    await two.poll()
    told = [await revoke_token(one, token()), await revoke_user(one, "9", NOW)]
    await two.poll()
    assert heard == told
    assert two.is_revoked(token())
    assert two.is_revoked(token("t2", user="9"))
    await revoke_token(two, token("t3"))
    await one.poll()
    assert one.is_revoked(token("t3"))
    await two.poll()
    assert len(heard) == 3


async def test_what_was_heard_twice_is_news_once(engine: AsyncEngine, clock: Clock) -> None:
    revoked = Revocations(engine, clock=clock)
    heard: list[Revocation] = []
    revoked.on_news.append(heard.append)
    told = [await revoke_token(revoked, token()), await revoke_user(revoked, "9", NOW)]
    for revocation in told:
        assert not revoked.apply(revocation)
    await revoked.poll()
    assert heard == told


async def test_tokens_that_have_ended_are_forgotten(engine: AsyncEngine, clock: Clock) -> None:
    revoked = Revocations(engine, clock=clock)
    await revoke_token(revoked, token("short", expires_at=NOW + 60))
    await revoke_token(revoked, token("long", expires_at=NOW + 6000))
    clock.now += 65
    await revoked.purge()
    assert revoked.is_revoked(token("short")), "another machine's clock may still be behind"
    clock.now += 5
    await revoked.purge()
    assert not revoked.is_revoked(token("short"))
    assert revoked.is_revoked(token("long"))
    assert [row.token_id for row in await rows(engine)] == ["long"]


async def test_ended_tokens_are_not_even_loaded(engine: AsyncEngine, clock: Clock) -> None:
    await revoke_token(Revocations(engine, clock=clock), token(expires_at=NOW + 60))
    clock.now += 3600
    later = Revocations(engine, clock=clock)
    await later.poll()
    assert not later.is_revoked(token())


async def test_of_a_users_revocations_the_latest_is_kept_for_good(engine: AsyncEngine, clock: Clock) -> None:
    revoked = Revocations(engine, clock=clock)
    for at in (NOW, NOW + 5, NOW + 5, NOW - 5):
        await revoke_user(revoked, "7", at)
    await revoke_user(revoked, "8", NOW)
    clock.now += 10**8
    await revoked.purge()
    assert [(row.user_id, row.issued_before) for row in await rows(engine)] == [("7", NOW + 5), ("8", NOW)]
    assert revoked.is_revoked(token(issued_at=NOW + 5))


async def test_the_row_is_committed_before_anyone_is_told(
    engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock
) -> None:
    revoked = Revocations(engine, clock=clock)
    told = asyncio.Event()
    seen_by_then: list[bool] = []

    def tell(revocation: Revocation) -> None:
        seen_by_then.append(revoked.is_revoked(token()))
        told.set()

    revoked.on_news.append(tell)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(revoke_token(revoked, token()))
        await told.wait()
        assert len(await rows(other_engine)) == 1
    assert seen_by_then == [True]
    assert task.result().token_id == "t1"


async def test_a_database_without_tables_is_told_as_such(database_url: str, tmp_path: Path, clock: Clock) -> None:
    engine = engine_for(database_url, tmp_path)
    revoked = Revocations(engine, clock=clock)
    with pytest.raises(Unavailable, match="revocations"):
        await revoked.poll()
    await engine.dispose()


async def test_a_revocation_that_is_cancelled_holds(engine: AsyncEngine, clock: Clock) -> None:
    revoked = Revocations(engine, clock=clock)
    task = asyncio.create_task(revoke_token(revoked, token()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert revoked.is_revoked(token())
    await revoke_token(revoked, token("t2"))
    assert "t2" in [row.token_id for row in await rows(engine)]


def through(proxy: FaultProxy, url: str) -> str:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{proxy.host}:{proxy.port}"))


async def test_a_revocation_holds_while_the_database_is_cut_off(
    postgres_url: str, tmp_path: Path, clock: Clock
) -> None:
    parts = urlsplit(postgres_url)
    async with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        engine = engine_for(through(proxy, postgres_url), tmp_path)
        await migrate(engine)
        revoked = Revocations(engine, clock=clock)
        heard: list[Revocation] = []
        revoked.on_news.append(heard.append)
        await revoke_token(revoked, token("before"))
        proxy.refuse()
        proxy.cut()
        with pytest.raises(NotDurable) as caught:
            await revoke_token(revoked, token("during"))
        assert (caught.value.what, [one.token_id for one in caught.value.revocations]) == ("database", ["during"])
        assert revoked.is_revoked(token("during"))
        assert [revocation.token_id for revocation in heard] == ["before", "during"]
        for doing in (revoked.poll, revoked.purge):
            with pytest.raises(Unavailable):
                await doing()
        assert revoked.is_revoked(token("before"))
        await proxy.accept()
        await revoke_token(revoked, token("after"))
        assert [row.token_id for row in await rows(engine)] == ["before", "after"]
        await engine.dispose()


async def test_a_database_that_stops_answering_is_not_waited_for_forever(
    postgres_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(postgres_url)
    async with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        engine = engine_for(through(proxy, postgres_url), tmp_path)
        await migrate(engine)
        revoked = Revocations(engine, clock=clock)
        await revoked.poll()
        monkeypatch.setattr(transactions, "TIMEOUT_S", 0.3)
        proxy.stall()
        async with asyncio.timeout(10):
            with pytest.raises(NotDurable, match="no answer in time"):
                await revoke_token(revoked, token())
        assert revoked.is_revoked(token())
        proxy.flow()
        monkeypatch.undo()
        await revoke_token(revoked, token("t2"))
        await engine.dispose()


async def test_a_server_that_is_stopped_and_started_again_has_kept_everything(
    own_postgres: PostgresServer, tmp_path: Path, clock: Clock
) -> None:
    engine = engine_for(own_postgres.url, tmp_path)
    await migrate(engine)
    revoked = Revocations(engine, clock=clock)
    await revoke_token(revoked, token("before"))
    await asyncio.to_thread(own_postgres.kill)
    with pytest.raises(NotDurable):
        await revoke_token(revoked, token("during"))
    assert revoked.is_revoked(token("during"))
    await asyncio.to_thread(own_postgres.start)
    after = Revocations(engine, clock=clock)
    await after.poll()
    assert after.is_revoked(token("before"))
    assert not after.is_revoked(token("during"))
    await engine.dispose()


async def fill(revoked: Revocations) -> None:
    for number in range(2000):
        await revoke_token(revoked, token(f"token-number-{number:05}"))


async def test_a_full_disk_is_told_and_breaks_nothing(tmp_path: Path, clock: Clock) -> None:
    engine = engine_for("", tmp_path)
    await migrate(engine)
    await engine.dispose()
    pages = {"max": 1}

    @event.listens_for(engine.sync_engine, "checkout")
    def limit(connection: Any, *_: Any) -> None:
        connection.cursor().execute(f"PRAGMA max_page_count = {pages['max']}")  # no less than there are now

    revoked = Revocations(engine, clock=clock)
    with pytest.raises(NotDurable, match="database or disk is full") as caught:
        await fill(revoked)
    (lost,) = caught.value.revocations
    assert revoked.is_revoked(token(lost.token_id or ""))
    kept = await rows(engine)
    assert len(kept) > 1
    assert lost.token_id not in {row.token_id for row in kept}
    with pytest.raises(NotDurable, match="full"):
        await fill(revoked)
    await revoked.poll()
    pages["max"] = 1_000_000
    await revoke_token(revoked, token("room again"))
    async with engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA integrity_check")) == "ok"
        assert await connection.scalar(select(func.count()).where(table.c.token_id == "room again")) == 1
    await engine.dispose()


names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
times = st.integers(0, 2**40)
any_revocation = st.one_of(
    st.builds(Revocation, token_id=names, expires_at=times), st.builds(Revocation, user=names, issued_before=times)
)


@given(
    revocation=any_revocation,
    token_id=names,
    user=names,
    issued_at=times,
    session=st.none() | names,
    scopes=st.none() | st.just(frozenset({"socket"})),
)
def test_what_a_revocation_ends_is_what_is_revoked(
    *,
    revocation: Revocation,
    token_id: str,
    user: str,
    issued_at: int,
    session: str | None,
    scopes: frozenset[str] | None,
) -> None:
    named, owner = revocation.token_id or token_id, revocation.user or user
    for bearer in (
        token(token_id, user, issued_at, session=session, scopes=scopes),
        token(named, owner, issued_at, session=session, scopes=scopes),
        token(token_id, owner, issued_at, session=named, scopes=scopes),
    ):
        revoked = Revocations(None)
        revoked.apply(revocation)
        assert revoked.is_revoked(bearer) is revocation.ends(bearer)


@pytest.mark.parametrize(
    "fields",
    [{}, {"token_id": "a"}, {"user": "7"}, {"token_id": "a", "expires_at": 1, "user": "7", "issued_before": 1}],
)
def test_a_revocation_is_of_one_thing(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one token"):
        Revocation(**fields)
