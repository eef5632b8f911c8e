"""Shoonya's conversation as a value, and the same against its server on loopback."""

import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.brokers.shoonya import Shoonya, ShoonyaConversation, exact_price
from feeds.brokers.source import (
    Alive,
    Bad,
    Event,
    Heard,
    InstrumentRefused,
    OrderUpdate,
    Ready,
    Source,
    TokenExpired,
)
from feeds.feed import Health
from feeds.instruments import Instrument, Listing
from schemas.market import PRICE_SCALE, Depth, Level, Tick
from tests.feeds.brokers.account import Account
from tests.feeds.brokers.shoonya import ShoonyaServer, text

NOW_MS = 1_795_408_200_250  # Monday 23 November 2026, 10:00 IST
NOW_S = 1_795_408_200
PAISA = PRICE_SCALE // 100
CREDENTIALS = {"user_id": "FA1", "access_token": "shoonya-token"}


def listing(symbol: str, token: str) -> Listing:
    instrument = Instrument(exchange=token.partition("|")[0], symbol=symbol, name="", tick_size=5 * PAISA)
    return Listing(instrument=instrument, token=token)


ACC, NTPC = listing("ACC", "NSE|22"), listing("NTPC", "NSE|11630")
ACC_AT_BSE = listing("ACC", "BSE|22")
ALL = {one.token: one.instrument for one in (ACC, NTPC, ACC_AT_BSE)}


def conversation(**credentials: str) -> ShoonyaConversation:
    return ShoonyaConversation({**CREDENTIALS, **credentials}, ALL)


def tick_of(heard: Heard) -> Tick:
    """The one tick of a frame without any trouble."""
    assert list(heard.events) == []
    (tick,) = (one for one in heard.updates if isinstance(one, Tick))
    return tick


class NoHttp:
    """Shoonya needs no call before its socket."""

    async def get_json(self, url: str, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)

    async def post_json(self, url: str, body: object, headers: Mapping[str, str]) -> object:
        raise AssertionError(url)


# -- decimals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decimal", "price"),
    [
        ("2500.05", 25_000_500_000),
        ("0.05", 500_000),
        ("84.2575", 842_575_000),
        ("0.0000001", 1),
        ("118", 1_180_000_000),
        (".5", 5_000_000),
        ("-37.63", -376_300_000),
        ("-0.05", -500_000),
        ("0", 0),
    ],
)
def test_a_decimal_is_read_exactly(decimal: str, price: int) -> None:
    assert exact_price(decimal) == price


@given(st.decimals(min_value=-(10**10), max_value=10**10, places=7))
def test_every_decimal_of_seven_places_is_read_exactly(decimal: Decimal) -> None:
    assert exact_price(f"{decimal:f}") == int(decimal * PRICE_SCALE)


@pytest.mark.parametrize(
    "decimal",
    ["", ".", "-", "1e5", "nan", "inf", "1,000", "1_000", " 1", "1 ", "+1", "--1", "1.-5", "1.2.3", "0x1",
     "\u0661", "\u00b2", "0.12345678", "1" * 13],
)  # fmt: skip
def test_what_is_no_decimal_is_refused(decimal: str) -> None:
    with pytest.raises(ValueError, match="no decimal"):
        exact_price(decimal)


# -- what we say -------------------------------------------------------------------------------------------------------


def test_the_greeting_is_a_login_of_the_session() -> None:
    (frame,) = conversation().greeting()
    login = {"t": "c", "uid": "FA1", "actid": "FA1", "susertoken": "shoonya-token", "source": "API"}
    assert json.loads(frame) == login
    assert json.loads(conversation(account_id="AC9").greeting()[0]) == login | {"actid": "AC9"}


@pytest.mark.parametrize(("mode", "kind", "end"), [("ltp", "t", "u"), ("quote", "t", "u"), ("full", "d", "ud")])
def test_a_mode_is_touchline_or_depth(mode: str, kind: str, end: str) -> None:
    talk = conversation()
    both = [ACC, ACC_AT_BSE]
    assert [json.loads(frame) for frame in talk.subscribe(both, mode)] == [{"t": kind, "k": "NSE|22#BSE|22"}]
    assert [json.loads(frame) for frame in talk.unsubscribe(both)] == [{"t": end, "k": "NSE|22#BSE|22"}]
    assert talk.unsubscribe(both) == []


def test_a_change_of_kind_ends_the_old_one_first() -> None:
    talk = conversation()
    talk.subscribe([ACC, NTPC], "quote")
    assert talk.subscribe([NTPC], "ltp") == ['{"t":"t","k":"NSE|11630"}']
    assert talk.subscribe([ACC], "full") == ['{"t":"u","k":"NSE|22"}', '{"t":"d","k":"NSE|22"}']


def test_a_frame_names_a_hundred_instruments_at_most() -> None:
    frames = conversation().subscribe([listing(f"S{n}", f"NSE|{n}") for n in range(250)], "full")
    assert [len(json.loads(frame)["k"].split("#")) for frame in frames] == [100, 100, 50]


async def test_another_noren_brokers_address_can_be_set() -> None:
    source: Source = Shoonya()
    assert (await source.request(CREDENTIALS, NoHttp())).url == "wss://api.shoonya.com/NorenWSTP/"
    assert (await source.request({**CREDENTIALS, "url": "wss://other/"}, NoHttp())).url == "wss://other/"
    assert source.converse(CREDENTIALS, ALL).ready_at_once is False
    assert source.ping is not None
    assert (source.ping.frame, source.ping.interval_s) == ('{"t":"h"}', 3.0)


# -- what we hear ------------------------------------------------------------------------------------------------------

WHOLE = {
    "ts": "ACC-EQ", "pp": "2", "ls": "1", "ti": "0.05", "lp": "2500.10", "pc": "2.04", "c": "2450.00", "o": "2490.00",
    "h": "2510.00", "l": "2480.00", "ap": "2498.37", "v": "60000", "oi": "5000", "poi": "4900", "toi": "9000",
    "ltq": "25", "ltt": "09:59:58", "tbq": "222", "tsq": "111", "lc": "2205.00", "uc": "2695.00", "_52h": "3000.00",
    "_52l": "2000.00", "ft": str(NOW_S),
}  # fmt: skip
BOOK = {
    f"{side}{level}": value
    for level in range(1, 6)
    for side, value in (
        ("bp", f"{2500.10 - level * 0.05:.2f}"), ("bq", f"{10 + level}"), ("bo", f"{level}"),
        ("sp", f"{2500.10 + level * 0.05:.2f}"), ("sq", f"{20 + level}"), ("so", f"{level + 5}"),
    )
}  # fmt: skip
WHOLE_TICK = Tick(
    "NSE", "ACC", 250_010 * PAISA, NOW_S * 1000,
    open=249_000 * PAISA, high=251_000 * PAISA, low=248_000 * PAISA, close=245_000 * PAISA, volume=60_000,
    bid=250_005 * PAISA, ask=250_015 * PAISA, bid_quantity=11, ask_quantity=21, last_quantity=25,
    average_price=249_837 * PAISA, total_buy_quantity=222, total_sell_quantity=111, open_interest=5000,
    lower_circuit=220_500 * PAISA, upper_circuit=269_500 * PAISA, year_low=200_000 * PAISA, year_high=300_000 * PAISA,
)  # fmt: skip


def test_a_depth_snapshot_tells_every_field() -> None:
    tick, depth = conversation().receive(text("dk", "NSE|22", **WHOLE, **BOOK), NOW_MS).updates
    assert tick == WHOLE_TICK
    assert depth == Depth.of(
        "NSE", "ACC", NOW_S * 1000,
        tuple(Level(250_010 * PAISA - level * 5 * PAISA, 10 + level, level) for level in range(1, 6)),
        tuple(Level(250_010 * PAISA + level * 5 * PAISA, 20 + level, level + 5) for level in range(1, 6)),
    )  # fmt: skip


def test_a_change_changes_what_it_tells_and_nothing_else() -> None:
    talk = conversation()
    talk.receive(text("tk", "NSE|22", **WHOLE, bp1="2500.05", bq1="11"), NOW_MS)
    tick = tick_of(talk.receive(text("tf", "NSE|22", lp="2500.15", v="60025", ft=str(NOW_S + 1)), NOW_MS))
    assert (tick.price, tick.volume, tick.time_ms) == (250_015 * PAISA, 60_025, (NOW_S + 1) * 1000)
    assert (tick.bid, tick.close, tick.year_high) == (250_005 * PAISA, 245_000 * PAISA, 300_000 * PAISA)


def test_a_touchline_has_no_depth_and_a_depth_only_where_its_levels_change() -> None:
    talk = conversation()
    touchline = talk.receive(text("tk", "NSE|22", lp="1", bp1="1", bq1="1"), NOW_MS)
    assert [type(one) for one in touchline.updates] == [Tick]
    talk.receive(text("dk", "NSE|22", **WHOLE, **BOOK), NOW_MS)
    assert [type(one) for one in talk.receive(text("df", "NSE|22", lp="2500.15"), NOW_MS).updates] == [Tick]
    tick, depth = talk.receive(text("df", "NSE|22", bq2="0", sp1="2500.20", so1="9"), NOW_MS).updates
    assert isinstance(tick, Tick)
    assert isinstance(depth, Depth)
    assert tick.ask == 250_020 * PAISA
    assert [level.quantity for level in depth.bids] == [11, 13, 14, 15]
    assert depth.asks[0] == Level(250_020 * PAISA, 21, 9)


def test_the_same_number_at_another_exchange_is_another_instrument() -> None:
    talk = conversation()
    talk.receive(text("tk", "NSE|22", lp="2500.10", v="5"), NOW_MS)
    tick = tick_of(talk.receive(text("tk", "BSE|22", lp="2501.00"), NOW_MS))
    assert (tick.exchange, tick.price, tick.volume) == ("BSE", 250_100 * PAISA, None)


def test_a_new_snapshot_forgets_what_was_before() -> None:
    talk = conversation()
    talk.receive(text("tk", "NSE|22", **WHOLE), NOW_MS)
    assert tick_of(talk.receive(text("tk", "NSE|22", lp="2500.10"), NOW_MS)).high is None


def test_a_precision_or_tick_that_differs_from_the_masters_changes_no_price() -> None:
    talk = conversation()
    tick = tick_of(talk.receive(text("tk", "NSE|22", lp="2500.1075", pp="4", ti="0.0025", ls="50"), NOW_MS))
    assert tick.price == 25_001_075_000


def test_without_the_feeds_time_the_arrival_counts_in_whole_seconds() -> None:
    talk = conversation()
    assert tick_of(talk.receive(text("tk", "NSE|22", lp="1"), NOW_MS)).time_ms == NOW_S * 1000
    assert tick_of(talk.receive(text("tf", "NSE|22", ft=str(NOW_S + 9)), NOW_MS)).time_ms == (NOW_S + 9) * 1000
    assert tick_of(talk.receive(text("tf", "NSE|22", lp="2"), NOW_MS)).time_ms == (NOW_S + 9) * 1000


@pytest.mark.parametrize(
    ("kind", "ltt", "trade_ms"),
    [
        ("tf", "09:59:58", (NOW_S - 2) * 1000),
        ("tf", str(NOW_S - 2), (NOW_S - 2) * 1000),
        ("tf", "15:29:59", None),  # of another day
        ("tf", "0", None),
        ("tk", "09:59:58", None),  # of any day
    ],
)
def test_a_clock_time_is_a_trade_time_where_the_trade_has_just_happened(kind: str, ltt: str, trade_ms: int) -> None:
    talk = conversation()
    talk.receive(text("tk", "NSE|22", lp="1"), NOW_MS)
    assert tick_of(talk.receive(text(kind, "NSE|22", lp="1", ltt=ltt, ft=str(NOW_S)), NOW_MS)).last_trade_ms == trade_ms


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ('{"t":"ck","uid":"FA1","s":"OK"}', Ready()),
        ('{"t":"ck","s":"Not_Ok","emsg":"Session Expired"}', TokenExpired("the session is refused: Session Expired")),
        ('{"t":"ck"}', TokenExpired("the session is refused: no reason given")),
        ('{"t":"hk"}', Alive()),
        ('{"t":"uk","k":"NSE|22"}', Alive()),
        ('{"t":"om","norenordno":"1"}', OrderUpdate(b'{"t":"om","norenordno":"1"}')),
        (b'{"t":"om"}', OrderUpdate(b'{"t":"om"}')),
        (text("tk", "NSE|22", emsg="no entitlement"), InstrumentRefused("NSE|22", "the vendor says: no entitlement")),
        (text("tk", "NSE|1", lp="5"), Bad("unknown_token")),
        (text("tk", "MCX|22", lp="5"), Bad("unknown_token")),
        ('{"t":"tk","tk":"22","lp":"5"}', Bad("unknown_token")),
        (text("tf", "NSE|22", lp="5"), Bad("no_snapshot")),
        (text("tk", "NSE|22", v="5"), Bad("no_price")),
        (text("tk", "NSE|22", lp="0.00"), Bad("no_price")),
        (text("tk", "NSE|22", lp="abc"), Bad("bad_value")),
        ('{"t":"tk","e":"NSE","tk":"22","lp":2500.1}', Bad("bad_value")),
        ('{"t":"tk","e":"NSE","tk":"22","lp":["1"]}', Bad("bad_value")),
        ('{"t":"tk","e":"NSE","tk":"22","lp":null}', Bad("bad_value")),
        (text("tk", "NSE|22", lp="5", v="-1"), Bad("bad_value")),
        (text("tk", "NSE|22", lp="5", ltt="25:00:00"), Bad("bad_value")),
        (text("tk", "NSE|22", lp="5", ltt="1:2"), Bad("bad_value")),
        (text("tk", "NSE|22", lp="5", ltt="9" * 11), Bad("bad_value")),
        (text("tk", "NSE|22", lp="5", ft="9" * 11), Bad("bad_value")),
        ('{"t":"zz"}', Bad("unknown_type")),
        ('{"t":["tk"]}', Bad("unknown_type")),
        ("{}", Bad("unknown_type")),
        ("[1]", Bad("unknown_type")),
        ("5", Bad("unknown_type")),
        ("not json", Bad("no_json")),
        (b"\xff\x00", Bad("no_json")),
        ("[" * 100_000, Bad("no_json")),
        ("", Bad("no_json")),
    ],
)
def test_a_message_means_an_event(frame: str | bytes, event: Event) -> None:
    heard = conversation().receive(frame, NOW_MS)
    assert (list(heard.updates), list(heard.events)) == ([], [event])


def test_an_unreadable_field_is_unknown_from_then_on() -> None:
    talk = conversation()
    talk.receive(text("tk", "NSE|22", **WHOLE), NOW_MS)
    assert talk.receive(text("tf", "NSE|22", lp="x", v="60001"), NOW_MS).events == (Bad("bad_value"),)
    assert talk.receive(text("tf", "NSE|22", v="60002"), NOW_MS).events == (Bad("no_price"),)
    assert tick_of(talk.receive(text("tf", "NSE|22", lp="2500.20"), NOW_MS)).volume == 60_002


def test_what_was_unsubscribed_or_changed_hands_needs_a_new_snapshot() -> None:
    listings = dict(ALL)
    talk = ShoonyaConversation(CREDENTIALS, listings)
    talk.receive(text("tk", "NSE|22", **WHOLE), NOW_MS)
    listings["NSE|22"] = Instrument(exchange="NSE", symbol="OTHER", name="", tick_size=PAISA)
    assert talk.receive(text("tf", "NSE|22", v="5"), NOW_MS).events == (Bad("no_snapshot"),)
    talk.receive(text("tk", "NSE|11630", lp="5"), NOW_MS)
    talk.unsubscribe([NTPC])
    assert talk.receive(text("tf", "NSE|11630", v="5"), NOW_MS).events == (Bad("no_snapshot"),)


FIELDS = st.sampled_from([*WHOLE, *BOOK, "e", "tk", "emsg", "zz"])
VALUES = st.one_of(st.sampled_from(["5", "2500.05", "09:59:58", "", "-1", "NSE", "22"]), st.text(max_size=8))


@given(
    st.lists(
        st.tuples(st.sampled_from(["tk", "tf", "dk", "df"]), st.dictionaries(FIELDS, VALUES, max_size=8)), max_size=8
    )
)
def test_any_messages_never_raise_nor_give_another_instrument(messages: list[tuple[str, dict[str, str]]]) -> None:
    talk = conversation()
    for kind, fields in messages:
        named = {"t": kind, "e": "NSE", "tk": "22"} | {name.removeprefix("_"): value for name, value in fields.items()}
        symbol = ALL.get(f"{named['e']}|{named['tk']}")
        for one in talk.receive(json.dumps(named), NOW_MS).updates:
            assert symbol is not None
            assert (one.exchange, one.symbol) == (symbol.exchange, symbol.symbol)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["t", "e", "tk", "lp"]), inner),
    max_leaves=6,
)


@given(JSON | st.binary(max_size=40))
def test_random_frames_never_raise_nor_give_anything(value: object) -> None:
    frame = value if isinstance(value, bytes) else json.dumps(value)
    assert not conversation().receive(frame, NOW_MS).updates


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(["lp", "h", "l"], st.integers(1, 10**7))), max_size=6))
def test_after_any_changes_each_field_is_the_last_one_told(changes: list[dict[str, int]]) -> None:
    talk = conversation()
    talk.receive(text("tk", "NSE|22", lp="1.00", ft=str(NOW_S)), NOW_MS)
    expected = {"lp": 100}
    for change in changes:
        paise = {name: f"{value // 100}.{value % 100:02d}" for name, value in change.items()}
        talk.receive(text("tf", "NSE|22", **paise), NOW_MS)
        expected |= change
    tick = tick_of(talk.receive(text("tf", "NSE|22", v="1"), NOW_MS))
    told = {"lp": tick.price, "h": tick.high, "l": tick.low}
    assert told == {name: expected[name] * PAISA if name in expected else None for name in told}


# -- against the server ------------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[ShoonyaServer]:
    async with ShoonyaServer() as server:
        server.prices = {"NSE|22": "2500.05", "NSE|11630": "118.55"}
        yield server


def account(server: ShoonyaServer) -> Account:
    return Account(Shoonya(), [ACC, NTPC], {**CREDENTIALS, "url": server.url})


async def test_a_subscription_brings_the_last_price_at_once_and_then_every_change(server: ShoonyaServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "ACC"), ("NSE", "NTPC")])
    async with mine.running():
        await server.until_subscribed(["NSE|22", "NSE|11630"])
        await mine.until_price("NTPC", 11_855 * PAISA)
        await server.trade({"NSE|22": "2501.35"})
        await mine.until_price("ACC", 250_135 * PAISA)
        assert mine.feed.status.health is Health.LIVE
    last = [one for one in mine.published.updates if one.symbol == "ACC" and isinstance(one, Tick)][-1]
    assert (last.close, last.volume, last.year_high) == (250_005 * PAISA, 1000, 250_005 * PAISA)
    assert any(isinstance(one, Depth) for one in mine.published.updates)
    assert not mine.feed.bad


async def test_a_dead_session_is_told_and_a_new_one_taken_up(server: ShoonyaServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "ACC")])
    async with mine.running():
        await server.until_subscribed(["NSE|22"])
        await server.expire()
        await mine.until(Health.TOKEN_EXPIRED)
        assert "Session Expired" in mine.feed.status.reason
        mine.credentials["access_token"] = server.access_token
        await mine.reconnect()
        await server.until_subscribed(["NSE|22"])


async def test_an_instrument_that_the_account_may_not_have_is_refused_alone(server: ShoonyaServer) -> None:
    server.unauthorised = {"NSE|11630"}
    mine = account(server)
    mine.feed.want([("NSE", "ACC"), ("NSE", "NTPC")])
    async with mine.running():
        await mine.until_price("ACC", 250_005 * PAISA)
        await server.until(lambda: any(b"ud" in str(frame).encode() for frame in server.heard))
        (refusal,) = mine.feed.take_refusals()
    assert (refusal.symbol, str(refusal.reason)) == ("NTPC", "the vendor says: not enabled for this user")


async def test_garbage_is_counted_and_prices_go_on(server: ShoonyaServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "ACC")])
    async with mine.running():
        await mine.until_price("ACC", 250_005 * PAISA)
        await server.send(b"\xff", "{", text("tf", "NSE|22", v="many"), text("tf", "NSE|5", lp="1.00"))
        await server.trade({"NSE|22": "2500.10"})
        await mine.until_price("ACC", 250_010 * PAISA)
    assert mine.feed.bad == {"no_json": 2, "bad_value": 1, "unknown_token": 1}


async def test_the_runner_keeps_the_session_alive(server: ShoonyaServer) -> None:
    mine = account(server)
    mine.feed.want([("NSE", "ACC")])
    async with mine.running():
        await mine.until_price("ACC", 250_005 * PAISA)
        await mine.time.advance(3.5)
        await server.until(lambda: server.heartbeats > 0)
