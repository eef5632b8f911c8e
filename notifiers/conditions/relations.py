"""The relations of the grammar: how expressions are compared, crossed, and watched as they move."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Literal

from notifiers.conditions.cursor import Cursor
from notifiers.conditions.drafts import Draft, Operand, is_plain_price
from notifiers.conditions.faults import refused
from notifiers.conditions.lexer import Kind
from notifiers.conditions.sums import Part, Sums
from notifiers.conditions.tree import (
    Amount,
    Channel,
    Compare,
    Condition,
    Cross,
    Expression,
    Extreme,
    Move,
    Step,
)
from schemas.phrases import Phrase

Comparison = Literal[">", ">=", "<", "<=", "=="]
Relation = Literal["enters", "exits", "inside", "outside"]
Direction = Literal["up", "down", "any"]

_COMPARISONS: MappingProxyType[str, Comparison] = MappingProxyType(
    {
        ">": ">", ">=": ">=", "<": "<", "<=": "<=", "==": "==",
        "above": ">", "over": ">", "greater": ">", "more": ">",
        "below": "<", "under": "<", "less": "<",
        "equals": "==",
    }
)  # fmt: skip
_CROSSES = ("crosses", "cross", "crossing", "crossed")
_SIDES: MappingProxyType[str, Literal["above", "below"]] = MappingProxyType(
    {"above": "above", "over": "above", "up": "above", "below": "below", "under": "below", "down": "below"}
)
_RANGES: MappingProxyType[str, Relation] = MappingProxyType(
    {"enters": "enters", "exits": "exits", "leaves": "exits", "inside": "inside", "between": "inside",
     "outside": "outside"}
)  # fmt: skip
_MOVES: MappingProxyType[str, Direction] = MappingProxyType({"moves": "any", "rises": "up", "falls": "down"})

WORDS = frozenset(
    {*_COMPARISONS, *_CROSSES, *_SIDES, *_RANGES, *_MOVES, "steps", "makes", "is"}
) - {">", ">=", "<", "<=", "=="}  # fmt: skip
"""With which a relation begins."""


class Relations:
    """Reads what follows an expression, and makes a condition of both. `settle` makes nodes of expressions."""

    def __init__(
        self,
        cursor: Cursor,
        sums: Sums,
        settle: Callable[[Draft], Expression],
        put: Callable[[Condition, int], Condition],
    ) -> None:
        self._cursor = cursor
        self._sums = sums
        self._settle = settle
        self._put = put

    def relation(self) -> Part:
        """A relation, or what stands there alone where nothing follows that makes one of it."""
        column = self._cursor.column
        if self._cursor.word("new"):
            return self._put(self._extreme(None), column)
        left = self._sums.sum()
        if not isinstance(left, Condition):
            left = self._sums.on([left])[0]
        if not self._begins():
            return left
        return self._put(self._related(self._sums.draft(left, column), column), column)

    def _begins(self) -> bool:
        """Whether a relation comes next."""
        token = self._cursor.token
        if token.kind is Kind.SIGN:
            return token.text in _COMPARISONS or token.text == "!="
        return token.kind is Kind.WORD and token.text in WORDS

    def _next_side(self) -> Draft:
        column = self._cursor.column
        return self._sums.draft(self._sums.sum(), column)

    def _nodes(self, *sides: Draft) -> list[Expression]:
        return [self._settle(one) for one in self._sums.on(list(sides))]

    def _related(self, left: Draft, column: int) -> Condition:
        cursor = self._cursor
        if cursor.word("makes"):
            return self._made_new(left, column)
        if cursor.word(*_CROSSES):
            return self._cross(left)
        if move := cursor.word(*_MOVES):
            return self._move(left, _MOVES[move])
        if cursor.word("steps"):
            return self._step(left)
        cursor.word("is")
        if relation := cursor.word(*_RANGES):
            return self._channel(left, relation)
        return self._compare(left)

    def _compare(self, left: Draft) -> Compare:
        cursor = self._cursor
        if cursor.token.text == "!=":
            raise refused(Phrase("There is no {got}: write < or >", {"got": cursor.token.raw}), cursor.column)
        found = cursor.sign(*_COMPARISONS) or cursor.word(*_COMPARISONS)
        if found is None:
            raise cursor.fault(Phrase("a comparison such as > or crosses above"))
        if found in {"greater", "more", "less"} and not cursor.word("than"):
            raise cursor.fault(Phrase("the word {word}", {"word": "than"}))
        one, other = self._nodes(left, self._next_side())
        return Compare(left=one, op=_COMPARISONS[found], right=other)

    def _cross(self, left: Draft) -> Cross:
        side = self._cursor.word(*_SIDES)
        one, other = self._nodes(left, self._next_side())
        return Cross(left=one, right=other, direction=_SIDES[side] if side else "any")

    def _channel(self, left: Draft, word: str) -> Channel:
        low = self._next_side()
        if word == "between":
            parted = self._cursor.word("and", "to") or self._cursor.sign("..")
        else:
            parted = self._cursor.word("to") or self._cursor.sign("..")
        if parted is None:
            raise self._cursor.fault(Phrase("a range such as 2400..2500"))
        value, bottom, top = self._nodes(left, low, self._next_side())
        return Channel(value=value, relation=_RANGES[word], low=bottom, high=top)

    def _amount(self) -> tuple[Amount, bool]:
        column, value = self._cursor.column, self._cursor.number()
        if value is None:
            raise self._cursor.fault(Phrase("an amount such as 50 or 2%"))
        if not 0 < round(value, 7) <= 1e11:
            raise refused(Phrase("An amount is more than 0 and at most {most}", {"most": "10,000 crore"}), column)
        return round(value, 7), self._cursor.sign("%") is not None

    def _move(self, left: Draft, direction: Direction) -> Move:
        cursor = self._cursor
        if direction == "any" and (word := cursor.word("up", "down")):
            direction = "up" if word == "up" else "down"
        cursor.word("by")
        amount, percent = self._amount()
        if not cursor.word("in"):
            raise cursor.fault(Phrase("the word {word}", {"word": "in"}))
        bars = cursor.count(1, 500, "bar", "bars", "candle", "candles")
        if bars is None:
            seconds = cursor.seconds()
            (value,) = self._nodes(left)
            return Move(value=value, amount=amount, percent=percent, direction=direction, within_s=seconds)
        timeframe = cursor.timeframe() if cursor.word("on") else None
        value = self._settle(self._sums.over(timeframe, [left])[0] if timeframe else left)
        return Move(
            value=value, amount=amount, percent=percent, direction=direction, within_bars=bars, timeframe=timeframe
        )

    def _step(self, left: Draft) -> Step:
        self._cursor.word("by")
        amount, percent = self._amount()
        (value,) = self._nodes(left)
        return Step(value=value, amount=amount, percent=percent)

    def _made_new(self, left: Draft, column: int) -> Extreme:
        if not isinstance(left, Operand) or not is_plain_price(left):
            raise refused(Phrase("Only a price makes a new high or low"), column)
        if not self._cursor.word("new"):
            raise self._cursor.fault(Phrase("the word {word}", {"word": "new"}))
        return self._extreme(left)

    def _extreme(self, price: Operand | None) -> Extreme:
        cursor = self._cursor
        if cursor.word("day", "days"):
            of: Literal["day", "year"] = "day"
        elif self._is_year():
            of = "year"
        else:
            raise cursor.fault(Phrase("day or 52w"))
        which = cursor.word("high", "low")
        if which is None:
            raise cursor.fault(Phrase("high or low"))
        exchange, symbol = (price.exchange, price.symbol) if price else (None, None)
        return Extreme(which="high" if which == "high" else "low", of=of, exchange=exchange, symbol=symbol)

    def _is_year(self) -> bool:
        """Takes `52w`, `52-week` or `year`."""
        cursor = self._cursor
        if cursor.token.kind is Kind.NUMBER and cursor.token.text == "52":
            cursor.take()
            cursor.sign("-")
            return cursor.word("w", "week", "weeks") is not None
        return cursor.word("year") is not None
