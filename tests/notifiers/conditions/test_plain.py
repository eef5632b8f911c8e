"""The platform's plain form is read as a condition and channels."""

import pytest

from notifiers.conditions.parser import parse
from notifiers.conditions.plain import Plain, channels_of, condition_of, plain
from notifiers.conditions.text import text
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode
from tests.notifiers.conditions.trees import READER


@pytest.mark.parametrize(
    ("condition", "threshold", "means"),
    [
        ("price > 500", None, "price > 500"),
        ("price > 500", 500, "price > 500"),
        ("price > 500", "500.00", "price > 500"),
        ("price >", 500, "price > 500"),
        (" price crosses above ", "2,500.5", "price crosses above 2500.5"),
        ("price moves 2% in 5m", 2, "price moves 2% in 5m"),
        ("above", 500, "price > 500"),
        ("Below", 500.25, "price < 500.25"),
        ("crosses_above", 500, "price crosses above 500"),
        ("crosses below", 500, "price crosses below 500"),
        ("CROSSING-UP", 500, "price crosses above 500"),
        ("greater_than", 500, "price > 500"),
        ("greater than", 500, "price > 500"),
        (">", 500, "price > 500"),
        (">=", 500, "price >= 500"),
        ("=", 500, "price == 500"),
        ("lte", 500, "price <= 500"),
        ("rsi(7) on 5m <", 30, "rsi(7) on 5m < 30"),
        ("change_percent <", -3, "change_percent < -3"),
        ("price > bid", 5, "price > bid"),
    ],
)
def test_a_condition_and_its_threshold(condition: str, threshold: float | str | None, means: str) -> None:
    assert text(parse(condition_of(condition, threshold, READER), READER)) == means


@pytest.mark.parametrize(
    ("condition", "threshold", "fault"),
    [
        ("above", None, "Expected a number in `threshold`, since 'above' has none"),
        ("price >", None, "Expected a number or a figure such as price, but the text ends - at character 8"),
        ("price > 500", 400, "`threshold` is 400, but `condition` says 500"),
        ("above", "many", "Expected a number in `threshold`, got 'many'"),
        ("above", "nan", "Expected a number in `threshold`, got 'nan'"),
        ("above", 1e300, "Expected a number in `threshold`"),
        ("pric >", 500, "No figure or indicator is called 'pric'; did you mean price"),
        ("price crosess above", 500, "did you mean crosses? - at character 7"),
        ("", 500, "Expected a comparison such as >"),
    ],
)
def test_what_is_missing_or_wrong_is_said(condition: str, threshold: float | str | None, fault: str) -> None:
    with pytest.raises(CommandError) as refused:
        condition_of(condition, threshold, READER)
    assert refused.value.code is ErrorCode.BAD_REQUEST
    assert fault in refused.value.message


@pytest.mark.parametrize(
    ("said", "ways"),
    [
        (None, (Way.WEBSOCKET,)),
        ([], (Way.WEBSOCKET,)),
        ("email", (Way.EMAIL,)),
        ("SMS, email", (Way.SMS, Way.EMAIL)),
        (["push", "push", "voice"], (Way.PUSH, Way.VOICE)),
        ("all", (Way.WEBSOCKET, Way.EMAIL, Way.SMS, Way.PUSH)),
        ("call", (Way.VOICE,)),
    ],
)
def test_notification_types_are_channels(said: str | list[str] | None, ways: tuple[Way, ...]) -> None:
    assert channels_of(said) == ways


def test_an_unknown_notification_type_is_refused() -> None:
    with pytest.raises(CommandError, match="websocket email sms voice push webhook all, got 'pigeon'"):
        channels_of("email,pigeon")


def test_the_whole_form() -> None:
    assert plain("price >", 500, "email", READER) == Plain("price > 500", (Way.EMAIL,))


def test_indicators_without_candles_take_those_handed_in() -> None:
    assert condition_of("rsi <", 30, READER, "15m") == "rsi < 30"
