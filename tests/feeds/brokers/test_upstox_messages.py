"""Upstox's messages: the vendor's field numbers from bytes written by hand, and what becomes of every value."""

import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.brokers.source import Alive, Bad, Heard, MarketStatus
from feeds.brokers.upstox_feed_pb2 import Feed, FeedResponse, FirstLevelWithGreeks
from feeds.brokers.upstox_messages import decode
from feeds.instruments import Instrument, Kind
from schemas.market import PRICE_SCALE, Auction, Depth, Greeks, Level, Tick, scaled, tick_payload
from tests.feeds.brokers.upstox import LAST_TRADE_MS, TIME_MS, index_feed, ltpc_feed, market_feed, message

ROOT = Path(__file__).resolve().parents[3]
RECEIVED_MS = TIME_MS + 40
SHARE, OPTION, INDEX, DOLLAR = "NSE_EQ|INE002A01018", "NSE_FO|54321", "NSE_INDEX|Nifty 50", "NCD_FO|1234"
LISTED = {
    SHARE: Instrument(exchange="NSE", symbol="RELIANCE", name="", tick_size=scaled(0.10)),
    OPTION: Instrument(
        exchange="NFO",
        symbol="NIFTY26DEC24000CE",
        name="",
        kind=Kind.OPTION,
        tick_size=scaled(0.05),
        expiry=date(2026, 12, 29),
    ),
    INDEX: Instrument(exchange="NSE", symbol="NIFTY 50", name="", kind=Kind.INDEX, tick_size=0),
    DOLLAR: Instrument(exchange="CDS", symbol="USDINR26DECFUT", name="", kind=Kind.FUTURE, tick_size=scaled(0.0025)),
}


def hear(frame: bytes) -> Heard:
    return decode(LISTED, frame, RECEIVED_MS)


def hear_feed(key: str, feed: Feed) -> Heard:
    return hear(message({key: feed}))


def tick_of(key: str, feed: Feed) -> Tick:
    heard = hear_feed(key, feed)
    assert not heard.events
    tick = heard.updates[0]
    assert isinstance(tick, Tick)
    return tick


# -- bytes by hand -------------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def nested(number: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(content)) + content


def entry(number: int, key: str, *value: bytes) -> bytes:
    """An entry of a map whose values are messages."""
    return nested(number, nested(1, key.encode()), nested(2, *value))


def test_a_full_feed_is_read_by_the_vendors_field_numbers() -> None:
    ltpc = nested(1, double(1, 210.35), integer(2, LAST_TRADE_MS), integer(3, 75), double(4, 200.05))
    book = nested(2, *[nested(1, integer(1, q), double(2, 210.3), integer(3, 2 * q), double(4, 210.4)) for q in (5, 6)])
    greeks = nested(3, double(1, 0.5), double(2, -9.5), double(3, 0.001), double(4, 12.5), double(5, 3.25))
    bar = nested(
        1, nested(1, b"1d"), double(2, 201.0), double(3, 215.0), double(4, 199.0), double(5, 210.35), integer(6, 9)
    )
    figures = double(5, 207.4321) + integer(6, 123456) + double(7, 5000.0) + double(8, 0.1425) + double(9, 77.0)
    auction = double(10, 88.0) + double(11, 209.0) + double(12, 208.123) + integer(13, 900) + integer(14, -30)
    full = nested(1, ltpc, book, greeks, nested(4, bar), figures, auction, integer(15, 12), integer(16, 1))
    frame = integer(1, 1) + entry(2, OPTION, nested(2, full), integer(4, 1)) + integer(3, TIME_MS)
    tick = Tick(
        exchange="NFO",
        symbol="NIFTY26DEC24000CE",
        price=2_103_500_000,
        time_ms=TIME_MS,
        open=2_010_000_000,
        high=2_150_000_000,
        low=1_990_000_000,
        close=2_000_500_000,
        volume=123456,
        bid=2_103_000_000,
        ask=2_104_000_000,
        bid_quantity=5,
        ask_quantity=10,
        last_quantity=75,
        average_price=2_074_321_000,
        total_buy_quantity=77,
        total_sell_quantity=88,
        open_interest=5000,
        last_trade_ms=LAST_TRADE_MS,
        auction=Auction(
            price=2_090_000_000,
            quantity=900,
            reference_price=2_081_230_000,
            imbalance_quantity=-30,
            market_imbalance_quantity=12,
            eligible=True,
        ),
        greeks=Greeks(delta=0.5, theta=-9.5, gamma=0.001, vega=12.5, rho=3.25, implied_volatility=0.1425),
    )
    bids = (Level(2_103_000_000, 5, 0), Level(2_103_000_000, 6, 0))
    asks = (Level(2_104_000_000, 10, 0), Level(2_104_000_000, 12, 0))
    depth = Depth.of("NFO", "NIFTY26DEC24000CE", TIME_MS, bids, asks)
    assert hear(frame) == Heard([tick, depth], [])


def test_an_index_and_a_last_price_are_read_by_the_vendors_field_numbers() -> None:
    last = nested(1, double(1, 24123.45), integer(2, LAST_TRADE_MS), double(4, 24000.0))
    bar = nested(1, nested(1, b"1d"), double(2, 24010.0), double(3, 24200.0), double(4, 23990.0))
    index = nested(2, nested(2, last, nested(2, bar)))
    ltpc = nested(1, double(1, 1450.5), integer(2, LAST_TRADE_MS), integer(3, 9), nested(5, double(1, 1451.0)))
    frame = entry(2, INDEX, index) + entry(2, SHARE, ltpc) + integer(3, TIME_MS)
    heard = hear(frame)
    assert heard.events == []
    by_symbol = {update.symbol: update for update in heard.updates}
    assert by_symbol["NIFTY 50"] == Tick(
        "NSE",
        "NIFTY 50",
        241_234_500_000,
        TIME_MS,
        open=240_100_000_000,
        high=242_000_000_000,
        low=239_900_000_000,
        close=240_000_000_000,
        last_trade_ms=LAST_TRADE_MS,
    )
    assert by_symbol["RELIANCE"] == Tick(
        "NSE",
        "RELIANCE",
        14_505_000_000,
        TIME_MS,
        last_quantity=9,
        last_trade_ms=LAST_TRADE_MS,
        auction=Auction(price=14_510_000_000),
    )


def test_a_first_level_with_greeks_is_read_by_the_vendors_field_numbers() -> None:
    last = nested(1, double(1, 100.0), double(4, 90.0))
    quote = nested(2, integer(1, 75), double(2, 99.95), integer(3, 150), double(4, 100.05))
    feed = nested(3, last, quote, nested(3, double(1, -0.4)), integer(4, 500), double(5, 700.0), double(6, 0.2))
    heard = hear(entry(2, OPTION, feed, integer(4, 2)) + integer(3, TIME_MS))
    assert heard == Heard(
        [
            Tick(
                "NFO",
                "NIFTY26DEC24000CE",
                1_000_000_000,
                TIME_MS,
                close=900_000_000,
                volume=500,
                bid=999_500_000,
                ask=1_000_500_000,
                bid_quantity=75,
                ask_quantity=150,
                open_interest=700,
                greeks=Greeks(delta=-0.4, gamma=0.0, theta=0.0, vega=0.0, rho=0.0, implied_volatility=0.2),
            )
        ],
        [],
    )


def test_the_states_of_segments_and_of_their_auctions_are_told_in_the_vendors_words() -> None:
    states = [nested(1, nested(1, name), integer(2, number)) for name, number in ((b"NSE_EQ", 4), (b"MCX_FO", 9))]
    closing = nested(2, nested(1, b"NSE_EQ"), nested(2, nested(1, b"CAS_OPEN"), integer(2, TIME_MS)))
    opening = nested(3, nested(1, b"NSE_EQ"), nested(2, nested(1, b"LIMIT_ONLY")))
    heard = hear(integer(1, 2) + integer(3, TIME_MS) + nested(4, *states, closing, opening))
    assert not heard.updates
    assert set(heard.events) == {
        MarketStatus("NSE_EQ", "CLOSING_START"),
        MarketStatus("MCX_FO", "9"),
        MarketStatus("NSE_EQ:closing_auction", "CAS_OPEN"),
        MarketStatus("NSE_EQ:pre_open", "LIMIT_ONLY"),
    }
    assert len(heard.events) == 4


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (0, "PRE_OPEN_START"),
        (1, "PRE_OPEN_END"),
        (2, "NORMAL_OPEN"),
        (3, "NORMAL_CLOSE"),
        (4, "CLOSING_START"),
        (5, "CLOSING_END"),
    ],
)
def test_a_state_is_known_by_its_number(number: int, state: str) -> None:
    frame = integer(1, 2) + nested(4, nested(1, nested(1, b"NSE_EQ"), integer(2, number)))
    assert hear(frame).events == [MarketStatus("NSE_EQ", state)]


def test_fields_that_nobody_knows_yet_are_passed_over() -> None:
    ltpc = nested(1, double(1, 1450.5), double(99, 3.0), nested(98, b"new"))
    heard = hear(entry(2, SHARE, ltpc, integer(77, 1)) + integer(3, TIME_MS) + integer(55, 5))
    assert heard.updates == [Tick("NSE", "RELIANCE", 14_505_000_000, TIME_MS)]


def test_the_generated_files_are_what_the_proto_gives(tmp_path: Path) -> None:
    options = ["--proto_path=.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "feeds/brokers/upstox_feed.proto"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options], cwd=ROOT, check=True, timeout=30)
    for name in ("upstox_feed_pb2.py", "upstox_feed_pb2.pyi"):
        assert (tmp_path / "feeds" / "brokers" / name).read_text() == (ROOT / "feeds" / "brokers" / name).read_text(), (
            "run `make proto`"
        )


# -- prices and zeros ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "wire", "price"),
    [
        (SHARE, 150.60000000000002, 1_506_000_000),
        (SHARE, 0.1 + 0.2, 3_000_000),
        (SHARE, 1450.4999999, 14_505_000_000),
        (OPTION, 0.05, 500_000),
        (INDEX, 13.427500000000002, 134_275_000),
        (DOLLAR, 85.13250000000001, 851_325_000),
        (SHARE, 1e9, 10_000_000_000_000_000),
    ],
)
def test_a_price_snaps_to_its_instruments_tick(key: str, wire: float, price: int) -> None:
    assert tick_of(key, ltpc_feed(ltp=wire)).price == price


def test_averages_and_the_previous_close_do_not_snap_to_todays_tick() -> None:
    tick = tick_of(SHARE, market_feed(last={"ltp": 1450.5, "cp": 1449.55}, atp=1450.0123400000001))
    assert (tick.close, tick.average_price) == (14_495_500_000, 14_500_123_000)


@given(st.integers(1, 10**9), st.sampled_from([1_000, 25_000, 100_000, 500_000, 1_000_000, 50_000_000]))
def test_every_price_on_the_grid_comes_through_a_double_unharmed(ticks: int, tick_size: int) -> None:
    price = ticks * tick_size
    one = {SHARE: Instrument(exchange="NSE", symbol="X", name="", tick_size=tick_size)}
    heard = decode(one, message({SHARE: ltpc_feed(ltp=price / PRICE_SCALE, cp=price / PRICE_SCALE)}), RECEIVED_MS)
    assert heard.updates == [Tick("NSE", "X", price, TIME_MS, close=price, last_trade_ms=LAST_TRADE_MS)]


def test_the_previous_close_is_not_the_days_running_one() -> None:
    tick = tick_of(SHARE, market_feed(last={"ltp": 101.0, "cp": 99.0}, day=(98.0, 102.0, 97.0, 101.0)))
    assert (tick.open, tick.high, tick.low, tick.close) == tuple(scaled(price) for price in (98.0, 102.0, 97.0, 99.0))


def test_what_is_zero_on_the_wire_is_unknown_for_a_price_and_zero_for_a_quantity() -> None:
    tick = tick_of(OPTION, market_feed(last={"ltp": 100.0, "ltt": 0}))
    assert tick == Tick(
        "NFO",
        "NIFTY26DEC24000CE",
        1_000_000_000,
        TIME_MS,
        volume=0,
        total_buy_quantity=0,
        total_sell_quantity=0,
        open_interest=0,
    )


def test_a_share_has_no_open_interest_and_no_greeks() -> None:
    tick = tick_of(SHARE, market_feed(greeks={"delta": 1.0}, oi=5.0))
    assert tick.open_interest is None
    assert tick.greeks is None


def test_an_instrument_without_a_price_gives_nothing() -> None:
    assert hear_feed(SHARE, market_feed(last={"ltp": 0.0}, levels=[(1, 1.0, 1, 2.0)])) == Heard([], [Bad("no_price")])
    assert hear_feed(INDEX, index_feed(ltp=0.0)) == Heard([], [Bad("no_price")])
    assert hear_feed(SHARE, ltpc_feed(ltp=0.0)) == Heard([], [Bad("no_price")])
    assert hear_feed(OPTION, Feed(firstLevelWithGreeks=FirstLevelWithGreeks())) == Heard([], [Bad("no_price")])


def test_a_feed_of_no_kind_is_empty() -> None:
    full = Feed()
    full.fullFeed.SetInParent()
    assert hear_feed(SHARE, Feed()) == hear_feed(SHARE, full) == Heard([], [Bad("empty")])


def test_an_eligible_instrument_says_so_while_no_auction_runs() -> None:
    assert tick_of(SHARE, market_feed(casEligible=True)).auction == Auction(eligible=True)
    assert tick_of(SHARE, market_feed()).auction is None


def test_an_auctions_figures_may_be_zero_while_it_runs() -> None:
    auction = tick_of(SHARE, market_feed(rp=100.05, casEligible=True)).auction
    assert auction == Auction(
        quantity=0, reference_price=1_000_500_000, imbalance_quantity=0, market_imbalance_quantity=0, eligible=True
    )


# -- depth ---------------------------------------------------------------------------------------------------------


def test_levels_without_a_price_or_a_quantity_are_left_out() -> None:
    heard = hear_feed(SHARE, market_feed(levels=[(0, 99.0, 5, 101.0), (7, 98.0, 6, 0.0), (0, 0.0, 0, 0.0)]))
    tick, depth = heard.updates
    assert depth == Depth.of("NSE", "RELIANCE", TIME_MS, (Level(980_000_000, 7, 0),), (Level(1_010_000_000, 5, 0),))
    assert isinstance(tick, Tick)
    assert (tick.bid, tick.bid_quantity, tick.ask, tick.ask_quantity) == (980_000_000, 7, 1_010_000_000, 5)


def test_an_empty_book_is_told() -> None:
    heard = hear_feed(SHARE, market_feed(levels=[(0, 0.0, 0, 0.0)] * 5))
    assert heard.updates[1] == Depth.of("NSE", "RELIANCE", TIME_MS, (), ())


def test_of_thirty_levels_the_best_twenty_are_kept() -> None:
    heard = hear_feed(SHARE, market_feed(levels=[(n, 200.0 - n, n, 200.0 + n) for n in range(1, 31)]))
    depth = heard.updates[1]
    assert isinstance(depth, Depth)
    assert [level.quantity for level in depth.bids] == [level.quantity for level in depth.asks] == list(range(1, 21))


# -- what can't be -------------------------------------------------------------------------------------------------

LIES: list[Callable[[float], Feed]] = [
    lambda lie: ltpc_feed(ltp=lie),
    lambda lie: ltpc_feed(ltp=100.0, cp=lie),
    lambda lie: ltpc_feed(ltp=100.0, iep=lie),
    lambda lie: market_feed(last={"ltp": lie}),
    lambda lie: market_feed(day=(lie, 1.0, 1.0, 1.0)),
    lambda lie: market_feed(day=(1.0, lie, 1.0, 1.0)),
    lambda lie: market_feed(day=(1.0, 1.0, lie, 1.0)),
    lambda lie: market_feed(atp=lie),
    lambda lie: market_feed(oi=lie),
    lambda lie: market_feed(tbq=lie),
    lambda lie: market_feed(tsq=lie),
    lambda lie: market_feed(iep=lie),
    lambda lie: market_feed(rp=lie),
    lambda lie: market_feed(levels=[(1, lie, 1, 1.0)]),
    lambda lie: market_feed(levels=[(1, 1.0, 1, 1.0), (1, 1.0, 1, lie)]),
    lambda lie: index_feed(ltp=lie),
    lambda lie: index_feed(ltp=100.0, day=(1.0, lie, 1.0, 1.0)),
    lambda lie: Feed(firstLevelWithGreeks={"ltpc": {"ltp": 1.0}, "oi": lie}),
    lambda lie: Feed(firstLevelWithGreeks={"ltpc": {"ltp": 1.0}, "firstDepth": {"bidP": lie, "bidQ": 1}}),
]


@pytest.mark.parametrize("lie", [float("nan"), float("inf"), float("-inf"), -100.0, 1e300])
@pytest.mark.parametrize("feed", LIES)
def test_a_price_that_can_not_be_spoils_its_feed_and_no_other(feed: Callable[[float], Feed], lie: float) -> None:
    heard = hear(message({OPTION: feed(lie), SHARE: ltpc_feed(ltp=100.0)}))
    assert heard.events == [Bad("impossible")]
    assert [update.symbol for update in heard.updates] == ["RELIANCE"]


@pytest.mark.parametrize("lie", [float("nan"), float("inf"), -1e13, 1e13])
@pytest.mark.parametrize("name", ["delta", "theta", "gamma", "vega", "rho", "iv"])
def test_greeks_that_can_not_be_spoil_the_feed(name: str, lie: float) -> None:
    feed = market_feed(iv=lie) if name == "iv" else market_feed(greeks={name: lie})
    assert hear_feed(OPTION, feed) == Heard([], [Bad("impossible")])


@pytest.mark.parametrize("lie", [-1, 2**62 + 1])
@pytest.mark.parametrize("name", ["vtt", "ieq", "ltq", "bidQ", "askQ"])
def test_quantities_that_can_not_be_spoil_the_feed(name: str, lie: int) -> None:
    feeds: dict[str, Any] = {
        "ltq": lambda: market_feed(last={"ltp": 1.0, "ltq": lie}),
        "bidQ": lambda: market_feed(levels=[(lie, 1.0, 1, 1.0)]),
        "askQ": lambda: market_feed(levels=[(1, 1.0, lie, 1.0)]),
    }
    feed = feeds.get(name, lambda: market_feed(**{name: lie}))()
    assert hear_feed(SHARE, feed) == Heard([], [Bad("impossible")])


@pytest.mark.parametrize(
    ("name", "lie"), [("iiqTotal", 2**62 + 1), ("iiqTotal", -(2**63)), ("iiqM", 2**62 + 1), ("iiqM", -(2**63))]
)
def test_imbalances_have_both_signs_and_bounds(name: str, lie: int) -> None:
    assert hear_feed(SHARE, market_feed(**{name: lie})) == Heard([], [Bad("impossible")])
    assert hear_feed(SHARE, market_feed(**{name: -5})).events == []


def test_entries_of_no_use_are_counted_by_reason() -> None:
    feeds = {"NSE_EQ|A": ltpc_feed(ltp=1.0), "nse_index|nifty 50": ltpc_feed(ltp=1.0), SHARE: ltpc_feed(ltp=0.0)}
    heard = hear(message(feeds))
    assert not heard.updates
    assert sorted(heard.events, key=str) == [Bad("no_price"), Bad("unknown_token", 2)]


@pytest.mark.parametrize("frame", [b"", b"\xff" * 20, b"\x12", integer(9, 1), integer(1, 2), b"\x0b\x0c"])
def test_what_holds_nothing_is_garbage(frame: bytes) -> None:
    assert hear(frame) == Heard((), (Bad("garbage"),))


def test_a_message_without_prices_is_a_sign_of_life() -> None:
    assert hear(integer(1, 1) + integer(3, TIME_MS)) == Heard((), (Alive(),))


def test_a_message_without_a_time_is_of_when_it_came() -> None:
    heard = hear(message({SHARE: ltpc_feed(ltp=100.0)}, time_ms=0))
    assert heard.updates[0].time_ms == RECEIVED_MS


@pytest.mark.parametrize("time_ms", [-1, 1, 946_684_799_999, 4_102_444_800_000, 2**63 - 1])
def test_a_message_of_another_century_is_not_believed(time_ms: int) -> None:
    assert hear(message({SHARE: ltpc_feed(ltp=100.0)}, time_ms=time_ms)) == Heard((), (Bad("bad_time"),))


@pytest.mark.parametrize("time_ms", [0, -1, 946_684_799_999, 4_102_444_800_000])
def test_a_last_trade_of_another_century_is_left_out(time_ms: int) -> None:
    assert tick_of(SHARE, ltpc_feed(ltp=100.0, ltt=time_ms)).last_trade_ms is None


# -- any bytes at all ----------------------------------------------------------------------------------------------

WHOLE = message(
    {
        SHARE: market_feed(levels=[(5, 99.9, 7, 100.1)] * 5, day=(98.0, 101.0, 97.0, 100.0), atp=99.5, vtt=1000),
        OPTION: market_feed(greeks={"delta": 0.5}, iv=0.1, oi=500.0, iep=101.0),
        INDEX: index_feed(ltp=24123.45),
        "NSE_EQ|UNKNOWN": ltpc_feed(ltp=1.0),
    }
)
SYMBOLS = {instrument.symbol for instrument in LISTED.values()}


def assert_sound(heard: Heard) -> None:
    """Only listed instruments, and every tick can be published."""
    for update in heard.updates:
        assert update.symbol in SYMBOLS
        if isinstance(update, Tick):
            assert 0 < update.price <= 2**62
            tick_payload(update)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(frame: bytes) -> None:
    assert_sound(hear(frame))


@given(st.integers(0, len(WHOLE)))
def test_a_truncated_message_is_survived(size: int) -> None:
    heard = hear(WHOLE[:size])
    assert_sound(heard)
    assert heard.updates or heard.events


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_message_is_survived(damage: list[tuple[int, int]]) -> None:
    frame = bytearray(WHOLE)
    for place, byte in damage:
        frame[place] = byte
    assert_sound(hear(bytes(frame)))


def test_the_sound_message_is_read_whole() -> None:
    heard = hear(WHOLE)
    assert [type(update).__name__ for update in heard.updates].count("Tick") == 3
    assert heard.events == [Bad("unknown_token")]
    assert FeedResponse.FromString(WHOLE).currentTs == TIME_MS
