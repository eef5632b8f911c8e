"""Dhan's conversation as a value, and the same against its server on loopback."""

import json
from collections.abc import AsyncIterator, Mapping
from urllib.parse import parse_qs, urlsplit

import pytest

from feeds.brokers.dhan import Dhan, DhanConversation
from feeds.brokers.source import Bad, Heard, Source
from feeds.feed import Health
from feeds.instruments import Instrument, Kind, Listing
from schemas.market import PRICE_SCALE, Depth, Tick
from tests.feeds.brokers.account import Account
from tests.feeds.brokers.dhan import DhanServer, disconnect

PAISA = PRICE_SCALE // 100
CREDENTIALS = {"client_id": "1000000001", "access_token": "dhan-token"}


def listing(symbol: str, token: str, kind: Kind = Kind.STOCK) -> Listing:
    return Listing(
        instrument=Instrument(exchange="NSE", symbol=symbol, name="", kind=kind, tick_size=5 * PAISA), token=token
    )


RELIANCE, INFY = listing("RELIANCE", "1|2885"), listing("INFY", "1|1594")
NIFTY = listing("NIFTY 50", "0|13", Kind.INDEX)


def conversation() -> DhanConversation:
    return DhanConversation({one.token: one.instrument for one in (RELIANCE, INFY, NIFTY)})


class NoHttp:
    """Dhan needs no call before its socket."""

    async def get_json(self, url: str, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)

    async def post_json(self, url: str, body: object, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)


async def test_the_address_carries_the_credentials() -> None:
    source: Source = Dhan()
    request = await source.request({"client_id": "1 1", "access_token": "a&b"}, NoHttp())
    parts = urlsplit(request.url)
    assert (parts.scheme, parts.netloc) == ("wss", "api-feed.dhan.co")
    assert parse_qs(parts.query) == {"version": ["2"], "token": ["a&b"], "clientId": ["1 1"], "authType": ["2"]}
    other = await source.request({**CREDENTIALS, "url": "ws://127.0.0.1:1/x?a=b"}, NoHttp())
    assert other.url.startswith("ws://127.0.0.1:1/x?a=b&version=2&")


@pytest.mark.parametrize(("mode", "code"), [("ltp", 15), ("quote", 17), ("full", 21)])
def test_a_mode_has_a_code_and_the_next_one_ends_it(mode: str, code: int) -> None:
    talk = conversation()
    (frame,) = talk.subscribe([RELIANCE, NIFTY], mode)
    expected = {
        "RequestCode": code,
        "InstrumentCount": 2,
        "InstrumentList": [
            {"ExchangeSegment": "NSE_EQ", "SecurityId": "2885"},
            {"ExchangeSegment": "IDX_I", "SecurityId": "13"},
        ],
    }
    assert isinstance(frame, str)
    assert json.loads(frame) == expected
    (end,) = talk.unsubscribe([RELIANCE, NIFTY])
    assert json.loads(end) == expected | {"RequestCode": code + 1}
    assert talk.unsubscribe([RELIANCE]) == []


def test_a_change_of_mode_ends_the_old_one_first() -> None:
    talk = conversation()
    talk.subscribe([RELIANCE, INFY], "quote")
    frames = [json.loads(frame) for frame in talk.subscribe([RELIANCE], "full")]
    assert [(frame["RequestCode"], frame["InstrumentCount"]) for frame in frames] == [(18, 1), (21, 1)]


def test_a_frame_names_a_hundred_instruments_at_most() -> None:
    frames = conversation().subscribe([listing(f"S{n}", f"1|{n}") for n in range(1, 251)], "full")
    assert [json.loads(frame)["InstrumentCount"] for frame in frames] == [100, 100, 50]


def test_a_text_is_bad() -> None:
    assert conversation().receive("hello", 1) == Heard(events=(Bad("text_frame"),))


# -- against the server ------------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[DhanServer]:
    async with DhanServer() as server:
        server.prices = {"1|2885": 2500.0, "1|1594": 1500.0, "0|13": 24_850.05}
        server.closes = {"1|2885": 2450.0}
        yield server


def account(server: DhanServer, **credentials: str) -> Account:
    return Account(Dhan(), [RELIANCE, INFY, NIFTY], {**CREDENTIALS, "url": server.url, **credentials})


async def test_a_subscription_brings_the_last_price_at_once_and_then_every_change(server: DhanServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE"), ("NSE", "NIFTY 50")])
    async with mine.running():
        await server.until_subscribed(["1|2885", "0|13"])
        await mine.until_price("RELIANCE", 2500 * PRICE_SCALE)
        await server.trade({"1|2885": 2501.35, "0|13": 24_851.1})
        await mine.until_price("NIFTY 50", 2_485_110 * PAISA)
        assert mine.feed.status.health is Health.LIVE
    last = [one for one in mine.published.updates if one.symbol == "RELIANCE" and isinstance(one, Tick)][-1]
    assert (last.price, last.close, last.bid) == (250_135 * PAISA, 2450 * PRICE_SCALE, 250_130 * PAISA)
    assert any(isinstance(one, Depth) for one in mine.published.updates)
    assert not mine.feed.bad


async def test_a_dead_token_is_told_and_a_new_one_taken_up(server: DhanServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE")])
    async with mine.running():
        await server.until_subscribed(["1|2885"])
        await server.expire()
        await mine.until(Health.TOKEN_EXPIRED)
        assert "807" in mine.feed.status.reason
        assert server.access_token not in mine.feed.status.reason
        mine.credentials["access_token"] = server.access_token
        await mine.reconnect()
        await server.until_subscribed(["1|2885"])


async def test_too_many_connections_are_no_matter_of_credentials(server: DhanServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE")])
    async with mine.running():
        await server.until_subscribed(["1|2885"])
        await server.send(disconnect(805))
        await mine.until(Health.REFUSED)
        assert "805" in mine.feed.status.reason


async def test_a_wrong_client_is_refused_for_its_credentials(server: DhanServer) -> None:
    mine = account(server, client_id="2")
    async with mine.running():
        await mine.until(Health.TOKEN_EXPIRED)
        assert "808" in mine.feed.status.reason


async def test_garbage_is_counted_and_prices_go_on(server: DhanServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE")])
    async with mine.running():
        await server.until_subscribed(["1|2885"])
        await server.send(b"\xff" * 50, "what?", b"\x02\x10\x00")
        await server.trade({"1|2885": 2501.0})
        await mine.until_price("RELIANCE", 2501 * PRICE_SCALE)
    assert dict(mine.feed.bad) == {"truncated": 2, "text_frame": 1}


async def test_an_abrupt_end_is_followed_by_a_new_connection(server: DhanServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE")])
    async with mine.running():
        await server.until_subscribed(["1|2885"])
        await mine.until(Health.LIVE)
        server.abort()
        await mine.until(Health.CONNECTING)
        await mine.reconnect()
        await server.until(lambda: server.handshakes == 2)
        await server.until_subscribed(["1|2885"])
