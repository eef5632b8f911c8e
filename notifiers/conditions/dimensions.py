"""What an expression measures: a price, a quantity, a percentage or a plain number. Pure.

    price ± price = price        price * number = price       price / number = price       price / price = number

and so for the other dimensions; anything else has no meaning and is refused when a condition is made. A constant
measures nothing by itself: beside `+` and `-` and where it is compared it takes the dimension of what it meets, beside
`*` and `/` it is a plain number. Whoever computes or rescales an expression goes down from the top:

    wanted = meeting(node.left, node.right)          # what a comparison is done in
    left, right = sides_of(arithmetic, wanted)       # what each side of an arithmetic is to be computed in

A tree that `checking.check` let through never raises here.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from notifiers.conditions.tree import Arithmetic, Expression, Field, Indicator, Number
from schemas.errors import TickhubError


class Dimension(StrEnum):
    """What a value measures."""

    PRICE = "price"
    QUANTITY = "quantity"
    PERCENT = "percent"
    NUMBER = "number"


_PRICES = (
    "price", "open", "high", "low", "close", "change", "average_price", "bid", "ask", "spread",
    "year_high", "year_low", "upper_circuit", "lower_circuit",
)  # fmt: skip
_QUANTITIES = (
    "volume", "last_quantity", "open_interest", "open_interest_high", "open_interest_low",
    "total_buy_quantity", "total_sell_quantity",
)  # fmt: skip
_PERCENTAGES = (
    "change_percent", "change_from_open_percent", "upper_circuit_distance_percent", "lower_circuit_distance_percent",
)  # fmt: skip

TICK_FIELDS = MappingProxyType(
    dict.fromkeys(_PRICES, Dimension.PRICE)
    | dict.fromkeys(_QUANTITIES, Dimension.QUANTITY)
    | dict.fromkeys(_PERCENTAGES, Dimension.PERCENT)
)
"""The figures of a tick by their canonical names. `close` is the previous session's."""

BAR_FIELDS = MappingProxyType(
    dict.fromkeys(("open", "high", "low", "close"), Dimension.PRICE)
    | dict.fromkeys(("volume", "open_interest"), Dimension.QUANTITY)
)
"""The figures of a candle by their canonical names. `close` is the candle's own; `price` on a candle is its close."""

ALIASES = MappingProxyType(
    {
        "ltp": "price",
        "last_price": "price",
        "prev_close": "close",
        "previous_close": "close",
        "percent_change": "change_percent",
        "day_change_percent": "change_percent",
        "intraday_percent": "change_from_open_percent",
        "atp": "average_price",
        "vwap": "average_price",
        "ltq": "last_quantity",
        "oi": "open_interest",
        "oi_high": "open_interest_high",
        "oi_low": "open_interest_low",
        "high_52w": "year_high",
        "low_52w": "year_low",
    }
)
"""Other names for a tick's figures. No canonical tree holds them."""


class NoDimension(TickhubError):
    """An arithmetic or a comparison puts together what can't be: `left` with `right` by `op`."""

    def __init__(self, op: str, left: Dimension | None, right: Dimension | None) -> None:
        super().__init__(op, left, right)
        self.op = op
        self.left = left
        self.right = right

    def __str__(self) -> str:
        return f"{self.left or 'a constant'} {self.op} {self.right or 'a constant'} has no meaning"


def dimension_of_field(field: Field) -> Dimension | None:
    """What a field measures, also by another name; None for one that doesn't exist where it is looked for."""
    if field.timeframe is not None:
        return BAR_FIELDS.get("close" if field.name in {"price", "ltp"} else field.name)
    return TICK_FIELDS.get(ALIASES.get(field.name, field.name))


def dimension_of(expression: Expression) -> Dimension | None:
    """What an expression measures; None for constants alone, which take what they meet.

    Raises NoDimension for an arithmetic without meaning, KeyError for a field that doesn't exist.
    """
    match expression:
        case Number():
            return None
        case Field():
            found = dimension_of_field(expression)
            if found is None:
                raise KeyError(expression.name)
            return found
        case Indicator():
            return Dimension(expression.gives)
        case Arithmetic():
            left, right = dimension_of(expression.left), dimension_of(expression.right)
            return _combined(expression.op, left, right)
        case _:
            assert_never(expression)


def meeting(*expressions: Expression) -> Dimension:
    """What expressions are compared in; constants alone as plain numbers. Raises NoDimension where they differ."""
    found: Dimension | None = None
    for one in expressions:
        dimension = dimension_of(one)
        if found is not None and dimension is not None and dimension is not found:
            raise NoDimension("compared with", found, dimension)
        found = found or dimension
    return found or Dimension.NUMBER


def sides_of(arithmetic: Arithmetic, wanted: Dimension) -> tuple[Dimension, Dimension]:
    """In which dimensions left and right are to be computed, so that the whole comes out in `wanted`."""
    left, right = dimension_of(arithmetic.left), dimension_of(arithmetic.right)
    match arithmetic.op:
        case "+" | "-":
            return wanted, wanted
        case "*":
            return (Dimension.NUMBER, wanted) if left in _PLAIN else (wanted, Dimension.NUMBER)
        case "/":
            if left is not None and left is right:
                return left, left
            return wanted, Dimension.NUMBER
        case _:
            assert_never(arithmetic.op)


_PLAIN = frozenset({None, Dimension.NUMBER})


def _combined(op: str, left: Dimension | None, right: Dimension | None) -> Dimension | None:
    if op in {"+", "-"} and (left is right or left is None or right is None):
        return left or right
    if op == "*" and (left in _PLAIN or right in _PLAIN):
        return _product(left, right)
    if op == "/" and right in _PLAIN:
        return _product(left, right)
    if op == "/" and left is right:
        return Dimension.NUMBER
    raise NoDimension(op, left, right)


def _product(left: Dimension | None, right: Dimension | None) -> Dimension | None:
    """One of them is a plain number or a constant: the whole measures what the other one does."""
    measured = [one for one in (left, right) if one not in _PLAIN]
    if measured:
        return measured[0]
    return Dimension.NUMBER if Dimension.NUMBER in {left, right} else None
