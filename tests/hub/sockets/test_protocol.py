"""The socket beneath a session, from outside: frames that are none, peers that stop reading, the plain ASGI way."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from hub.server import SEND_BUFFER
from hub.sockets.connections import Limits
from hub.sockets.frames import BINARY, PING, TEXT, frame, frames_in
from hub.sockets.protocol import HIGH_WATER
from tests.hub.live import WAIT_S, Client, Hub, Raw, bearer, client_of, masked, running, token, until
from tests.servers import free_port

LINE = 8192
"""The longest line of a request that the WebSocket library reads."""


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        yield hub


async def assert_lives(hub: Hub) -> None:
    async with hub.client(user="after") as client:
        assert (await client.ask("ping"))["type"] == "pong"


# -- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_frames_are_read_back_as_they_were_written(size: int) -> None:
    frames = [(TEXT, b"a" * size), (BINARY, b"b" * size), (PING, b"")]
    assert list(frames_in(b"".join(frame(opcode, payload) for opcode, payload in frames))) == frames


async def test_a_frame_over_two_megabytes_is_closed_with_1009(hub: Hub) -> None:
    async with hub.client() as client:
        await client.socket.send("x" * (2 * 1024 * 1024 + 1))
        assert await client.close_code() == 1009
    await assert_lives(hub)


async def test_invalid_utf_8_is_closed_with_1007(hub: Hub) -> None:
    async with Raw(hub) as raw:
        await raw.say(b'{"action":"ping","id":"\xff\xfe"}')
        await raw.read_until((1007).to_bytes(2, "big"))
    await assert_lives(hub)


@pytest.mark.parametrize(
    "data",
    [b"\x81", b"\x81\xfe", b"\x81\xfe\x10", b"\x81\x85\0\0\0\0he", b"\x81\xff\0\0\0\0", b"\x01\x85\0\0\0\0hello"],
    ids=["one byte", "half a length", "length cut", "payload cut", "long length cut", "fragment without an end"],
)
async def test_a_frame_that_is_cut_off_leaves_nothing_behind(hub: Hub, data: bytes) -> None:
    async with Raw(hub) as raw:
        await raw.send(data)
    await until(lambda: not len(hub.web.connections))
    await assert_lives(hub)


@pytest.mark.parametrize(
    "data",
    [
        os.urandom(1) + b"\xff" * 200,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x81\x05hello",
        b"\xf1\x80\0\0\0\0",
        b"\x83\x80\0\0\0\0",
        b"\x80\x80\0\0\0\0",
        b"\x89\xfe\x00\x80" + bytes(4 + 128),
        b"\x88\x81\0\0\0\0\x03",
    ],
    ids=["noise", "HTTP", "unmasked", "reserved bits", "unknown opcode", "lost continuation", "long ping", "bad close"],
)
async def test_bytes_that_are_no_frames_end_their_connection_alone(hub: Hub, data: bytes) -> None:
    async with hub.client() as other:
        async with Raw(hub) as raw:
            await raw.send(data)
            with contextlib.suppress(ConnectionResetError):
                await raw.read_to_end()
        await until(lambda: len(hub.web.connections) == 1)
        await other.ask("ping")


async def test_a_fragmented_message_is_one_message(hub: Hub) -> None:
    async with hub.client() as client:
        await client.socket.send(['{"action":', '"ping",', '"id":', "9", "}"])
        assert (await client.hear("pong"))["id"] == 9


async def test_a_ping_between_fragments_is_answered(hub: Hub) -> None:
    async with Raw(hub) as raw:
        await raw.send(masked(0x01, b'{"action":') + masked(0x89, b"you?") + masked(0x80, b'"ping","id":9}'))
        await raw.read_until(b"\x8a\x04you?")
        await raw.read_until(b'"id":9')


async def test_a_clients_own_close_is_answered_with_its_code(hub: Hub) -> None:
    async with hub.client() as client:
        await client.socket.close(4321, "bye")
        assert client.socket.close_code == 4321
    await until(lambda: hub.web.connections.closed[4321] == 1)


@pytest.mark.parametrize("kind", ["query", "header"])
async def test_a_request_with_an_endless_line_is_answered_and_ends(hub: Hub, kind: str) -> None:
    """A library that reads no more must not leave a connection behind that nothing ever ends."""
    place = "?token=" + "x" * LINE if kind == "query" else ""
    header = f"Authorization: Bearer {'x' * LINE}\r\n" if kind == "header" else ""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.settings.port)
    writer.write(
        f"GET /ws{place} HTTP/1.1\r\nHost: {hub.place}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{header}"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    try:
        async with asyncio.timeout(2):
            await reader.read()
    finally:
        writer.transport.abort()
    await until(lambda: not hub.server.server_state.connections)
    await assert_lives(hub)


@pytest.mark.parametrize(
    "changed",
    [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 7"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
    ],
    ids=["version", "key"],
)
async def test_a_handshake_that_is_wrong_is_refused_over_http(hub: Hub, changed: tuple[str, str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.settings.port)
    request = (
        f"GET /ws?token={token()} HTTP/1.1\r\nHost: {hub.place}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    writer.write(request.replace(*changed).encode())
    async with asyncio.timeout(WAIT_S):
        answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 426"))
    await assert_lives(hub)


# -- readers that do not read -----------------------------------------------------------------------------------------

BULK = "x" * 8000


async def flood(hub: Hub, name: str, count: int, client: Client) -> list[dict[str, Any]]:
    """Publish big messages while another client hears each of them; answers with what it heard."""
    heard: list[dict[str, Any]] = []
    for n in range(count):
        await hub.publish(name, n=n, bulk=BULK)
        heard.append(await client.hear())
    return heard


async def test_who_stops_reading_is_dropped_in_time_and_costs_the_others_nothing(tmp_path: Path) -> None:
    async with (
        running(tmp_path, limits=Limits(write_timeout_s=0.6)) as hub,
        hub.client() as reader,
        Raw(hub, receive_buffer=4096) as stalled,
    ):
        await stalled.say(b'{"action":"subscribe","channel":"quick:a"}')
        await stalled.read_until(b"subscribed")
        await reader.subscribe("quick:a")
        heard = await flood(hub, "quick:a", 1500, reader)  # 12 MB
        assert [message["data"]["n"] for message in heard] == list(range(1500))
        assert not any("missed" in message for message in heard)
        session = next(one for one in hub.web.connections.sessions if one.identity.user == "raw")
        assert session.socket.buffered() < HIGH_WATER + 32 * (len(BULK) + 200)
        await until(lambda: hub.web.connections.closed[3008] == 1)
        await until(lambda: len(hub.web.connections) == 1)


async def test_who_is_dropped_for_not_reading_leaves_no_connection_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.sockets.protocol.CLOSE_TIMEOUT_S", 0.2)
    async with (
        running(tmp_path, limits=Limits(write_timeout_s=0.1)) as hub,
        hub.client() as reader,
        Raw(hub, receive_buffer=4096) as stalled,
    ):
        await stalled.say(b'{"action":"subscribe","channel":"quick:a"}')
        await stalled.read_until(b"subscribed")
        await reader.subscribe("quick:a")
        await flood(hub, "quick:a", 200, reader)
        await until(lambda: len(hub.server.server_state.connections) == 1)


async def test_who_reads_slowly_gets_the_newest_value_and_how_many_were_missed(tmp_path: Path) -> None:
    async with running(tmp_path) as hub, hub.client() as reader, Raw(hub, receive_buffer=4096) as slow:
        names = ["quick:a", "quick:b"]
        await reader.subscribe(*names)
        await slow.say(b'{"action":"subscribe","channels":["quick:a","quick:b"]}')
        await slow.read_until(b"subscribed")
        for name in names:
            await flood(hub, name, 300, reader)
        slow.data = b""
        for name in names:
            await slow.read_until(b'"channel":"%s"' % name.encode())
        await slow.say(b'{"action":"ping","id":"the end"}')
        await slow.read_until(b"the end")
        heard = [json.loads(payload) for opcode, payload in frames_in(slow.data[slow.data.index(b"\x81") :])]
        assert_conflated(heard, names, 300)
        assert hub.web.fanout.conflated > 300


def assert_conflated(heard: list[dict[str, Any]], names: list[str], count: int) -> None:
    for name in names:
        updates = [message for message in heard if message.get("channel") == name]
        assert updates[-1]["data"]["n"] == count - 1
        assert len(updates) + sum(message.get("missed", 0) for message in updates) == count
        numbers = [message["seq"] for message in updates]
        assert numbers == sorted(numbers)


async def test_a_log_channel_waits_for_a_slow_reader(tmp_path: Path) -> None:
    async with running(tmp_path) as hub, hub.client() as reader, Raw(hub, receive_buffer=4096) as slow:
        await reader.subscribe("chat:a")
        await slow.say(b'{"action":"subscribe","channel":"chat:a"}')
        await slow.read_until(b"subscribed")
        start = len(slow.data)
        await flood(hub, "chat:a", 100, reader)  # 800 KB, below what may wait
        await slow.read_until(b'"offset":100,')
        await slow.say(b'{"action":"ping","id":"the end"}')
        await slow.read_until(b"the end")
        messages = [json.loads(payload) for _, payload in frames_in(slow.data[start:])]
        assert [one["offset"] for one in messages if one["type"] == "chat:new"] == list(range(1, 101))


async def test_a_log_channel_that_grows_too_long_for_a_slow_reader_closes_with_3008(tmp_path: Path) -> None:
    async with running(tmp_path) as hub, hub.client() as reader, Raw(hub, receive_buffer=4096) as slow:
        await reader.subscribe("chat:a")
        await slow.say(b'{"action":"subscribe","channel":"chat:a"}')
        await slow.read_until(b"subscribed")
        for n in range(400):  # 3.2 MB, more than the kernel and the bound hold together
            await hub.publish("chat:a", n=n, bulk=BULK)
            await reader.hear("chat:new")
        await until(lambda: hub.web.connections.closed[3008] == 1)
        assert hub.web.connections.opened == 2
        await slow.read_until((3008).to_bytes(2, "big") + b"slow")
        await reader.ask("ping")


async def test_who_asks_and_never_reads_the_answers_is_bounded_too(tmp_path: Path) -> None:
    """Pongs are answers as well: a peer that pings without reading must not fill our memory."""
    async with running(tmp_path, limits=Limits(write_timeout_s=60)) as hub, Raw(hub, receive_buffer=4096) as rude:
        (session,) = hub.web.connections.sessions
        pings = masked(0x89, b"x" * 125) * 2000
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(3):
                while sent < 16_000_000:
                    await rude.send(pings)
                    sent += len(pings)
        assert session.socket.buffered() < 2_000_000
        await assert_lives(hub)


# -- plain ASGI -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def plain(hub: Hub) -> AsyncIterator[str]:
    """The same hub behind uvicorn's own protocol, which offers no short way."""
    port = free_port()
    config = uvicorn.Config(
        hub.web.app, host="127.0.0.1", port=port, ws="websockets-sansio", lifespan="off", log_config=None
    )
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(server.serve(), name="plain")
    await until(lambda: server.started)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize("protocol", [None, "msgpack"])
async def test_a_server_without_the_short_way_serves_the_same(hub: Hub, protocol: str | None) -> None:
    async with plain(hub) as place, client_of(place, protocol=protocol) as client, hub.client() as other:
        await client.subscribe("market:TCS", "chat:a")
        await other.subscribe("market:TCS")
        for price in range(1, 50):
            await hub.publish("market:TCS", price=price)
        await hub.publish("chat:a", n=1)
        heard = await client.settled()
        assert [message["price"] for message in heard[:-1]] == [float(price) for price in range(1, 50)]
        assert heard[-1]["offset"] == 1
        assert len(await other.settled()) == 49


async def test_a_plain_socket_is_closed_with_our_codes(hub: Hub) -> None:
    async with plain(hub) as place:
        async with client_of(place, query="?token=bad", welcomed=False) as client:
            assert await client.close_code() == 3500
        header = bearer("7")
        async with client_of(place, headers=header) as client:
            await hub.post("/api/v1/auth/logout", **header)
            assert await client.close_code() == 3500
        async with client_of(place) as client:
            for _ in range(10):
                await client.socket.send("garbage")
            assert await client.close_code() == 3509
        await until(lambda: not len(hub.web.connections))


async def test_a_plain_sockets_peer_may_leave_at_any_time(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    async with plain(hub) as place:
        async with client_of(place) as client:
            await client.subscribe("quick:a")
        async with client_of(place) as client:
            await client.subscribe("quick:a")
            client.socket.transport.abort()
            for n in range(20):
                await hub.publish("quick:a", n=n, bulk=BULK)
        async with client_of(place, query="", welcomed=False):
            pass
        await until(lambda: not len(hub.web.connections))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_plain_sockets_slow_reader_gets_the_newest_value(hub: Hub) -> None:
    async with plain(hub) as place:
        host, port = place.split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(
            f"GET /ws?token={token('raw')} HTTP/1.1\r\nHost: {place}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await reader.readuntil(b"welcome")
        writer.write(masked(0x81, b'{"action":"subscribe","channel":"quick:a"}'))
        await until(lambda: hub.web.connections.subscription_count() == 1)
        count = 2000
        for n in range(count):
            await hub.publish("quick:a", n=n, bulk=BULK)
            if n % 50 == 0:
                await asyncio.sleep(0)
        data = b""
        async with asyncio.timeout(WAIT_S):
            while b'"n":%d,' % (count - 1) not in data:
                data += await reader.read(1 << 20)
        writer.transport.abort()
    assert data.count(b'"type":"quick:update"') + hub.web.fanout.conflated == count


def test_the_kernel_holds_little_for_a_slow_reader() -> None:
    assert SEND_BUFFER <= 256 * 1024
