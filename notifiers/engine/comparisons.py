"""Conditions on expressions. They are evaluated with every sample of their rule and remember the sample before."""

import operator

from notifiers.engine.figures import Figure, Number
from notifiers.engine.memory import remembered
from notifiers.engine.moment import Moment, Node
from notifiers.engine.operands import Operand, combined
from notifiers.engine.thresholds import HOLDS, Kind, Relation


class _OnExpressions:
    """What they share: no conditions below them, and figures that come from their operands."""

    __slots__ = ("_figures", "_operands", "measures_price")

    def __init__(self, *operands: Operand, measures_price: bool) -> None:
        self.measures_price = measures_price
        self._operands = operands
        self._figures = tuple(figure for operand in operands for figure in operand.figures())

    def parts(self) -> tuple[Node, ...]:
        """None."""
        return ()

    def figures(self) -> tuple[Figure, ...]:
        """Those of all operands."""
        return self._figures

    def compared(self, moment: Moment) -> tuple[Number, Number] | None:
        """The first two operands' values now."""
        value, level = (operand.value(moment) for operand in self._operands[:2])
        return None if value is None or level is None else (value, level)


class Comparison(_OnExpressions):
    """Level: left compared with right."""

    __slots__ = ("_holds", "kind", "last", "last_ms")

    def __init__(self, kind: Kind, left: Operand, right: Operand, *, measures_price: bool) -> None:
        super().__init__(left, right, measures_price=measures_price)
        self._holds = HOLDS[kind]
        self.kind = kind
        self.last: Number | None = None
        """Left at the sample before, to be told."""
        self.last_ms: int | None = None

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether the comparison holds."""
        compared = self.compared(moment)
        if compared is None:
            return None
        left, right = compared
        holds = self._holds(left, right)
        if moment.is_clock:
            if holds:
                moment.find(None, None, left, right, gap=False)
            return holds
        if holds:
            moment.find(self.last, self.last_ms, left, right, gap=False)
        self.last, self.last_ms = left, moment.time_ms
        return holds

    def keep(self) -> list[object]:
        """The sample before."""
        return [self.last, self.last_ms]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        self.last, self.last_ms = remembered(kept, tuple[Number | None, int | None])


class Crossing(_OnExpressions):
    """Edge: left gets to the other side of right."""

    __slots__ = ("_last", "kind")

    def __init__(self, kind: Kind, left: Operand, right: Operand, *, measures_price: bool) -> None:
        super().__init__(left, right, measures_price=measures_price)
        self.kind = kind
        self._last: tuple[Number, Number, int] | None = None
        """Left less right, left, and when that was."""

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether it crosses between the sample before and this one."""
        compared = self.compared(moment)
        if compared is None:
            return None
        left, right = compared
        if moment.is_clock:
            return False
        now = combined(operator.sub, left, right)
        if now is None:
            return None
        last, self._last = self._last, (now, left, moment.time_ms)
        if last is None or moment.begins_day_after(last[2]):
            return False
        before = last[0]
        up, down = before < 0 <= now, before > 0 >= now
        if not (up and self.kind != Kind.BELOW) and not (down and self.kind != Kind.ABOVE):
            return False
        moment.find(last[1], last[2], left, right, gap=now != 0)
        return True

    def keep(self) -> list[object]:
        """The sample before."""
        return [self._last]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        (self._last,) = remembered(kept, tuple[tuple[Number, Number, int] | None])


class Channel(_OnExpressions):
    """Level or edge: a value and a closed range whose bounds may move."""

    __slots__ = ("_last", "_relation")

    def __init__(
        self, relation: Relation, value: Operand, bottom: Operand, top: Operand, *, measures_price: bool
    ) -> None:
        super().__init__(value, bottom, top, measures_price=measures_price)
        self._relation = relation
        self._last: tuple[int, Number, int] | None = None
        """On which side of the range it was, its value, and when that was."""

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether it is in or out, or gets there."""
        value, bottom, top = (operand.value(moment) for operand in self._operands)
        if value is None or bottom is None or top is None:
            return None
        side = -1 if value < bottom else int(value > top)
        last = self._last
        if not moment.is_clock:
            self._last = (side, value, moment.time_ms)
        if self._relation < Relation.ENTERS:
            return self._lies(side, value, last, moment)
        if last is None or moment.is_clock or moment.begins_day_after(last[2]):
            return False
        return self._passes(last, side, (value, bottom, top), moment)

    def _lies(self, side: int, value: Number, last: tuple[int, Number, int] | None, moment: Moment) -> bool:
        if (side == 0) != (self._relation == Relation.INSIDE):
            return False
        _, before, before_ms = last if last and not moment.is_clock else (0, None, None)
        moment.find(before, before_ms, value, None, gap=False)
        return True

    def _passes(
        self, last: tuple[int, Number, int], side: int, now: tuple[Number, Number, Number], moment: Moment
    ) -> bool:
        before, (value, bottom, top) = last[0], now
        if self._relation == Relation.ENTERS:
            if before in {0, side}:
                return False
            moment.find(last[1], last[2], value, bottom if before < 0 else top, gap=side != 0)
            return True
        if before != 0 or side == 0:
            return False
        moment.find(last[1], last[2], value, bottom if side < 0 else top, gap=False)
        return True

    def keep(self) -> list[object]:
        """The sample before."""
        return [self._last]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        (self._last,) = remembered(kept, tuple[tuple[int, Number, int] | None])
