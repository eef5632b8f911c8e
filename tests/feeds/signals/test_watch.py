"""Standing signals end at their target or stop, however the price gets there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.signals.rules import SignalType
from feeds.signals.signal import Outcome, Signal, Status
from feeds.signals.watch import Closing, Watch

AT_S = 1_000_000


def signal(signal_id: int = 1, **fields: Any) -> Signal:
    values: dict[str, Any] = {
        "exchange": "NSE", "symbol": "TCS", "signal_type": SignalType.BUY, "confidence": 60.0,
        "entry_price": 100, "target_price": 130, "stop_loss": 85, "expires_at": AT_S + 100,
        "id": signal_id, "status": Status.ACTIVE, "created_at": AT_S, "updated_at": AT_S,
    }  # fmt: skip
    return Signal(**values | fields)


SELL = {"signal_type": SignalType.SELL, "target_price": 70, "stop_loss": 115}


@pytest.mark.parametrize(
    ("fields", "price", "outcome"),
    [
        ({}, 129, None),
        ({}, 130, Outcome.TARGET),
        ({}, 500, Outcome.TARGET),
        ({}, 86, None),
        ({}, 85, Outcome.STOP),
        ({}, 1, Outcome.STOP),
        (SELL, 71, None),
        (SELL, 70, Outcome.TARGET),
        (SELL, 1, Outcome.TARGET),
        (SELL, 114, None),
        (SELL, 115, Outcome.STOP),
        (SELL, 900, Outcome.STOP),
        ({"target_price": None}, 500, None),
        ({"stop_loss": None}, 1, None),
        ({"signal_type": SignalType.HOLD}, 500, None),
    ],
)
def test_a_level_that_is_touched_or_jumped_over_ends_a_signal(
    fields: dict[str, Any], price: int, outcome: Outcome | None
) -> None:
    watch = Watch([signal(**fields)])
    expected = [] if outcome is None else [Closing(1, outcome, price, AT_S + 5)]
    assert watch.on_price("NSE", "TCS", price, AT_S * 1000 + 5_900) == expected
    assert len(watch.standing("NSE", "TCS")) == (outcome is None)
    assert watch.on_price("NSE", "TCS", price, AT_S * 1000 + 6_000) == []


def test_prices_of_others_and_of_other_times_leave_a_signal_alone() -> None:
    watch = Watch([signal()])
    assert watch.on_price("BSE", "TCS", 500, AT_S * 1000) == []
    assert watch.on_price("NSE", "INFY", 500, AT_S * 1000) == []
    assert watch.on_price("NSE", "TCS", 500, AT_S * 1000 - 1) == []
    assert watch.on_price("NSE", "TCS", 500, (AT_S + 100) * 1000) == []
    assert watch.on_price("NSE", "TCS", 500, (AT_S + 100) * 1000 - 1) != []


def test_a_price_ends_all_signals_that_it_reaches() -> None:
    watch = Watch([signal(1), signal(2, target_price=500), signal(3)])
    assert [one.signal_id for one in watch.on_price("NSE", "TCS", 200, AT_S * 1000)] == [1, 3]
    assert [one.id for one in watch.standing("NSE", "TCS")] == [2]
    watch.drop(signal(2))
    watch.drop(signal(2))
    assert watch.standing("NSE", "TCS") == []


def test_a_changed_signal_is_watched_by_its_new_levels() -> None:
    watch = Watch([signal()])
    watch.add(signal(target_price=300))
    assert watch.on_price("NSE", "TCS", 200, AT_S * 1000) == []


@given(st.lists(st.integers(1, 200)), st.booleans())
def test_a_signal_ends_once_and_at_the_first_price_beyond_a_level(prices: list[int], sell: bool) -> None:
    watch = Watch([signal(**SELL) if sell else signal()])
    low, high = (70, 115) if sell else (85, 130)
    closings = [one for price in prices for one in watch.on_price("NSE", "TCS", price, AT_S * 1000)]
    beyond = [price for price in prices if not low < price < high]
    assert [one.price for one in closings] == beyond[:1]
