"""The one way to say a condition: canonical names and indicators, constants worked out and on the right.

2500 < ltp                   price > 2500
price on 5m > 2 * 1250       close on 5m > 2500
MACD(12, 26, 9) on 5m > 0    macd.macd on 5m > 0
"""

import re
from typing import assert_never

from msgspec import structs

from notifiers.conditions.dimensions import ALIASES, BAR_FIELDS, TICK_FIELDS
from notifiers.conditions.faults import Places, phrase_of, refused, shown, unknown
from notifiers.conditions.indicators import IndicatorReader, KnownIndicator
from notifiers.conditions.tree import (
    MAX_DEPTH,
    MAX_NODES,
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
    Timeframe,
    children,
    walk,
)
from schemas.errors import CommandError
from schemas.market import EXCHANGES
from schemas.phrases import Phrase, translatable

DECIMALS = 7
"""Of constants: a price has no more."""
_MOST = 1e11

_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "=="}
_TURNED = {"above": "below", "below": "above", "any": "any"}


def canonical(
    tree: Condition,
    places: Places,
    indicators: IndicatorReader,
    timeframe: Timeframe | None = None,
    own: tuple[str, str] | None = None,
) -> Condition:
    """The tree in its canonical form, which is put into `places` too; a canonical tree stays as it is.

    `timeframe` is that of moves counted in candles which name none. `own` is the alert's instrument, exchange and
    symbol: nodes that name it name none afterwards.

    Raises:
        CommandError: BAD_REQUEST, with the place of what is wrong.
    """
    _check_size(tree, places)
    return _Canonical(places, indicators, timeframe, own).condition(tree)


def _check_size(tree: Condition, places: Places) -> None:
    """Without recursion: what JSON says may be as deep as it likes."""
    waiting: list[tuple[Node, int]] = [(tree, 1)]
    count = 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if depth > MAX_DEPTH:
            raise refused(Phrase("A condition is at most {most} levels deep", {"most": MAX_DEPTH}), places.of(node))
        if count > MAX_NODES:
            raise refused(Phrase("A condition has at most {most} parts", {"most": MAX_NODES}), places.of(node))
        waiting.extend((one, depth + 1) for one in reversed(children(node)))


class _Canonical:
    """Makes a tree anew from its leaves."""

    def __init__(
        self,
        places: Places,
        indicators: IndicatorReader,
        timeframe: Timeframe | None,
        own: tuple[str, str] | None,
    ) -> None:
        self._places = places
        self._indicators = indicators
        self._timeframe = timeframe
        self._own = own

    def _at(self, node: Node, fault: Phrase) -> CommandError:
        return refused(fault, self._places.of(node))

    def condition(self, node: Condition) -> Condition:
        """The condition as it is written."""
        found = self._condition(node)
        self._places.move(node, found)
        return found

    def _condition(self, node: Condition) -> Condition:
        found: Condition
        match node:
            case Compare() | Cross():
                found = self._two_sided(node)
            case Channel():
                low, high = self._expression(node.low), self._expression(node.high)
                found = structs.replace(node, value=self._expression(node.value), low=low, high=high)
            case Move():
                found = self._move(node)
            case Step():
                found = structs.replace(node, value=self._expression(node.value), amount=self._amount(node))
            case Extreme():
                exchange, symbol = self._instrument(node)
                found = structs.replace(node, exchange=exchange, symbol=symbol)
            case And() | Or():
                found = structs.replace(node, terms=tuple(self.condition(one) for one in node.terms))
            case Not():
                found = structs.replace(node, term=self.condition(node.term))
            case Hold():
                found = self._hold(node)
            case Then():
                found = structs.replace(node, first=self.condition(node.first), second=self.condition(node.second))
            case _:
                assert_never(node)
        return found

    def _two_sided(self, node: Compare | Cross) -> Compare | Cross:
        """A constant stands on the right."""
        left, right = self._expression(node.left), self._expression(node.right)
        if not isinstance(left, Number) or isinstance(right, Number):
            return structs.replace(node, left=left, right=right)
        if isinstance(node, Compare):
            return structs.replace(node, left=right, right=left, op=_FLIPPED[node.op])
        return structs.replace(node, left=right, right=left, direction=_TURNED[node.direction])

    def _hold(self, node: Hold) -> Hold:
        if (node.seconds is None) == (node.samples is None):
            text = translatable("Expected one of {one} and {other}")
            raise self._at(node, Phrase(text, {"one": "seconds", "other": "samples"}))
        return structs.replace(node, term=self.condition(node.term))

    def _move(self, node: Move) -> Move:
        if (node.within_s is None) == (node.within_bars is None):
            text = translatable("Expected one of {one} and {other}")
            raise self._at(node, Phrase(text, {"one": "within_s", "other": "within_bars"}))
        amount = self._amount(node)
        if node.within_bars is None:
            return structs.replace(node, value=self._expression(node.value), amount=amount, timeframe=None)
        timeframe = node.timeframe or _timeframe_in(node.value) or self._timeframe
        if timeframe is None:
            raise self._at(node, Phrase("Say which candles are counted, as in 3 bars on 5m"))
        value = self._expression(node.value, timeframe)
        return structs.replace(node, value=value, amount=amount, timeframe=timeframe)

    def _amount(self, node: Move | Step) -> float:
        amount = round(float(node.amount), DECIMALS)
        if not 0 < amount <= _MOST:
            raise self._at(node, Phrase("An amount is more than 0 and at most {most}", {"most": "10,000 crore"}))
        return amount

    def _expression(self, node: Expression, counted: Timeframe | None = None) -> Expression:
        """`counted`: the candles that a move is counted in, which its value must be of."""
        found: Expression
        match node:
            case Number():
                found = self._number(node.value, node)
            case Field():
                found = self._field(node, counted)
            case Indicator():
                found = self._indicator(node, counted)
            case Arithmetic():
                left, right = self._expression(node.left, counted), self._expression(node.right, counted)
                found = self._arithmetic(structs.replace(node, left=left, right=right), node)
            case _:
                assert_never(node)
        self._places.move(node, found)
        return found

    def _number(self, value: float, at: Expression) -> Number:
        if not -_MOST <= value <= _MOST:  # also what is no number
            raise self._at(at, Phrase("A number is at most {most}", {"most": "10,000 crore"}))
        return Number(value=round(float(value), DECIMALS) + 0.0)  # no negative zero

    def _arithmetic(self, node: Arithmetic, at: Arithmetic) -> Expression:
        left, right = node.left, node.right
        if node.op == "/" and isinstance(right, Number) and right.value == 0:
            raise self._at(at.right, Phrase("Nothing can be divided by zero"))
        if not isinstance(left, Number) or not isinstance(right, Number):
            return node
        return self._number(_computed(node.op, left.value, right.value), at)

    def _field(self, node: Field, counted: Timeframe | None) -> Field:
        exchange, symbol = self._instrument(node)
        timeframe = node.timeframe or counted
        name = self._tick_field(node) if timeframe is None else self._bar_field(node)
        self._check_counted(timeframe, counted, node)
        return Field(name=name, timeframe=timeframe, exchange=exchange, symbol=symbol)

    def _tick_field(self, node: Field) -> str:
        name = ALIASES.get(node.name.lower(), node.name.lower())
        if name not in TICK_FIELDS:
            raise self._at(node, unknown(node.name, {*TICK_FIELDS, *ALIASES, *self._indicators.names}))
        return name

    def _bar_field(self, node: Field) -> str:
        name = _ON_BARS.get(node.name.lower(), node.name.lower())
        if name in BAR_FIELDS:
            return name
        if name not in TICK_FIELDS and name not in ALIASES:
            raise self._at(node, unknown(node.name, {*BAR_FIELDS, *self._indicators.names}))
        text = translatable("Candles have no {name}; they have {names}")
        raise self._at(node, Phrase(text, {"name": name, "names": ", ".join(BAR_FIELDS)}))

    def _check_counted(self, timeframe: Timeframe | None, counted: Timeframe | None, node: Field | Indicator) -> None:
        if counted is not None and timeframe != counted:
            text = translatable("A move that is counted in candles of {counted} can't look at those of {got}")
            raise self._at(node, Phrase(text, {"counted": counted, "got": timeframe}))

    def _indicator(self, node: Indicator, counted: Timeframe | None) -> Indicator:
        exchange, symbol = self._instrument(node)
        self._check_counted(node.timeframe, counted, node)
        try:
            known = self._indicators(node.text)
        except CommandError as exc:
            raise self._at(node, phrase_of(exc)) from exc
        line = self._line(node, known)
        gives = known.gives[line].value
        return structs.replace(node, text=known.text, line=line or None, gives=gives, exchange=exchange, symbol=symbol)

    def _line(self, node: Indicator, known: KnownIndicator) -> str:
        """A line called as the indicator is, or `value`, is its main one and needs no saying."""
        wanted = {"", known.text.partition("(")[0], "value"} if node.line is None else {node.line.lower()}
        found = next((one for one in known.gives if one in wanted), None)
        if found is not None:
            return found
        if "" in known.gives:
            raise self._at(node, Phrase("{name} is one line and has no others", {"name": known.text}))
        text = translatable("{name} has the lines {lines}; say which, as in macd.signal")
        raise self._at(node, Phrase(text, {"name": known.text, "lines": ", ".join(known.gives)}))

    def _instrument(self, node: Field | Indicator | Extreme) -> tuple[str | None, str | None]:
        if node.exchange is None and node.symbol is None:
            return None, None
        exchange, symbol = (node.exchange or "").upper(), (node.symbol or "").upper().strip()
        if exchange not in EXCHANGES:
            text = translatable("Expected an exchange out of {exchanges}, got {got!r}")
            raise self._at(node, Phrase(text, {"exchanges": " ".join(sorted(EXCHANGES)), "got": shown(exchange)}))
        if not _SYMBOL.fullmatch(symbol):
            raise self._at(node, Phrase("{got!r} is no symbol", {"got": shown(symbol)}))
        return (None, None) if (exchange, symbol) == self._own else (exchange, symbol)


_ON_BARS = {"price": "close", "ltp": "close", "last_price": "close", "oi": "open_interest"}
_SYMBOL = re.compile(r"[!#-9;-~](?:[ !#-9;-~]{0,62}[!#-9;-~])?")
"""Printable, and without the quotes and colons with which instruments are written."""


def _timeframe_in(value: Expression) -> Timeframe | None:
    """The candles that an expression looks at first."""
    return next((one.timeframe for one in walk(value) if isinstance(one, Field | Indicator) and one.timeframe), None)


def _computed(op: str, left: float, right: float) -> float:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left / right
