"""After a corporate action prices and quantities are in terms of those after it, and nothing else changes."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.conditions.checking import check_text
from notifiers.conditions.dimensions import Dimension
from notifiers.conditions.rescale import rescale, rescaled
from notifiers.conditions.text import text
from notifiers.conditions.tree import Condition
from tests.notifiers.conditions.trees import READER, conditions

OWN = ("NSE", "RELIANCE")
HALF = Fraction(1, 2)


def tree(said: str) -> Condition:
    return check_text(said, *OWN, READER).tree


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("price > 2500", "price > 1250"),
        ("price crosses above 2500.05", "price crosses above 1250.025"),
        ("price enters 2400..2500", "price enters 1200..1250"),
        ("2 * (price + 5) - 3 > 10", "2 * (price + 2.5) - 1.5 > 5"),
        ("price / 100 > 25", "price / 100 > 12.5"),
        ("price * 1.02 > prev_close", "price * 1.02 > prev_close"),
        ("price / prev_close > 1.02", "price / prev_close > 1.02"),
        ("(price - 100) / bid > 1.02", "(price - 50) / bid > 1.02"),
        ("volume > 1000", "volume > 2000"),
        ("volume on 5m > 2 * sma(volume,20) on 5m + 10", "volume on 5m > 2 * sma(volume,20) on 5m + 20"),
        ("change_percent <= -3", "change_percent <= -3"),
        ("rsi on 5m < 30", "rsi on 5m < 30"),
        ("macd on 5m > 4", "macd.macd on 5m > 2"),
        ("price > sma(50) on 1d + 10", "price > sma(50) on 1d + 5"),
        ("price moves 2% in 5m", "price moves 2% in 5m"),
        ("price moves 20 in 5m", "price moves 10 in 5m"),
        ("volume moves 20 in 3 bars on 5m", "volume moves 40 in 3 bars on 5m"),
        ("price steps 50", "price steps 25"),
        ("price steps 1%", "price steps 1%"),
        ("new day high", "new day high"),
        ("price > 0", "price > 0"),
        ("NSE:TCS.price > 500", "NSE:TCS.price > 500"),
        (
            "not price > 10 and (price > 20 for 10s or NSE:TCS.price > 5) then price > 30 within 5m",
            "not price > 5 and (price > 10 for 10s or NSE:TCS.price > 5) then price > 15 within 5m",
        ),
    ],
)
def test_a_split_of_one_into_two(before: str, after: str) -> None:
    done = rescale(tree(before), OWN, OWN, HALF)
    assert text(done.tree) == after
    assert done.left == ()


def test_constants_of_another_instrument_change_with_that_one() -> None:
    said = tree("price > 2500 and NSE:TCS.price > 500")
    assert text(rescale(said, OWN, ("NSE", "TCS"), HALF).tree) == "price > 2500 and NSE:TCS.price > 250"
    assert text(rescale(said, OWN, OWN, HALF).tree) == "price > 1250 and NSE:TCS.price > 500"


def test_where_instruments_meet_prices_stay_and_that_is_said() -> None:
    said = tree("price > 10 and price - NSE:TCS.price > 80 and price > NSE:TCS.price")
    done = rescale(said, OWN, OWN, HALF)
    assert text(done.tree) == "price > 5 and price - NSE:TCS.price > 80 and price > NSE:TCS.price"
    assert done.left == ("price - NSE:TCS.price > 80",)


def test_a_constant_that_would_leave_its_bounds_stays_and_that_is_said() -> None:
    for said in ("price > 0.0000001", "volume > 90000000000"):
        done = rescale(tree(said), OWN, OWN, Fraction(1, 100))
        assert (text(done.tree), done.left) == (said, (said,))


def test_results_have_seven_decimals() -> None:
    assert rescaled(100.0, Dimension.PRICE, Fraction(1, 3)) == 33.3333333
    assert rescaled(100.0, Dimension.QUANTITY, Fraction(3, 1)) == 33.3333333
    assert rescaled(100.0, Dimension.PERCENT, Fraction(1, 3)) == 100.0


@given(conditions(), st.integers(2, 20))
def test_an_instrument_that_is_not_looked_at_changes_nothing(said: Condition, times: int) -> None:
    done = rescale(said, OWN, ("NFO", "NOTHERE"), Fraction(1, times))
    assert (done.tree, done.left) == (said, ())
