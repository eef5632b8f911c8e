"""The expressions of the grammar: sums and products of numbers, figures and indicators, and brackets around them."""

from collections.abc import Callable
from typing import cast

from notifiers.conditions.cursor import Cursor
from notifiers.conditions.drafts import (
    Combined,
    Constant,
    Draft,
    Operand,
    Operator,
    is_plain_price,
    operands,
    spread,
    takes_candles,
)
from notifiers.conditions.faults import refused
from notifiers.conditions.lexer import BEFORE_BRACKETS, Kind
from notifiers.conditions.tree import MAX_NODES, Condition, Timeframe
from schemas.phrases import Phrase

Part = Draft | Condition
"""What a rule hands up: an expression or a condition."""


def too_many(column: int) -> Exception:
    """The refusal of a condition with too many parts."""
    return refused(Phrase("A condition has at most {most} parts", {"most": MAX_NODES}), column)


class Sums:
    """Reads expressions at a cursor. `group` reads what stands in brackets, up to the closing one."""

    def __init__(self, cursor: Cursor, indicators: frozenset[str], group: Callable[[], Part]) -> None:
        self._cursor = cursor
        self._indicators = indicators
        self._group = group
        self._count = 0
        self._named: tuple[int, Timeframe | None] = (-1, None)

    def sum(self) -> Part:
        """A sum, a single operand, or a condition in brackets."""
        column, found = self._cursor.column, self._product()
        while sign := self._cursor.sign("+", "-"):
            found = self._combined(sign, found, self._product(), column)
        return found

    def _product(self) -> Part:
        column, found = self._cursor.column, self._unary()
        while sign := self._cursor.sign("*", "/"):
            found = self._combined(sign, found, self._unary(), column)
        return found

    def _combined(self, sign: str, left: Part, right: Part, column: int) -> Combined:
        self._tally(column)
        return Combined(cast("Operator", sign), self.draft(left, column), self.draft(right, column), column)

    def _tally(self, column: int) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise too_many(column)

    def draft(self, part: Part, column: int) -> Draft:
        """The part as an expression. Raises CommandError BAD_REQUEST for a condition."""
        if isinstance(part, Constant | Operand | Combined):
            return part
        raise refused(Phrase("Expected a number or a figure such as price, got a condition"), column)

    def _unary(self) -> Part:
        column, negative = self._cursor.column, False
        while sign := self._cursor.sign("-", "+"):
            negative ^= sign == "-"
        part = self._atom()
        if not negative:
            return part
        if isinstance(part, Constant):
            return Constant(-part.value, column, part.percentage)
        return self._combined("*", Constant(-1.0, column), part, column)

    def _atom(self) -> Part:
        cursor, column = self._cursor, self._cursor.column
        self._tally(column)
        if cursor.sign("("):
            return self._group()
        value = cursor.number()
        if value is not None:
            return Constant(value, column, cursor.sign("%") is not None)
        return self._operand()

    def _operand(self) -> Operand:
        cursor, column = self._cursor, self._cursor.column
        exchange = symbol = None
        if cursor.token.kind is Kind.INSTRUMENT:
            instrument = cursor.take()
            exchange, symbol = instrument.exchange, instrument.symbol
        if not self._is_name():
            raise cursor.fault(Phrase("a number or a figure such as price"))
        text = cursor.take().text
        name = text.partition("(")[0].strip()
        found = Operand(name, text, column, self._line(), exchange, symbol)
        if not cursor.word("on"):
            return found
        timeframe = cursor.timeframe()
        self._named = (cursor.at, timeframe)
        return Operand(name, text, column, found.line, exchange, symbol, timeframe)

    def _is_name(self) -> bool:
        token = self._cursor.token
        return token.kind is Kind.CALL or (token.kind is Kind.WORD and token.text not in RESERVED)

    def _line(self) -> str | None:
        if not self._cursor.sign("."):
            return None
        if self._cursor.token.kind is not Kind.WORD or self._cursor.token.text in RESERVED - {"up", "down"}:
            raise self._cursor.fault(Phrase("the name of a line, as in macd.signal"))
        return self._cursor.take().text

    def on(self, sides: list[Draft]) -> list[Draft]:
        """The sides with the timeframe that ends the last one, or that comes next, for all that take candles."""
        if self._cursor.word("on"):
            return self._over_all(self._cursor.timeframe(), sides)
        at, timeframe = self._named
        if at != self._cursor.at or timeframe is None:
            return sides
        chosen = self._takers(sides)
        return [spread(one, timeframe, chosen) for one in sides]

    def _over_all(self, timeframe: Timeframe, sides: list[Draft]) -> list[Draft]:
        """The sides over candles that were named behind a constant or a bracket: they must be meant for something."""
        if not self._takers(sides) and not self._prices(sides) and not _named_already(sides):
            raise refused(Phrase("Nothing before this is a figure of candles"), self._cursor.column)
        return self.over(timeframe, sides)

    def over(self, timeframe: Timeframe, sides: list[Draft]) -> list[Draft]:
        """The sides over candles: what takes them does, and the price where nothing else does."""
        chosen = self._takers(sides) or self._prices(sides)
        return [spread(one, timeframe, chosen) for one in sides]

    def _takers(self, sides: list[Draft]) -> frozenset[int]:
        found = [one for side in sides for one in operands(side)]
        return frozenset(one.column for one in found if takes_candles(one, self._indicators))

    def _prices(self, sides: list[Draft]) -> frozenset[int]:
        return frozenset(one.column for side in sides for one in operands(side) if is_plain_price(one))


def _named_already(sides: list[Draft]) -> bool:
    return any(one.timeframe is not None for side in sides for one in operands(side))


RESERVED = BEFORE_BRACKETS | {"within", "for", "in", "on", "by", "new", "makes", "moves", "rises", "falls", "steps"}
"""Words that no operand can be."""
