"""Figures are written as people in India write them, whatever the language."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.wording import numbers
from notifiers.wording.numbers import change, moment, money, number, percent, price

AT_MS = 1_795_322_702_000
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1234567.5, "12,34,567.50"),
        (100000, "1,00,000.00"),
        (999.0, "999.00"),
        (0.05, "0.05"),
        (84.1275, "84.1275"),
        (84.12756, "84.1276"),
        (-0.00001, "0.00"),
        (-12.5, "-12.50"),
        (123456789012.0, "1,23,45,67,89,012.00"),
        (None, "-"),
        (float("nan"), "-"),
        (float("inf"), "-"),
    ],
)
def test_a_price_is_grouped_in_lakhs_and_crores(value: float | None, said: str) -> None:
    assert price(value) == said


@pytest.mark.parametrize(
    ("exchange", "symbol", "said"),
    [
        ("NSE", "RELIANCE", "\u20b92,500.00"),
        ("NFO", "NIFTY26DECFUT", "\u20b92,500.00"),
        ("NSE", "NIFTY 50", "2,500.00"),
        ("NSE", "INDIA VIX", "2,500.00"),
        ("BSE", "SENSEX", "2,500.00"),
    ],
)
def test_an_index_is_counted_in_points(exchange: str, symbol: str, said: str) -> None:
    assert money(2500, exchange, symbol) == said


def test_a_sign_stands_before_the_currency() -> None:
    assert money(-12.5, "NSE", "TCS") == "-\u20b912.50"
    assert money(None, "NSE", "TCS") == "-"


@pytest.mark.parametrize(("value", "said"), [(1234567, "12,34,567"), (31.25, "31.25"), (1e-5, "0"), (None, "-")])
def test_a_quantity_has_no_needless_decimals(value: float | None, said: str) -> None:
    assert number(value) == said


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [(2.345, "2.34", "+2.34%"), (-1.2, "-1.20", "-1.20%"), (0.0, "0.00", "+0.00%"), (None, "-", "-")],
)
def test_a_change_has_its_sign(value: float | None, plain: str, signed: str) -> None:
    assert (percent(value), change(value)) == (plain, signed)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Asia/Kolkata", "10:15:02 IST"),
        ("", "10:15:02 IST"),
        ("Asia/Dubai", "08:45:02 UTC+04"),
        ("America/New_York", "23:45:02 EST"),
        ("No/Where", "10:15:02 IST"),
        ("../etc/passwd", "10:15:02 IST"),
    ],
)
def test_a_time_is_by_the_user_s_clock(zone: str, said: str) -> None:
    assert moment(AT_MS, zone, AT_MS + 1000) == said


def test_a_time_of_another_day_has_its_date() -> None:
    assert moment(AT_MS, "Asia/Kolkata", AT_MS + DAY_MS) == "22-11-2026 10:15:02 IST"
    assert moment(AT_MS, "America/New_York", AT_MS + 3_600_000) == "21-11-2026 23:45:02 EST"


@given(st.floats(-1e12, 1e12))
def test_nothing_is_lost_by_grouping(value: float) -> None:
    said = price(value)
    assert abs(Decimal(said.replace(",", "")) - Decimal(repr(value))) <= Decimal("0.00005")
    assert said.isascii()
    whole = said.lstrip("-").split(".")[0].split(",")
    assert all(len(group) == 2 for group in whole[1:-1])
    assert said != numbers.UNKNOWN
