"""Expressions, ready to be worked out: constants, figures, arithmetic. None where something is missing."""

import operator
from collections.abc import Callable
from types import MappingProxyType
from typing import Protocol

from notifiers.engine.figures import MOST, Figure, Number
from notifiers.engine.moment import Moment

_OPERATIONS: MappingProxyType[str, Callable[[Number, Number], Number]] = MappingProxyType(
    {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
)


class Operand(Protocol):
    """Something that has a value at a moment."""

    def value(self, moment: Moment) -> Number | None:
        """The value; of a price's dimension in 1/PRICE_SCALE."""

    def figures(self) -> tuple[Figure, ...]:
        """What it looks at."""


class Constant:
    """The same at all times."""

    __slots__ = ("constant",)

    def __init__(self, constant: Number) -> None:
        self.constant = constant

    def value(self, moment: Moment) -> Number | None:
        """The constant."""
        return self.constant

    def figures(self) -> tuple[Figure, ...]:
        """None."""
        return ()


class Reading:
    """A figure's value."""

    __slots__ = ("figure",)

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def value(self, moment: Moment) -> Number | None:
        """What the figure's last sample told."""
        return moment.value_of(self.figure)

    def figures(self) -> tuple[Figure, ...]:
        """The one."""
        return (self.figure,)


class Sum:
    """Two operands put together. What is divided by 0 is missing, and what is MOST or more."""

    __slots__ = ("_combine", "_left", "_right")

    def __init__(self, op: str, left: Operand, right: Operand) -> None:
        self._combine = _OPERATIONS[op]
        self._left = left
        self._right = right

    def value(self, moment: Moment) -> Number | None:
        """The result."""
        left, right = self._left.value(moment), self._right.value(moment)
        if left is None or right is None:
            return None
        return combined(self._combine, left, right)

    def figures(self) -> tuple[Figure, ...]:
        """Those of both."""
        return (*self._left.figures(), *self._right.figures())


def combined(combine: Callable[[Number, Number], Number], left: Number, right: Number) -> Number | None:
    """The operation's result, if there is one within bounds."""
    try:
        result = combine(left, right)
    except (ZeroDivisionError, OverflowError):
        return None
    return result if -MOST < result < MOST else None


def folded(op: str, left: Operand, right: Operand) -> Operand:
    """An arithmetic; of two constants a constant, if it has a value."""
    if isinstance(left, Constant) and isinstance(right, Constant):
        result = combined(_OPERATIONS[op], left.constant, right.constant)
        if result is not None:
            return Constant(result)
    return Sum(op, left, right)
