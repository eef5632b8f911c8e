"""Payloads against a slow, plain way of writing them."""

from datetime import datetime, timedelta

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import publications
from schemas.market import (
    IST,
    PRICE_SCALE,
    Auction,
    Depth,
    Greeks,
    Level,
    MarketPayload,
    MarketState,
    Tick,
    depth_payload,
    ist_text,
    scaled,
    tick_of,
    tick_payload,
)

AUCTION = {
    "indicative_price": "price",
    "indicative_quantity": "quantity",
    "reference_price": "reference_price",
    "imbalance_quantity": "imbalance_quantity",
}
PRICES = st.integers(1, 10**6 * PRICE_SCALE)
QUANTITIES = st.integers(0, 2**62)
TIMES = st.integers(0, 4_000_000_000_000)
DECIMALS = frozenset(
    {"open", "high", "low", "close", "bid", "ask", "average_price", "lower_circuit", "upper_circuit"}
    | {"year_low", "year_high"}
)
COUNTS = frozenset(Tick.__struct_fields__) - DECIMALS
COUNTS -= {"exchange", "symbol", "price", "time_ms", "last_trade_ms", "state", "auction", "greeks"}


def plain_time(time_ms: int) -> str:
    moment = datetime(1970, 1, 1, 5, 30, tzinfo=IST) + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds")


def plain_value(tick: Tick, name: str) -> object:
    """What a field of MarketPayload holds; None where the tick doesn't know it."""
    part, own = {"auction": (tick.auction, AUCTION.get(name, "")), "greeks": (tick.greeks, name)}.get(
        "auction" if name in AUCTION else "greeks" if name in Greeks.__struct_fields__ else "", (tick, name)
    )
    if name == "last_trade_time":
        return None if tick.last_trade_ms is None else plain_time(tick.last_trade_ms)
    value = None if part is None else getattr(part, own)
    scaled_down = name == "price" or name in DECIMALS or (name in AUCTION and name.endswith("price"))
    return value / PRICE_SCALE if scaled_down and value is not None else value


def plain_payload(tick: Tick) -> bytes:
    """Each field of MarketPayload in its order, if the tick knows it."""
    change = tick.price - tick.close if tick.close else None
    fields: dict[str, object] = {}
    for name in MarketPayload.__struct_fields__:
        match name:
            case "change":
                value: object = None if change is None else change / PRICE_SCALE
            case "change_percent":
                value = None if change is None or not tick.close else round(change * 100 / tick.close, 2)
            case "time":
                value = plain_time(tick.time_ms)
            case _:
                value = plain_value(tick, name)
        if value is not None:
            fields[name] = value
    return msgspec.json.encode(fields)


AUCTIONS = st.builds(
    Auction,
    price=st.none() | PRICES,
    quantity=st.none() | QUANTITIES,
    reference_price=st.none() | PRICES,
    imbalance_quantity=st.none() | st.integers(0, 10**12),
)
GREEKS = st.builds(Greeks, **{name: st.none() | st.floats(-1e9, 1e9) for name in Greeks.__struct_fields__})


@st.composite
def ticks(draw: st.DrawFn) -> Tick:
    known = {name: draw(st.none() | PRICES) for name in sorted(DECIMALS)}
    counted = {name: draw(st.none() | QUANTITIES) for name in sorted(COUNTS)}
    return Tick(
        exchange="NSE",
        symbol="RELIANCE",
        price=draw(PRICES),
        time_ms=draw(TIMES),
        state=draw(st.none() | st.sampled_from(MarketState)),
        last_trade_ms=draw(st.none() | TIMES),
        auction=draw(st.none() | AUCTIONS),
        greeks=draw(st.none() | GREEKS),
        **known,
        **counted,
    )


@given(ticks())
def test_tick_payload_is_byte_for_byte_the_plain_one(tick: Tick) -> None:
    assert tick_payload(tick) == plain_payload(tick)


@given(ticks())
def test_a_tick_payload_is_already_normal(tick: Tick) -> None:
    assert publications.MARKET(tick_payload(tick)) == tick_payload(tick)


def test_a_close_of_zero_makes_no_change() -> None:
    payload = orjson.loads(tick_payload(Tick(exchange="NSE", symbol="A", price=scaled(2), time_ms=0, close=0)))
    assert "change" not in payload
    assert "change_percent" not in payload


@given(ticks())
def test_a_payload_is_the_tick_again(tick: Tick) -> None:
    said = msgspec.json.decode(tick_payload(tick), type=MarketPayload)
    assert tick_of(said, tick.exchange, tick.symbol, tick.time_ms) == as_heard(tick)


@pytest.mark.parametrize("time", [None, "soon", "2026-11-18T12:26:40.000", "2999-01-01T00:00:00+05:30"])
def test_a_time_that_says_nothing_is_now(time: str | None) -> None:
    assert tick_of(MarketPayload(price=2.5, time=time), "NSE", "A", 17) == Tick("NSE", "A", scaled(2.5), 17)


def as_heard(tick: Tick) -> Tick:
    """What a tick is to those who read its payload, which doesn't hold all of an auction."""
    auction, greeks = tick.auction, tick.greeks
    if auction is not None:
        auction = msgspec.structs.replace(auction, market_imbalance_quantity=None, eligible=None)
    return msgspec.structs.replace(
        tick, auction=None if auction == Auction() else auction, greeks=None if greeks == Greeks() else greeks
    )


def test_a_tick_payload_in_full() -> None:
    tick = Tick(
        exchange="NSE",
        symbol="RELIANCE",
        price=scaled(2500.5),
        time_ms=1_795_405_501_250,
        state=MarketState.CONTINUOUS,
        close=scaled(2488.1),
        volume=10,
        bid=scaled(2500.45),
    )
    assert tick_payload(tick) == (
        b'{"price":2500.5,"change":12.4,"change_percent":0.5,"close":2488.1,"volume":10,"bid":2500.45,'
        b'"state":"continuous","time":"2026-11-23T09:15:01.250+05:30"}'
    )


LEVELS = st.lists(st.builds(Level, PRICES, QUANTITIES, QUANTITIES), max_size=7).map(tuple)


@given(bids=LEVELS, asks=LEVELS, time_ms=TIMES)
def test_a_depth_payload_is_already_normal(bids: tuple[Level, ...], asks: tuple[Level, ...], time_ms: int) -> None:
    payload = depth_payload(Depth.of(exchange="NSE", symbol="A", time_ms=time_ms, bids=bids, asks=asks))
    assert publications.DEPTH(payload) == payload
    told = orjson.loads(payload)
    for side, levels in (("bids", bids), ("asks", asks)):
        assert told[side] == [
            {"price": level.price / PRICE_SCALE, "quantity": level.quantity, "orders": level.orders} for level in levels
        ]


def test_a_payload_of_five_levels_has_each_in_its_place() -> None:
    bids = [Level(scaled(100 - n), 10 + n, 1 + n) for n in range(5)]
    depth = Depth.of("NSE", "A", 1_795_405_501_250, bids, [])
    levels = ",".join(f'{{"price":{100 - n}.0,"quantity":{10 + n},"orders":{1 + n}}}' for n in range(5))
    assert depth_payload(depth) == f'{{"bids":[{levels}],"asks":[],"time":"2026-11-23T09:15:01.250+05:30"}}'.encode()


@given(bids=LEVELS, asks=LEVELS)
def test_a_depth_gives_the_levels_that_it_was_made_of(bids: tuple[Level, ...], asks: tuple[Level, ...]) -> None:
    depth = Depth.of("NSE", "A", 1, bids, asks)
    assert (depth.bids, depth.asks) == (bids, asks)
    assert depth.bid_figures == tuple(value for bid in bids for value in (bid.price, bid.quantity, bid.orders))


@given(TIMES)
def test_times_are_in_india(time_ms: int) -> None:
    assert ist_text(time_ms) == plain_time(time_ms)


@pytest.mark.parametrize(("text", "internal"), [(0.0000001, 1), (1546.35, 15_463_500_000), (85200.01, 852_000_100_000)])
def test_decimal_prices_become_exact_integers(text: float, internal: int) -> None:
    assert scaled(text) == internal
