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
    Depth,
    Level,
    MarketPayload,
    MarketState,
    Tick,
    depth_payload,
    ist_text,
    scaled,
    tick_payload,
)

PRICES = st.integers(1, 10**6 * PRICE_SCALE)
QUANTITIES = st.integers(0, 2**62)
TIMES = st.integers(0, 4_000_000_000_000)
DECIMALS = frozenset(
    {"open", "high", "low", "close", "bid", "ask", "average_price", "lower_circuit", "upper_circuit"}
    | {"year_low", "year_high"}
)
COUNTS = frozenset(Tick.__struct_fields__) - DECIMALS - {"exchange", "symbol", "price", "time_ms", "state"}


def plain_time(time_ms: int) -> str:
    moment = datetime(1970, 1, 1, 5, 30, tzinfo=IST) + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds")


def plain_payload(tick: Tick) -> bytes:
    """Each field of MarketPayload in its order, if the tick knows it."""
    fields: dict[str, object] = {}
    for name in MarketPayload.__struct_fields__:
        if name in {"change", "change_percent"}:
            if tick.close:
                change = tick.price - tick.close
                fields[name] = change / PRICE_SCALE if name == "change" else round(change * 100 / tick.close, 2)
        elif name == "time":
            fields[name] = plain_time(tick.time_ms)
        elif getattr(tick, name) is not None:
            value = getattr(tick, name)
            fields[name] = value / PRICE_SCALE if name == "price" or name in DECIMALS else value
    return msgspec.json.encode(fields)


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


LEVELS = st.lists(st.builds(Level, PRICES, QUANTITIES, QUANTITIES), max_size=5).map(tuple)


@given(bids=LEVELS, asks=LEVELS, time_ms=TIMES)
def test_a_depth_payload_is_already_normal(bids: tuple[Level, ...], asks: tuple[Level, ...], time_ms: int) -> None:
    payload = depth_payload(Depth(exchange="NSE", symbol="A", time_ms=time_ms, bids=bids, asks=asks))
    assert publications.DEPTH(payload) == payload
    assert [level["price"] for level in orjson.loads(payload)["bids"]] == [bid.price / PRICE_SCALE for bid in bids]


@given(TIMES)
def test_times_are_in_india(time_ms: int) -> None:
    assert ist_text(time_ms) == plain_time(time_ms)


@pytest.mark.parametrize(("text", "internal"), [(0.0000001, 1), (1546.35, 15_463_500_000), (85200.01, 852_000_100_000)])
def test_decimal_prices_become_exact_integers(text: float, internal: int) -> None:
    assert scaled(text) == internal
