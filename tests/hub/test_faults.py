"""Servers go away in the middle of what accounts do: it is told, nothing stays half done, and all goes on after."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from hub import database
from schemas import tables
from tests.hub.crowd import BOSS, Browser, browsing
from tests.hub.live import Answer, Hub, HubProcess, request, running, until
from tests.hub.people import PASSWORD, Person
from tests.servers import FaultProxy, PostgresServer, RedisServer

PEOPLE = 24

Act = Callable[[Browser, Person], Awaitable[Answer]]


@contextlib.asynccontextmanager
async def over(folder: Path, url: str, **environ: str) -> AsyncIterator[Hub]:
    """A hub over that database."""
    async with running(folder, DATABASE_URL=url, **environ) as hub:
        await until(lambda: hub.web.standing._migrated)
        yield hub


def told(answer: Answer) -> None:
    """It was said that a server is away, as everything else is said."""
    assert (answer.status, answer.code) == (503, "NOT_AVAILABLE"), answer.body
    assert answer.json["error"]["details"]["request_id"] == answer.headers["x-request-id"]
    assert int(answer.headers["retry-after"]) > 0


async def whole_or_not_at_all(one: Person) -> bool:
    """Whether there is an account; one that is there can be used, one that isn't can be made."""
    answer = await one.login()
    if answer.status == 200:
        assert (await one.ask("GET", "users/me")).data["email"] == one.address
        return True
    assert answer.status == 401
    assert (await one.register()).status == 201
    return False


async def chains_hold(browser: Browser) -> bool:
    """Whether the audit trail is in order."""
    return bool((await browser.ask("GET", "/admin/logs/verify", None, BOSS)).data["intact"])


async def login(browser: Browser, one: Person) -> Answer:
    return await browser.ask("POST", "/auth/login", {"email": one.address, "password": one.password})


async def register(browser: Browser, one: Person) -> Answer:
    return await browser.ask("POST", "/auth/register", {"email": one.address, "password": one.password})


async def refresh(browser: Browser, one: Person) -> Answer:
    return await browser.ask("POST", "/auth/refresh", {"refresh_token": one.tokens["refresh_token"]})


async def upgrade(browser: Browser, one: Person) -> Answer:
    return await browser.ask("PUT", f"/admin/users/{one.id}", {"plan": "pro"}, BOSS)


async def test_a_database_that_dies_among_requests_leaves_nothing_half_done(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    async with over(tmp_path, own_postgres.url) as hub, browsing(hub) as browser:
        people = [Person(hub, f"person{number}@example.com") for number in range(PEOPLE)]
        for one in people[PEOPLE // 2 :]:
            assert (await one.register()).status == 201
        acts = [*[register] * (PEOPLE // 2), *[login, refresh, upgrade] * (PEOPLE // 6)]
        asking = [asyncio.create_task(act(browser, one), name="asking") for act, one in zip(acts, people, strict=True)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(own_postgres.kill)
        answers = await asyncio.gather(*asking)
        for answer in answers:
            if answer.status not in (200, 201):
                told(answer)
        assert {200, 201} & {answer.status for answer in answers}
        assert 503 in {answer.status for answer in answers}
        told(await login(browser, people[-1]))
        await asyncio.to_thread(own_postgres.start)
        for one, act, answer in zip(people, acts, answers, strict=True):
            there = await whole_or_not_at_all(one)
            assert there or (act is register and answer.status == 503)
        await entitlements_agree(hub)
        assert await chains_hold(browser)


async def entitlements_agree(hub: Hub) -> None:
    """What accounts say is what counts for their tokens, also of those whose change was not confirmed."""
    async with hub.engine.connect() as connection:
        accounts = (await connection.execute(select(tables.accounts.c.id, tables.accounts.c.plan))).all()
        told = (await connection.execute(select(tables.entitlements).order_by(tables.entitlements.c.id))).all()
    newest = {row.user_id: row.plan for row in told}
    assert {one.id: one.plan for one in accounts} == {one.id: newest.get(one.id, "free") for one in accounts}


LAST_WORDS = [
    (register, b"INSERT INTO accounts"),
    (register, b"INSERT INTO challenges"),
    (register, b"INSERT INTO sessions"),
    (register, b"COMMIT;"),
    (login, b"INSERT INTO sessions"),
    (login, b"COMMIT;"),
    (refresh, b"UPDATE sessions"),
    (refresh, b"COMMIT;"),
    (upgrade, b"UPDATE accounts"),
    (upgrade, b"INSERT INTO entitlements"),
    (upgrade, b"COMMIT;"),
]


@pytest.mark.parametrize(("act", "words"), LAST_WORDS, ids=lambda one: getattr(one, "__name__", one))
async def test_a_database_that_is_cut_off_at_a_statement_leaves_nothing_half_done(
    act: Act, words: bytes, postgres_url: str, tmp_path: Path
) -> None:
    """The client hears 503, and may ask again; what was committed without its hearing of it is there and whole."""
    at = urlsplit(postgres_url)
    async with FaultProxy(at.hostname or "", at.port or 5432) as proxy:
        through = at._replace(netloc=f"postgres@{proxy.host}:{proxy.port}").geturl()
        async with over(tmp_path, through) as hub, browsing(hub) as browser:
            one = Person(hub)
            if act is not register:
                assert (await one.register()).status == 201
            await hub.engine.dispose()  # statements are prepared anew, and so are said
            proxy.swallow_next_reply(after=words)
            told(await act(browser, one))
            assert proxy.swallowed.is_set()
            await entitlements_agree(hub)
            await whole_or_not_at_all(one)
            assert await chains_hold(browser)


async def test_an_account_whose_disabling_was_cut_off_is_disabled_by_asking_again(
    postgres_url: str, tmp_path: Path
) -> None:
    at = urlsplit(postgres_url)
    async with FaultProxy(at.hostname or "", at.port or 5432) as proxy:
        through = at._replace(netloc=f"postgres@{proxy.host}:{proxy.port}").geturl()
        async with over(tmp_path, through) as hub, browsing(hub) as browser:
            one = Person(hub)
            assert (await one.register()).status == 201
            await hub.engine.dispose()
            proxy.swallow_next_reply(after=b"UPDATE sessions")
            disabling = ("PUT", f"/admin/users/{one.id}", {"status": "disabled"}, BOSS)
            told(await browser.ask(*disabling))
            assert (await login(browser, one)).status == 403
            assert (await browser.ask(*disabling)).status == 200
            assert (await one.ask("GET", "users/me")).status == 401


async def test_a_pool_without_a_connection_left_is_told_in_time_and_prices_go_on(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CONNECT_TIMEOUT_S", 2.0)
    async with over(tmp_path, postgres_url) as hub, browsing(hub) as browser, contextlib.AsyncExitStack() as held:
        one = Person(hub)
        assert (await one.register()).status == 201
        async with hub.client(headers=one.bearer) as client:
            await client.subscribe("market:TCS")
            for _ in range(database.POOL_SIZE + database.POOL_OVERFLOW):
                await held.enter_async_context(hub.engine.connect())
            async with asyncio.timeout(database.CONNECT_TIMEOUT_S + 3):
                waiting = asyncio.create_task(browser.ask("GET", "/users/me", None, one.bearer), name="waiting")
                for price in (1.0, 2.0, 3.0):
                    await hub.publish("market:TCS", price=price)
                    assert (await client.hear("market:update"))["price"] == price
                    read = await browser.ask("GET", "/market/prices/TCS", None, one.bearer)
                    assert read.data["price"] == price
                assert not waiting.done()
                told(await waiting)
            await held.aclose()
            assert (await browser.ask("GET", "/users/me", None, one.bearer)).status == 200


async def test_without_redis_people_log_in_and_guessing_is_still_limited(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with running(tmp_path, REDIS_URL=own_redis.url, LOGIN_RATE_LIMIT_MAX="5") as hub, browsing(hub) as browser:
        one = Person(hub)
        assert (await one.register()).status == 201
        await asyncio.to_thread(own_redis.kill)
        answer = await login(browser, one)
        assert answer.status == 200
        asked = {"email": one.address, "password": "wrong"}
        guesses = [(await browser.ask("POST", "/auth/login", asked)).status for _ in range(8)]
        assert guesses == sorted(guesses)
        assert set(guesses) == {401, 429}
        token = {"Authorization": f"Bearer {answer.data['access_token']}"}
        assert (await browser.ask("GET", "/users/me", None, token)).data["email"] == one.address
        assert (await browser.ask("POST", "/auth/logout", {}, token)).status == 200
        assert (await browser.ask("GET", "/users/me", None, token)).status == 401


async def test_a_hub_that_is_killed_among_registrations_has_each_account_whole_or_not_at_all() -> None:
    people = [f"person{number}@example.com" for number in range(PEOPLE)]
    with HubProcess("web", RATE_LIMIT_MAX="1000000", LOGIN_RATE_LIMIT_MAX="1000000") as process:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask(process, "register", address), name=address) for address in people]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(process.kill)
        confirmed = {address for address, task in zip(people, asked, strict=True) if task.result() == 201}
        assert confirmed
        assert len(confirmed) < PEOPLE
        await asyncio.to_thread(process.start)
        there = {
            one for one, status in zip(people, await ask_all(process, "login", people), strict=True) if status == 200
        }
        assert confirmed <= there
        again = await ask_all(process, "register", people)
        assert again == [409 if one in there else 201 for one in people]
        url = f"{process.url}/api/v1/admin/logs/verify"
        assert (await asyncio.to_thread(request, url, **BOSS)).data["intact"] is True


async def ask_all(process: HubProcess, what: str, addresses: list[str]) -> list[int]:
    return await asyncio.gather(*(ask(process, what, address) for address in addresses))


async def ask(process: HubProcess, what: str, address: str) -> int:
    """The status of a registration or login; 0 where the hub is gone."""
    body = json.dumps({"email": address, "password": PASSWORD}).encode()
    try:
        return (await asyncio.to_thread(request, f"{process.url}/api/v1/auth/{what}", "POST", body)).status
    except (OSError, HTTPException):
        return 0
