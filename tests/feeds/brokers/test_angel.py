"""Angel's conversation as a value, and the same against its server on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from feeds.brokers.angel import Angel
from feeds.brokers.source import (
    Alive,
    Bad,
    Conversation,
    Event,
    Frame,
    Heard,
    InstrumentRefused,
    Request,
    Said,
    Source,
    TokenExpired,
)
from feeds.feed import Update
from feeds.instruments import Instrument, Kind, Listing
from schemas.market import Depth, Tick, scaled
from tests.feeds.brokers.angel import (
    CREDENTIALS,
    FEED_TOKEN,
    JWT_TOKEN,
    MAX_SUBSCRIPTIONS,
    TIME_MS,
    AngelServer,
    ltp_packet,
)

SHARE, OTHER, FUTURE, INDEX = "1|2885", "1|1594", "2|54321", "1|99926000"


def listing(token: str, symbol: str = "", kind: Kind = Kind.STOCK) -> Listing:
    instrument = Instrument(exchange="NSE", symbol=symbol or token, name="", kind=kind, tick_size=scaled(0.05))
    return Listing(instrument=instrument, token=token)


LISTED = [
    listing(SHARE, "RELIANCE"),
    listing(OTHER, "INFY"),
    listing(FUTURE, "NIFTY26DECFUT", Kind.FUTURE),
    listing(INDEX, "NIFTY 50", Kind.INDEX),
]


def conversation(listed: Sequence[Listing] = LISTED) -> Conversation:
    source: Source = Angel()  # holds Angel to the port
    return source.converse(CREDENTIALS, {row.token: row.instrument for row in listed})


class NoHttp:
    """Angel needs no call before its socket."""

    async def get_json(self, url: str, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)

    async def post_json(self, url: str, body: object, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)


def commands(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """What frames say, each of which must be a text."""
    assert all(isinstance(frame, str) for frame in frames)
    return [json.loads(frame) for frame in frames]


def said(frames: Sequence[Frame]) -> list[tuple[int, int, list[dict[str, Any]]]]:
    """Action, mode and tokens of frames."""
    return [(one["action"], one["params"]["mode"], one["params"]["tokenList"]) for one in commands(frames)]


# -- commands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "number"), [("ltp", 1), ("quote", 2), ("full", 3)])
def test_a_subscription_names_tokens_by_exchange(mode: str, number: int) -> None:
    talk = conversation()
    assert talk.ready_at_once
    assert talk.greeting() == ()
    tokens = [
        {"exchangeType": 1, "tokens": ["2885", "1594", "99926000"]},
        {"exchangeType": 2, "tokens": ["54321"]},
    ]
    assert said(talk.subscribe([*LISTED, LISTED[0]], mode)) == [(1, number, tokens)]


def test_each_command_has_an_id_of_ten_letters_and_digits() -> None:
    talk = conversation()
    frames = [*talk.subscribe(LISTED[:1], "ltp"), *talk.subscribe(LISTED[1:], "ltp"), *talk.unsubscribe(LISTED)]
    ids = [one["correlationID"] for one in commands(frames)]
    assert len(set(ids)) == 3
    assert all(len(one) == 10 and one.isalnum() and one.isascii() for one in ids)


def test_a_change_of_mode_ends_the_old_one_first() -> None:
    talk = conversation()
    talk.subscribe(LISTED[:1], "ltp")
    share, other = {"exchangeType": 1, "tokens": ["2885"]}, {"exchangeType": 1, "tokens": ["2885", "1594"]}
    assert said(talk.subscribe(LISTED[:2], "full")) == [(0, 1, [share]), (1, 3, [other])]
    assert said(talk.subscribe(LISTED[:1], "full")) == [(1, 3, [share])]


def test_an_end_names_the_mode_that_each_instrument_is_in() -> None:
    talk = conversation()
    talk.subscribe(LISTED[:1], "ltp")
    talk.subscribe(LISTED[1:2], "full")
    ends = [(0, 1, [{"exchangeType": 1, "tokens": ["2885"]}]), (0, 3, [{"exchangeType": 1, "tokens": ["1594"]}])]
    assert said(talk.unsubscribe(LISTED)) == ends
    assert not talk.unsubscribe(LISTED)
    assert not talk.subscribe([], "full")


# -- texts ---------------------------------------------------------------------------------------------------------


def error(code: str, text: str = "no", correlation: str = "") -> str:
    return json.dumps({"correlationID": correlation, "errorCode": code, "errorMessage": text})


def events(text: str) -> Sequence[Event]:
    heard = conversation().receive(text, TIME_MS)
    assert not heard.updates
    return heard.events


def test_a_pong_is_a_sign_of_life() -> None:
    assert conversation().receive("pong", TIME_MS) == Heard((), (Alive(),))
    ping = Angel().ping
    assert ping is not None
    assert (ping.frame, ping.interval_s) == ("ping", 10.0)
    assert Angel().silence_s > ping.interval_s


@pytest.mark.parametrize("code", ["AG8001", "AG8002", "AG8003", "AB1010"])
def test_an_error_about_the_token_is_told_as_such(code: str) -> None:
    assert events(error(code, "Invalid Token")) == (TokenExpired(f"{code}: Invalid Token"),)


def test_other_errors_are_words_for_people() -> None:
    assert events(error("E1002", "Subscription limit exceeded")) == (Said("E1002: Subscription limit exceeded"),)
    assert events(error("E1001", "Invalid payload", "unknown")) == (Said("E1001: Invalid payload"),)
    assert events('{"errorCode":"E9"}') == (Said("E9:"),)


def test_an_invalid_request_for_one_instrument_refuses_it() -> None:
    talk = conversation()
    (one,), (several,) = commands(talk.subscribe(LISTED[:1], "ltp")), commands(talk.subscribe(LISTED[1:], "ltp"))
    refused = talk.receive(error("E1001", "no", one["correlationID"]), TIME_MS)
    assert refused.events == (InstrumentRefused(SHARE, "E1001: no"),)
    assert talk.receive(error("E1001", "no", several["correlationID"]), TIME_MS).events == (Said("E1001: no"),)
    assert talk.receive(error("E1002", "no", one["correlationID"]), TIME_MS).events == (Said("E1002: no"),)
    (ended,) = commands(talk.unsubscribe(LISTED[:1]))
    assert talk.receive(error("E1001", "no", ended["correlationID"]), TIME_MS).events == (Said("E1001: no"),)


def test_commands_are_remembered_up_to_a_bound() -> None:
    talk = conversation()
    (first,) = commands(talk.subscribe(LISTED[:1], "ltp"))
    for _ in range(256):
        talk.subscribe(LISTED[:1], "ltp")
    assert talk.receive(error("E1001", "no", first["correlationID"]), TIME_MS).events == (Said("E1001: no"),)


def test_what_the_vendor_says_is_short_and_without_credentials() -> None:
    (event,) = events(error("E1002", f"{JWT_TOKEN} {FEED_TOKEN} " + "x" * 1000))
    assert isinstance(event, Said)
    assert JWT_TOKEN not in event.text
    assert FEED_TOKEN not in event.text
    assert len(event.text) == 300


@pytest.mark.parametrize(
    "text", ["", "ping", "{", "[]", "{}", '"text"', '{"errorCode":7}', '{"errorMessage":"x"}', "[" * 5000, "\ud800"]
)
def test_a_text_that_makes_no_sense_is_counted(text: str) -> None:
    assert events(text) == (Bad("bad_text"),)


@given(st.one_of(st.binary(max_size=100), st.text(max_size=100)))
def test_any_frame_is_survived(frame: Frame) -> None:
    heard = conversation().receive(frame, TIME_MS)
    assert {update.symbol for update in heard.updates} <= {row.instrument.symbol for row in LISTED}


def test_the_listings_may_grow_while_the_connection_lasts() -> None:
    listings: dict[str, Instrument] = {}
    talk = Angel().converse(CREDENTIALS, listings)
    assert talk.receive(ltp_packet(SHARE, 100), TIME_MS) == Heard([], [Bad("unknown_token")])
    listings[SHARE] = LISTED[0].instrument
    assert talk.receive(ltp_packet(SHARE, 100), TIME_MS) == Heard([Tick("NSE", "RELIANCE", scaled(1), TIME_MS)], ())


# -- the way in ----------------------------------------------------------------------------------------------------


async def test_the_credentials_go_into_the_headers() -> None:
    request = await Angel().request(CREDENTIALS, NoHttp())
    headers = {
        "Authorization": f"Bearer {JWT_TOKEN}",
        "x-api-key": "angelkey",
        "x-client-code": "A123456",
        "x-feed-token": FEED_TOKEN,
    }
    assert request == Request(url="wss://smartapisocket.angelone.in/smart-stream", headers=headers)
    given = CREDENTIALS | {"jwt_token": f"Bearer {JWT_TOKEN}", "url": "ws://127.0.0.1:1"}
    assert await Angel().request(given, NoHttp()) == Request(url="ws://127.0.0.1:1", headers=headers)


# -- against the server --------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[AngelServer]:
    async with AngelServer() as running:
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
async def connected(
    server: AngelServer, credentials: Mapping[str, str] = CREDENTIALS, listed: Sequence[Listing] = LISTED
) -> AsyncIterator[Client]:
    request = await Angel().request({**credentials, "url": server.url}, NoHttp())
    async with connect(request.url, additional_headers=dict(request.headers), proxy=None) as socket:
        yield Client(socket, listed)


async def test_a_session_from_the_handshake_to_prices(server: AngelServer) -> None:
    server.prices[SHARE] = {"price": 145_005, "bids": [(5, 145_000, 1)], "volume": 7}
    async with connected(server) as client:
        await client.subscribe(LISTED[:1], "full")
        await server.until_subscribed([SHARE])
        assert server.subscribed == {SHARE: "3"}
        tick, depth = (await client.hear())[0]
        assert isinstance(tick, Tick)
        assert (tick.symbol, tick.price, tick.bid, tick.volume) == ("RELIANCE", scaled(1450.05), scaled(1450), 7)
        assert isinstance(depth, Depth)
        await server.price(SHARE, price=145_100)
        (tick, _), none = await client.hear()
        assert isinstance(tick, Tick)
        assert (tick.price, none) == (scaled(1451), [])
        for frame in client.conversation.unsubscribe(LISTED[:1]):
            await client.socket.send(frame)
        await server.until_subscribed([])


async def test_several_packets_in_one_frame_are_all_heard(server: AngelServer) -> None:
    async with connected(server) as client:
        await client.subscribe(LISTED, "ltp")
        for _ in LISTED:
            await client.hear()
        await server.tell([SHARE, OTHER, FUTURE, INDEX])
        updates, none = await client.hear()
        assert ({update.symbol for update in updates}, none) == ({row.instrument.symbol for row in LISTED}, [])


async def test_a_change_of_mode_leaves_one_subscription(server: AngelServer) -> None:
    async with connected(server) as client:
        await client.subscribe(LISTED[:1], "ltp")
        await client.hear()
        await client.subscribe(LISTED[:1], "full")
        await client.hear()
        await server.price(SHARE, price=500)
        assert [type(update) for update in (await client.hear())[0]] == [Tick, Depth]


async def test_a_ping_gets_a_pong(server: AngelServer) -> None:
    ping = Angel().ping
    assert ping is not None
    async with connected(server) as client:
        await client.socket.send(ping.frame)
        assert await client.hear() == ([], [Alive()])
        assert server.pings == 1


async def test_tokens_that_have_ended_get_401_until_new_ones_are_there(server: AngelServer) -> None:
    async with connected(server) as client:
        await client.socket.send("ping")
        await client.hear()
        server.expire_token()
        with pytest.raises(ConnectionClosed):
            await client.hear()
    with pytest.raises(InvalidStatus) as caught:
        async with connected(server):
            pytest.fail("let in with the tokens of yesterday")
    assert caught.value.response.status_code == HTTPStatus.UNAUTHORIZED
    fresh = CREDENTIALS | {"jwt_token": server.jwt_token, "feed_token": server.feed_token}
    async with connected(server, fresh) as client:
        await client.socket.send("ping")
        assert await client.hear() == ([], [Alive()])


async def test_a_fourth_connection_is_refused(server: AngelServer) -> None:
    assert Angel().limits.connections == 3
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(connected(server))
        with pytest.raises(InvalidStatus) as caught:
            await stack.enter_async_context(connected(server))
    assert caught.value.response.status_code == HTTPStatus.TOO_MANY_REQUESTS


async def test_a_subscription_beyond_the_limit_is_told(server: AngelServer) -> None:
    assert Angel().limits.instruments_per_connection == MAX_SUBSCRIPTIONS
    many = [listing(f"1|{number}") for number in range(MAX_SUBSCRIPTIONS + 1)]
    async with connected(server, listed=many) as client:
        await client.subscribe(many, "ltp")
        assert await client.hear() == ([], [Said("E1002: Subscription limit exceeded")])
        assert not server.subscribed


async def test_garbage_between_prices_harms_nothing(server: AngelServer) -> None:
    async with connected(server) as client:
        await client.subscribe(LISTED[:1], "ltp")
        await client.hear()
        await server.garbage()
        reasons = [set((await client.hear())[1]) for _ in range(7)]
        assert reasons == [
            {Bad("truncated")},
            {Bad("unknown_length")},
            {Bad("truncated")},
            {Bad("impossible"), Bad("unknown_token"), Bad("truncated")},
            {Bad("bad_text")},
            {Bad("bad_text")},
            {Bad("bad_text")},
        ]
        await server.price(SHARE, price=10_500)
        (tick,) = (await client.hear())[0]
        assert isinstance(tick, Tick)
        assert tick.price == scaled(105)
