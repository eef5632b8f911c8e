"""Upstox's way in and its commands as values, and the same against its server on loopback."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from feeds.accounts.http import HttpClient
from feeds.brokers.source import Bad, Conversation, Event, Frame, Heard, MarketStatus, Source
from feeds.brokers.upstox import Upstox
from feeds.errors import VendorRefused
from feeds.feed import Update
from feeds.instruments import Instrument, Kind, Listing
from schemas.market import Depth, Tick, scaled
from tests.feeds.brokers.upstox import (
    ACCESS_TOKEN,
    AUTHORIZE,
    CREDENTIALS,
    LAST_TRADE_MS,
    MAX_INSTRUMENTS,
    TIME_MS,
    UpstoxServer,
    ltpc_feed,
    message,
)

SHARE, OPTION, INDEX = "NSE_EQ|INE002A01018", "NSE_FO|54321", "NSE_INDEX|Nifty 50"
TLS = ssl.create_default_context()


def listing(key: str, symbol: str = "", kind: Kind = Kind.STOCK) -> Listing:
    instrument = Instrument(exchange="NSE", symbol=symbol or key, name="", kind=kind, tick_size=scaled(0.05))
    return Listing(instrument=instrument, token=key)


LISTED = [listing(SHARE, "RELIANCE"), listing(OPTION, "NIFTY26DEC24000CE"), listing(INDEX, "NIFTY 50", Kind.INDEX)]


def conversation(listed: Sequence[Listing] = LISTED) -> Conversation:
    source: Source = Upstox()  # holds Upstox to the port
    return source.converse(CREDENTIALS, {row.token: row.instrument for row in listed})


def said(frames: Sequence[Frame]) -> list[tuple[str, str | None, list[str]]]:
    """Method, mode and keys of frames, each of which must be binary."""
    commands = []
    for frame in frames:
        assert isinstance(frame, bytes)
        command = json.loads(frame)
        assert set(command) == {"guid", "method", "data"}
        commands.append((command["method"], command["data"].get("mode"), command["data"]["instrumentKeys"]))
    return commands


# -- commands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "word"), [("ltp", "ltpc"), ("quote", "full"), ("full", "full")])
def test_a_subscription_is_a_binary_frame_of_json_in_the_vendors_words(mode: str, word: str) -> None:
    talk = conversation()
    assert talk.ready_at_once
    assert talk.greeting() == ()
    assert said(talk.subscribe(LISTED[:2], mode)) == [("sub", word, [SHARE, OPTION])]


def test_a_change_of_mode_has_a_method_of_its_own() -> None:
    talk = conversation()
    talk.subscribe(LISTED[:1], "ltp")
    assert said(talk.subscribe(LISTED, "full")) == [("sub", "full", [OPTION, INDEX]), ("change_mode", "full", [SHARE])]
    assert said(talk.subscribe(LISTED[:1], "quote")) == [("sub", "full", [SHARE])]


def test_an_end_names_only_what_is_subscribed() -> None:
    talk = conversation()
    talk.subscribe(LISTED[:2], "full")
    assert said(talk.unsubscribe([LISTED[0], LISTED[2], LISTED[0]])) == [("unsub", None, [SHARE])]
    assert talk.unsubscribe([LISTED[0]]) == ()
    assert said(talk.subscribe([LISTED[0]], "ltp")) == [("sub", "ltpc", [SHARE])]


def test_every_command_has_an_id_of_its_own_and_names_each_key_once() -> None:
    talk = conversation()
    frames = [*talk.subscribe([LISTED[0], LISTED[0]], "full"), *talk.subscribe(LISTED[1:], "full")]
    assert said(frames)[0] == ("sub", "full", [SHARE])
    assert len({json.loads(frame)["guid"] for frame in frames}) == 2
    assert not talk.subscribe([], "full")


@pytest.mark.parametrize(("mode", "most"), [("ltp", 5000), ("quote", 2000), ("full", 2000)])
def test_the_limit_hangs_on_the_mode(mode: str, most: int) -> None:
    assert Upstox(mode).limits.instruments_per_connection == most
    assert Upstox(mode).limits.connections == 2


def test_texts_are_of_no_use() -> None:
    assert conversation().receive("{}", TIME_MS) == Heard((), (Bad("bad_text"),))


@given(st.one_of(st.binary(max_size=100), st.text(max_size=100)))
def test_any_frame_is_survived(frame: Frame) -> None:
    heard = conversation().receive(frame, TIME_MS)
    assert {update.symbol for update in heard.updates} <= {row.instrument.symbol for row in LISTED}


def test_the_listings_may_grow_while_the_connection_lasts() -> None:
    listings: dict[str, Instrument] = {}
    talk = Upstox().converse(CREDENTIALS, listings)
    frame = message({SHARE: ltpc_feed(ltp=100.0)})
    assert talk.receive(frame, TIME_MS).events == [Bad("unknown_token")]
    listings[SHARE] = LISTED[0].instrument
    assert talk.receive(frame, TIME_MS).updates == [
        Tick("NSE", "RELIANCE", scaled(100), TIME_MS, last_trade_ms=LAST_TRADE_MS)
    ]


# -- the way in ----------------------------------------------------------------------------------------------------


class Answering:
    """An HTTP that gives one answer and remembers what was asked."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    async def get_json(self, url: str, headers: Mapping[str, str]) -> object:
        self.asked.append((url, headers))
        return self.answer

    async def post_json(self, url: str, body: object, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)


def authorized(address: object) -> Answering:
    return Answering({"status": "success", "data": {"authorized_redirect_uri": address}})


async def test_the_vendor_is_asked_for_an_address_with_the_token() -> None:
    http = authorized("wss://wsfeeder-api.upstox.com/feed?code=1")
    request = await Upstox().request(CREDENTIALS, http)
    assert request.url == "wss://wsfeeder-api.upstox.com/feed?code=1"
    assert not request.headers
    url, headers = http.asked[0]
    assert url == "https://api.upstox.com/v3/feed/market-data-feed/authorize"
    assert headers["Authorization"] == f"Bearer {ACCESS_TOKEN}"


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("https://api.upstox.com/", "wss://upstox.com/feed"),
        ("https://proxy.example", "wss://proxy.example:8443/feed"),
        ("https://proxy.example", "wss://feeder.upstox.com/feed"),
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/feed"),
        ("http://localhost:8080", "ws://[::1]:8080/feed"),
    ],
)
async def test_an_address_of_the_vendor_or_of_this_machine_is_followed(base: str, address: str) -> None:
    http = authorized(address)
    assert (await Upstox().request(CREDENTIALS | {"url": base}, http)).url == address
    assert http.asked[0][0] == base.rstrip("/") + AUTHORIZE


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("", "ws://wsfeeder-api.upstox.com/feed"),
        ("", "https://wsfeeder-api.upstox.com/feed"),
        ("", "wss://upstox.com.example/feed"),
        ("", "wss://notupstox.com/feed"),
        ("", "wss://api.upstox.com@example.com/feed"),
        ("", "wss:///feed"),
        ("", "ws://127.0.0.1/feed"),
        ("", ""),
        ("", "wss://[::1/feed"),
        ("http://127.0.0.1:8080", "ws://10.0.0.1:8080/feed"),
    ],
)
async def test_an_address_elsewhere_is_refused_without_being_quoted(base: str, address: str) -> None:
    with pytest.raises(VendorRefused) as caught:
        await Upstox().request(CREDENTIALS | ({"url": base} if base else {}), authorized(address))
    assert not caught.value.expired
    assert "/feed" not in str(caught.value)


@pytest.mark.parametrize(
    "base", ["http://api.upstox.com", "ws://127.0.0.1:80", "ftp://api.upstox.com", "upstox", "//["]
)
async def test_the_token_goes_nowhere_unprotected(base: str) -> None:
    http = authorized("wss://api.upstox.com/feed")
    with pytest.raises(VendorRefused):
        await Upstox().request(CREDENTIALS | {"url": base}, http)
    assert not http.asked


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"data": None}, {"data": {}}, {"data": {"authorized_redirect_uri": 7}}, "wss://upstox.com"]
)
async def test_an_answer_without_an_address_is_a_refusal(answer: object) -> None:
    with pytest.raises(VendorRefused, match="without an address"):
        await Upstox().request(CREDENTIALS, Answering(answer))


# -- against the server --------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[UpstoxServer]:
    async with UpstoxServer() as running:
        yield running


class Client:
    """One connection as the runner would have it, step by step."""

    def __init__(self, socket: ClientConnection, listed: Sequence[Listing]) -> None:
        self.socket = socket
        self.conversation = conversation(listed)

    async def subscribe(self, listings: Sequence[Listing], mode: str) -> None:
        for frame in self.conversation.subscribe(listings, mode):
            await self.socket.send(frame)

    async def hear(self) -> tuple[list[Update], list[Event]]:
        async with asyncio.timeout(10):
            heard = self.conversation.receive(await self.socket.recv(), TIME_MS)
        return list(heard.updates), list(heard.events)


@asynccontextmanager
async def connected(server: UpstoxServer, token: str = ACCESS_TOKEN) -> AsyncIterator[Client]:
    credentials = {"access_token": token, "url": server.url}
    request = await Upstox().request(credentials, HttpClient(TLS))
    async with connect(request.url, additional_headers=dict(request.headers), proxy=None) as socket:
        yield Client(socket, LISTED)


async def test_a_session_from_authorisation_to_prices(server: UpstoxServer) -> None:
    server.prices[SHARE] = 1450.5
    async with connected(server) as client:
        states = [MarketStatus("NSE_EQ", "NORMAL_OPEN"), MarketStatus("NSE_INDEX", "NORMAL_OPEN")]
        updates, events = await client.hear()
        assert (updates, sorted(events, key=str)) == ([], states)
        await client.subscribe(LISTED[:1], "full")
        await server.until_subscribed([SHARE])
        tick, depth = (await client.hear())[0]
        assert isinstance(tick, Tick)
        assert (tick.symbol, tick.price, tick.time_ms) == ("RELIANCE", scaled(1450.5), TIME_MS)
        assert isinstance(depth, Depth)
        await server.price(SHARE, 1451.0)
        tick, _ = (await client.hear())[0]
        assert isinstance(tick, Tick)
        assert tick.price == scaled(1451.0)


async def test_a_change_of_mode_changes_what_comes(server: UpstoxServer) -> None:
    async with connected(server) as client:
        await client.hear()
        await client.subscribe(LISTED, "ltp")
        assert len((await client.hear())[0]) == 3
        await client.subscribe(LISTED[:1], "full")
        assert [type(update) for update in (await client.hear())[0]] == [Tick, Depth]
        assert server.subscribed == {SHARE: "full", OPTION: "ltpc", INDEX: "ltpc"}
        for frame in client.conversation.unsubscribe(LISTED[1:]):
            await client.socket.send(frame)
        await server.until_subscribed([SHARE])


async def test_a_command_in_a_text_frame_is_ignored_by_the_server(server: UpstoxServer) -> None:
    async with connected(server) as client:
        for frame in client.conversation.subscribe(LISTED[:1], "ltp"):
            assert isinstance(frame, bytes)
            await client.socket.send(frame.decode())
        await client.subscribe(LISTED[1:2], "ltp")
        await server.until_subscribed([OPTION])


async def test_an_address_works_once(server: UpstoxServer) -> None:
    request = await Upstox().request(CREDENTIALS | {"url": server.url}, HttpClient(TLS))
    async with connect(request.url, proxy=None):
        with pytest.raises(InvalidStatus) as caught:
            await connect(request.url, proxy=None)
    assert caught.value.response.status_code == HTTPStatus.FORBIDDEN


async def test_a_token_that_has_ended_is_told_from_other_refusals(server: UpstoxServer) -> None:
    async with connected(server) as client:
        await client.hear()
        server.expire_token()
        with pytest.raises(ConnectionClosed):
            await client.hear()
    with pytest.raises(VendorRefused) as caught:
        async with connected(server):
            pytest.fail("let in with the token of yesterday")
    assert (caught.value.expired, caught.value.status) == (True, HTTPStatus.UNAUTHORIZED)
    server.refuse_with = HTTPStatus.TOO_MANY_REQUESTS
    with pytest.raises(VendorRefused) as caught:
        await Upstox().request({"access_token": server.access_token, "url": server.url}, HttpClient(TLS))
    assert (caught.value.expired, caught.value.status) == (False, HTTPStatus.TOO_MANY_REQUESTS)
    server.refuse_with = None
    async with connected(server, server.access_token) as client:
        assert (await client.hear())[1]


async def test_a_third_connection_is_refused(server: UpstoxServer) -> None:
    async with connected(server), connected(server):
        with pytest.raises(InvalidStatus):
            async with connected(server):
                pytest.fail("let in as the third")


async def test_an_address_elsewhere_is_not_followed(server: UpstoxServer) -> None:
    server.leads_to = "wss://example.com/feed"
    with pytest.raises(VendorRefused, match=r"leads elsewhere, to wss://example\.com$"):
        await Upstox().request(CREDENTIALS | {"url": server.url}, HttpClient(TLS))


async def test_garbage_between_prices_harms_nothing(server: UpstoxServer) -> None:
    async with connected(server) as client:
        await client.hear()
        await client.subscribe(LISTED[:1], "ltp")
        await client.hear()
        await server.garbage()
        reasons = [event for _ in range(6) for event in (await client.hear())[1]]
        assert reasons == [Bad("garbage")] * 3 + [Bad("unknown_token")] + [Bad("bad_text")] * 2
        await server.price(SHARE, 105.0)
        (tick,) = (await client.hear())[0]
        assert isinstance(tick, Tick)
        assert tick.price == scaled(105)


async def test_instruments_beyond_the_limit_are_met_with_silence(server: UpstoxServer) -> None:
    many = [listing(f"NSE_FO|{number}") for number in range(MAX_INSTRUMENTS["full"] + 1)]
    async with connected(server) as client:
        await client.subscribe(many, "full")
        await server.until(lambda: len(server.subscribed) == MAX_INSTRUMENTS["full"])
        assert many[-1].token not in server.subscribed
