import asyncio
import socket

import pytest

from hub.server import listen, server_for
from schemas.errors import SettingsError
from tests.hub.live import request
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
    assert caught.value.faults == [f"PORT: can't listen on 127.0.0.1:{port}: Address already in use"]


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
