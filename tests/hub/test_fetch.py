"""Files are fetched whole, or an error says why not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from feeds.errors import ConnectionLost, VendorRefused
from hub import fetch as module
from hub.fetch import fetch
from tests.servers import free_port


@asynccontextmanager
async def serving(answer: web.StreamResponse | bytes, status: int = 200) -> AsyncIterator[str]:
    async def handle(_: web.Request) -> web.StreamResponse:
        if isinstance(answer, bytes):
            return web.Response(body=answer, status=status, headers={"Last-Modified": "Mon, 23 Nov 2026 03:00:00 GMT"})
        return answer

    app = web.Application()
    app.router.add_get("/list.csv", handle)
    runner = web.AppRunner(app)
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
    "url", [f"http://127.0.0.1:{free_port()}/list.csv", "http://no.such.host.invalid/", "nonsense"]
)
async def test_a_server_that_is_not_there_is_a_lost_connection(url: str) -> None:
    with pytest.raises(ConnectionLost):
        await fetch(url)


async def test_a_server_that_says_nothing_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    silent = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    try:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionLost, match="no whole answer"):
            await fetch(f"http://127.0.0.1:{port}/list.csv")
    finally:
        silent.close()
