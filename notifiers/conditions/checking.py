"""Whether a condition has a meaning, and what it looks at.

Edges happen at one sample: crossings, `enters` and `exits`, moves, new extremes, steps and sequences. Levels hold for
a while: comparisons, `inside` and `outside`, what is `not`, and what has held `for` so long; `not` and `for` take
levels only. `and` and `or` are levels if all their terms are.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from notifiers.conditions.canonical import canonical
from notifiers.conditions.dimensions import BAR_FIELDS, Dimension, NoDimension, dimension_of, sides_of
from notifiers.conditions.faults import Places, json_places, refused
from notifiers.conditions.indicators import IndicatorReader
from notifiers.conditions.lexer import MAX_TEXT
from notifiers.conditions.options import Frequency, Options
from notifiers.conditions.parser import read
from notifiers.conditions.text import number
from notifiers.conditions.text import text as canonical_text
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
    Timeframe,
    walk,
)
from schemas.errors import CommandError
from schemas.phrases import Phrase, translatable

Instrument = tuple[str, str]
"""Exchange and symbol."""
SourceKey = tuple[str, str, str]
"""Exchange, symbol and timeframe; the timeframe is empty for ticks. What `notifiers.engine.samples.Source` holds."""

DIMENSIONS = MappingProxyType(
    {
        Dimension.PRICE: translatable("a price"),
        Dimension.QUANTITY: translatable("a quantity"),
        Dimension.PERCENT: translatable("a percentage"),
        Dimension.NUMBER: translatable("a plain number"),
    }
)
"""What each dimension is called."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that has a meaning: its canonical tree and text, and what it looks at."""

    tree: Condition
    text: str
    edge: bool
    """It happens at one sample, and else holds for a while."""
    instruments: tuple[Instrument, ...]
    """The alert's own first, if the condition looks at it."""
    sources: Mapping[SourceKey, frozenset[str]]
    """The streams of samples that it needs, each with the indicators that its candles must bring."""


def check_text(
    said: str,
    exchange: str,
    symbol: str,
    indicators: IndicatorReader,
    *,
    options: Options = Options(),  # noqa: B008 - frozen
    timeframe: Timeframe | None = None,
) -> Checked:
    """Read and check a condition's text; `timeframe` is that of indicators which name none.

    Raises:
        CommandError: BAD_REQUEST, with the character at which something is wrong.
    """
    reading = read(said, indicators.names, timeframe)
    return _checked(reading.tree, reading.places, _Ask(exchange, symbol, indicators, options, timeframe))


def check(
    tree: Condition,
    exchange: str,
    symbol: str,
    indicators: IndicatorReader,
    *,
    options: Options = Options(),  # noqa: B008 - frozen
) -> Checked:
    """Check a tree that came as JSON.

    Raises:
        CommandError: BAD_REQUEST, with the path at which something is wrong.
    """
    return _checked(tree, json_places(tree), _Ask(exchange, symbol, indicators, options))


class _Ask(NamedTuple):
    """For whom a condition is checked."""

    exchange: str
    symbol: str
    indicators: IndicatorReader
    options: Options
    timeframe: Timeframe | None = None


def _checked(tree: Condition, places: Places, ask: _Ask) -> Checked:
    own = (ask.exchange, ask.symbol)
    found = canonical(tree, places, ask.indicators, ask.timeframe, own)
    check = _Check(places)
    for node in walk(found):
        check.node(node)
    check.options(found, ask.options)
    said = canonical_text(found)
    if len(said) > MAX_TEXT:
        fault = Phrase("A condition has at most {most} characters, got {got}", {"most": MAX_TEXT, "got": len(said)})
        raise refused(fault, places.of(found))
    return Checked(
        tree=found,
        text=said,
        edge=is_edge(found),
        instruments=instruments(found, *own),
        sources=sources(found, *own, ask.options),
    )


def is_edge(tree: Condition) -> bool:
    """Whether it happens at one sample; else it is a level, which holds for a while."""
    match tree:
        case Cross() | Move() | Extreme() | Step() | Then():
            return True
        case Channel():
            return tree.relation in {"enters", "exits"}
        case And() | Or():
            return any(is_edge(one) for one in tree.terms)
        case _:
            return False


def instruments(tree: Condition, exchange: str, symbol: str) -> tuple[Instrument, ...]:
    """The instruments that a tree of an alert on that instrument looks at, its own first."""
    found = {key[:2] for key in sources(tree, exchange, symbol)}
    return tuple(sorted(found, key=lambda one: (one != (exchange, symbol), one)))


def sources(
    tree: Condition,
    exchange: str,
    symbol: str,
    options: Options = Options(),  # noqa: B008 - frozen
) -> dict[SourceKey, frozenset[str]]:
    """The streams of samples that a tree needs, each with the indicators that its candles must bring.

    An alert once per bar close sees candles alone: those of its own timeframe stand in for the ticks.
    """
    ticks = options.timeframe if options.frequency is Frequency.ONCE_PER_BAR_CLOSE else ""
    found: dict[SourceKey, set[str]] = {}
    for node in walk(tree):
        if isinstance(node, Field | Indicator | Extreme):
            timeframe = None if isinstance(node, Extreme) else node.timeframe
            key = (node.exchange or exchange, node.symbol or symbol, timeframe or ticks)
            found.setdefault(key, set()).update({node.text} if isinstance(node, Indicator) else ())
    return {key: frozenset(found[key]) for key in sorted(found)}


class _Check:
    """Looks at the nodes of a canonical tree one by one."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def _at(self, node: Node, fault: Phrase) -> CommandError:
        return refused(fault, self._places.of(node))

    def node(self, node: Node) -> None:
        """Raises CommandError BAD_REQUEST where it makes no sense by itself."""
        match node:
            case Compare() | Cross():
                self._meeting(node.left, node.right)
            case Channel():
                self._range(node)
            case Move() | Step():
                self._moving(node)
            case Not():
                self._level(node.term, "not")
            case Hold():
                self._level(node.term, "for")
            case _:
                pass

    def _meeting(self, first: Expression, *others: Expression) -> Dimension:
        """In which dimension expressions are compared."""
        found: Dimension | None = None
        for one in (first, *others):
            dimension = self._dimension(one)
            if found is not None and dimension is not None and dimension is not found:
                text = translatable("{left} can't be compared with {right}")
                raise self._at(one, Phrase(text, {"left": _called(found), "right": _called(dimension)}))
            found = found or dimension
        if found is None:
            raise self._at(first, Phrase("Only constants are compared here: the outcome never changes"))
        for one in (first, *others):
            self._percentages(one, found)
        return found

    def _dimension(self, node: Expression) -> Dimension | None:
        """What an expression measures; from its leaves up, so that the innermost fault is told."""
        if isinstance(node, Arithmetic):
            self._dimension(node.left)
            self._dimension(node.right)
        try:
            return dimension_of(node)
        except NoDimension as exc:
            text = translatable("{left} {op} {right} has no meaning")
            fault = Phrase(text, {"left": _called(exc.left), "op": exc.op, "right": _called(exc.right)})
            raise self._at(node.right if isinstance(node, Arithmetic) else node, fault) from exc

    def _percentages(self, node: Expression, wanted: Dimension) -> None:
        """A constant with `%` stands only where percentages do."""
        if isinstance(node, Arithmetic):
            left, right = sides_of(node, wanted)
            self._percentages(node.left, left)
            self._percentages(node.right, right)
        elif isinstance(node, Number) and self._places.is_percentage(node) and wanted is not Dimension.PERCENT:
            text = translatable("{got}% is a percentage, and here stands {wanted}; write a factor, as in close * 1.02")
            raise self._at(node, Phrase(text, {"got": number(node.value), "wanted": _called(wanted)}))

    def _range(self, node: Channel) -> None:
        if self._dimension(node.value) is None:
            raise self._at(node.value, Phrase("Only constants are compared here: the outcome never changes"))
        self._meeting(node.value, node.low, node.high)
        low, high = node.low, node.high
        if isinstance(low, Number) and isinstance(high, Number) and low.value >= high.value:
            text = translatable("The range {low}..{high} is empty: the lower bound comes first")
            raise self._at(low, Phrase(text, {"low": number(low.value), "high": number(high.value)}))

    def _moving(self, node: Move | Step) -> None:
        if self._dimension(node.value) is None:
            raise self._at(node.value, Phrase("A constant never moves"))
        self._meeting(node.value)

    def _level(self, term: Condition, word: str) -> None:
        edge = _first_edge(term)
        if edge is not None:
            text = translatable("{word} takes what holds for a while, as price > 500 does; this happens at one moment")
            raise self._at(edge, Phrase(text, {"word": word}))

    def options(self, tree: Condition, options: Options) -> None:
        """Raises CommandError BAD_REQUEST where tree and options don't go together."""
        if options.frequency is Frequency.ONCE_PER_BAR_CLOSE:
            for node in walk(tree):
                self._on_closed_bars(node)
        if options.band is not None and not takes_band(tree):
            raise self._at(tree, Phrase("A band needs a single comparison or crossing with a constant"))

    def _on_closed_bars(self, node: Node) -> None:
        text = translatable("Once per bar close looks at candles alone, which have no {name}")
        if isinstance(node, Extreme):
            raise self._at(node, Phrase(text, {"name": canonical_text(node)}))
        if isinstance(node, Field) and node.timeframe is None and not on_bars(node):
            raise self._at(node, Phrase(text, {"name": "prev_close" if node.name == "close" else node.name}))


def takes_band(tree: Condition) -> bool:
    """Whether it has one level to recover from: a single comparison or crossing with a constant."""
    return isinstance(tree, Compare | Cross) and isinstance(tree.right, Number) and getattr(tree, "op", "") != "=="


def on_bars(field: Field) -> bool:
    """Whether a tick's figure can be looked at on candles instead: the previous close can't."""
    return field.name == "price" or (field.name in BAR_FIELDS and field.name != "close")


def _first_edge(tree: Condition) -> Condition | None:
    """The edge for which a condition is none that holds, if there is one."""
    if not is_edge(tree):
        return None
    if isinstance(tree, And | Or):
        return next((found for one in tree.terms if (found := _first_edge(one)) is not None), None)
    return tree


def _called(dimension: Dimension | None) -> Phrase:
    return Phrase(DIMENSIONS[dimension]) if dimension else Phrase("a constant")
