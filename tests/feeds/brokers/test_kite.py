"""Kite's conversation as a value, and the same against its server on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from feeds.brokers.kite import Kite
from feeds.brokers.source import (
    Alive,
    Bad,
    Conversation,
    Event,
    Heard,
    InstrumentRefused,
    OrderUpdate,
    Request,
    Said,
    Source,
    TokenExpired,
)
from feeds.feed import Update
from feeds.instruments import Instrument, Listing
from schemas.market import PRICE_SCALE, Depth, Tick
from tests.feeds.brokers.kite import ACCESS_TOKEN, API_KEY, KiteServer, frame_of, ltp_packet

NOW_MS = 1_795_407_301_250
PAISA = PRICE_SCALE // 100
RELIANCE, INFY, NIFTY = 738561, 408065, 256265
CREDENTIALS = {"api_key": API_KEY, "access_token": ACCESS_TOKEN}


def listing(token: int, symbol: str = "") -> Listing:
    instrument = Instrument(exchange="NSE", symbol=symbol or f"S{token}", name="", tick_size=PAISA)
    return Listing(instrument=instrument, token=str(token))


LISTED = [listing(RELIANCE, "RELIANCE"), listing(INFY, "INFY"), listing(NIFTY, "NIFTY 50")]


def conversation() -> Conversation:
    source: Source = Kite()  # holds Kite to the port
    return source.converse(CREDENTIALS, {row.token: row.instrument for row in LISTED})


class NoHttp:
    """Kite needs no call before its socket."""

    async def get_json(self, url: str, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)

    async def post_json(self, url: str, body: object, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)


class TestRequest:
    async def test_credentials_go_into_the_vendors_address(self) -> None:
        request = await Kite().request({"api_key": "k", "access_token": "a&b c"}, NoHttp())
        assert request == Request(
            url="wss://ws.kite.trade?api_key=k&access_token=a%26b+c", headers={"X-Kite-Version": "3"}
        )

    @pytest.mark.parametrize(
        ("base", "expected"),
        [
            ("ws://127.0.0.1:9", "ws://127.0.0.1:9?api_key=k&access_token=t"),
            ("wss://proxy.example/kite?way=1", "wss://proxy.example/kite?way=1&api_key=k&access_token=t"),
            ("", "wss://ws.kite.trade?api_key=k&access_token=t"),
        ],
    )
    async def test_another_address_may_be_set(self, base: str, expected: str) -> None:
        request = await Kite().request({"api_key": "k", "access_token": "t", "url": base}, NoHttp())
        assert request.url == expected

    def test_the_vendors_limits_hold(self) -> None:
        assert (Kite.limits.connections, Kite.limits.instruments_per_connection) == (3, 3000)


class TestCommands:
    def test_an_open_socket_may_subscribe_at_once(self) -> None:
        assert conversation().ready_at_once
        assert list(conversation().greeting()) == []

    @pytest.mark.parametrize("mode", ["ltp", "quote", "full"])
    def test_subscribing_sets_the_mode(self, mode: str) -> None:
        assert conversation().subscribe(LISTED[:2], mode) == [
            '{"a":"subscribe","v":[738561,408065]}',
            f'{{"a":"mode","v":["{mode}",[738561,408065]]}}',
        ]

    def test_unsubscribing_names_the_tokens(self) -> None:
        assert conversation().unsubscribe(LISTED[:2]) == ['{"a":"unsubscribe","v":[738561,408065]}']

    def test_nothing_makes_no_frame(self) -> None:
        assert list(conversation().subscribe([], "full")) == []
        assert list(conversation().unsubscribe([])) == []

    def test_an_instrument_given_twice_is_named_once(self) -> None:
        subscribe, mode = conversation().subscribe([LISTED[0], LISTED[1], LISTED[0]], "full")
        assert json.loads(subscribe)["v"] == [RELIANCE, INFY]
        assert json.loads(mode)["v"] == ["full", [RELIANCE, INFY]]

    def test_many_instruments_are_spread_over_frames(self) -> None:
        many = [listing(number << 8 | 1) for number in range(2500)]
        commands = [json.loads(frame) for frame in conversation().subscribe(many, "quote")]
        assert [command["a"] for command in commands] == ["subscribe", "mode"] * 3
        assert [len(command["v"]) for command in commands[::2]] == [1000, 1000, 500]
        named = [token for command in commands[::2] for token in command["v"]]
        assert named == [int(row.token) for row in many]
        assert [command["v"] for command in commands[1::2]] == [["quote", command["v"]] for command in commands[::2]]
        ended = [json.loads(frame)["v"] for frame in conversation().unsubscribe(many)]
        assert [token for chunk in ended for token in chunk] == named


def events(text: str) -> list[Event]:
    heard = conversation().receive(text, NOW_MS)
    assert list(heard.updates) == []
    return list(heard.events)


class TestTexts:
    def test_an_order_is_handed_on_as_it_is(self) -> None:
        text = '{"type":"order","data":{"order_id":"1", "status":"COMPLETE","price":1e400,"x":[{}]}}'
        assert events(text) == [OrderUpdate(b'{"order_id":"1", "status":"COMPLETE","price":1e400,"x":[{}]}')]

    @pytest.mark.parametrize("data", ['"text"', "[]", "null", "1"])
    def test_an_order_that_is_no_object_is_bad(self, data: str) -> None:
        assert events(f'{{"type":"order","data":{data}}}') == [Bad("bad_order")]
        assert events('{"type":"order"}') == [Bad("bad_order")]

    @pytest.mark.parametrize(
        "words",
        ["TokenException: session over", "Incorrect `api_key` or `access_token`.", "Invalid access token", "API key?"],
    )
    def test_an_error_about_the_credentials_says_so(self, words: str) -> None:
        assert events(json.dumps({"type": "error", "data": words})) == [TokenExpired(words)]

    def test_an_error_that_names_an_instrument_is_about_it(self) -> None:
        words = "Invalid instrument token 408065"
        assert events(json.dumps({"type": "error", "data": words})) == [InstrumentRefused("408065", words)]

    @pytest.mark.parametrize("words", ["No such instrument: 999", "Order 408065 failed", "Something broke"])
    def test_any_other_error_is_told(self, words: str) -> None:
        assert events(json.dumps({"type": "error", "data": words})) == [Said(words)]

    def test_an_error_without_words_is_told_too(self) -> None:
        assert events('{"type":"error"}') == [Said("an error without words")]

    def test_an_error_may_be_an_object(self) -> None:
        assert events('{"type":"error","data":{"code":7}}') == [Said('{"code":7}')]

    def test_a_message_is_told(self) -> None:
        assert events('{"type":"message","data":"Maintenance on Saturday"}') == [Said("Maintenance on Saturday")]
        assert events('{"type":"message"}') == []

    def test_no_secret_is_repeated_and_no_essay_either(self) -> None:
        (said,) = events(json.dumps({"type": "message", "data": f"{ACCESS_TOKEN} of {API_KEY} " + "x" * 1000}))
        assert isinstance(said, Said)
        assert said.text == ("… of … " + "x" * 1000)[:300]

    @pytest.mark.parametrize(
        "text",
        [
            '{"type":"instruments_meta","data":{"count":86481,"etag":"W/\\"68907d60-55bf\\""}}',
            '{"type":"app_code","timestamp":"2025-08-04T13:50:28+05:30"}',
            '{"type":"tomorrow","data":[1,2]}',
            "{}",
        ],
    )
    def test_types_that_nobody_knows_are_passed_over(self, text: str) -> None:
        assert events(text) == []

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "null", '"order"', '{"type":7}', '{"type":null}', "\ud800", '{"data":' + "[" * 100_000],
    )
    def test_a_text_that_makes_no_sense_is_bad(self, text: str) -> None:
        assert events(text) == [Bad("bad_text")]

    @given(st.text() | st.builds(json.dumps, st.dictionaries(st.sampled_from(["type", "data"]), st.text() | st.none())))
    def test_any_text_is_answered(self, text: str) -> None:
        assert not conversation().receive(text, NOW_MS).updates

    @given(
        st.sampled_from(["order", "error", "message"]),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    )
    def test_any_data_is_answered(self, kind: str, data: object) -> None:
        heard = conversation().receive(json.dumps({"type": kind, "data": data}), NOW_MS)
        assert len(heard.events) <= 1
        if kind == "order" and isinstance(data, dict):
            (order,) = heard.events
            assert isinstance(order, OrderUpdate)
            assert json.loads(order.data) == data


class TestBinaryFrames:
    @pytest.mark.parametrize("frame", [b"\x00", b"", b"\xff"])
    def test_a_frame_of_less_than_two_bytes_is_a_heartbeat(self, frame: bytes) -> None:
        assert conversation().receive(frame, NOW_MS) == Heard((), (Alive(),))

    def test_prices_come_with_what_was_wrong_beside_them(self) -> None:
        frame = frame_of(ltp_packet(RELIANCE, 150_050), ltp_packet(1, 1), ltp_packet(2, 1), ltp_packet(INFY, 0))
        heard = conversation().receive(frame, NOW_MS)
        assert heard.updates == [
            Tick(exchange="NSE", symbol="RELIANCE", price=1500 * PRICE_SCALE + 50 * PAISA, time_ms=NOW_MS)
        ]
        assert heard.events == [Bad("unknown_token", 2), Bad("no_price")]

    @given(st.binary(max_size=400))
    def test_any_bytes_are_answered(self, frame: bytes) -> None:
        heard = conversation().receive(frame, NOW_MS)
        assert {update.symbol for update in heard.updates} <= {"RELIANCE", "INFY", "NIFTY 50"}


# -- against the server --------------------------------------------------------------------------------------------


class Client:
    """A socket and its conversation, without the runner."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._conversation = conversation()
        self.updates: list[Update] = []
        self.events: list[Event] = []

    async def subscribe(self, rows: Sequence[Listing], mode: str) -> None:
        for frame in self._conversation.subscribe(rows, mode):
            await self._socket.send(frame)

    async def unsubscribe(self, rows: Sequence[Listing]) -> None:
        for frame in self._conversation.unsubscribe(rows):
            await self._socket.send(frame)

    async def until(self, done: Callable[[], bool]) -> None:
        """Read until `done` holds."""
        async with asyncio.timeout(10):
            while not done():
                heard = self._conversation.receive(await self._socket.recv(), NOW_MS)
                self.updates += heard.updates
                self.events += heard.events

    def last(self, symbol: str) -> Tick | None:
        ticks = [update for update in self.updates if isinstance(update, Tick) and update.symbol == symbol]
        return ticks[-1] if ticks else None

    def depths(self, symbol: str) -> list[Depth]:
        return [update for update in self.updates if isinstance(update, Depth) and update.symbol == symbol]


@pytest.fixture
async def server() -> AsyncIterator[KiteServer]:
    async with KiteServer() as server:
        yield server


async def dial(server: KiteServer, stack: AsyncExitStack, **credentials: str) -> Client:
    request = await Kite().request(CREDENTIALS | {"url": server.url} | credentials, NoHttp())
    socket = connect(request.url, additional_headers=dict(request.headers), compression=None, close_timeout=1)
    return Client(await stack.enter_async_context(socket))


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


class TestAgainstTheServer:
    async def test_each_mode_brings_its_own_packets_at_once_and_after_a_change(
        self, server: KiteServer, stack: AsyncExitStack
    ) -> None:
        server.prices[RELIANCE] = {"price": 150_050, "opened": 149_000, "exchange_s": 1_795_407_300}
        server.prices[INFY] = {"price": 160_000, "opened": 159_000, "exchange_s": 1_795_407_300}
        server.prices[NIFTY] = {"price": 2_400_000, "opened": 2_390_000, "exchange_s": 1_795_407_300}
        client = await dial(server, stack)
        await client.subscribe([LISTED[0], LISTED[2]], "full")
        await client.subscribe([LISTED[1]], "ltp")
        await server.until_subscribed([str(RELIANCE), str(INFY), str(NIFTY)])
        await client.until(lambda: (tick := client.last("INFY")) is not None and tick.open is None)
        reliance, nifty = client.last("RELIANCE"), client.last("NIFTY 50")
        assert reliance is not None
        assert nifty is not None
        assert (reliance.open, reliance.time_ms) == (1490 * PRICE_SCALE, 1_795_407_300_000)
        assert (nifty.open, nifty.time_ms) == (23_900 * PRICE_SCALE, 1_795_407_300_000)
        assert client.depths("RELIANCE")
        await server.price(RELIANCE, price=150_060, bids=[(5, 150_055, 1)])
        await client.until(lambda: bool(client.depths("RELIANCE")[-1].bids))
        changed = client.last("RELIANCE")
        assert changed is not None
        assert (changed.price, changed.bid) == (150_060 * PAISA, 150_055 * PAISA)
        assert not [event for event in client.events if isinstance(event, Bad)]

    async def test_after_unsubscribing_no_price_comes_any_more(self, server: KiteServer, stack: AsyncExitStack) -> None:
        client = await dial(server, stack)
        await client.subscribe(LISTED, "quote")
        await client.unsubscribe(LISTED[1:])
        await server.until(lambda: set(server.subscribed) == {str(RELIANCE)} and len(server.heard) == 3)
        await server.price(INFY, price=77_700)
        await server.price(RELIANCE, price=150_099)
        await client.until(lambda: (tick := client.last("RELIANCE")) is not None and tick.price == 150_099 * PAISA)
        infy = client.last("INFY")
        assert infy is not None
        assert infy.price == 100 * PRICE_SCALE

    async def test_the_heart_beats_on_its_own_and_on_demand(self, stack: AsyncExitStack) -> None:
        async with KiteServer(heartbeat_s=0.01) as server:
            client = await dial(server, stack)
            await client.until(lambda: client.events.count(Alive()) >= 4)
        async with KiteServer(heartbeat_s=1000) as server:
            client = await dial(server, stack)
            await client.until(lambda: client.events.count(Alive()) == 1)
            await server.heartbeat()
            await client.until(lambda: client.events.count(Alive()) == 2)

    async def test_orders_errors_and_garbage_come_through(self, server: KiteServer, stack: AsyncExitStack) -> None:
        client = await dial(server, stack)
        await server.until(lambda: len(server.connections) == 1)
        await client.until(lambda: Alive() in client.events)
        await server.garbage()
        await server.order_update(order_id="7", status="REJECTED")
        await server.error("Something broke")
        await client.until(lambda: Said("Something broke") in client.events)
        assert OrderUpdate(b'{"order_id":"7","status":"REJECTED"}') in client.events
        bad = {event.reason for event in client.events if isinstance(event, Bad)}
        assert bad == {"truncated", "unknown_token", "unknown_length", "too_long", "bad_text", "bad_order"}
        assert {update.symbol for update in client.updates} == {"NIFTY 50"}

    async def test_wrong_credentials_are_refused(self, server: KiteServer, stack: AsyncExitStack) -> None:
        for wrong in ({"api_key": "other"}, {"access_token": "yesterday's"}):
            with pytest.raises(InvalidStatus) as refused:
                await dial(server, stack, **wrong)
            assert refused.value.response.status_code == 403

    async def test_a_handshake_without_the_version_is_refused(self, server: KiteServer) -> None:
        request = await Kite().request(CREDENTIALS | {"url": server.url}, NoHttp())
        with pytest.raises(InvalidStatus):
            await connect(request.url, compression=None)

    async def test_a_fourth_connection_is_refused(self, server: KiteServer, stack: AsyncExitStack) -> None:
        for number in range(1, 4):
            await dial(server, stack)
            await server.until(lambda number=number: len(server.connections) == number)  # type: ignore[misc]
        with pytest.raises(InvalidStatus) as refused:
            await dial(server, stack)
        assert refused.value.response.status_code == 429

    async def test_at_six_in_the_morning_the_token_dies(self, server: KiteServer, stack: AsyncExitStack) -> None:
        client = await dial(server, stack)
        await client.subscribe(LISTED, "full")
        await server.until_subscribed([row.token for row in LISTED])
        server.expire_token()
        with pytest.raises(ConnectionClosed):
            await client.until(lambda: False)
        await server.until_subscribed([])
        with pytest.raises(InvalidStatus) as refused:
            await dial(server, stack)
        assert refused.value.response.status_code == 403
        await dial(server, stack, access_token=server.access_token)
