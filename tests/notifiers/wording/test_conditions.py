"""Stored conditions are put into words, and known by what they measure; each is read once."""

import pytest

from auth.identity import LANGUAGES
from notifiers.conditions.dimensions import Dimension
from notifiers.conditions.tree import Condition
from notifiers.wording.conditions import MAX_CACHED, Conditions
from tests.notifiers.jobs import read

CONDITIONS = Conditions(read)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_condition_is_said_in_each_language(language: str) -> None:
    said = CONDITIONS.in_words("price crosses above 2500", language, "NSE", "RELIANCE")
    assert "RELIANCE" in said
    assert "\u20b92,500" in said


def test_what_can_t_be_read_stands_for_itself_and_measures_nothing() -> None:
    assert CONDITIONS.in_words("gone(5) on 5m > 3", "en", "NSE", "TCS") == "gone(5) on 5m > 3"
    assert CONDITIONS.dimension("gone(5) on 5m > 3") is Dimension.NUMBER


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("price > 2500", Dimension.PRICE),
        ("price crosses above sma(20) on 5m", Dimension.PRICE),
        ("change_percent <= -3 for 10s", Dimension.PERCENT),
        ("volume > 2 * sma(volume, 20) on 5m", Dimension.QUANTITY),
        ("rsi(14) on 15m crosses below 30", Dimension.NUMBER),
        ("price enters 2400..2500", Dimension.PRICE),
        ("price moves 2% in 5m", Dimension.PRICE),
        ("price steps 50", Dimension.PRICE),
        ("new day high", Dimension.PRICE),
        ("not volume > 100", Dimension.QUANTITY),
        ("price > 2500 and volume > 100", Dimension.NUMBER),
    ],
)
def test_values_are_measured_in_what_the_condition_compares(text: str, dimension: Dimension) -> None:
    assert CONDITIONS.dimension(text) is dimension


def test_the_same_text_is_read_once() -> None:
    asked: list[str] = []

    def counted(text: str) -> Condition:
        asked.append(text)
        return read(text)

    conditions = Conditions(counted)
    for _ in range(3):
        conditions.in_words("price > 2500", "en", "NSE", "TCS")
    assert asked == ["price > 2500"]
    assert conditions.in_words.cache_info().maxsize == MAX_CACHED
