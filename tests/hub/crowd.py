"""Everybody who may come to a hub with something in the hand: tokens, keys, forgeries; and a client for many requests.

`Crowd.gather` makes them all on one hub, and `Browser` asks in their name over connections that are kept.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from yarl import URL

from auth.identity import Plan
from auth.passwords import Cost, Passwords
from auth.permissions import Scope
from auth.tokens import TokenIssuer
from tests.hub.live import SECRET, WAIT_S, Answer, Hub, bearer, token
from tests.hub.people import Person

AT_ONCE = 16

BOSS = bearer("boss", role="admin")

T = TypeVar("T")


class Browser:
    """Asks many things at once over connections that are kept."""

    def __init__(self, hub: Hub, session: aiohttp.ClientSession) -> None:
        self._url = f"{hub.url}/api/v1"
        self._session = session

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        raw: bytes | None = None,
    ) -> Answer:
        """One request under `/api/v1` with a JSON body, or with bytes as they are."""
        data = raw if raw is not None or body is None else json.dumps(body).encode()
        url = URL(self._url + path, encoded=True)
        async with self._session.request(method, url, data=data, headers=headers) as answer:
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, named, await answer.read())


@asynccontextmanager
async def browsing(hub: Hub) -> AsyncIterator[Browser]:
    """A browser without cookies that follows nothing."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=AT_ONCE),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=4 * WAIT_S),
        skip_auto_headers=("Content-Type",),
    ) as session:
        yield Browser(hub, session)


async def all_of(waiting: Iterable[Awaitable[T]]) -> Sequence[T]:
    """Their answers, with some of them at work at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(what: Awaitable[T]) -> T:
        async with room:
            return await what

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(what), name="asking") for what in waiting]
    return [task.result() for task in tasks]


def hash_quickly(hub: Hub) -> None:
    """Let passwords cost nothing, where thousands are tried."""
    hub.web.accounts._passwords = Passwords(Cost(memory_kib=8, passes=1))


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with something in the hand, and who that is to the hub."""

    headers: dict[str, str]
    code: str | None = None
    """What everything answers, also what needs no token: of what is brought and isn't good."""
    nobody: bool = False
    plan: str = "free"
    role: str = "user"
    scopes: frozenset[str] | None = None
    account: bool = False


def _authorized(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def _bad(text: str, code: str = "UNAUTHORIZED") -> Bearer:
    return Bearer(headers=_authorized(text), code=code)


CLAIMS = {"sub": "7", "plan": "pro", "role": "admin", "iss": "tickhub", "aud": "tickhub", "typ": "access"}


def forgeries() -> dict[str, Bearer]:
    """What looks like a token and is none, or none any more."""
    now = int(time.time())
    claims = CLAIMS | {"iat": now, "exp": now + 900}
    good = token("7", role="admin")
    head, payload, signature = good.split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "boss"}).encode()).decode().rstrip("=")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    foreign = {"sub": "7", "iss": "https://login.example", "iat": now, "exp": now + 900, "role": "admin"}
    long_ago = TokenIssuer(SECRET, 60, clock=lambda: time.time() - 3600)
    return {
        "garbage": _bad("garbage"),
        "another scheme": Bearer(headers={"Authorization": "Basic Ym9zczpib3Nz"}, code="UNAUTHORIZED"),
        "no token after the scheme": Bearer(headers={"Authorization": "Bearer"}, code="UNAUTHORIZED"),
        "expired": _bad(long_ago.issue("7", Plan.PRO), "TOKEN_EXPIRED"),
        "not yet valid": _bad(jwt.encode(claims | {"nbf": now + 900}, SECRET)),
        "tampered signature": _bad(f"{head}.{payload}.{signature[:-6]}{signature[-6:].swapcase()[::-1]}"),
        "tampered claims": _bad(f"{head}.{other}.{signature}"),
        "no signature": _bad(f"{head}.{payload}."),
        "alg none": _bad(jwt.encode(claims, None, algorithm="none")),
        "another secret": _bad(jwt.encode(claims, "another-signing-secret-" * 3, algorithm="HS256")),
        "another algorithm": _bad(jwt.encode(claims, SECRET, algorithm="HS384")),
        "a foreign issuer's": _bad(jwt.encode(foreign, key, algorithm="RS256")),
        "a foreign issuer's name": _bad(jwt.encode(claims | {"iss": "https://login.example"}, SECRET)),
        "another audience's": _bad(jwt.encode(claims | {"aud": "elsewhere"}, SECRET)),
        "an ID token": _bad(jwt.encode(claims | {"typ": "id_token"}, SECRET)),
        "without end": _bad(jwt.encode(CLAIMS, SECRET)),
        "a key that isn't": _bad(f"thk_{'0' * 16}_{'0' * 64}"),
        "a key in the other header that isn't": Bearer(headers={"X-API-Key": "thk_0_0"}, code="UNAUTHORIZED"),
    }


def strangers() -> dict[str, Bearer]:
    """Good tokens of users who have no account here."""
    plans = {plan: Bearer(headers=bearer(f"a-{plan}", plan=plan), plan=plan) for plan in ("free", "basic", "pro")}
    publisher = Bearer(headers=bearer("a-server", plan="free", role="publisher"), role="publisher")
    return {**plans, "publisher": publisher, "admin": Bearer(headers=BOSS, role="admin")}


class Crowd:
    """Makes accounts on a hub, and gathers what they bring."""

    def __init__(self, hub: Hub, browser: Browser) -> None:
        self._hub = hub
        self._browser = browser

    async def gather(self) -> dict[str, Bearer]:
        """Everybody, by a name that says what is in the hand."""
        made = await asyncio.gather(self._account(), self._gone(), self._disabled(), self._kinds(), self._keys())
        everybody = {"nobody": Bearer(headers={}, nobody=True), **forgeries(), **strangers()}
        for some in made:
            everybody |= some
        return everybody

    async def person(self, name: str) -> Person:
        """Somebody who has just registered."""
        person = Person(self._hub, f"{name}@example.com")
        answer = await person.register()
        assert answer.status == 201, answer.json
        return person

    async def entitle(self, person: Person, **fields: str) -> None:
        """Let the administrator change what an account may."""
        answer = await self._browser.ask("PUT", f"/admin/users/{person.id}", fields, BOSS)
        assert answer.status == 200, answer.json

    async def key(self, person: Person, *scopes: str) -> tuple[str, str]:
        """A key's id and text."""
        asked = {"name": "key", "scopes": list(scopes)}
        answer = await self._browser.ask("POST", "/users/api-keys", asked, person.bearer)
        assert answer.status == 201, answer.json
        return answer.data["id"], answer.data["key"]

    async def _account(self) -> dict[str, Bearer]:
        plain, boss = await asyncio.gather(self.person("plain"), self.person("boss"))
        await self.entitle(boss, role="admin")
        return {
            "account": Bearer(headers=plain.bearer, account=True),
            "administrator's account": Bearer(headers=boss.bearer, account=True, role="admin"),
        }

    async def _gone(self) -> dict[str, Bearer]:
        out, deleted = await asyncio.gather(self.person("out"), self.person("deleted"))
        assert (await out.ask("POST", "auth/logout")).status == 200
        assert (await deleted.ask("DELETE", "users/me", {"password": deleted.password})).status == 200
        return {
            "logged out": Bearer(headers=out.bearer, code="UNAUTHORIZED"),
            "account that is gone": Bearer(headers=deleted.bearer, code="UNAUTHORIZED"),
        }

    async def _disabled(self) -> dict[str, Bearer]:
        person = await self.person("disabled")
        _, text = await self.key(person, "market", "socket")
        await self.entitle(person, status="disabled")
        return {
            "disabled account": Bearer(headers=person.bearer, code="UNAUTHORIZED"),
            "key of a disabled account": _bad(text),
        }

    async def _kinds(self) -> dict[str, Bearer]:
        """Good for something, and not as a token."""
        person = await self.person("second")
        ticket = (await person.ask("POST", "auth/ticket")).data["ticket"]
        await person.enable_second_factor()
        refresh = person.tokens["refresh_token"]
        challenge = (await person.login()).data["challenge"]
        return {"refresh token": _bad(refresh), "ticket": _bad(ticket), "challenge": _bad(challenge)}

    async def _keys(self) -> dict[str, Bearer]:
        free, server, boss = await asyncio.gather(*(self.person(f"key-{name}") for name in ("free", "server", "boss")))
        await self.entitle(server, role="publisher")
        await self.entitle(boss, role="admin")
        everybody: dict[str, Bearer] = {}
        for scope in Scope:
            _, text = await self.key(server, scope)
            everybody[f"key for {scope}"] = Bearer(
                headers=_authorized(text), role="publisher", scopes=frozenset({scope}), account=True
            )
        _, text = await self.key(free, "signals", "market")
        everybody["key of a free account"] = Bearer(
            headers={"X-API-Key": text}, scopes=frozenset({"signals", "market"}), account=True
        )
        _, text = await self.key(boss, *Scope)
        everybody["administrator's key for everything"] = Bearer(
            headers=_authorized(text), role="publisher", scopes=frozenset(Scope), account=True
        )
        key_id, text = await self.key(free, "market")
        assert (await self._browser.ask("DELETE", f"/users/api-keys/{key_id}", None, free.bearer)).status == 200
        everybody["revoked key"] = _bad(text)
        return everybody
