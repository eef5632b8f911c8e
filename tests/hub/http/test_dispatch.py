import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import msgspec
import pytest
from msgspec import Meta
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message

from auth.identity import Identity, Role
from hub.http.dispatch import Areas, Dispatcher
from hub.http.endpoint import Access, Call, Endpoint, Nothing, Reply
from hub.http.envelope import EXCEPTION_HANDLERS
from schemas.errors import CommandError, ErrorCode

BEARERS = {
    name: Identity(user=name, token_id=name, issued_at=0, expires_at=1, role=role, scopes=scopes)
    for name, role, scopes in (
        ("user", Role.USER, None),
        ("admin", Role.ADMIN, None),
        ("key", Role.USER, frozenset({"things"})),
        ("other-key", Role.ADMIN, frozenset({"more"})),
    )
}


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query."""

    count: Annotated[int, Meta(ge=1)] = 1


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body."""

    name: str = "nobody"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    text: str


class Handlers:
    async def who(self, call: Call) -> Said:
        return Said(text=f"{call.identity.user if call.identity else None} {call.address} {call.language}")

    async def count(self, call: Call, query: Asked) -> Said:
        return Said(text=str(query.count))

    async def make(self, call: Call, body: Given) -> Reply[Said]:
        return Reply(Said(text=body.name), 202, {"X-Made": "yes"})

    async def remove(self, call: Call) -> Nothing:
        return Nothing()

    async def plain(self, call: Call) -> PlainTextResponse:
        return PlainTextResponse(call.path("name"))


class Limits:
    """Counts what was asked of it, and lets pass so many."""

    def __init__(self) -> None:
        self.taken: list[tuple[str | None, str]] = []
        self.allowed = 100

    async def __call__(self, _: Request, identity: Identity | None, kind: str) -> None:
        self.taken.append((identity.user if identity else None, kind))
        if len(self.taken) > self.allowed:
            raise CommandError(ErrorCode.RATE_LIMITED, "Too many")


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
async def client(limits: Limits) -> AsyncIterator[httpx2.AsyncClient]:
    async def verify(token: str) -> Identity:
        if token not in BEARERS:
            raise CommandError(ErrorCode.UNAUTHORIZED, "No such token")
        return BEARERS[token]

    handlers = Handlers()
    endpoints = [
        Endpoint("GET", "/open", handlers.who, access=Access.PUBLIC, limit="login"),
        Endpoint("GET", "/signed", handlers.who, access=Access.PUBLIC, limit=None),
        Endpoint("GET", "/things", handlers.count, scope="things"),
        Endpoint("POST", "/things", handlers.make, scope="things", max_body_bytes=20),
        Endpoint("DELETE", "/things", handlers.remove),
        Endpoint("GET", "/admin", handlers.who, access=Access.ADMIN, scope="more"),
        Endpoint("GET", "/plain/{name:path}", handlers.plain, access=Access.PUBLIC),
    ]
    dispatcher = Dispatcher(
        verify=verify, limit=limits, address_of=lambda _: "192.0.2.1", language_of=lambda _, identity: "hi"
    )
    app = Starlette(routes=[Mount("/api", routes=dispatcher.routes(endpoints))], exception_handlers=EXCEPTION_HANDLERS)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub/api") as client:
        yield client


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


async def ask(
    client: httpx2.AsyncClient, method: str, path: str, who: str | None = None, body: Any = None
) -> tuple[int, Any]:
    """The status, and the data or the error's code."""
    content = None if body is None else json.dumps(body)
    answer = await client.request(method, path, headers=bearer(who) if who else {}, content=content)
    said = answer.json()
    return answer.status_code, said["data"] if said["status"] == "success" else said["error"]["code"]


async def test_a_public_endpoint_looks_at_a_token_where_there_is_one(client: httpx2.AsyncClient) -> None:
    assert await ask(client, "GET", "/open") == (200, {"text": "None 192.0.2.1 hi"})
    assert await ask(client, "GET", "/open", "user") == (200, {"text": "user 192.0.2.1 hi"})
    for nobodys in ("forged", "key"):
        assert await ask(client, "GET", "/open", nobodys) == (200, {"text": "None 192.0.2.1 hi"})


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        ("/things", None, 401),
        ("/things", "forged", 401),
        ("/things", "user", 200),
        ("/things", "key", 200),
        ("/things", "other-key", 403),
        ("/admin", "user", 403),
        ("/admin", "admin", 200),
        ("/admin", "key", 403),
    ],
)
async def test_it_lets_in_whom_the_endpoint_lets_in(
    client: httpx2.AsyncClient, path: str, who: str | None, status: int
) -> None:
    assert (await ask(client, "GET", path, who))[0] == status


async def test_no_key_is_taken_where_no_scope_is_named(client: httpx2.AsyncClient) -> None:
    assert await ask(client, "DELETE", "/things", "key") == (403, "PERMISSION_DENIED")
    assert await ask(client, "DELETE", "/things", "user") == (200, {})


async def test_a_query_is_read_and_checked(client: httpx2.AsyncClient) -> None:
    assert await ask(client, "GET", "/things?count=3", "user") == (200, {"text": "3"})
    assert await ask(client, "GET", "/things?count=0", "user") == (400, "BAD_REQUEST")
    assert await ask(client, "GET", "/things?size=1", "user") == (400, "BAD_REQUEST")


async def test_an_endpoint_without_a_query_takes_none(client: httpx2.AsyncClient) -> None:
    assert await ask(client, "GET", "/open?x=1") == (400, "BAD_REQUEST")


async def test_a_body_is_read_and_checked(client: httpx2.AsyncClient) -> None:
    assert await ask(client, "POST", "/things", "user", {"name": "a"}) == (202, {"text": "a"})
    assert await ask(client, "POST", "/things", "user") == (202, {"text": "nobody"})
    assert await ask(client, "POST", "/things", "user", {"name": 1}) == (400, "BAD_REQUEST")
    assert await ask(client, "POST", "/things", "user", {"name": "a" * 20}) == (422, "LIMIT_EXCEEDED")


async def test_a_reply_says_its_status_and_headers(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/things", headers=bearer("user"))
    assert (answer.status_code, answer.headers["x-made"]) == (202, "yes")


async def test_a_response_goes_out_as_it_is(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/plain/a/b")
    assert (answer.text, answer.headers["content-type"]) == ("a/b", "text/plain; charset=utf-8")


async def test_a_wrong_method_is_told_all_the_right_ones(client: httpx2.AsyncClient) -> None:
    answer = await client.request("PATCH", "/things", headers=bearer("user"))
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "DELETE"}


async def test_head_is_get_without_a_body(client: httpx2.AsyncClient) -> None:
    assert (await client.head("/things?count=0", headers=bearer("user"))).status_code == 400
    assert (await client.head("/things", headers=bearer("user"))).status_code == 200


async def test_each_request_is_counted_for_who_asks(client: httpx2.AsyncClient, limits: Limits) -> None:
    for path, who in (("/open", None), ("/things", "user"), ("/things", "key")):
        await ask(client, "GET", path, who)
    assert limits.taken == [(None, "login"), ("user", "default"), ("key", "default")]


async def test_what_proves_itself_is_not_counted(client: httpx2.AsyncClient, limits: Limits) -> None:
    assert (await client.get("/signed")).status_code == 200
    assert limits.taken == []


async def test_a_bad_token_counts_against_its_address(client: httpx2.AsyncClient, limits: Limits) -> None:
    await ask(client, "GET", "/things", "forged")
    await ask(client, "GET", "/things")
    assert limits.taken == [(None, "default"), (None, "default")]


async def test_whoever_asks_too_often_is_refused_before_anything_else(
    client: httpx2.AsyncClient, limits: Limits
) -> None:
    limits.allowed = 0
    assert await ask(client, "GET", "/things?count=0", "user") == (429, "RATE_LIMITED")
    assert await ask(client, "GET", "/things", "forged") == (429, "RATE_LIMITED")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/a", 200),
        ("/api/a/b", 200),
        ("/api/a/", 307),
        ("/api/c/d", 200),
        ("/api/b", 404),
        ("/api/", 404),
        ("/api/a/b/c", 404),
    ],
)
async def test_a_route_is_found_in_its_area(path: str, status: int) -> None:
    async def fine(_: Request) -> Response:
        return Response("fine")

    areas = Areas([Route("/a", fine), Route("/a/{x}", fine), Route("/c/d", fine)])
    app = Starlette(routes=[Mount("/api", app=areas)], exception_handlers=EXCEPTION_HANDLERS)
    heard: list[Message] = []

    async def send(message: Message) -> None:
        heard.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert heard[0]["status"] == status
