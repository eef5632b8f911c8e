from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.instruments import Instrument, Kind
from feeds.listings.instrument_search import InstrumentSearch

EXPIRIES = (date(2026, 12, 1), date(2026, 12, 29), date(2027, 1, 26))


def option(underlying: str, expiry: date, strike: int, kind: str) -> Instrument:
    tail = f"{expiry:%y%b}".upper() if expiry.day > 7 else "26D01"
    return Instrument(
        exchange="NFO", symbol=f"{underlying}{tail}{strike}{kind}", name=underlying, kind=Kind.OPTION, tick_size=1,
        underlying=underlying, expiry=expiry, strike=strike * 10_000_000, option_type=kind,
    )  # fmt: skip


def future(underlying: str, expiry: date) -> Instrument:
    return Instrument(
        exchange="NFO", symbol=f"{underlying}{expiry:%y%b}FUT".upper(), name=underlying, kind=Kind.FUTURE, tick_size=1,
        underlying=underlying, expiry=expiry,
    )  # fmt: skip


def share(symbol: str, name: str, **fields: object) -> Instrument:
    return Instrument(**{"exchange": "NSE", "symbol": symbol, "name": name, "tick_size": 1} | fields)  # type: ignore[arg-type]


INSTRUMENTS = (
    [
        share("RELIANCE", "Reliance Industries", exchange="BSE", isin="INE002A01018"),
        share("RELIANCE", "Reliance Industries", has_derivatives=True, isin="INE002A01018"),
        share("RELINFRA", "Reliance Infrastructure", isin="INE036A01016"),
        share("SBIN", "State Bank of India", has_derivatives=True),
        share("HDFCBANK", "HDFC Bank", has_derivatives=True),
        share("M&M", "Mahindra & Mahindra"),
        share("BAJAJ-AUTO", "Bajaj Auto"),
        share("NIFTYBEES", "Nippon India ETF Nifty BeES"),
        share("NIFTY 50", "Nifty 50", kind=Kind.INDEX, has_derivatives=True),
        share("NIFTY BANK", "Nifty Bank", kind=Kind.INDEX, has_derivatives=True),
        *(option("NIFTY", day, strike, kind) for day in EXPIRIES for strike in (23_900, 24_000, 24_050)
          for kind in ("CE", "PE")),
        *(future(name, day) for name in ("NIFTY", "BANKNIFTY", "RELIANCE", "SBIN") for day in EXPIRIES[1:]),
        *(option("BANKNIFTY", EXPIRIES[1], strike, "PE") for strike in (52_000, 52_100)),
        option("RELIANCE", EXPIRIES[1], 1_400, "PE"),
    ]
)  # fmt: skip
MARKET = InstrumentSearch(INSTRUMENTS)


def found(text: str, **how: object) -> list[str]:
    return [f"{one.exchange}:{one.symbol}" for one in MARKET.find(text, **how)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("reliance", ["NSE:RELIANCE", "BSE:RELIANCE", "NSE:RELINFRA", "NFO:RELIANCE26DECFUT"]),
        ("  ReLiAnCe  ", ["NSE:RELIANCE", "BSE:RELIANCE", "NSE:RELINFRA"]),
        ("rel", ["NSE:RELIANCE", "NSE:RELINFRA", "BSE:RELIANCE"]),
        ("ine002a01018", ["NSE:RELIANCE", "BSE:RELIANCE"]),
        ("INE036", ["NSE:RELINFRA"]),
        ("infra", ["NSE:RELINFRA"]),
        ("reliance inf", ["NSE:RELINFRA"]),
        ("m&m", ["NSE:M&M"]),
        ("bajaj-auto", ["NSE:BAJAJ-AUTO"]),
        ("bajaj auto", ["NSE:BAJAJ-AUTO"]),
        ("bajajauto", ["NSE:BAJAJ-AUTO"]),
        ("state bank", ["NSE:SBIN", "NFO:SBIN26DECFUT"]),
        ("nifty 50", ["NSE:NIFTY 50"]),
        ("banknifty", ["NSE:NIFTY BANK", "NFO:BANKNIFTY26DECFUT"]),
        ("NIFTY26D0124000CE", ["NFO:NIFTY26D0124000CE"]),
        ("nifty26dec239", ["NFO:NIFTY26DEC23900CE", "NFO:NIFTY26DEC23900PE"]),
        ("NIFTY 24000 CE", ["NFO:NIFTY26D0124000CE", "NFO:NIFTY26DEC24000CE", "NFO:NIFTY27JAN24000CE"]),
        ("nifty 24,000 call", ["NFO:NIFTY26D0124000CE", "NFO:NIFTY26DEC24000CE", "NFO:NIFTY27JAN24000CE"]),
        ("24000ce nifty", ["NFO:NIFTY26D0124000CE", "NFO:NIFTY26DEC24000CE", "NFO:NIFTY27JAN24000CE"]),
        ("NIFTY24000CE", ["NFO:NIFTY26D0124000CE", "NFO:NIFTY26DEC24000CE", "NFO:NIFTY27JAN24000CE"]),
        ("nifty jan 24000 put", ["NFO:NIFTY27JAN24000PE"]),
        ("nifty 29 dec 24000 ce", ["NFO:NIFTY26DEC24000CE"]),
        ("nifty 1dec 24000 ce", ["NFO:NIFTY26D0124000CE"]),
        ("nifty 26jan2027 24000 ce", ["NFO:NIFTY27JAN24000CE"]),
        ("nifty december 2026 24050 pe", ["NFO:NIFTY26D0124050PE", "NFO:NIFTY26DEC24050PE"]),
        ("nifty 240 ce jan", ["NFO:NIFTY27JAN24000CE", "NFO:NIFTY27JAN24050CE"]),
        ("nifty 240 ce", ["NFO:NIFTY26D0124000CE", "NFO:NIFTY26D0124050CE", "NFO:NIFTY26DEC24000CE"]),
        ("nifty fut", ["NFO:NIFTY26DECFUT", "NFO:NIFTY27JANFUT"]),
        ("bank nifty 52000 pe", ["NFO:BANKNIFTY26DEC52000PE"]),
        ("reliance 1400", ["NFO:RELIANCE26DEC1400PE"]),
        ("sbin jan fut", ["NFO:SBIN27JANFUT"]),
    ],
)  # fmt: skip
def test_what_is_meant_comes_first(text: str, first: list[str]) -> None:
    assert found(text)[: len(first)] == first


def test_cash_and_indices_come_before_derivatives() -> None:
    kinds = [one.kind in (Kind.STOCK, Kind.INDEX) for one in MARKET.find("nifty", limit=100)]
    assert kinds == sorted(kinds, reverse=True)
    assert kinds.count(True) == 3
    assert found("nifty")[:3] == ["NSE:NIFTY 50", "NSE:NIFTY BANK", "NSE:NIFTYBEES"]


def test_nothing_comes_twice() -> None:
    for text in ("nifty", "reliance", "n", "bank", "NIFTY26DEC"):
        assert len(found(text, limit=1000)) == len(set(found(text, limit=1000)))


def test_an_expiry_comes_before_a_later_one() -> None:
    days = [one.expiry for one in MARKET.find("nifty ce", limit=9)]
    assert days == sorted(days, key=lambda day: day or date.max)
    assert set(days) == set(EXPIRIES)


def test_filters_leave_out_the_others() -> None:
    assert found("reliance", exchange="BSE") == ["BSE:RELIANCE"]
    assert found("reliance", exchange="NFO", kind=Kind.FUTURE) == ["NFO:RELIANCE26DECFUT", "NFO:RELIANCE27JANFUT"]
    assert found("nifty", kind=Kind.INDEX) == ["NSE:NIFTY 50", "NSE:NIFTY BANK"]
    assert found("nifty 24000", kind=Kind.OPTION, limit=1) == ["NFO:NIFTY26D0124000CE"]
    assert found("nifty fut", kind=Kind.OPTION) == []
    assert found("reliance", kind=Kind.STOCK) == ["NSE:RELIANCE", "BSE:RELIANCE", "NSE:RELINFRA"]


@pytest.mark.parametrize(
    "text",
    ["", "   ", "-", "!!!", "रिलायंस", "zzzz", "nifty 99999 ce", "nifty 24000 ce feb", "24000 ce", "reliance zzz", "ce",
     "nifty 31 dec 24000", "🚀", "\x00", "nifty 24000 24050 ce", "a" * 10_000],
)  # fmt: skip
def test_what_makes_no_sense_finds_nothing(text: str) -> None:
    assert found(text) == []


def test_a_very_long_text_is_cut_off() -> None:
    assert found("reliance" + " " * 200 + "zzz")[0] == "NSE:RELIANCE"


def test_a_limit_is_kept() -> None:
    assert len(found("nifty", limit=2)) == 2
    assert found("nifty", limit=0) == found("nifty", limit=-1) == []


@given(st.text(max_size=120))
def test_any_text_may_be_asked(text: str) -> None:
    assert len(MARKET.find(text)) <= 20


@given(st.sampled_from(INSTRUMENTS))
def test_everything_is_found_first_by_its_symbol(one: Instrument) -> None:
    assert MARKET.find(one.symbol, exchange=one.exchange)[0] == one
