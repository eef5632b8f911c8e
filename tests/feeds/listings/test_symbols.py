import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.listings.symbols import (
    future_name,
    index_name,
    month_ends,
    option_name,
    share_name,
    split_series,
    strike_text,
    underlying_name,
)

DAYS = st.dates(date(2020, 1, 1), date(2099, 12, 31))
STRIKES = st.integers(1, 10**6 * 10**7)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (future_name("NIFTY", date(2026, 12, 29)), "NIFTY26DECFUT"),
        (future_name("USDINR", date(2026, 9, 4), monthly=False), "USDINR26904FUT"),
        (option_name("NIFTY", date(2026, 12, 29), 24_000 * 10**7, "CE", monthly=True), "NIFTY26DEC24000CE"),
        (option_name("NIFTY", date(2026, 12, 1), 24_000 * 10**7, "CE", monthly=False), "NIFTY26D0124000CE"),
        (option_name("NIFTY", date(2026, 10, 6), 24_000 * 10**7, "PE", monthly=False), "NIFTY26O0624000PE"),
        (option_name("NIFTY", date(2026, 11, 17), 24_000 * 10**7, "PE", monthly=False), "NIFTY26N1724000PE"),
        (option_name("NIFTY", date(2027, 1, 5), 24_000 * 10**7, "PE", monthly=False), "NIFTY2710524000PE"),
        (option_name("USDINR", date(2026, 12, 29), 845_000_000, "CE", monthly=True), "USDINR26DEC84.5CE"),
    ],
)
def test_names_are_kites(name: str, expected: str) -> None:
    assert name == expected


@given(st.sets(DAYS, min_size=1, max_size=30))
def test_each_month_has_one_last_expiry(expiries: set[date]) -> None:
    ends = month_ends(expiries)
    assert ends <= expiries
    assert {(day.year, day.month) for day in ends} == {(day.year, day.month) for day in expiries}
    assert len(ends) == len({(day.year, day.month) for day in expiries})
    assert all(any(end >= day and (end.year, end.month) == (day.year, day.month) for end in ends) for day in expiries)


@given(st.sets(DAYS, min_size=2, max_size=12), STRIKES, st.sampled_from(["CE", "PE"]))
def test_two_expiries_never_share_a_name(expiries: set[date], strike: int, kind: str) -> None:
    ends = month_ends(expiries)
    names = {option_name("NIFTY", day, strike, kind, monthly=day in ends) for day in expiries}
    assert len(names) == len(expiries)


@given(STRIKES)
def test_a_strike_reads_back(strike: int) -> None:
    text = strike_text(strike)
    whole, _, rest = text.partition(".")
    assert int(whole) * 10**7 + int(rest.ljust(7, "0")) == strike
    assert re.fullmatch(r"\d+(\.\d*[1-9])?", text)


@pytest.mark.parametrize(
    ("vendors", "ours"),
    [
        ("Nifty 50", "NIFTY 50"),
        ("NIFTY", "NIFTY 50"),
        ("NIFTY INDEX", "NIFTY 50"),
        ("NIFTY50", "NIFTY 50"),
        ("Nifty Bank", "NIFTY BANK"),
        ("BANKNIFTY", "NIFTY BANK"),
        ("NIFTYBANK", "NIFTY BANK"),
        ("Nifty Fin Service", "NIFTY FIN SERVICE"),
        ("FINNIFTY", "NIFTY FIN SERVICE"),
        ("NIFTY MID SELECT", "NIFTY MID SELECT"),
        ("MIDCPNIFTY", "NIFTY MID SELECT"),
        ("Nifty Next 50", "NIFTY NEXT 50"),
        ("NIFTYNXT50", "NIFTY NEXT 50"),
        ("SENSEX", "SENSEX"),
        ("BANKEX", "BANKEX"),
        ("India VIX", "INDIA VIX"),
        ("INDIAVIX", "INDIA VIX"),
        ("NIFTYIT", "NIFTY IT"),
        ("Nifty  Something New", "NIFTY SOMETHING NEW"),
    ],
)
def test_an_index_has_one_name(vendors: str, ours: str) -> None:
    assert index_name(vendors) == ours
    assert index_name(ours) == ours


@pytest.mark.parametrize(
    ("text", "name"),
    [("NIFTY", "NIFTY"), ("Nifty 50", "NIFTY"), ("NIFTY NEXT 50", "NIFTYNXT50"), (" usdinr ", "USDINR")],
)
def test_an_underlying_has_one_name(text: str, name: str) -> None:
    assert underlying_name(text) == name


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("RELIANCE", ("RELIANCE", "EQ")),
        ("RELIANCE-EQ", ("RELIANCE", "EQ")),
        ("SUZLON-BE", ("SUZLON", "BE")),
        ("BAJAJ-AUTO", ("BAJAJ-AUTO", "EQ")),
        ("BAJAJ-AUTO-BZ", ("BAJAJ-AUTO", "BZ")),
        ("MCDOWELL-N", ("MCDOWELL-N", "EQ")),
        ("94SFL28-YL", ("94SFL28", "YL")),
        ("-BE", ("-BE", "EQ")),
        ("", ("", "EQ")),
    ],
)
def test_a_series_is_two_signs_after_the_last_hyphen(written: str, parts: tuple[str, str]) -> None:
    assert split_series(written) == parts
    if written != "RELIANCE-EQ":
        assert share_name(*parts) == written
