import asyncio
import contextlib
import http.client
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from hub.http.client_address import networks
from hub.http.edge import Edge, middleware
from hub.http.envelope import EXCEPTION_HANDLERS, success
from hub.http.limits import response_headers
from hub.logs import JsonFormatter
from schemas.errors import CommandError, ErrorCode
from tests.hub.live import Answer, request, running, serving

APP = "https://app.example.com"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
PREFLIGHT = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,x-request-id"}

log = logging.getLogger("tickhub.tests.edge")


async def good(request: Request) -> Response:
    log.warning("handler.reached")
    response_headers(request.scope)["X-Left"] = "3"
    return success({"id": request.scope["request_id"]})


async def page(_: Request) -> Response:
    own = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "max-age=60", "X-Left": "own"}
    return Response("page", headers=own)


async def refused(request: Request) -> Response:
    response_headers(request.scope)["X-Left"] = "2"
    raise CommandError(ErrorCode.NOT_FOUND, "No such thing")


async def lasting(request: Request) -> Response:
    """Begins a task that outlives the request."""

    async def outlive() -> None:
        log.warning("task.begun")
        await request.app.state.go_on.wait()
        log.warning("task.ended")

    request.app.state.task = asyncio.create_task(outlive(), name="outlive")
    await asyncio.sleep(0)
    return success({})


async def broken(_: Request) -> Response:
    raise ZeroDivisionError("the inner secret")


async def broken_halfway(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise ZeroDivisionError("too late")

    return StreamingResponse(parts())


def application(*origins: str) -> Starlette:
    handlers = {"good": good, "page": page, "refused": refused, "lasting": lasting, "broken": broken}
    handlers["halfway"] = broken_halfway
    return Starlette(
        routes=[Route(f"/api/{name}", handler) for name, handler in handlers.items()] + [Route("/page", page)],
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=middleware(origins=origins, trusted=networks(["127.0.0.1"])),
    )


Ask = Callable[..., Any]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Asks an application that lets one origin in."""
    async with serving(application(APP)) as place:

        async def ask(path: str, method: str = "GET", **headers: str) -> Answer:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await asyncio.to_thread(request, f"http://{place}{path}", method, None, **named)

        yield ask


# -- security headers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/good", 200),
        ("HEAD", "/api/good", 200),
        ("OPTIONS", "/api/good", 405),
        ("POST", "/api/good", 405),
        ("GET", "/api/refused", 404),
        ("GET", "/api/nowhere", 404),
        ("GET", "/api/broken", 500),
    ],
)
async def test_every_answer_has_them(ask: Ask, method: str, path: str, status: int) -> None:
    answer = await ask(path, method)
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert "strict-transport-security" not in answer.headers


async def test_an_answer_keeps_those_that_it_brings(ask: Ask) -> None:
    answer = await ask("/api/page")
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert answer.headers["cache-control"] == "max-age=60"
    assert answer.headers["x-left"] == "own"
    assert answer.headers["x-frame-options"] == "DENY"


async def test_what_is_left_for_the_answer_comes_with_it_and_with_a_failure(ask: Ask) -> None:
    assert (await ask("/api/good")).headers["x-left"] == "3"
    assert (await ask("/api/refused")).headers["x-left"] == "2"


async def test_transport_security_is_asked_for_where_the_request_came_by_it(ask: Ask) -> None:
    answer = await ask("/api/good", X_Forwarded_Proto="https")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_no_header_stands_twice() -> None:
    async with serving(application(APP)) as place:
        reader, writer = await asyncio.open_connection(*place.split(":"))
        for path in ("/api/good", "/page", "/api/refused", "/api/broken"):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nOrigin: {APP}\r\n\r\n".encode())
            async with asyncio.timeout(5):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await reader.readexactly(int(re.findall("content-length: ([0-9]+)", head)[0]))
            names = re.findall(r"^([\w-]+):", head, re.MULTILINE)
            assert len(set(names)) == len(names), head
        writer.close()


async def test_the_first_page_keeps_its_own_policy_and_the_api_has_the_strict_one(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        answer = await hub.get("/")
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["permissions-policy"] == ALWAYS["permissions-policy"]
        answer = await hub.get("/api/v1/market/prices/TCS")
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
        assert answer.json["error"]["details"] == {"request_id": answer.headers["x-request-id"]}


# -- the request's name -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given_id", ["a", "A-b_c.9", "x" * 64])
async def test_a_good_name_is_taken_over(ask: Ask, given_id: str) -> None:
    answer = await ask("/api/good", X_Request_ID=given_id)
    assert answer.headers["x-request-id"] == given_id
    assert answer.data == {"id": given_id}


@pytest.mark.parametrize("given_id", ["", "x" * 65, "a b", "a;b", "ü", "a\tb", "<b>"])
async def test_another_is_replaced(ask: Ask, given_id: str) -> None:
    answer = await ask("/api/good", X_Request_ID=given_id)
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_each_request_has_its_own(ask: Ask) -> None:
    names = {answer.headers["x-request-id"] for answer in await asyncio.gather(*(ask("/api/good") for _ in range(20)))}
    assert len(names) == 20


@contextlib.contextmanager
def logged() -> Iterator[list[tuple[str, str | None]]]:
    """Each line's event and the request that it names."""
    lines: list[tuple[str, str | None]] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            entry = json.loads(JsonFormatter().format(record))
            lines.append((entry["event"].strip(), entry.get("request_id")))

    handler = Lines()
    for name in ("tickhub", "uvicorn.error"):
        logging.getLogger(name).addHandler(handler)
    yield lines
    for name in ("tickhub", "uvicorn.error"):
        logging.getLogger(name).removeHandler(handler)


async def test_an_error_and_every_line_logged_on_the_way_name_it(ask: Ask) -> None:
    with logged() as lines:
        await ask("/api/good", X_Request_ID="first")
        answer = await ask("/api/broken", X_Request_ID="second")
        with pytest.raises(http.client.IncompleteRead):
            await ask("/api/halfway", X_Request_ID="third")
    assert answer.json["error"]["details"] == {"request_id": "second"}
    assert lines == [
        ("handler.reached", "first"),
        ("http.bug", "second"),
        ("http.bug", "third"),
        ("Exception in ASGI application", "third"),
    ]


async def test_what_outlives_a_request_names_it_no_longer() -> None:
    app = application()
    app.state.go_on = asyncio.Event()
    with logged() as lines:
        async with serving(app) as place:
            url = f"http://{place}/api/lasting"
            await asyncio.to_thread(request, url, "GET", None, **{"X-Request-ID": "first"})
        app.state.go_on.set()
        await app.state.task
    assert lines == [("task.begun", "first"), ("task.ended", None)]


# -- bugs -------------------------------------------------------------------------------------------------------------


async def test_a_bug_is_told_to_the_log_once_and_to_the_caller_never(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask("/api/broken", Origin=APP)
    assert (answer.status, answer.code) == (500, "INTERNAL")
    assert b"ZeroDivision" not in answer.body
    assert b"secret" not in answer.body
    assert answer.headers["access-control-allow-origin"] == APP
    assert caplog.text.count("ZeroDivisionError: the inner secret") == 1


async def test_a_bug_in_the_middle_of_an_answer_ends_the_connection(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(http.client.IncompleteRead):
        await ask("/api/halfway")
    assert "too late" in caplog.text


# -- pages of other origins -------------------------------------------------------------------------------------------


async def test_a_preflight_is_answered_with_all_that_an_answer_has(ask: Ask) -> None:
    answer = await ask("/api/good", "OPTIONS", Origin=APP, **PREFLIGHT)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    assert answer.headers["x-request-id"]


async def test_another_origin_is_not_let_in(ask: Ask) -> None:
    preflight = await ask("/api/good", "OPTIONS", Origin="https://evil.example", **PREFLIGHT)
    assert preflight.status == 400
    assert "access-control-allow-origin" not in preflight.headers
    assert "access-control-allow-origin" not in (await ask("/api/good", Origin="https://evil.example")).headers


@pytest.mark.parametrize("path", ["/api/good", "/api/refused", "/api/nowhere", "/api/broken"])
async def test_a_page_may_read_limits_and_names_of_every_answer(ask: Ask, path: str) -> None:
    answer = await ask(path, Origin=APP)
    assert answer.headers["access-control-allow-origin"] == APP
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"RateLimit", "RateLimit-Policy", "RateLimit-Reset", "Retry-After", "X-Request-ID"} <= set(exposed)


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_any_origin_never_comes_with_cookies(method: str) -> None:
    async with serving(application("*")) as place:
        headers = {"Origin": "https://evil.example", "Cookie": "a=b", **PREFLIGHT}
        answer = await asyncio.to_thread(request, f"http://{place}/api/good", method, None, **headers)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


# -- any application --------------------------------------------------------------------------------------------------


async def test_what_is_no_http_passes_untouched() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    await Edge(app)({"type": "lifespan"}, nothing, nothing)
    assert seen == [{"type": "lifespan"}]


@given(st.lists(st.tuples(st.sampled_from([b"x-request-id", b"X-Request-ID", b"other"]), st.binary(max_size=80))))
async def test_no_header_of_a_caller_reaches_an_answer_but_a_good_name(headers: list[tuple[bytes, bytes]]) -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await Edge(app)({"type": "http", "path": "/", "headers": headers, "client": None}, receive, send)
    (name,) = (value for header, value in sent[0]["headers"] if header == b"x-request-id")
    assert re.fullmatch(rb"[A-Za-z0-9._-]{1,64}", name)
