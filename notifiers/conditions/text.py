"""A canonical tree as its text, which reads as the same tree again."""

import re
from decimal import Decimal
from typing import assert_never

from notifiers.conditions.dimensions import BAR_FIELDS
from notifiers.conditions.lexer import SYMBOL
from notifiers.conditions.tree import (
    And,
    Arithmetic,
    Channel,
    Compare,
    Condition,
    Cross,
    Expression,
    Extreme,
    Field,
    Hold,
    Indicator,
    Move,
    Not,
    Number,
    Or,
    Step,
    Then,
    Timeframe,
    walk,
)

_PLAIN_SYMBOL = re.compile(SYMBOL)


def text(tree: Condition) -> str:
    """The canonical text of a canonical tree."""
    match tree:
        case Then():
            first, second = _within(tree.first, Or, And), _within(tree.second, Or, And)
            first = text(tree.first) if isinstance(tree.first, Then) else first
            return f"{first} then {second} within {duration(tree.within_s)}"
        case Or():
            return " or ".join(_within(one, And) for one in tree.terms)
        case And():
            return " and ".join(_within(one) for one in tree.terms)
        case Not():
            return f"not {_within(tree.term)}"
        case Hold():
            term = _bracketed(text(tree.term)) if isinstance(tree.term, Not) else _within(tree.term)
            return f"{term} for {_held(tree)}"
        case Compare() | Cross() | Channel() | Move() | Step() | Extreme():
            return _relation(tree)
        case _:
            assert_never(tree)


def expression_text(expression: Expression) -> str:
    """The canonical text of an expression that stands alone."""
    return _sum(expression, _Manner())


def duration(seconds: int) -> str:
    """`10s`, `5m`, `2h`."""
    if seconds % 3600 == 0:
        return f"{seconds // 3600}h"
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def number(value: float) -> str:
    """A number in full, without a needless fraction."""
    return format(Decimal(repr(float(value))), "f").removesuffix(".0")


def place(exchange: str | None, symbol: str | None) -> str:
    """`NSE:NIFTY 50.`, in front of a figure; nothing for the alert's own instrument."""
    if exchange is None or symbol is None:
        return ""
    return f"{exchange}:{symbol}." if _PLAIN_SYMBOL.fullmatch(symbol) else f'{exchange}:"{symbol}".'


def _within(tree: Condition, *bare: type[Condition]) -> str:
    """A term, in brackets where it would come apart without."""
    said = text(tree)
    loose = isinstance(tree, Then | Or | And) and not isinstance(tree, bare)
    return _bracketed(said) if loose else said


def _bracketed(said: str) -> str:
    return f"({said})"


def _held(tree: Hold) -> str:
    return f"{tree.samples} ticks" if tree.seconds is None else duration(tree.seconds)


class _Manner:
    """How operands are written: `counted` candles need no saying, and brackets keep `on` from figures that aren't its.

    For `on 5m` at the end of a relation holds for all of it that could be meant.
    """

    def __init__(self, *expressions: Expression, counted: Timeframe | None = None) -> None:
        self.counted = counted
        fields = [one for whole in expressions for one in walk(whole) if isinstance(one, Field)]
        self.guarded = any(one.timeframe is None and one.name in BAR_FIELDS and one.name != "close" for one in fields)


def _relation(tree: Compare | Cross | Channel | Move | Step | Extreme) -> str:
    match tree:
        case Compare():
            manner = _Manner(tree.left, tree.right)
            return f"{_sum(tree.left, manner)} {tree.op} {_sum(tree.right, manner)}"
        case Cross():
            manner = _Manner(tree.left, tree.right)
            how = "crosses" if tree.direction == "any" else f"crosses {tree.direction}"
            return f"{_sum(tree.left, manner)} {how} {_sum(tree.right, manner)}"
        case Channel():
            manner = _Manner(tree.value, tree.low, tree.high)
            parted = ".." if isinstance(tree.low, Number) and isinstance(tree.high, Number) else " .. "
            bounds = f"{_sum(tree.low, manner)}{parted}{_sum(tree.high, manner)}"
            return f"{_sum(tree.value, manner)} {tree.relation} {bounds}"
        case Move():
            return _move(tree)
        case Step():
            return f"{_sum(tree.value, _Manner(tree.value))} steps {_amount(tree)}"
        case Extreme():
            new = f"new {'day' if tree.of == 'day' else '52w'} {tree.which}"
            return f"{place(tree.exchange, tree.symbol)}price makes {new}" if tree.symbol else new
        case _:
            assert_never(tree)


def _move(tree: Move) -> str:
    how = "moves" if tree.direction == "any" else f"moves {tree.direction}"
    if tree.within_bars is None:
        value, window = _sum(tree.value, _Manner(tree.value)), duration(tree.within_s or 0)
    else:
        value = _sum(tree.value, _Manner(counted=tree.timeframe))
        window = f"{tree.within_bars} bars on {tree.timeframe}"
    return f"{value} {how} {_amount(tree)} in {window}"


def _amount(tree: Move | Step) -> str:
    return f"{number(tree.amount)}%" if tree.percent else number(tree.amount)


def _sum(node: Expression, manner: _Manner) -> str:
    match node:
        case Number():
            return number(node.value)
        case Field() | Indicator():
            return _operand(node, manner)
        case Arithmetic():
            left, right = _sum(node.left, manner), _sum(node.right, manner)
            if isinstance(node.left, Arithmetic) and _rank(node.left) < _rank(node):
                left = _bracketed(left)
            if isinstance(node.right, Arithmetic) and _rank(node.right) <= _rank(node):
                right = _bracketed(right)
            return f"{left} {node.op} {right}"
        case _:
            assert_never(node)


def _rank(node: Arithmetic) -> int:
    return 1 if node.op in {"+", "-"} else 2


def _operand(node: Field | Indicator, manner: _Manner) -> str:
    if isinstance(node, Indicator):
        name = f"{node.text}.{node.line}" if node.line else node.text
    else:
        name = "prev_close" if node.name == "close" and node.timeframe is None else node.name
    said = f"{place(node.exchange, node.symbol)}{name}"
    if node.timeframe is None or node.timeframe == manner.counted:
        return said
    return _bracketed(f"{said} on {node.timeframe}") if manner.guarded else f"{said} on {node.timeframe}"
