import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from hub.http.envelope import success
from hub.http.requests import body
from hub.server import MAX_HEAD_BYTES, HttpProtocol, listen, server_for
from schemas.errors import SettingsError
from tests.hub.live import request, running, serving
from tests.servers import free_port


async def hello(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"hello"})  # type: ignore[operator]


def test_a_taken_port_is_a_fault_of_the_setting_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            listen("127.0.0.1", port)
    (fault,) = caught.value.faults
    assert fault.startswith(f"PORT: can't listen on 127.0.0.1:{port}: Address already in use; ")


def test_a_host_that_is_none_is_a_fault_of_the_setting_host() -> None:
    with pytest.raises(SettingsError, match=r"HOST: 'no\.such\.host\.invalid'"):
        listen("no.such.host.invalid", free_port())


def test_another_machines_address_is_a_fault() -> None:
    with pytest.raises(SettingsError, match=r"203\.0\.113\.7"):
        listen("203.0.113.7", free_port())


def test_ipv6_is_listened_on_where_it_is_asked_for() -> None:
    with listen("::1", free_port()) as sock:
        assert sock.family == socket.AF_INET6


def test_the_kernels_buffer_is_bounded() -> None:
    with listen("127.0.0.1", free_port()) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 512 * 1024


async def test_a_server_that_accepts_no_more_finishes_what_is_open() -> None:
    port = free_port()
    server = server_for(hello, grace_s=1)
    serving = asyncio.create_task(server.serve(sockets=[listen("127.0.0.1", port)]), name="server")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(asked)
    async with asyncio.timeout(5):
        await reader.readuntil(b"hello")
    server.stop_accepting()
    with pytest.raises(OSError, match=r"refused|reset"):
        await asyncio.to_thread(request, f"http://127.0.0.1:{port}/")
    writer.write(asked)
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"hello")
    assert b"server:" not in answer.lower()
    writer.close()
    server.should_exit = True
    await serving


async def test_the_signals_are_left_alone() -> None:
    server = server_for(hello, grace_s=1)
    with server.capture_signals():
        assert not server.should_exit


# -- strangers --------------------------------------------------------------------------------------------------------


class Peer:
    """A connection whose every byte the test chooses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self, words: bytes) -> bytes:
        async with asyncio.timeout(8):
            return await self.reader.readuntil(words)

    async def hear_the_end(self) -> bytes:
        """All until the server closes, by force or not."""
        heard = b""
        async with asyncio.timeout(8):
            with contextlib.suppress(ConnectionResetError):
                while data := await self.reader.read(65536):
                    heard += data
        return heard

    async def pour(self, data: bytes) -> bytes:
        """Say the same for ever, until the server has had enough; what it says last."""

        async def pouring() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    self.writer.write(data)
                    await self.writer.drain()

        task = asyncio.create_task(pouring(), name="pouring")
        try:
            return await self.hear_the_end()
        finally:
            task.cancel()
            await asyncio.wait([task])


@contextlib.asynccontextmanager
async def peer_of(app: Any) -> AsyncIterator[Peer]:
    async with serving(app) as place:
        reader, writer = await asyncio.open_connection(*place.split(":"))
        try:
            yield Peer(reader, writer)
        finally:
            writer.transport.abort()


class Said(msgspec.Struct):
    n: int


async def reading(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the names of the headers, once the body has been read, or at once to who gets `/now`."""
    asked = Request(scope, receive)
    if scope["path"] == "/now":
        await success({})(scope, receive, send)
        return
    n = (await body(asked, Said)).n
    await success({"n": n, "headers": sorted(asked.headers)})(scope, receive, send)


async def test_a_long_head_is_read_up_to_the_bound() -> None:
    async with peer_of(hello) as peer:
        for size in (1000, MAX_HEAD_BYTES - 200):
            peer.say(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * size + b"\r\n\r\n")
            await peer.hear(b"hello\r\n0\r\n\r\n")
        peer.say(b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await peer.hear_the_end()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (b"GET /", b"x" * 4096),
        (b"GET / HTTP/1.1\r\nX-Long: ", b"x" * 4096),
        (b"GET / HTTP/1.1\r\n", b"X-Many: " + b"x" * 100 + b"\r\n"),
    ],
    ids=["address", "header", "headers"],
)
async def test_a_head_without_an_end_is_not_collected(beginning: bytes, more: bytes) -> None:
    async with peer_of(hello) as peer:
        peer.say(beginning)
        assert b"HTTP/1.1 400 " in await peer.pour(more)


@pytest.mark.parametrize("more", [b"x" * 4096, b"X-Many: " + b"x" * 100 + b"\r\n"], ids=["one", "many"])
async def test_headers_after_a_body_without_an_end_are_not_collected(more: bytes) -> None:
    async with peer_of(reading) as peer:
        peer.say(b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"n":1}\r\n0\r\nX-A: ')
        assert await peer.pour(more) == b""


async def test_headers_after_a_body_are_none_of_the_requests() -> None:
    async with peer_of(reading) as peer:
        peer.say(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Forwarded-For\r\n\r\n"
            b'7\r\n{"n":1}\r\n0\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n'
        )
        assert b'"headers":["host","trailer","transfer-encoding"]' in await peer.hear(b'Z"}')


async def test_a_chunked_body_arrives_however_it_is_cut() -> None:
    """Also where the chunks' sizes and what they hold come apart."""
    number = b" " * 1000 + b'{"n":1}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in number) + b"0\r\n\r\n"
    async with peer_of(reading) as peer:
        for size in (7, 50, 3000):
            peer.say(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(chunks), size):
                peer.say(chunks[start : start + size])
                await asyncio.sleep(0)
            await peer.hear(b'"n":1')
            await peer.hear(b'Z"}')


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost:",
        b"GET /now HTTP/1.1\r\nHost: x\r\n\r\nGET /now",
        b"POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a second head", "half a body after the answer"],
)
async def test_who_trickles_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(HttpProtocol, "patience_s", 0.3)
    async with peer_of(reading) as peer:
        peer.say(beginning)

        async def trickle() -> None:
            while True:
                await asyncio.sleep(0.05)
                peer.say(b"x" if beginning else b"\r\n")

        task = asyncio.create_task(trickle(), name="trickle")
        heard = await peer.hear_the_end()
        task.cancel()
        assert heard.count(b"HTTP/1.1 200 ") == beginning.count(b"/now HTTP")
        assert heard.count(b"HTTP/1.1 ") == heard.count(b"HTTP/1.1 200 ")


async def test_patience_with_a_head_ends_no_socket_and_no_long_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(HttpProtocol, "patience_s", 0.1)

    async def slow(scope: object, receive: object, send: object) -> None:
        await asyncio.sleep(0.3)
        await hello(scope, receive, send)

    async with peer_of(slow) as peer:
        peer.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.hear(b"hello")
    async with running(tmp_path) as hub, hub.client() as client:
        await asyncio.sleep(0.3)
        assert (await client.ask("ping"))["type"] == "pong"
