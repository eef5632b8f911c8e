import json
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.broker import Publication
from channels.channel import Channel, ChannelNames
from channels.namespace import Namespaces
from feeds.candles.bars import Bar, candle_payload
from feeds.instruments import Instrument
from hub.api import market_view
from schemas.market import scaled
from tests.feeds.bars import MINUTE_MS, NINE_FIFTEEN_MS

NAMES = ChannelNames(Namespaces())
TCS = NAMES.parse("market:NSE:TCS")


def publication(fields: dict[str, object], offset: int = 7) -> Publication:
    return Publication(TCS.name, json.dumps(fields, separators=(",", ":")).encode(), offset)


@given(
    st.dictionaries(st.sampled_from(["volume", "open", "state", "time", "ask"]), st.integers() | st.text(), max_size=5),
    st.sampled_from(["market:NSE:TCS", "market:BSE:M&M", 'market:NFO:A"\\B', "market:NSE:NIFTY 50"]),
    st.integers(0, 2**53),
)
def test_a_price_is_what_was_published_with_its_place(fields: dict[str, object], name: str, offset: int) -> None:
    channel = NAMES.parse(name)
    said = {"price": 1.5} | fields
    shown = msgspec.json.decode(market_view.price(channel, publication(said, offset)))
    assert shown == {"exchange": channel.exchange, "symbol": channel.symbol, "seq": offset} | said


def test_a_price_knows_its_time_where_it_says_so() -> None:
    told = publication({"price": 1, "time": "2026-11-23T09:15:00.250+05:30"})
    assert market_view.price_time_ms(told) == NINE_FIFTEEN_MS + 250
    assert market_view.price_time_ms(publication({"price": 1})) is None


@pytest.mark.parametrize(
    ("timeframe", "length_ms"), [("1m", MINUTE_MS), ("15m", 15 * MINUTE_MS), ("1d", (14 * 60 + 45) * MINUTE_MS)]
)
def test_a_candle_survives_its_publication(timeframe: str, length_ms: int) -> None:
    bar = Bar(
        exchange="NSE", symbol="TCS", timeframe=timeframe, start_ms=NINE_FIFTEEN_MS,
        end_ms=NINE_FIFTEEN_MS + length_ms, open=scaled(10.05), high=scaled(11), low=scaled(9.95), close=scaled(10.1),
        volume=3, open_interest=4, gap=True, closed=False,
    )  # fmt: skip
    channel = NAMES.parse(f"candles:{timeframe}:NSE:TCS")
    assert market_view.bar_of(channel, Publication(channel.name, candle_payload(bar))) == bar


@pytest.mark.parametrize("start", ["", "now", "2026-11-23T09:15:00", "2026-02-30T09:15:00+05:30"])
def test_a_candle_whose_start_is_no_time_is_none(start: str) -> None:
    channel: Channel = NAMES.parse("candles:1m:NSE:TCS")
    payload = json.dumps({"open": 1, "high": 1, "low": 1, "close": 1, "start": start}).encode()
    assert market_view.bar_of(channel, Publication(channel.name, payload)) is None


def test_an_instrument_shows_only_what_it_has() -> None:
    plain = Instrument(exchange="NSE", symbol="TCS", name="TCS", tick_size=scaled(0.05))
    assert msgspec.to_builtins(market_view.instrument(plain)).keys() == {
        "exchange", "symbol", "name", "kind", "tick_size", "lot_size", "has_derivatives",
    }  # fmt: skip
    option = msgspec.structs.replace(plain, strike=0, expiry=date(2026, 12, 29), option_type="CE")
    shown = msgspec.to_builtins(market_view.instrument(option))
    assert shown.items() >= {"strike": 0.0, "expiry": "2026-12-29"}.items()


def test_a_price_is_what_its_schema_says() -> None:
    said = publication({"price": 1.5, "volume": 3, "state": "closed", "time": "2026-11-23T09:15:00.250+05:30"})
    shown = msgspec.json.decode(market_view.price(TCS, said), type=market_view.PriceView)
    assert (shown.exchange, shown.symbol, shown.seq, shown.price, shown.volume) == ("NSE", "TCS", 7, 1.5, 3)


@pytest.mark.parametrize("gap", [True, False])
def test_a_candle_says_gap_only_where_there_is_one(gap: bool) -> None:
    bar = Bar(
        exchange="NSE", symbol="TCS", timeframe="1m", start_ms=NINE_FIFTEEN_MS, end_ms=NINE_FIFTEEN_MS + MINUTE_MS,
        open=scaled(10.05), high=scaled(11), low=scaled(9.95), close=scaled(10.1), volume=None, open_interest=None,
        gap=gap, closed=True,
    )  # fmt: skip
    expected = {
        "time": "2026-11-23T09:15:00.000+05:30",
        "open": 10.05, "high": 11.0, "low": 9.95, "close": 10.1, "volume": None, "closed": True,
    }  # fmt: skip
    assert msgspec.to_builtins(market_view.candle(bar)) == expected | ({"gap": True} if gap else {})
