"""What expressions measure, and in what their parts are to be computed."""

import pytest

from notifiers.conditions.dimensions import (
    ALIASES,
    BAR_FIELDS,
    TICK_FIELDS,
    Dimension,
    NoDimension,
    dimension_of,
    dimension_of_field,
    meeting,
    sides_of,
)
from notifiers.conditions.tree import Arithmetic, Expression, Field, Indicator, Number
from schemas.market import Tick

PRICE, VOLUME, PERCENT = Field(name="price"), Field(name="volume"), Field(name="change_percent")
RSI, SMA = Indicator(text="rsi", timeframe="5m"), Indicator(text="sma", timeframe="5m", gives="price")
TWO = Number(value=2.0)
OPERANDS = {"price": PRICE, "volume": VOLUME, "percent": PERCENT, "rsi": RSI, "sma": SMA, "2": TWO}


def made(op: str, left: str, right: str) -> Arithmetic:
    return Arithmetic(op=op, left=OPERANDS[left], right=OPERANDS[right])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "measures"),
    [
        ("price - sma", Dimension.PRICE),
        ("price + 2", Dimension.PRICE),
        ("2 + price", Dimension.PRICE),
        ("price * 2", Dimension.PRICE),
        ("2 * price", Dimension.PRICE),
        ("rsi * volume", Dimension.QUANTITY),
        ("price / 2", Dimension.PRICE),
        ("price / rsi", Dimension.PRICE),
        ("price / sma", Dimension.NUMBER),
        ("percent / percent", Dimension.NUMBER),
        ("2 / rsi", Dimension.NUMBER),
        ("rsi * rsi", Dimension.NUMBER),
        ("2 * 2", None),
        ("2 / 2", None),
        ("2 - 2", None),
    ],
)
def test_an_arithmetic_measures(said: str, measures: Dimension | None) -> None:
    left, op, right = said.split()
    assert dimension_of(made(op, left, right)) is measures


@pytest.mark.parametrize(
    "said",
    ["price + volume", "price - percent", "price * price", "price * volume", "2 / price", "rsi / price",
     "volume / price", "rsi + percent", "rsi - sma"],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(said: str) -> None:
    left, op, right = said.split()
    with pytest.raises(NoDimension) as refused:
        dimension_of(made(op, left, right))
    assert refused.value.op == op
    assert "has no meaning" in str(refused.value)


@pytest.mark.parametrize(
    ("said", "wanted", "sides"),
    [
        ("price + 2", Dimension.PRICE, (Dimension.PRICE, Dimension.PRICE)),
        ("2 * price", Dimension.PRICE, (Dimension.NUMBER, Dimension.PRICE)),
        ("price * 2", Dimension.PRICE, (Dimension.PRICE, Dimension.NUMBER)),
        ("price / 2", Dimension.PRICE, (Dimension.PRICE, Dimension.NUMBER)),
        ("price / sma", Dimension.NUMBER, (Dimension.PRICE, Dimension.PRICE)),
        ("volume / volume", Dimension.NUMBER, (Dimension.QUANTITY, Dimension.QUANTITY)),
        ("2 * rsi", Dimension.NUMBER, (Dimension.NUMBER, Dimension.NUMBER)),
    ],
)
def test_each_side_is_computed_in(said: str, wanted: Dimension, sides: tuple[Dimension, Dimension]) -> None:
    left, op, right = said.split()
    assert sides_of(made(op, left, right), wanted) == sides


def test_constants_take_the_dimension_that_they_meet() -> None:
    assert meeting(PRICE, TWO) is Dimension.PRICE
    assert meeting(TWO, VOLUME) is Dimension.QUANTITY
    assert meeting(TWO, TWO) is Dimension.NUMBER
    assert meeting(SMA, TWO, PRICE) is Dimension.PRICE
    with pytest.raises(NoDimension):
        meeting(PRICE, TWO, VOLUME)


@pytest.mark.parametrize(
    ("field", "measures"),
    [
        (Field(name="ltp"), Dimension.PRICE),
        (Field(name="oi"), Dimension.QUANTITY),
        (Field(name="price", timeframe="5m"), Dimension.PRICE),
        (Field(name="bid", timeframe="5m"), None),
        (Field(name="nothing"), None),
    ],
)
def test_a_field_measures(field: Field, measures: Dimension | None) -> None:
    assert dimension_of_field(field) is measures


def test_a_field_that_is_not_there_has_no_dimension() -> None:
    with pytest.raises(KeyError):
        dimension_of(Field(name="nothing"))


def test_every_alias_stands_for_a_figure_and_is_none() -> None:
    assert set(ALIASES.values()) <= set(TICK_FIELDS)
    assert not set(ALIASES) & set(TICK_FIELDS)


def test_the_figures_of_a_tick_are_its_own_or_worked_out_from_them() -> None:
    derived = {"change", "spread", "change_percent", "change_from_open_percent"}
    derived |= {"upper_circuit_distance_percent", "lower_circuit_distance_percent"}
    assert set(TICK_FIELDS) - derived <= set(Tick.__struct_fields__)
    assert set(BAR_FIELDS) <= set(TICK_FIELDS)


def test_an_expression_goes_down_to_its_leaves() -> None:
    whole: Expression = Arithmetic(op="/", left=made("-", "price", "sma"), right=made("*", "2", "price"))
    assert dimension_of(whole) is Dimension.NUMBER
