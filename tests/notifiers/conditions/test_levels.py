"""The levels of a condition are the constants that its own instrument's price meets."""

import pytest

from hub.alerting.indicators import CatalogueReader
from notifiers.conditions.checking import check_text
from notifiers.conditions.levels import levels


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("price crosses above 2500", [2500.0]),
        ("2500 < ltp", [2500.0]),
        ("price > 2 * 1250.25", [2500.5]),
        ("price enters 2400..2600", [2400.0, 2600.0]),
        ("price > 2600 or price < 2400 or price == 2600", [2400.0, 2600.0]),
        ("(price crosses below 2400 then high > 2500 within 1h) and not low < 2300", [2300.0, 2400.0, 2500.0]),
        ("close on 5m > 2500 for 3 samples", [2500.0]),
        ("NSE:TCS.price > 2500", [2500.0]),
        ("NSE:INFY.price > 1500", []),
        ("volume > 1000000", []),
        ("change > 5", []),
        ("rsi on 5m < 30", []),
        ("price > prev_close * 1.02", []),
        ("price > sma(20) on 1d", []),
        ("price * 2 > 5000", []),
        ("price rises by 2% in 5m", []),
        ("new day high", []),
    ],
)
def test_levels_are_what_the_instruments_own_price_is_compared_with(condition: str, found: list[float]) -> None:
    assert levels(check_text(condition, "NSE", "TCS", CatalogueReader()).tree) == found
