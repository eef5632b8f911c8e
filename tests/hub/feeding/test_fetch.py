"""Files are fetched whole, or an error says why not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from feeds.errors import ConnectionLost, VendorRefused
from hub.feeding import fetch as module
from hub.feeding.fetch import fetch
from tests.servers import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Handler | bytes, status: int = 200) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        if isinstance(answer, bytes):
            return web.Response(body=answer, status=status, headers={"Last-Modified": "Mon, 23 Nov 2026 03:00:00 GMT"})
        return await answer(request)

    app = web.Application()
    app.router.add_get("/list.csv", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/list.csv"
    finally:
        await runner.cleanup()


async def test_a_file_comes_whole_with_its_headers() -> None:
    data = b"0123456789" * 300_000
    async with serving(data) as url:
        body, headers = await fetch(url)
    assert body == data
    assert headers["Last-Modified"] == "Mon, 23 Nov 2026 03:00:00 GMT"


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_another_answer_is_a_refusal(status: int) -> None:
    async with serving(b"no", status) as url:
        with pytest.raises(VendorRefused) as refused:
            await fetch(url)
    assert refused.value.status == status


async def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    async with serving(b"x" * 200_000) as url:
        with pytest.raises(VendorRefused, match="MiB"):
            await fetch(url)


@pytest.mark.parametrize(
    "url",
    [f"http://127.0.0.1:{free_port()}/list.csv", "http://no.such.host.invalid/", "nonsense"],
    ids=["no server", "no host", "no address"],
)
async def test_a_server_that_is_not_there_is_a_lost_connection(url: str) -> None:
    with pytest.raises(ConnectionLost):
        await fetch(url)


async def test_a_server_that_says_nothing_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)

    asked_enough = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await asked_enough.wait()
        return web.Response()

    async with serving(wait) as url:
        with pytest.raises(ConnectionLost, match="no whole answer"):
            await fetch(url)
        asked_enough.set()
