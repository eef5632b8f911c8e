"""Trees of conditions made ready to run: constants in the house's integers, operands bound to figures.

A condition on one figure and constants becomes a threshold, which can be indexed; so can `and`, `or` and `not` of such.
Everything else is evaluated with each sample of its sources.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import assert_never

from notifiers.conditions import tree as trees
from notifiers.conditions.dimensions import ALIASES, BAR_FIELDS, TICK_FIELDS, Dimension, NoDimension, meeting, sides_of
from notifiers.engine.comparisons import Channel, Comparison, Crossing
from notifiers.engine.compounds import All, AnyOf, Becoming, HoldSamples, HoldTime, Opposite, Succession, below
from notifiers.engine.figures import Figure, Number, reader_of_bar, reader_of_indicator, reader_of_tick
from notifiers.engine.moment import Node
from notifiers.engine.movements import MoveInBars, MoveInTime, Stepping
from notifiers.engine.operands import Constant, Operand, Reading, folded
from notifiers.engine.policy import Policy
from notifiers.engine.samples import Source
from notifiers.engine.thresholds import BY_LAST, Indexed, Kind, NewExtreme, Range, Relation, Threshold
from notifiers.engine.views import CLOSED, EVERY, Seen, View
from schemas.errors import TickhubError
from schemas.market import scaled

_COMPARISONS = MappingProxyType(
    {">": Kind.MORE, ">=": Kind.AT_LEAST, "<": Kind.LESS, "<=": Kind.AT_MOST, "==": Kind.EQUAL}
)
_DIRECTIONS = MappingProxyType({"above": Kind.ABOVE, "below": Kind.BELOW, "any": Kind.ANY})
_RELATIONS = MappingProxyType(
    {
        "inside": Relation.INSIDE,
        "outside": Relation.OUTSIDE,
        "enters": Relation.ENTERS,
        "exits": Relation.EXITS,
    }
)
_TURNED = MappingProxyType(
    {
        Kind.MORE: Kind.LESS,
        Kind.AT_LEAST: Kind.AT_MOST,
        Kind.LESS: Kind.MORE,
        Kind.AT_MOST: Kind.AT_LEAST,
        Kind.EQUAL: Kind.EQUAL,
        Kind.ABOVE: Kind.BELOW,
        Kind.BELOW: Kind.ABOVE,
        Kind.ANY: Kind.ANY,
    }
)
"""The same with left and right exchanged."""

ViewOf = Callable[[str, str, str], View]
"""Exchange, symbol and timeframe in, the view of it for that rule out."""


class Unsuitable(TickhubError):
    """A rule that can't be run: it should have been refused when it was made."""


def is_level(condition: trees.Condition) -> bool:
    """Whether it holds for a while, rather than happen at one sample."""
    match condition:
        case trees.Compare() | trees.Not() | trees.Hold():
            return True
        case trees.Channel():
            return condition.relation in {"inside", "outside"}
        case trees.And() | trees.Or():
            return all(is_level(term) for term in condition.terms)
        case trees.Cross() | trees.Move() | trees.Extreme() | trees.Step() | trees.Then():
            return False
        case _:
            assert_never(condition)


def is_indexed(node: Node) -> bool:
    """Whether nothing about it can change while none of its figures comes to a threshold."""
    return isinstance(node, Indexed) or all(isinstance(one, Indexed | All | AnyOf | Opposite) for one in below(node))


def compiled(condition: trees.Condition, home: Source, policy: Policy, view_of: ViewOf) -> Node:
    """The condition, ready to run. Raises Unsuitable."""
    try:
        return _Compiler(home, policy, view_of).node(condition)
    except (NoDimension, KeyError) as exc:
        raise Unsuitable(str(exc)) from exc


@dataclass(slots=True)
class _Compiler:
    home: Source
    policy: Policy
    view_of: ViewOf
    timeframe: str = ""
    """Of fields that name none."""
    by_last: bool = False
    """Levels are judged without wicks."""

    def node(self, condition: trees.Condition) -> Node:
        node: Node
        match condition:
            case trees.Compare():
                node = self._compared(_COMPARISONS[condition.op], condition.left, condition.right)
            case trees.Cross():
                node = self._compared(_DIRECTIONS[condition.direction], condition.left, condition.right)
            case trees.Channel():
                node = self._channel(condition)
            case trees.Move():
                node = self._move(condition)
            case trees.Step():
                node = self._step(condition)
            case trees.Extreme():
                node = self._extreme(condition)
            case _:
                node = self._compound(condition)
        return node

    # -- compounds --------------------------------------------------------------------------------------------------

    def _compound(self, condition: trees.And | trees.Or | trees.Not | trees.Hold | trees.Then) -> Node:
        match condition:
            case trees.And():
                return All(*[self.node(term) for term in condition.terms])
            case trees.Or():
                return AnyOf(*self._alternatives(condition))
            case trees.Not():
                return Opposite(self._level(condition.term))
            case trees.Hold():
                return self._hold(condition)
            case trees.Then():
                first, second = self._edge(condition.first), self.node(condition.second)
                return Succession(first, second, condition.within_s * 1000)
            case _:
                assert_never(condition)

    def _level(self, condition: trees.Condition) -> Node:
        if not is_level(condition):
            raise Unsuitable("an edge where a level is needed")
        return self.node(condition)

    def _lasting(self, condition: trees.Condition) -> Node:
        """A level of which it counts how long or since when it is true."""
        before, self.by_last = self.by_last, True
        node = self._level(condition)
        self.by_last = before
        return node

    def _alternatives(self, condition: trees.Or) -> list[Node]:
        compile_term = self.node if is_level(condition) else self._edge
        return [compile_term(term) for term in condition.terms]

    def _edge(self, condition: trees.Condition) -> Node:
        """A level happens when it becomes true."""
        return Becoming(self._lasting(condition)) if is_level(condition) else self.node(condition)

    def _hold(self, condition: trees.Hold) -> Node:
        part = self._lasting(condition.term)
        if condition.seconds is not None:
            return HoldTime(part, condition.seconds * 1000)
        return HoldSamples(part, condition.samples or 1)

    # -- leaves -----------------------------------------------------------------------------------------------------

    def _compared(self, kind: Kind, left: trees.Expression, right: trees.Expression) -> Node:
        wanted = meeting(left, right)
        one, other = self._operand(left, wanted), self._operand(right, wanted)
        if isinstance(one, Constant) and isinstance(other, Reading):
            one, other, kind = other, one, _TURNED[kind]
        if isinstance(one, Reading) and isinstance(other, Constant):
            return Threshold(one.figure, kind, other.constant, BY_LAST if self.by_last else 0)
        measures_price = wanted is Dimension.PRICE
        if kind < Kind.ABOVE:
            return Comparison(kind, one, other, measures_price=measures_price)
        return Crossing(kind, one, other, measures_price=measures_price)

    def _channel(self, condition: trees.Channel) -> Node:
        wanted = meeting(condition.value, condition.low, condition.high)
        relation = _RELATIONS[condition.relation]
        value, bottom, top = (self._operand(one, wanted) for one in (condition.value, condition.low, condition.high))
        if isinstance(value, Reading) and isinstance(bottom, Constant) and isinstance(top, Constant):
            flags = BY_LAST if self.by_last else 0
            return Range(value.figure, relation, bottom.constant, top.constant, flags)
        return Channel(relation, value, bottom, top, measures_price=wanted is Dimension.PRICE)

    def _move(self, condition: trees.Move) -> Node:
        wanted = meeting(condition.value)
        amount = _amount(condition.amount, wanted, percent=condition.percent)
        rises, falls = condition.direction != "down", condition.direction != "up"
        measures_price = wanted is Dimension.PRICE
        if condition.within_bars is None:
            value = self._operand(condition.value, wanted)
            return MoveInTime(
                value, amount, percent=condition.percent, measures_price=measures_price, rises=rises, falls=falls,
                window_ms=(condition.within_s or 1) * 1000,
            )  # fmt: skip
        before, self.timeframe = self.timeframe, condition.timeframe or self.policy.timeframe
        value = self._operand(condition.value, wanted)
        self.timeframe = before
        view = next((figure.view for figure in value.figures() if figure.view.track.source.timeframe), None)
        if view is None:
            raise Unsuitable("a movement over candles needs a figure of them")
        return MoveInBars(
            value, amount, percent=condition.percent, measures_price=measures_price, rises=rises, falls=falls,
            bars=condition.within_bars, view=view,
        )  # fmt: skip

    def _step(self, condition: trees.Step) -> Node:
        wanted = meeting(condition.value)
        return Stepping(
            self._operand(condition.value, wanted),
            _amount(condition.amount, wanted, percent=condition.percent),
            percent=condition.percent,
            measures_price=wanted is Dimension.PRICE,
        )

    def _extreme(self, condition: trees.Extreme) -> Node:
        if self.policy.closed_bars:
            raise Unsuitable("candles don't tell the day's extremes")
        figure = self._field(trees.Field(name="price", exchange=condition.exchange, symbol=condition.symbol))
        return NewExtreme(figure, condition.which == "high", condition.of == "year")

    # -- operands ---------------------------------------------------------------------------------------------------

    def _operand(self, expression: trees.Expression, wanted: Dimension) -> Operand:
        match expression:
            case trees.Number():
                return Constant(scaled(expression.value) if wanted is Dimension.PRICE else expression.value)
            case trees.Field():
                return Reading(self._field(expression))
            case trees.Indicator():
                return Reading(self._indicator(expression))
            case trees.Arithmetic():
                left, right = sides_of(expression, wanted)
                return folded(
                    expression.op, self._operand(expression.left, left), self._operand(expression.right, right)
                )
            case _:
                assert_never(expression)

    def _view(self, exchange: str | None, symbol: str | None, timeframe: str) -> View:
        return self.view_of(exchange or self.home.exchange, symbol or self.home.symbol, timeframe)

    def _field(self, field: trees.Field) -> Figure:
        timeframe = field.timeframe or self.timeframe or (self.policy.timeframe if self.policy.closed_bars else "")
        view = self._view(field.exchange, field.symbol, timeframe)
        name = ALIASES.get(field.name, field.name)
        text = f"{name} on {timeframe}" if timeframe else name
        figure = view.figures.get(text)
        if figure is not None:
            return figure
        if timeframe:
            dimension = BAR_FIELDS["close" if name == "price" else name]
            return view.add(text, reader_of_bar(name), measures_price=dimension is Dimension.PRICE)
        return view.add(text, reader_of_tick(name), measures_price=TICK_FIELDS[name] is Dimension.PRICE)

    def _indicator(self, indicator: trees.Indicator) -> Figure:
        view = self._view(indicator.exchange, indicator.symbol, indicator.timeframe)
        name = f"{indicator.text}.{indicator.line}" if indicator.line else indicator.text
        text = f"{name} on {indicator.timeframe}"
        figure = view.figures.get(text)
        if figure is None:
            measures_price = indicator.gives == "price"
            read = reader_of_indicator(indicator.text, indicator.line, measures_price=measures_price)
            figure = view.add(text, read, measures_price=measures_price, indicator=indicator.text)
        return figure


def seen_by(policy: Policy, timeframe: str) -> Seen:
    """What of a source a rule sees."""
    if timeframe:
        return CLOSED if policy.closed_bars else EVERY
    return policy.seen


def _amount(amount: Number, wanted: Dimension, *, percent: bool) -> Number:
    return scaled(amount) if wanted is Dimension.PRICE and not percent else amount
