"""A condition in words, in the five languages: `RELIANCE crosses above ₹2,500`.

The sentences stand in `words.toml`. Numbers have Latin digits and Indian grouping in every language; prices of indices
are points and have no currency. The alert's own instrument is named once in each relation.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Literal, assert_never

import msgspec

from notifiers.conditions.dimensions import BAR_FIELDS, TICK_FIELDS, Dimension, meeting, sides_of
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
    Node,
    Not,
    Number,
    Or,
    Step,
    Then,
    walk,
)

Unit = Literal["second", "minute", "hour"]
Forms = tuple[str, str]
"""For one and for several."""


class Sentences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one language says; what varies stands in braces."""

    figure: str
    on_candles: str
    and_: str = msgspec.field(name="and")
    or_: str = msgspec.field(name="or")
    not_: str = msgspec.field(name="not")
    hold: str
    hold_samples: str
    then: str
    step: str
    within_candles: str
    compare: dict[Literal[">", ">=", "<", "<=", "=="], str]
    cross: dict[Literal["above", "below", "any"], str]
    channel: dict[Literal["enters", "exits", "inside", "outside"], str]
    move: dict[Literal["up", "down", "any"], str]
    extreme: dict[Literal["day_high", "day_low", "year_high", "year_low"], str]
    for_: dict[Unit, Forms] = msgspec.field(name="for")
    within: dict[Unit, Forms]
    figures: dict[str, str]
    joins: tuple[tuple[str, str], ...] = ()
    """Noun and ending apart, and as one word."""


@cache
def sentences() -> Mapping[str, Sentences]:
    """Every language's, by its code."""
    source = files("notifiers").joinpath("conditions", "words.toml").read_bytes()
    return msgspec.toml.decode(source, type=dict[str, Sentences])


def words(tree: Condition, language: str, exchange: str, symbol: str) -> str:
    """A checked tree of an alert on that instrument in words; in English where the language is unknown."""
    known = sentences().get(language) or sentences()["en"]
    said = _Speaker(known, exchange, symbol).condition(tree)
    for apart, joined in known.joins:
        said = said.replace(apart, joined)
    return said


def amount_in_words(value: float, dimension: Dimension, *, index: bool = False) -> str:
    """A value as people read it: `₹2,500.50`, `12,34,567`, `-3%`; prices of an index without a currency."""
    number = indian(value)
    if dimension is Dimension.PERCENT:
        return f"{number}%"
    if dimension is not Dimension.PRICE or index:
        return number
    return f"-₹{number[1:]}" if number.startswith("-") else f"₹{number}"


def indian(value: float) -> str:
    """A number with Indian grouping, `12,34,567.50`: without a fraction, or with at least two digits of it."""
    whole, _, fraction = format(abs(Decimal(repr(float(value)))), "f").partition(".")
    fraction = fraction.rstrip("0")
    head, tail = whole[:-3], whole[-3:]
    grouped = ",".join([*re.findall(r"\d{1,2}(?=(?:\d\d)*$)", head), tail])
    sign = "-" if value < 0 else ""
    return f"{sign}{grouped}.{fraction:0<2}" if fraction else f"{sign}{grouped}"


def is_index(exchange: str, symbol: str) -> bool:
    """Whether an instrument's prices are points: only indices of NSE and BSE have spaces in their names."""
    return exchange in {"NSE", "BSE"} and (" " in symbol or symbol in {"SENSEX", "BANKEX"})


class _Speaker:
    """Says conditions in one language. `_named` tells whether the relation has named its instrument."""

    def __init__(self, sentences: Sentences, exchange: str, symbol: str) -> None:
        self._say = sentences
        self._exchange = exchange
        self._symbol = symbol
        self._named = False
        self._points = False

    def condition(self, tree: Condition) -> str:
        """The condition as a sentence."""
        match tree:
            case And():
                return self._joined(self._say.and_, tree.terms)
            case Or():
                return self._joined(self._say.or_, tree.terms)
            case Not():
                return self._say.not_.format(term=self._term(tree.term))
            case Hold():
                return self._hold(tree)
            case Then():
                first, second = self._term(tree.first), self._term(tree.second)
                return self._say.then.format(first=first, second=second, time=_time(self._say.within, tree.within_s))
            case _:
                self._named = False
                self._points = self._looks_at_points(tree)
                return self._relation(tree)

    def _term(self, tree: Condition) -> str:
        said = self.condition(tree)
        return f"({said})" if isinstance(tree, And | Or | Not | Then) else said

    def _joined(self, sentence: str, terms: tuple[Condition, ...]) -> str:
        found, *rest = (self._term(one) for one in terms)
        for one in rest:
            found = sentence.format(first=found, second=one)
        return found

    def _hold(self, tree: Hold) -> str:
        term = self._term(tree.term)
        if tree.seconds is None:
            return self._say.hold_samples.format(term=term, count=indian(tree.samples or 0))
        return self._say.hold.format(term=term, time=_time(self._say.for_, tree.seconds))

    def _relation(self, tree: Compare | Cross | Channel | Move | Step | Extreme) -> str:
        match tree:
            case Compare():
                return self._sides(self._say.compare[tree.op], left=tree.left, right=tree.right)
            case Cross():
                return self._sides(self._say.cross[tree.direction], left=tree.left, right=tree.right)
            case Channel():
                return self._sides(self._say.channel[tree.relation], value=tree.value, low=tree.low, high=tree.high)
            case Move():
                return self._move(tree)
            case Step():
                value = self._expression(tree.value, meeting(tree.value))
                return self._say.step.format(value=value, amount=self._amount(tree))
            case Extreme():
                which: Literal["day_high", "day_low", "year_high", "year_low"] = f"{tree.of}_{tree.which}"  # type: ignore[assignment]
                return self._say.extreme[which].format(place=self._place(tree))
            case _:
                assert_never(tree)

    def _sides(self, sentence: str, **sides: Expression) -> str:
        wanted = meeting(*sides.values())
        return sentence.format(**{name: self._expression(one, wanted) for name, one in sides.items()})

    def _move(self, tree: Move) -> str:
        if tree.within_bars is None:
            window = _time(self._say.within, tree.within_s or 0)
        else:
            window = self._say.within_candles.format(count=tree.within_bars, timeframe=tree.timeframe)
        value = self._expression(tree.value, meeting(tree.value))
        return self._say.move[tree.direction].format(value=value, amount=self._amount(tree), window=window)

    def _amount(self, tree: Move | Step) -> str:
        dimension = Dimension.PERCENT if tree.percent else meeting(tree.value)
        return amount_in_words(tree.amount, dimension, index=self._points)

    def _expression(self, node: Expression, wanted: Dimension) -> str:
        match node:
            case Number():
                return amount_in_words(node.value, wanted, index=self._points)
            case Field() | Indicator():
                return self._operand(node)
            case Arithmetic():
                left, right = sides_of(node, wanted)
                return f"{self._part(node.left, left)} {_SIGNS[node.op]} {self._part(node.right, right)}"
            case _:
                assert_never(node)

    def _part(self, node: Expression, wanted: Dimension) -> str:
        said = self._expression(node, wanted)
        return f"({said})" if isinstance(node, Arithmetic) else said

    def _operand(self, node: Field | Indicator) -> str:
        """A plain price is its instrument's name alone, where it has to be named."""
        place, plain = self._place(node), isinstance(node, Field) and node.name == "price"
        name = self._say.figures[_figure(node)] if isinstance(node, Field) else _indicator(node)
        if node.timeframe is not None:
            name = self._say.on_candles.format(name=name, timeframe=node.timeframe)
        if not place:
            return name
        return place if plain else self._say.figure.format(place=place, name=name)

    def _place(self, node: Field | Indicator | Extreme) -> str:
        """The instrument's name; the alert's own only the first time."""
        if node.exchange is not None and node.symbol is not None:
            return node.symbol if node.symbol != self._symbol else f"{node.exchange}:{node.symbol}"
        named, self._named = self._named, True
        return "" if named else self._symbol

    def _looks_at_points(self, tree: Node) -> bool:
        looked_at = [one for one in walk(tree) if isinstance(one, Field | Indicator | Extreme)]
        return any(is_index(one.exchange or self._exchange, one.symbol or self._symbol) for one in looked_at)


_SIGNS = {"+": "+", "-": "\N{MINUS SIGN}", "*": "\N{MULTIPLICATION SIGN}", "/": "\N{DIVISION SIGN}"}

FIGURES = frozenset({*TICK_FIELDS, *BAR_FIELDS, "candle_close"})
"""What every language has a name for."""


def _figure(field: Field) -> str:
    return "candle_close" if field.name == "close" and field.timeframe is not None else field.name


def _indicator(node: Indicator) -> str:
    """`RSI(7)`, `SMA(volume,20)`, `MACD signal`."""
    name, bracket, rest = node.text.partition("(")
    line = "" if node.line in {None, name, "value"} else f" {node.line}"
    return f"{name.upper()}{bracket}{rest}{line}"


def _time(forms: Mapping[Unit, Forms], seconds: int) -> str:
    count, unit = _in_units(seconds)
    one, several = forms[unit]
    return (one if count == 1 else several).format(count=indian(count))


def _in_units(seconds: int) -> tuple[int, Unit]:
    if seconds % 3600 == 0:
        return seconds // 3600, "hour"
    return (seconds // 60, "minute") if seconds % 60 == 0 else (seconds, "second")
