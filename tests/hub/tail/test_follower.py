"""What answers where a hub should: anything at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from hub.tail.follower import Follower
from hub.tail.lines import Lines
from hub.tail.subscriptions import Subscriptions

LIMIT_S = 10.0


@asynccontextmanager
async def answering(
    handler: Callable[[ServerConnection], Awaitable[None]],
    first: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> AsyncIterator[str]:
    server: Server
    async with serve(handler, "127.0.0.1", 0, process_request=first) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"


async def told(url: str) -> str | None:
    follower = Follower(url, lambda: "token", Subscriptions(["news:a"], max_frequency=None), Lines(as_json=False))
    async with asyncio.timeout(LIMIT_S):
        return await follower.run()


@pytest.mark.parametrize(
    "said", ["hello", "[1]", '{"type": 1}', "{}", b"\x81\xa4type"], ids=["text", "list", "number", "empty", "msgpack"]
)
async def test_what_is_no_hub_is_called_so(said: str | bytes) -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.send(said)
        await socket.wait_closed()

    async with answering(handler) as url:
        assert await told(url) == f"What answers at {url} is no hub."


async def test_a_proxy_that_wants_tls_is_told_of() -> None:
    async def handler(_: ServerConnection) -> None:
        raise AssertionError("never reached")

    def first(socket: ServerConnection, _: Request) -> Response:
        response = socket.respond(HTTPStatus.MOVED_PERMANENTLY, "")
        response.headers["Location"] = "https://hub.example/ws"
        return response

    async with answering(handler, first) as url:
        assert "sends on to https://hub.example/ws" in (await told(url) or "")


async def test_nothing_that_a_server_says_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;mine\x07"
    entry = {"requested": "news:a", "channel": name, "epoch": "e", "offset": 1, "recovered": False, "delay": 900}

    async def handler(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "welcome"}))
        await socket.recv()
        await socket.send(json.dumps({"type": "subscribed", "id": 1, "subscribed": [entry], "failed": []}))
        await socket.close(3507, f"refused {name}")

    async with answering(handler) as url:
        ended = await told(url)
    assert ended is not None
    assert ended.startswith(f"{url} has ended the connection: 3507 refused")
    assert "\x1b" not in ended + capsys.readouterr().err
