"""Fyers' conversation as a value, and the same against its server on loopback."""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.brokers.fyers import Fyers, FyersConversation, hsm_key
from feeds.brokers.source import Alive, Bad, Event, Frame, Heard, Ready, Rejected, Reply, Said, Source, TokenExpired
from feeds.errors import VendorRefused
from feeds.feed import Health
from feeds.instruments import Instrument, Kind, Listing
from schemas.market import PRICE_SCALE, Depth, Tick
from tests.feeds.brokers.account import Account
from tests.feeds.brokers.fyers import FyersServer, access_token, answer, data, message, snapshot, update

PAISA = PRICE_SCALE // 100


def listing(symbol: str, token: str, kind: Kind = Kind.STOCK) -> Listing:
    return Listing(
        instrument=Instrument(exchange="NSE", symbol=symbol, name="", kind=kind, tick_size=5 * PAISA), token=token
    )


RELIANCE, INFY = listing("RELIANCE", "nse_cm|2885"), listing("INFY", "nse_cm|1594")
NIFTY = listing("NIFTY 50", "nse_cm|Nifty 50", Kind.INDEX)


def conversation() -> FyersConversation:
    return FyersConversation("key", {one.token: one.instrument for one in (RELIANCE, INFY, NIFTY)})


class NoHttp:
    """Fyers needs no call before its socket."""

    async def get_json(self, url: str, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)

    async def post_json(self, url: str, body: object, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)


# -- credentials -------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=50))
def test_the_key_is_a_claim_of_the_token(key: str) -> None:
    assert hsm_key(access_token(key)) == key
    assert hsm_key("ABC123-100:" + access_token(key)) == key


@pytest.mark.parametrize(
    "token",
    [
        "",
        "abc",
        "a.b.c",
        "a.é.c",
        "a.!!!!.c",
        "a." + base64.urlsafe_b64encode(b'{"exp":1}').decode() + ".c",
        "a." + base64.urlsafe_b64encode(b'{"hsm_key":5}').decode() + ".c",
        "a." + base64.urlsafe_b64encode(b"\xff\xfe").decode() + ".c",
    ],
)
async def test_a_token_without_the_claim_is_refused_in_words_that_dont_hold_it(token: str) -> None:
    with pytest.raises(VendorRefused, match="access token") as caught:
        await Fyers().request({"access_token": token}, NoHttp())
    assert caught.value.expired
    assert len(token) < 4 or token not in str(caught.value)


async def test_the_address_can_be_replaced() -> None:
    source: Source = Fyers()
    credentials = {"access_token": access_token("key")}
    assert (await source.request(credentials, NoHttp())).url == "wss://socket.fyers.in/hsm/v1-5/prod"
    assert (await source.request({**credentials, "url": "ws://x"}, NoHttp())).url == "ws://x"
    assert source.converse(credentials, {}).greeting()[0] == conversation_with_key("key").greeting()[0]


def conversation_with_key(key: str) -> FyersConversation:
    return FyersConversation(key, {})


# -- what we say -------------------------------------------------------------------------------------------------------


def channel_of(frame: Frame) -> int:
    return cast("bytes", frame)[-1]


def test_the_greeting_is_the_key_the_mode_and_our_name() -> None:
    assert conversation().greeting() == (
        b"\x00\x1a\x01\x04" + b"\x01\x00\x03key" + b"\x02\x00\x01P" + b"\x03\x00\x01\x01" + b"\x04\x00\x07tickhub",
    )


def test_mode_full_asks_for_prices_and_depth_and_of_an_index_for_its_prices() -> None:
    talk = conversation()
    mode, topics = talk.subscribe([RELIANCE, NIFTY], "full")
    assert mode == b"\x00\x11\x0c\x02" + b"\x01\x00\x08" + (1 << 11).to_bytes(8, "big") + b"\x02\x00\x01\x46"
    names = (b"sf|nse_cm|2885", b"dp|nse_cm|2885", b"if|nse_cm|Nifty 50")
    field = b"\x00\x03" + b"".join(bytes([len(name)]) + name for name in names)
    body = b"\x01" + len(field).to_bytes(2, "big") + field + b"\x02\x00\x01\x0b"
    assert topics == (2 + len(body)).to_bytes(2, "big") + b"\x04\x02" + body
    (end,) = talk.unsubscribe([RELIANCE, NIFTY])
    assert end == (2 + len(body)).to_bytes(2, "big") + b"\x05\x02" + body
    assert talk.unsubscribe([RELIANCE]) == []


def test_a_channel_is_set_up_once() -> None:
    talk = conversation()
    assert len(talk.subscribe([RELIANCE], "quote")) == 2
    assert len(talk.subscribe([INFY], "quote")) == 1


def test_last_prices_come_on_a_channel_of_their_own() -> None:
    mode, topics = conversation().subscribe([RELIANCE], "ltp")
    assert cast("bytes", mode)[7:15] == (1 << 12).to_bytes(8, "big")
    assert channel_of(mode) == 76
    assert channel_of(topics) == 12


def test_a_change_of_mode_ends_the_old_topics_where_they_were() -> None:
    talk = conversation()
    talk.subscribe([RELIANCE], "ltp")
    _, ended, begun = (cast("bytes", frame) for frame in talk.subscribe([RELIANCE], "full"))
    assert (ended[2], channel_of(ended), b"sf|" in ended, b"dp|" in ended) == (5, 12, True, False)
    assert (begun[2], channel_of(begun), b"sf|" in begun, b"dp|" in begun) == (4, 11, True, True)


def test_a_frame_names_1500_topics_at_most() -> None:
    many = [listing(f"S{n}", f"nse_cm|{n}") for n in range(2000)]
    _, *frames = conversation().subscribe(many, "full")
    assert [int.from_bytes(cast("bytes", frame)[7:9], "big") for frame in frames] == [1500, 1500, 1000]
    assert all(int.from_bytes(cast("bytes", frame)[:2], "big") == len(frame) - 2 for frame in frames)


def test_an_account_carries_half_as_many_instruments_in_mode_full() -> None:
    assert Fyers().limits.instruments_per_connection == 2500
    assert Fyers("quote").limits.instruments_per_connection == 5000
    assert Fyers.ping is not None
    assert (Fyers.ping.frame, Fyers.ping.interval_s) == (b"\x00\x01\x0b", 10.0)


# -- what we hear ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        (answer(1, b"K", b"\x00\x00\x00\x05"), [Ready()]),
        (answer(1, b"K"), [Ready()]),
        (answer(4, b"K"), [Alive()]),
        (answer(5, b"K"), [Alive()]),
        (answer(12, b"K"), [Alive()]),
        (answer(4, b"N"), [Said("Fyers has refused a subscription")]),
        (b"\x00\x01\x0b", [Alive()]),
        (answer(3, b"\x00\x00\x00\x01"), [Alive()]),
        (message(51_001, "limit of 200 symbols", 4), [Said("Fyers says: limit of 200 symbols (51001)")]),
        (message(-15, "no", 1), [Rejected("Fyers says: no (-15)")]),
        (answer(99, b"K"), [Bad("unknown_type")]),
        (answer(1, b"K")[:-1], [Bad("truncated")]),
        (answer(1, b"K")[:5], [Bad("truncated")]),
        (b"", [Bad("truncated")]),
        ("text", [Bad("text_frame")]),
    ],
)
def test_an_answer_means_an_event(frame: Frame, events: Sequence[Event]) -> None:
    assert list(conversation().receive(frame, 1).events) == events


def test_a_refused_key_needs_a_new_token() -> None:
    for frame in (answer(1, b"N"), answer(1), b"\x00\x02\x01\x00"):
        (event,) = conversation().receive(frame, 1).events
        assert isinstance(event, TokenExpired)


def test_every_so_many_data_frames_are_acknowledged_by_the_last_ones_number() -> None:
    talk = conversation()
    talk.receive(answer(1, b"K", b"\x00\x00\x00\x02"), 1)
    replies = [
        event for number in range(10, 15) for event in talk.receive(data(number=number), 1).events
    ]  # fmt: skip
    assert replies == [
        Reply(b"\x00\x09\x03\x01\x01\x00\x04" + (11).to_bytes(4, "big")),
        Reply(b"\x00\x09\x03\x01\x01\x00\x04" + (13).to_bytes(4, "big")),
    ]


def test_nothing_is_acknowledged_where_nobody_asks() -> None:
    talk = conversation()
    talk.receive(answer(1, b"K", b"\x00\x00\x00\x00"), 1)
    assert talk.receive(data(number=1), 1) == Heard([], [])


def test_prices_of_what_was_unsubscribed_are_left_out() -> None:
    talk = conversation()
    talk.subscribe([RELIANCE], "quote")
    assert len(talk.receive(data(snapshot(1, "sf|nse_cm|2885", [100])), 1).updates) == 1
    talk.unsubscribe([RELIANCE])
    assert talk.receive(data(update(1, [101])), 1) == Heard([], [Bad("unknown_topic")])


@given(st.binary(max_size=60))
def test_random_frames_never_raise(frame: bytes) -> None:
    assert not conversation().receive(frame, 1).updates


# -- against the server ------------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[FyersServer]:
    async with FyersServer() as server:
        server.prices = {"nse_cm|2885": 250_000, "nse_cm|1594": 150_000, "nse_cm|Nifty 50": 2_485_005}
        yield server


def account(server: FyersServer) -> Account:
    return Account(
        Fyers(), [RELIANCE, INFY, NIFTY], {"access_token": "APP-100:" + server.access_token, "url": server.url}
    )


async def test_a_subscription_brings_the_last_price_at_once_and_then_every_change(server: FyersServer) -> None:
    server.acknowledge_every = 3
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE"), ("NSE", "NIFTY 50")])
    async with mine.running():
        await server.until_subscribed(["nse_cm|2885", "nse_cm|Nifty 50"])
        await mine.until_price("NIFTY 50", 2_485_005 * PAISA)
        await server.trade({"nse_cm|2885": 250_135, "nse_cm|Nifty 50": 2_485_110})
        await mine.until_price("NIFTY 50", 2_485_110 * PAISA)
        assert mine.feed.status.health is Health.LIVE
        await server.until(lambda: server.acknowledged == [3])
    ticks = [one for one in mine.published.updates if one.symbol == "RELIANCE" and isinstance(one, Tick)]
    assert (ticks[-1].price, ticks[-1].close, ticks[-1].volume) == (250_135 * PAISA, 250_000 * PAISA, 1000)
    assert any(isinstance(one, Depth) for one in mine.published.updates)
    assert not mine.feed.bad


async def test_after_a_reconnect_no_instrument_gets_anothers_price(server: FyersServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE"), ("NSE", "INFY")])
    async with mine.running():
        await mine.until_price("RELIANCE", 250_000 * PAISA)
        await mine.until_price("INFY", 150_000 * PAISA)
        before = dict(server.numbers)
        server.first_number = 3  # two topics an instrument: the second's numbers are the first's now
        await mine.until(Health.LIVE)
        server.prices.clear()
        server.abort()
        await mine.until(Health.CONNECTING)
        await mine.reconnect()
        await server.until(lambda: server.handshakes == 2)
        await server.until_subscribed(["nse_cm|2885", "nse_cm|1594"])
        assert set(before.values()) & set(server.numbers.values())
        mine.published.updates.clear()
        await server.trade({"nse_cm|2885": 260_000, "nse_cm|1594": 160_000})
        await server.send(data(snapshot(server.numbers["sf|nse_cm|1594"], "sf|nse_cm|1594", [170_000])))
        await mine.until_price("INFY", 170_000 * PAISA)
    assert [one.symbol for one in mine.published.updates] == ["INFY"]
    assert mine.feed.bad == {"unknown_topic": 2}


async def test_a_dead_token_is_told_and_a_new_one_taken_up(server: FyersServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE")])
    async with mine.running():
        await server.until_subscribed(["nse_cm|2885"])
        await server.expire()
        await mine.until(Health.TOKEN_EXPIRED)
        mine.credentials["access_token"] = server.access_token
        await mine.reconnect()
        await server.until_subscribed(["nse_cm|2885"])


async def test_a_token_that_is_none_is_told_without_connecting(server: FyersServer) -> None:
    mine = account(server)
    mine.credentials["access_token"] = "secret words"
    async with mine.running():
        await mine.until(Health.TOKEN_EXPIRED)
        assert "hsm_key" in mine.feed.status.reason
        assert "secret" not in mine.feed.status.reason
    assert server.handshakes == 0


async def test_garbage_is_counted_and_prices_go_on(server: FyersServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE")])
    async with mine.running():
        await mine.until_price("RELIANCE", 250_000 * PAISA)
        await server.send(b"\xff" * 50, "what?", b"\x00", data(b"\x99"))
        await server.trade({"nse_cm|2885": 250_100})
        await mine.until_price("RELIANCE", 250_100 * PAISA)
    assert mine.feed.bad == {"truncated": 2, "text_frame": 1, "unknown_record": 1}


async def test_the_runner_keeps_the_connection_alive(server: FyersServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "RELIANCE")])
    async with mine.running():
        await mine.until_price("RELIANCE", 250_000 * PAISA)
        await mine.time.advance(10.5)
        await server.until(lambda: server.pings > 0)
