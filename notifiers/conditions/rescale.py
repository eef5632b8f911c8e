"""Conditions after a corporate action: prices of before it in terms of those after it.

Prices are multiplied by the factor (1/2 after a split of one share into two, or a bonus of 1:1), quantities divided by
it; percentages and plain numbers stay. A constant belongs to the instrument of what it is compared with or added to;
where a comparison looks at several instruments, nothing can be said, and it stays as it is.
"""

from fractions import Fraction

import msgspec
from msgspec import structs

from notifiers.conditions.canonical import DECIMALS
from notifiers.conditions.dimensions import Dimension, meeting, sides_of
from notifiers.conditions.text import text
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
    walk,
)

Instrument = tuple[str, str]
_MOST = 1e11


class Rescaled(msgspec.Struct, frozen=True):
    """A tree after a corporate action, and the comparisons (their texts) in which prices could not be rescaled."""

    tree: Condition
    left: tuple[str, ...]


def rescale(tree: Condition, own: Instrument, acted: Instrument, factor: Fraction) -> Rescaled:
    """A checked tree of an alert on `own`, after an action on `acted` that multiplied prices by `factor`."""
    work = _Rescaling(own, acted, factor)
    return Rescaled(work.condition(tree), tuple(work.left))


def rescaled(value: float, dimension: Dimension, factor: Fraction) -> float:
    """A constant of that dimension after the action, to 7 decimals."""
    match dimension:
        case Dimension.PRICE:
            return round(value * factor.numerator / factor.denominator, DECIMALS)
        case Dimension.QUANTITY:
            return round(value * factor.denominator / factor.numerator, DECIMALS)
        case _:
            return value


class _Impossible(Exception):
    """A constant would leave its bounds."""


class _Rescaling:
    """Goes over a tree; `left` gathers what stays although it has prices."""

    def __init__(self, own: Instrument, acted: Instrument, factor: Fraction) -> None:
        self._own = own
        self._acted = acted
        self._factor = factor
        self.left: list[str] = []

    def condition(self, tree: Condition) -> Condition:
        match tree:
            case And() | Or():
                return structs.replace(tree, terms=tuple(self.condition(one) for one in tree.terms))
            case Not() | Hold():
                return structs.replace(tree, term=self.condition(tree.term))
            case Then():
                return structs.replace(tree, first=self.condition(tree.first), second=self.condition(tree.second))
            case Extreme():
                return tree
            case _:
                return self._relation(tree)

    def _relation(self, tree: Compare | Cross | Channel | Move | Step) -> Condition:
        met = {
            (one.exchange, one.symbol) if one.exchange and one.symbol else self._own
            for one in walk(tree)
            if isinstance(one, Field | Indicator)
        }
        if self._acted not in met:
            return tree
        try:
            found = self._rescaled(tree)
        except _Impossible:
            found = None
        if found == tree:
            return tree
        if found is None or len(met) > 1:
            self.left.append(text(tree))
            return tree
        return found

    def _rescaled(self, tree: Compare | Cross | Channel | Move | Step) -> Condition:
        match tree:
            case Compare() | Cross():
                both = meeting(tree.left, tree.right)
                return structs.replace(tree, left=self._of(tree.left, both), right=self._of(tree.right, both))
            case Channel():
                wanted = meeting(tree.value, tree.low, tree.high)
                value, low, high = (self._of(one, wanted) for one in (tree.value, tree.low, tree.high))
                return structs.replace(tree, value=value, low=low, high=high)
            case Move() | Step():
                wanted = meeting(tree.value)
                amount = tree.amount if tree.percent else self._constant(tree.amount, wanted)
                return structs.replace(tree, value=self._of(tree.value, wanted), amount=amount)

    def _of(self, node: Expression, wanted: Dimension) -> Expression:
        match node:
            case Number():
                return Number(value=self._constant(node.value, wanted))
            case Arithmetic():
                left, right = sides_of(node, wanted)
                return structs.replace(node, left=self._of(node.left, left), right=self._of(node.right, right))
            case _:
                return node

    def _constant(self, value: float, dimension: Dimension) -> float:
        found = rescaled(value, dimension, self._factor)
        if abs(found) > _MOST or (found == 0) != (value == 0):
            raise _Impossible
        return found
