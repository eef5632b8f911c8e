"""Texts are read as the trees that they mean, or refused with the place of what is wrong."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.conditions.parser import parse
from notifiers.conditions.text import text
from notifiers.conditions.tree import (
    MAX_NODES,
    And,
    Arithmetic,
    Channel,
    Compare,
    Condition,
    Cross,
    Extreme,
    Field,
    Hold,
    Indicator,
    Move,
    Not,
    Number,
    Or,
    Step,
    Then,
)
from schemas.errors import CommandError, ErrorCode
from tests.notifiers.conditions.trees import READER

PRICE = Field(name="price")
VOLUME = Field(name="volume")


def n(value: float) -> Number:
    return Number(value=float(value))


def above(value: float) -> Compare:
    return Compare(left=PRICE, op=">", right=n(value))


FORMS: list[tuple[str, Condition]] = [
    ("price > 2500", above(2500)),
    ("price crosses above 2500", Cross(left=PRICE, right=n(2500), direction="above")),
    ("price crosses 2500", Cross(left=PRICE, right=n(2500))),
    ("change_percent <= -3", Compare(left=Field(name="change_percent"), op="<=", right=n(-3))),
    (
        "volume > 2 * sma(volume, 20) on 5m",
        Compare(
            left=Field(name="volume", timeframe="5m"),
            op=">",
            right=Arithmetic(
                op="*", left=n(2), right=Indicator(text="sma(volume,20)", timeframe="5m", gives="quantity")
            ),
        ),
    ),
    (
        "rsi(14) on 15m crosses below 30",
        Cross(left=Indicator(text="rsi", timeframe="15m"), right=n(30), direction="below"),
    ),
    ("price moves 2% in 5m", Move(value=PRICE, amount=2.0, percent=True, within_s=300)),
    ("price moves up 50 in 1h 30m", Move(value=PRICE, amount=50.0, direction="up", within_s=5400)),
    (
        "price moves down 2% in 3 bars on 5m",
        Move(
            value=Field(name="close", timeframe="5m"),
            amount=2.0,
            percent=True,
            direction="down",
            within_bars=3,
            timeframe="5m",
        ),
    ),
    ("price enters 2400..2500", Channel(value=PRICE, relation="enters", low=n(2400), high=n(2500))),
    ("price leaves 2400 .. 2500", Channel(value=PRICE, relation="exits", low=n(2400), high=n(2500))),
    ("price inside 2400 to 2500", Channel(value=PRICE, relation="inside", low=n(2400), high=n(2500))),
    ("price is between 2400 and 2500", Channel(value=PRICE, relation="inside", low=n(2400), high=n(2500))),
    ("price outside 2,400..2,500", Channel(value=PRICE, relation="outside", low=n(2400), high=n(2500))),
    (
        "NFO:NIFTY26DECFUT.price - NSE:NIFTY 50.price > 80",
        Compare(
            left=Arithmetic(
                op="-",
                left=Field(name="price", exchange="NFO", symbol="NIFTY26DECFUT"),
                right=Field(name="price", exchange="NSE", symbol="NIFTY 50"),
            ),
            op=">",
            right=n(80),
        ),
    ),
    ("price steps 50", Step(value=PRICE, amount=50.0)),
    ("price steps by 1%", Step(value=PRICE, amount=1.0, percent=True)),
    ("new day high", Extreme(which="high")),
    ("new 52-week low", Extreme(which="low", of="year")),
    ("price makes new 52w high", Extreme(which="high", of="year")),
    ("NSE:NIFTY 50.price makes new day low", Extreme(which="low", exchange="NSE", symbol="NIFTY 50")),
    ("price > 1 and volume > 2", And(terms=(above(1), Compare(left=VOLUME, op=">", right=n(2))))),
    ("price > 1 or price > 2 and price > 3", Or(terms=(above(1), And(terms=(above(2), above(3)))))),
    ("not price > 1 and price > 2", And(terms=(Not(term=above(1)), above(2)))),
    ("not not price > 1", Not(term=Not(term=above(1)))),
    ("price > 1 for 10s", Hold(term=above(1), seconds=10)),
    ("not price > 1 for 3 ticks", Not(term=Hold(term=above(1), samples=3))),
    ("(price > 1 or price > 2) for 5m", Hold(term=Or(terms=(above(1), above(2))), seconds=300)),
    ("price > 1 then price > 2 within 10m", Then(first=above(1), second=above(2), within_s=600)),
    (
        "price > 1 then price > 2 within 10m then price > 3 within 1h",
        Then(first=Then(first=above(1), second=above(2), within_s=600), second=above(3), within_s=3600),
    ),
    (
        "price > 1 or price > 2 then price > 3 within 10m",
        Then(first=Or(terms=(above(1), above(2))), second=above(3), within_s=600),
    ),
    ("((price > 1))", above(1)),
    ("(price + 1) * 2 > 3", Compare(
        left=Arithmetic(op="*", left=Arithmetic(op="+", left=PRICE, right=n(1)), right=n(2)), op=">", right=n(3),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("said", "tree"), FORMS, ids=[said for said, _ in FORMS])
def test_every_form_is_read_as_what_it_means(said: str, tree: Condition) -> None:
    assert parse(said, READER) == tree
    assert parse(said.upper(), READER) == tree
    assert parse(text(tree), READER) == tree


SAME = [
    ("LTP >= ₹2,500.50", "price >= 2500.5"),
    ("price ≥ Rs. 2,500", "price >= 2500"),
    ("price > rs 2500", "price > 2500"),
    ("price = 12,34,567.50", "price == 1234567.5"),
    ("price > 1.5k", "price > 1500"),
    ("volume > 2 lakh", "volume > 200000"),
    ("volume > 1cr", "volume > 10000000"),
    ("price > २५००.५", "price > 2500.5"),
    ("price is above 5", "price > 5"),
    ("price is less than 5", "price < 5"),
    ("2500 < price", "price > 2500"),
    ("2500 crosses above price", "price crosses below 2500"),
    ("price rises 2% in 5 minutes", "price moves up 2% in 5m"),
    ("price falls by 10 in 30 sec", "price moves down 10 in 30s"),
    ("price > -(3 - 5) * 2", "price > 4"),
    ("-price < -5", "-1 * price < -5"),
    ("aroon.up on 5m > 50", "aroon.up on 5m > 50"),
    ("price × 2 > 5 ÷ 2", "price * 2 > 2.5"),  # noqa: RUF001 - as people type it
    ("price > prev_close", "price > prev_close"),
    ("price > close", "price > prev_close"),
    ("price crosses vwap", "price crosses average_price"),
    ("price crosses vwap on 5m", "price crosses vwap on 5m"),
    ("close > open on 5m", "close on 5m > open on 5m"),
    ("price > open on 5m", "price > open on 5m"),
    ("price > 2500 on 5m", "close on 5m > 2500"),
    ("price on 5m > 2500", "close on 5m > 2500"),
    ("(high - low) / 2 > 50 on 1 hour", "(high on 1h - low on 1h) / 2 > 50"),
    ("rsi(7) on 5m > rsi(7) on 1h", "rsi(7) on 5m > rsi(7) on 1h"),
    ("volume > (sma(volume) on 5m)", "volume > (sma(volume,20) on 5m)"),
    ("oi > 5 on 15m", "open_interest on 15m > 5"),
    ("MACD(12, 26, 9).Signal on 5m < macd on 5m", "macd.signal on 5m < macd.macd on 5m"),
    ("price crosses above supertrend on 1d", "price crosses above supertrend.value on 1d"),
    ('nse:"m&m".ltp > 5', "NSE:M&M.price > 5"),
    ('NSE:"A.B".price > 5', 'NSE:"A.B".price > 5'),
    ("CDS:USDINR26D2084.25CE.bid > 5", "CDS:USDINR26D2084.25CE.bid > 5"),
    ("NSE:TCS.rsi(7) on 5m > 70", "NSE:TCS.rsi(7) on 5m > 70"),
    ("close moves 2% in 3 candles on 5m", "close moves 2% in 3 bars on 5m"),
    ("rsi on 5m moves 10 in 3 bars", "rsi moves 10 in 3 bars on 5m"),
]


@pytest.mark.parametrize(("said", "canonical"), SAME)
def test_what_means_the_same_has_one_canonical_text(said: str, canonical: str) -> None:
    assert text(parse(said, READER)) == canonical


def test_indicators_that_name_no_candles_take_those_that_are_handed_in() -> None:
    assert (
        text(parse("rsi crosses below 30 and price > 5", READER, "15m")) == "rsi on 15m crosses below 30 and price > 5"
    )
    assert text(parse("price moves 2% in 3 bars", READER, "1h")) == "close moves 2% in 3 bars on 1h"


WRONG = [
    ("", 1, "Expected a number or a figure such as price, but the text ends"),
    ("price", 6, "Expected a comparison such as > or crosses above, but the text ends"),
    ("price >", 8, "Expected a number or a figure such as price, but the text ends"),
    ("price > and", 9, "Expected a number or a figure such as price, got 'and'"),
    ("price > 5 5", 11, "Expected and, or, then, or the end, got '5'"),
    ("price > 5)", 10, "got ')'"),
    ("(price > 5", 11, "Expected a closing bracket, but the text ends"),
    ("price > (5", 11, "Expected a closing bracket"),
    ("price < 1 < 3", 11, "Expected and, or, then, or the end, got '<'"),
    ("pric > 500", 1, "No figure or indicator is called 'pric'; did you mean price"),
    ("price > xyzzy", 9, "No figure or indicator is called 'xyzzy'"),
    ("price crosess above 5", 7, "got 'crosess'; did you mean crosses?"),
    ("price != 5", 7, "There is no !=: write < or >"),
    ("price <> 5", 7, "There is no <>: write < or >"),
    ("price > 5 / 0", 13, "Nothing can be divided by zero"),
    ("price > 5 / (2 - 2)", 14, "Nothing can be divided by zero"),
    ("price / 0 > 5", 9, "Nothing can be divided by zero"),
    ("price > 1e5", 10, "got 'e5'"),
    ("price > 100000000001", 9, "A number is at most 10,000 crore"),
    ("price + price crosses above 1000000000000", 29, "A number is at most 10,000 crore"),
    ("price moves 100000000001 in 5m", 13, "An amount is more than 0 and at most 10,000 crore"),
    ("price > 1e", 10, "got 'e'"),
    ("price > 5 & volume > 3", 11, "Unexpected '&'"),
    ("price > $5", 9, "Unexpected '$'"),
    ("price\u200b > 5", 6, "Unexpected '\\u200b'"),
    ("rsi > 30", 1, "rsi is worked out from candles: say of which, as in rsi on 5m"),
    ("rsi(14 on 5m > 30", 4, "The bracket behind 'rsi' is not closed"),
    ("rsi(1) on 5m > 30", 1, "rsi: period lies from 2 to 500, got 1"),
    ("price > 3 and rsy(7) on 5m > 30", 15, "No indicator is called 'rsy'; did you mean rsi"),
    ("bbands on 5m > 5", 1, "bbands has the lines upper, middle, lower; say which"),
    ("bbands.top on 5m > 5", 1, "bbands has the lines"),
    ("rsi.signal on 5m > 5", 1, "rsi is one line and has no others"),
    ("rsi. on 5m > 5", 6, "Expected the name of a line, as in macd.signal, got 'on'"),
    ("price on 7m > 5", 10, "Expected a timeframe out of 1m 3m 5m 15m 30m 1h 1d, got '7'"),
    ("price on > 5", 10, "Expected a timeframe"),
    ("bid on 5m > 5", 1, "Candles have no bid; they have open, high, low, close, volume, open_interest"),
    ("change_percent > 3 on 5m", 25, "Nothing before this is a figure of candles"),
    ("price moves 2%", 15, "Expected the word in, but the text ends"),
    ("price moves 0% in 5m", 13, "An amount is more than 0"),
    ("price moves in 5m", 13, "Expected an amount such as 50 or 2%, got 'in'"),
    ("price moves 2% in 25h", 19, "A length of time is 1s to 24h, in whole seconds"),
    ("price moves 2% in 0.5s", 19, "A length of time is 1s to 24h, in whole seconds"),
    ("price moves 2% in 5", 19, "Expected a length of time such as 10s or 5m, got '5'"),
    ("price moves 2% in 3 bars", 1, "Say which candles are counted, as in 3 bars on 5m"),
    ("price moves 2% in 501 bars on 5m", 19, "Expected a whole number from 1 to 500, got 501"),
    ("rsi on 1h moves 2 in 3 bars on 5m", 1, "counted in candles of 5m can't look at those of 1h"),
    ("price enters 2400", 18, "Expected a range such as 2400..2500, but the text ends"),
    ("price > 5 then price > 6", 25, "Expected within and a length of time, but the text ends"),
    ("price then price > 6 within 5m", 7, "Expected a comparison"),
    ("price for 10s", 7, "Expected a comparison"),
    ("price > 5 for 1 tick", 15, "Expected a whole number from 2 to 10000, got 1"),
    ("(price > 5) > 3", 1, "Expected a number or a figure such as price, got a condition"),
    ("3 + (price > 5) > 3", 1, "got a condition"),
    ("5 and price > 5", 3, "Expected a comparison"),
    ("price is greater 5", 18, "Expected the word than"),
    ("volume makes new day high", 1, "Only a price makes a new high or low"),
    ("new high", 5, "Expected day or 52w, got 'high'"),
    ("new day hihg", 9, "Expected high or low, got 'hihg'"),
    ("NSE:TCS > 5", 1, "Expected exchange, symbol and figure as in NSE:TCS.price, got 'NSE:TCS > 5'"),
    ("XXX:TCS.price > 5", 1, "Expected an exchange out of"),
    ("price > 5 " + "x" * 100, 11, "got 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'"),
]


@pytest.mark.parametrize(("said", "column", "fault"), WRONG, ids=[repr(said)[:40] for said, _, _ in WRONG])
def test_what_is_wrong_is_said_with_its_place(said: str, column: int, fault: str) -> None:
    with pytest.raises(CommandError) as refused:
        parse(said, READER)
    assert refused.value.code is ErrorCode.BAD_REQUEST
    assert fault in refused.value.message
    assert refused.value.message.endswith(f" - at character {column}")
    assert refused.value.values["column"] == column


ABSURD = {
    "ten thousand terms": " and ".join(["price > 1"] * 10_000),
    "too many terms": " and ".join(["price>1"] * 150),
    "brackets": "(" * 1_000 + "price > 1" + ")" * 900,
    "brackets around an expression": "(" * 500 + "price" + ")" * 500 + " > 1",
    "negations": "not " * 400 + "price > 1",
    "signs": "price > " + "-" * 1_900 + "1",
    "a long sum": "price > " + "+".join(["1"] * 900),
    "a long product": "*".join(["price"] * 300) + " > 1",
    "holds": "price > 1" + " for 1s" * 250,
    "sequences": "price>1" + " then price>1 within 1s" * 80,
    "a long word": "x" * 2_000,
    "digits": "price > " + "9" * 1_900,
    "groups of digits": "price > 1" + ",000" * 400,
    "exchanges": "ab:" * 600,
    "symbols": "NSE:" + "A " * 900,
    "spaces": " " * 2_000,
    "open calls": "a(" * 900,
    "nothing but dots": "." * 2_000,
}


@pytest.mark.parametrize("said", ABSURD.values(), ids=ABSURD)
def test_absurd_texts_are_refused_fast(said: str) -> None:
    started = time.perf_counter()
    with suppress(CommandError):
        tree = parse(said, READER)
        assert said == ABSURD["signs"], tree
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize(
    "name", ["ten thousand terms", "too many terms", "a long sum", "brackets", "holds", "negations"]
)
def test_what_is_too_much_is_called_so(name: str) -> None:
    with pytest.raises(CommandError, match=r"A condition has at most|At most|A condition is at most"):
        parse(ABSURD[name], READER)


def test_as_many_parts_as_allowed_are_read() -> None:
    most = (MAX_NODES - 1) // 3
    assert parse(" and ".join(["price>1"] * most), READER)
    with pytest.raises(CommandError, match=f"at most {MAX_NODES} parts"):
        parse(" and ".join(["price>1"] * (most + 1)), READER)


WORDS = """price volume rsi rsi(7) sma(volume,20) macd .signal NSE:TCS. > <= == != + - * / ( ) % .. , 5 2,500.5 1.5k 5m
10s on for and or not then crosses above enters inside between to moves up 2% in steps new day 52w high makes is ₹"""
PHRASES = ["NSE:NIFTY 50.price", "on 5m", "for 10s", "for 3 ticks", "within 5m", "in 5m", "3 bars", "price > 5", "\n"]
PIECES = st.sampled_from([*WORDS.split(), *PHRASES])


@given(st.lists(PIECES, max_size=40).map(" ".join) | st.lists(PIECES, max_size=20).map("".join))
def test_any_words_of_the_grammar_are_read_or_refused(said: str) -> None:
    with suppress(CommandError):
        tree = parse(said, READER)
        assert parse(text(tree), READER) == tree


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(said: str) -> None:
    with suppress(CommandError):
        parse(said, READER)
