"""What the values of an indicator measure, so that they are compared only with what measures the same."""

from typing import Literal

from feeds.indicators.catalogue import CATALOGUE
from feeds.indicators.indicator import Indicator

Unit = Literal["price", "quantity", "percent", "number"]

OF_ITS_SOURCE = frozenset(
    {
        "sma", "ema", "wma", "dema", "tema", "trima", "kama", "hma", "vwma", "zlema", "rma", "t3", "mama",
        "bbands", "keltner", "donchian", "accbands", "supertrend", "sar", "vwap", "midpoint", "midprice",
        "highest", "lowest", "ht_trendline", "macd", "apo", "mom", "ao", "dpo", "eri", "qstick", "atr", "trange",
        "adr", "stddev", "avgdev", "linearreg", "linearreg_slope", "linearreg_intercept", "tsf", "avgprice",
        "medprice", "typprice", "wclprice", "heikin_ashi",
    }
)  # fmt: skip
"""Prices, or differences of prices; quantities where they are asked for over the volume."""

IN_PERCENT = frozenset({"ppo", "roc", "trix", "natr", "pvo", "cvi", "coppock"})
"""Changes in percent. Oscillators from 0 to 100 are plain numbers."""

OF_VOLUME = frozenset({"obv", "ad", "adosc", "pvt"})

_DIRECTION = ("supertrend", "trend")


def units_of(indicator: Indicator) -> dict[str, Unit]:
    """What each line of an indicator measures; under an empty name where its value is a single number."""
    return {line: _unit(indicator, line) for line in CATALOGUE[indicator.name].outputs or ("",)}


def _unit(indicator: Indicator, line: str) -> Unit:
    if indicator.name in OF_VOLUME:
        return "quantity"
    if indicator.name in IN_PERCENT:
        return "percent"
    if indicator.name not in OF_ITS_SOURCE or (indicator.name, line) == _DIRECTION:
        return "number"
    return "quantity" if indicator.source == "volume" else "price"
