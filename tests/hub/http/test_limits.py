import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import redis
from starlette.applications import Starlette
from starlette.routing import Mount

from auth.identity import Identity, Plan, Role
from auth.limits import Allowance, RateLimited, RateLimits, limits_of
from channels.broker_memory import MemoryBroker
from channels.broker_redis import RedisBroker
from channels.counters import Counters
from hub.http.client_address import client_address, networks
from hub.http.dispatch import Dispatcher
from hub.http.edge import middleware
from hub.http.endpoint import Access, Call, Endpoint
from hub.http.envelope import EXCEPTION_HANDLERS
from hub.http.limits import HttpLimits, headers_of, refusal_headers
from schemas.errors import CommandError, ErrorCode
from tests.channels.recorder import NAMES
from tests.hub.live import Answer, request, serving
from tests.servers import RedisServer

TRUSTED = networks(["127.0.0.1"])


class Done(msgspec.Struct, frozen=True):
    """Nothing."""


class Routes:
    """Endpoints of both classes."""

    async def read(self, call: Call) -> Done:
        """Read."""
        return Done()

    async def fail(self, call: Call) -> Done:
        """Fail."""
        raise CommandError(ErrorCode.NOT_FOUND, "No such thing")

    async def login(self, call: Call) -> Done:
        """Log in."""
        return Done()

    @property
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/read", self.read, scope="read"),
            Endpoint("GET", "/open", self.read, access=Access.PUBLIC),
            Endpoint("GET", "/fail", self.fail),
            Endpoint("GET", "/look", self.read, scope="read", limit="lookup"),
            Endpoint("POST", "/login", self.login, access=Access.PUBLIC, limit="login"),
        ]


async def verify(token: str) -> Identity:
    """A token says `user` or `user/role/plan`; `key-…:user` is an API key."""
    if token == "bad":
        raise CommandError(ErrorCode.UNAUTHORIZED, "This is no token")
    user, role, plan = [*token.split("/"), "", ""][:3]
    scopes = frozenset({"read"}) if user.startswith("key") else None
    return Identity(
        user=user.partition(":")[2] if scopes else user,
        role=Role(role or "user"),
        plan=Plan(plan or "free"),
        token_id=user,
        issued_at=0,
        expires_at=2**40,
        scopes=scopes,
    )


class Client:
    """Asks, as whom and from where it is told."""

    def __init__(self, place: str) -> None:
        self.url = f"http://{place}/api/v1"

    async def get(self, path: str, token: str = "", address: str = "203.0.113.7", method: str = "GET") -> Answer:
        headers = {"X-Forwarded-For": address} | ({"Authorization": f"Bearer {token}"} if token else {})
        body = b"{}" if method == "POST" else None
        return await asyncio.to_thread(request, self.url + path, method, body, **headers)


@asynccontextmanager
async def limited(requests: int = 3, logins: int = 2, window_s: float = 900, **plans: int) -> AsyncIterator[Client]:
    limits = RateLimits(
        MemoryBroker().count,
        count_alone=Counters().count,
        secret="s" * 32,
        limits=limits_of(requests=requests, logins=logins, window_s=window_s),
    )

    def address_of(request: Any) -> str:
        return client_address(request.scope, TRUSTED)

    limit = HttpLimits(limits, address_of=address_of, requests_of=lambda identity: plans.get(identity.plan))
    dispatcher = Dispatcher(verify=verify, limit=limit, address_of=address_of, language_of=lambda *_: "en")
    app = Starlette(
        routes=[Mount("/api/v1", routes=dispatcher.routes(Routes().endpoints))],
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=middleware(origins=(), trusted=TRUSTED),
    )
    async with serving(app) as place:
        yield Client(place)


def told(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith(("ratelimit", "retry-after"))}


async def test_every_answer_says_what_is_left_and_a_refusal_when_to_come_again() -> None:
    async with limited() as client:
        assert told(await client.get("/read", "7")) == {
            "ratelimit-policy": '"default";q=3;w=900',
            "ratelimit": '"default";r=2;t=900',
            "ratelimit-limit": "3",
            "ratelimit-remaining": "2",
            "ratelimit-reset": "900",
        }
        failed = await client.get("/fail", "7")
        assert (failed.status, failed.headers["ratelimit"]) == (404, '"default";r=1;t=900')
        await client.get("/read", "7")
        refused = await client.get("/read", "7")
        assert (refused.status, refused.code) == (429, "RATE_LIMITED")
        assert told(refused) == {
            "ratelimit-policy": '"default";q=3;w=900',
            "ratelimit": '"default";r=0;t=900',
            "ratelimit-limit": "3",
            "ratelimit-remaining": "0",
            "ratelimit-reset": "900",
            "retry-after": "900",
        }


async def test_users_and_keys_and_addresses_are_counted_apart() -> None:
    async with limited(requests=1) as client:
        for token, address in (
            ("7", "203.0.113.7"),
            ("8", "203.0.113.7"),
            ("key-1:9", "203.0.113.7"),
            ("key-2:10", "203.0.113.7"),
            ("", "203.0.113.7"),
            ("", "203.0.113.8"),
            ("", "2001:db8:0:1::1"),
            ("", "2001:db8:0:2::1"),
        ):
            path = "/read" if token else "/open"
            assert (await client.get(path, token, address)).status == 200, (token, address)
            assert (await client.get(path, token, address)).status == 429, (token, address)
        assert (await client.get("/open", address="2001:db8:0:1:9:9:9:9")).status == 429


async def test_keys_count_against_their_users_requests() -> None:
    async with limited(requests=2) as client:
        answers = [(await client.get("/read", token)).status for token in ("key-1:7", "key-2:7", "key-3:7", "7")]
        assert answers == [200, 200, 429, 429]


@pytest.mark.parametrize("token", ["", "bad"])
async def test_who_brings_no_token_or_a_bad_one_is_counted_by_address(token: str) -> None:
    async with limited(requests=2) as client:
        answers = [await client.get("/read", token) for _ in range(3)]
        assert [answer.status for answer in answers] == [401, 401, 429]
        assert answers[0].headers["ratelimit-remaining"] == "1"
        assert answers[0].headers["www-authenticate"] == "Bearer"
        assert (await client.get("/read", token, "203.0.113.8")).status == 401


async def test_a_plan_may_have_its_own_number_and_servers_have_a_hundred_times_as_many() -> None:
    async with limited(pro=50) as client:
        quota = {
            token: (await client.get("/read", token)).headers["ratelimit-limit"]
            for token in ("1", "2/user/pro", "3/publisher/free", "4/admin/pro")
        }
    assert quota == {"1": "3", "2/user/pro": "50", "3/publisher/free": "300", "4/admin/pro": "300"}


async def test_what_is_looked_up_is_counted_apart_and_may_be_ten_times_as_much() -> None:
    async with limited(requests=1, pro=2) as client:
        for _ in range(10):
            answer = await client.get("/look", "7")
            assert answer.status == 200
        assert answer.headers["ratelimit-policy"] == '"lookup";q=10;w=900'
        assert (await client.get("/look", "7")).status == 429
        assert (await client.get("/read", "7")).headers["ratelimit"] == '"default";r=0;t=900'
        quota = {
            token: (await client.get("/look", token)).headers["ratelimit-limit"]
            for token in ("8", "2/user/pro", "3/publisher/free", "4/admin/pro", "key-1:9")
        }
    assert quota == {
        "8": "10",
        "2/user/pro": "20",
        "3/publisher/free": "1000",
        "4/admin/pro": "1000",
        "key-1:9": "10",
    }


@pytest.mark.parametrize("token", ["", "bad"])
async def test_without_a_good_token_nothing_more_may_be_looked_up(token: str) -> None:
    async with limited(requests=1) as client:
        answers = [await client.get(path, token) for path in ("/look", "/read")]
        assert [answer.status for answer in answers] == [401, 429]
        assert answers[0].headers["ratelimit-policy"] == '"default";q=1;w=900'


async def test_logins_are_counted_by_address_whoever_asks_and_apart_from_the_rest() -> None:
    async with limited() as client:
        answers = [await client.get("/login", token, method="POST") for token in ("", "7", "8")]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"login";q=2;w=900'
        assert (await client.get("/read", "7")).status == 200
        assert (await client.get("/login", address="203.0.113.8", method="POST")).status == 200


def test_seconds_are_whole_and_never_too_few() -> None:
    left = Allowance(rule="default", limit=9, remaining=0, resets_in_s=0.2, window_s=0.5)
    assert headers_of(left)["RateLimit"] == '"default";r=0;t=1'
    assert headers_of(left)["RateLimit-Policy"] == '"default";q=9;w=1'
    over = Allowance(rule="default", limit=9, remaining=0, resets_in_s=0.0, window_s=0.5)
    assert refusal_headers(over)["Retry-After"] == "1"


async def test_processes_share_their_counts_through_redis_and_count_alone_without_it(own_redis: RedisServer) -> None:
    brokers = [RedisBroker(own_redis.url, names=NAMES, timeout_s=1) for _ in range(2)]
    rules = limits_of(requests=3, logins=2, window_s=900)
    first, second = (
        RateLimits(broker.count, count_alone=Counters().count, secret="s" * 32, limits=rules) for broker in brokers
    )
    left = [(await one.take("default", "user:somebody@example.com")).remaining for one in (first, second, first)]
    assert left == [2, 1, 0]
    with pytest.raises(RateLimited):
        await second.take("default", "user:somebody@example.com")
    with redis.Redis.from_url(own_redis.url) as client:
        keys: Any = await asyncio.to_thread(client.keys)
    assert len(keys) == 1
    assert b"somebody" not in keys[0]
    await asyncio.to_thread(own_redis.kill)
    alone = [(await second.take("default", "user:somebody@example.com")).remaining for _ in range(3)]
    assert alone == [2, 1, 0]
    with pytest.raises(RateLimited):
        await second.take("default", "user:somebody@example.com")
    for broker in brokers:
        await broker.close()
