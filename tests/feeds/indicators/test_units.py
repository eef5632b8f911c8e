"""What an indicator measures is that of its source, a percentage, or a plain number."""

import pytest

from feeds.indicators.catalogue import CATALOGUE
from feeds.indicators.indicator import parse
from feeds.indicators.units import IN_PERCENT, OF_ITS_SOURCE, OF_VOLUME, units_of


def test_the_tables_name_indicators_of_the_catalogue_once() -> None:
    assert set(CATALOGUE) >= OF_ITS_SOURCE | IN_PERCENT | OF_VOLUME
    assert len(OF_ITS_SOURCE) + len(IN_PERCENT) + len(OF_VOLUME) == len(OF_ITS_SOURCE | IN_PERCENT | OF_VOLUME)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("sma(50)", {"": "price"}),
        ("sma(high,50)", {"": "price"}),
        ("sma(volume,50)", {"": "quantity"}),
        ("roc(volume,10)", {"": "percent"}),
        ("rsi", {"": "number"}),
        ("rsi(volume,14)", {"": "number"}),
        ("obv", {"": "quantity"}),
        ("supertrend", {"value": "price", "trend": "number"}),
        ("bbands(volume,20,2)", {"upper": "quantity", "middle": "quantity", "lower": "quantity"}),
        ("stoch", {"k": "number", "d": "number"}),
    ],
)
def test_each_line_has_its_unit(text: str, units: dict[str, str]) -> None:
    assert units_of(parse(text)) == units
