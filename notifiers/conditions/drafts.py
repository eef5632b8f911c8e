"""Expressions as they are read, before it is known which candles they look at: `on 5m` may come after all of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from notifiers.conditions.dimensions import ALIASES, BAR_FIELDS, TICK_FIELDS
from notifiers.conditions.faults import Places, refused, shown, unknown
from notifiers.conditions.tree import Arithmetic, Expression, Field, Indicator, Number, Timeframe
from schemas.phrases import Phrase, translatable

Operator = Literal["+", "-", "*", "/"]

_PRICE = frozenset({"price", "ltp", "last_price"})


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, perhaps with `%` behind it."""

    value: float
    column: int
    percentage: bool = False


@dataclass(frozen=True, slots=True)
class Operand:
    """A figure or an indicator: `name` is its first word, `text` all but its line."""

    name: str
    text: str
    column: int
    line: str | None = None
    exchange: str | None = None
    symbol: str | None = None
    timeframe: Timeframe | None = None

    @property
    def is_call(self) -> bool:
        """Whether it has parameters."""
        return "(" in self.text


@dataclass(frozen=True, slots=True)
class Combined:
    """Two expressions put together."""

    op: Operator
    left: "Draft"
    right: "Draft"
    column: int


Draft = Constant | Operand | Combined


def operands(draft: Draft) -> Iterator[Operand]:
    """The figures and indicators of an expression."""
    waiting: list[Draft] = [draft]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Operand):
            yield one
        elif isinstance(one, Combined):
            waiting += [one.right, one.left]


def takes_candles(operand: Operand, indicators: frozenset[str]) -> bool:
    """Whether `on 5m` at the end of its comparison is meant for it: candles have it, and it names none of its own."""
    if operand.timeframe is not None or operand.name in _PRICE:
        return False
    name = ALIASES.get(operand.name, operand.name) if operand.name == "oi" else operand.name
    return operand.is_call or name in BAR_FIELDS or operand.name in indicators


def is_plain_price(operand: Operand) -> bool:
    """Whether it is the last price, of no candle yet."""
    return operand.timeframe is None and operand.line is None and operand.name in _PRICE and not operand.is_call


def spread(draft: Draft, timeframe: Timeframe, chosen: frozenset[int]) -> Draft:
    """The expression with a timeframe for the chosen operands, by their columns."""
    match draft:
        case Operand():
            return replace(draft, timeframe=timeframe) if draft.column in chosen else draft
        case Combined():
            left, right = spread(draft.left, timeframe, chosen), spread(draft.right, timeframe, chosen)
            return replace(draft, left=left, right=right)
        case Constant():
            return draft


class Settling:
    """Makes nodes of drafts, with their places. `timeframe` is that of indicators which name none."""

    def __init__(self, places: Places, indicators: frozenset[str], timeframe: Timeframe | None) -> None:
        self._places = places
        self._indicators = indicators
        self._timeframe = timeframe

    def settle(self, draft: Draft) -> Expression:
        """The node of an expression whose timeframes are all said. Raises CommandError BAD_REQUEST."""
        node = self._node(draft)
        self._places.put(node, draft.column, percentage=isinstance(draft, Constant) and draft.percentage)
        return node

    def _node(self, draft: Draft) -> Expression:
        match draft:
            case Constant():
                return Number(value=draft.value)
            case Combined():
                return Arithmetic(op=draft.op, left=self.settle(draft.left), right=self.settle(draft.right))
            case Operand():
                return self._indicator(draft) if self._is_indicator(draft) else self._field(draft)

    def _is_indicator(self, operand: Operand) -> bool:
        if operand.is_call or operand.line is not None:
            return True
        if operand.name not in self._indicators:
            return False
        return operand.timeframe is not None or operand.name not in ALIASES

    def _field(self, operand: Operand) -> Field:
        known = operand.name in TICK_FIELDS or operand.name in ALIASES
        if not known:
            raise refused(unknown(operand.name, {*TICK_FIELDS, *ALIASES, *self._indicators}), operand.column)
        return Field(name=operand.name, timeframe=operand.timeframe, exchange=operand.exchange, symbol=operand.symbol)

    def _indicator(self, operand: Operand) -> Indicator:
        timeframe = operand.timeframe or self._timeframe
        if timeframe is None:
            text = translatable("{name} is worked out from candles: say of which, as in {name} on 5m")
            raise refused(Phrase(text, {"name": shown(operand.text)}), operand.column)
        return Indicator(
            text=operand.text,
            line=operand.line,
            timeframe=timeframe,
            exchange=operand.exchange,
            symbol=operand.symbol,
        )
