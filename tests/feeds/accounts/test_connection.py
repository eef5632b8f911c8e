import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from feeds.accounts import connection as module
from feeds.accounts.connection import Connection, Pace, open_socket
from feeds.brokers.source import Alive, Limits, Request, Said
from feeds.errors import ConnectionLost, VendorRefused
from tests.feeds.brokers.plain import PlainConversation, PlainServer, price
from tests.feeds.clockwork import FakeTime, listing
from tests.feeds.tls import self_signed

TLS = ssl.create_default_context()
LIMITS = Limits(connections=1, instruments_per_connection=10, instruments_per_frame=2)
LISTINGS = [listing(f"S{number}", str(number)) for number in range(5)]


def wall() -> float:
    return 1000.0


@pytest.fixture
async def server() -> AsyncIterator[PlainServer]:
    async with PlainServer() as server:
        server.greets = False
        yield server


async def connected(server: PlainServer, *, login: str = "") -> Connection:
    web_socket = await open_socket(Request(url=f"{server.url}/?token=good"), TLS)
    conversation = PlainConversation({"1": LISTINGS[1].instrument}, login)
    pace = Pace(float("inf"), clock=lambda: 0.0, sleep=asyncio.sleep)
    return Connection(web_socket, conversation, LIMITS, pace)


async def test_headers_and_subprotocols_of_the_request_are_sent(server: PlainServer) -> None:
    request = Request(url=f"{server.url}/?token=good", headers={"X-Kite-Version": "3"})
    web_socket = await open_socket(request, TLS)
    await server.until(lambda: bool(server.connections))
    sent = server.connections[0].request
    assert sent is not None
    assert sent.headers["X-Kite-Version"] == "3"
    assert "Sec-WebSocket-Extensions" not in sent.headers
    await web_socket.close()


async def test_a_refused_handshake_says_why(server: PlainServer) -> None:
    with pytest.raises(VendorRefused) as caught:
        await open_socket(Request(url=f"{server.url}/?token=bad"), TLS)
    assert (caught.value.status, caught.value.expired) == (403, True)
    server.refuse_with, server.retry_after = HTTPStatus.TOO_MANY_REQUESTS, "120"
    with pytest.raises(VendorRefused) as caught:
        await open_socket(Request(url=server.url), TLS)
    assert (caught.value.status, caught.value.expired, caught.value.retry_after_s) == (429, False, 120)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ws://nosuch.invalid/?token=secret", "the name nosuch.invalid can't be resolved"),
        ("ws://127.0.0.1:1/?token=secret", "nobody listens at 127.0.0.1"),
    ],
)
async def test_a_vendor_that_cannot_be_reached_is_told_without_the_credentials(url: str, reason: str) -> None:
    with pytest.raises(ConnectionLost) as caught:
        await open_socket(Request(url=url), TLS)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "url",
    ["https://example.com/?t=secret", "ws://[::/?t=secret", "ws://", "wss://h:99999/?t=secret", "wss://h/#secret"],
)
async def test_an_address_that_is_none_is_not_quoted(url: str) -> None:
    with pytest.raises(VendorRefused, match=r"no WebSocket address") as caught:
        await open_socket(Request(url=url), TLS)
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)


async def test_a_server_that_speaks_something_else_is_told() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1 doesn't speak WebSocket: InvalidMessage"):
            await open_socket(Request(url=f"ws://127.0.0.1:{port}"), TLS)


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_TIMEOUT_S", 0.1)
    lost = pytest.raises(ConnectionLost, match=r"has not answered in 0\.1 s")
    with socket.create_server(("127.0.0.1", 0)) as mute, lost:
        await open_socket(Request(url=f"ws://127.0.0.1:{mute.getsockname()[1]}"), TLS)


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tmp_path: Path) -> None:
    server_context, client_context = self_signed(tmp_path)

    async def idle(client: ServerConnection) -> None:
        await client.wait_closed()

    async with serve(idle, "127.0.0.1", 0, ssl=server_context) as server:
        url = f"wss://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        with pytest.raises(ConnectionLost, match=r"certificate of 127\.0\.0\.1 can't be trusted: self-signed"):
            await open_socket(Request(url=url), TLS)
        await (await open_socket(Request(url=url), client_context)).close()


async def test_the_handshake_is_never_logged(server: PlainServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await (await open_socket(Request(url=f"{server.url}/?token=good"), TLS)).close()
    names = {record.name for record in caplog.records}
    assert "tickhub.feeds.wire" not in names
    assert "websockets.client" not in names


async def test_entering_waits_for_the_vendors_word_and_keeps_what_comes_before(server: PlainServer) -> None:
    connection = await connected(server, login="me")
    await server.until(lambda: bool(server.connections))
    await server.send('{"say": "hello"}', price("1", 100))
    early = await connection.enter(wall)
    assert [update.symbol for update in early.updates] == ["S1"]
    assert early.events[0] == Said("hello")
    await connection.close()


async def test_a_vendor_that_never_lets_in_is_given_up(server: PlainServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_TIMEOUT_S", 0.1)
    server.silent = True
    connection = await connected(server, login="me")
    with pytest.raises(ConnectionLost, match=r"not let in within 0\.1 s"):
        await connection.enter(wall)
    await connection.close()


async def test_frames_mean_what_the_conversation_says(server: PlainServer) -> None:
    connection = await connected(server)
    await connection.enter(wall)
    await server.until(lambda: bool(server.connections))
    await server.send('{"hb": 1}', price("1", 250))
    assert (await connection.receive(wall)).events == [Alive()]
    heard = await connection.receive(wall)
    assert [update.time_ms for update in heard.updates] == [1_000_000]
    assert connection.frames == 2
    await connection.close()


async def test_a_vendor_that_asks_is_answered(server: PlainServer) -> None:
    connection = await connected(server)
    await server.until(lambda: bool(server.connections))
    await server.send('{"ping": 1}')
    await connection.receive(wall)
    await server.until(lambda: server.heard == ['{"pong": 1}'])
    await connection.close()


@pytest.mark.parametrize(("frame", "expired"), [('{"expired": "go"}', True), ('{"rejected": "go"}', False)])
async def test_a_refusal_on_the_socket_is_an_error(server: PlainServer, frame: str, expired: bool) -> None:
    connection = await connected(server)
    await server.until(lambda: bool(server.connections))
    await server.send(frame)
    with pytest.raises(VendorRefused, match="go") as caught:
        await connection.receive(wall)
    assert caught.value.expired is expired
    await connection.close()


async def test_instruments_are_asked_for_and_ended_by_the_frameful(server: PlainServer) -> None:
    connection = await connected(server)
    await connection.subscribe(LISTINGS, "full")
    await connection.unsubscribe(LISTINGS[:3])
    await server.until_subscribed(["3", "4"])
    assert [len(frame) for frame in server.heard] == [len('{"sub": ["0", "1"]}')] * 2 + [
        len('{"sub": ["4"]}'),
        len('{"unsub": ["0", "1"]}'),
        len('{"unsub": ["2"]}'),
    ]
    await connection.close()


async def test_an_end_says_who_ended_it(server: PlainServer) -> None:
    connection = await connected(server)
    await server.until(lambda: bool(server.connections))
    await server.connections[0].close(4001, "six o'clock")
    with pytest.raises(ConnectionLost, match=r"the vendor ended the connection \(4001 six o'clock\)"):
        await connection.receive(wall)
    await connection.close()
    await connection.close()


async def test_what_the_vendor_said_before_it_hung_up_is_heard_though_sending_has_failed(server: PlainServer) -> None:
    server.first_words = '{"expired": "log in again"}'
    connection = await connected(server)
    await server.until(lambda: not server.connections)
    await asyncio.sleep(0)
    await connection.send(["{}"])
    await connection.send(["{}"])
    with pytest.raises(VendorRefused, match="log in again"):
        await connection.receive(wall)
    await connection.close()


async def test_a_text_that_is_no_text_ends_the_connection(server: PlainServer) -> None:
    connection = await connected(server)
    await server.until(lambda: bool(server.connections))
    await server.connections[0].send(b"\xff", text=True)
    with pytest.raises(ConnectionLost, match="the connection had to be ended"):
        await connection.receive(wall)


async def test_cancelling_receive_loses_nothing(server: PlainServer) -> None:
    connection = await connected(server)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.receive(wall), 0.01)
    await server.until(lambda: bool(server.connections))
    await server.send('{"hb": 1}')
    assert (await connection.receive(wall)).events == [Alive()]
    await connection.close()


async def test_a_vendor_that_reads_nothing_cannot_hold_up_the_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.1)
    done = asyncio.Event()

    async def stuck(client: ServerConnection) -> None:
        client.transport.pause_reading()
        await done.wait()
        client.transport.abort()

    async with serve(stuck, "127.0.0.1", 0, ping_interval=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        pace = Pace(float("inf"), clock=lambda: 0.0, sleep=asyncio.sleep)
        connection = Connection(await open_socket(Request(url=url), TLS), PlainConversation({}, ""), LIMITS, pace)
        async with asyncio.timeout(3):
            await connection.close()
        done.set()


async def test_frames_keep_their_distance() -> None:
    time = FakeTime()
    pace = Pace(2, clock=time.clock, sleep=time.sleep)
    sent: list[float] = []

    async def send() -> None:
        for _ in range(4):
            await pace.turn()
            sent.append(time.now_s)

    sending = asyncio.create_task(send())
    await time.until_asleep()
    await time.advance(10)
    await sending
    assert sent == [0, 0.5, 1, 1.5]
    await pace.turn()
    assert time.now_s == 10


@pytest.mark.parametrize("host", ["feed..kite.trade", "a" * 64 + ".kite.trade"])
async def test_an_address_that_names_no_host_is_a_lost_connection(host: str) -> None:
    with pytest.raises(ConnectionLost):
        await open_socket(Request(url=f"wss://{host}/"), ssl.create_default_context())
