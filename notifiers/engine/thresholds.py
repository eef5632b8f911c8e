"""Conditions on one figure and constants: the ones that can be indexed. They remember nothing but that they began.

Where the figure is the plain price of ticks, the way from the last sample to this one goes through the day's new high
or low, if the sample brought one (a wick).
"""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import msgspec

from notifiers.conditions.options import Baseline
from notifiers.engine.figures import Figure, Number
from notifiers.engine.moment import Moment, Node
from notifiers.engine.views import ist_day


class Kind(IntEnum):
    """How a figure is compared. From ABOVE and ENTERS on these are edges."""

    MORE = 0
    AT_LEAST = 1
    LESS = 2
    AT_MOST = 3
    EQUAL = 4
    ABOVE = 5
    BELOW = 6
    ANY = 7


HOLDS: tuple[Callable[[Number, Number], bool], ...] = (
    lambda value, level: value > level,
    lambda value, level: value >= level,
    lambda value, level: value < level,
    lambda value, level: value <= level,
    lambda value, level: value == level,
)
"""The comparisons, by their kind."""

STARTED = 1
BY_LAST = 2
"""Judged by the last price alone, without wicks: what counts is how long or since when it is so."""


class Way(NamedTuple):
    """From the sample before to this one. `low` and `high` are `current` but for a wick; without `previous` no way."""

    previous: Number | None
    previous_ms: int | None
    current: Number
    low: Number
    high: Number


class Threshold(msgspec.Struct, gc=False, eq=False):
    """A figure compared with a level, or crossing it."""

    figure: Figure
    kind: Kind
    level: Number
    flags: int = 0

    def evaluate(self, moment: Moment) -> bool | None:
        """Level or edge, by its kind."""
        figure, kind = self.figure, self.kind
        if moment.view is not figure.view:
            value = moment.value_of(figure)
            moment.unstarted |= not self.flags & STARTED
            if value is None:
                return None
            if kind >= Kind.ABOVE or not HOLDS[kind](value, self.level):
                return False
            moment.find(None, None, value, self.level, gap=False)
            return True
        if not figure.known:
            moment.unstarted |= not self.flags & STARTED
            return None
        way = way_of(figure, moment, self.flags)
        self.flags |= STARTED
        return self._happens(way, moment) if kind >= Kind.ABOVE else self._holds(way, moment)

    def _holds(self, way: Way, moment: Moment) -> bool:
        holds, level = HOLDS[self.kind], self.level
        for value in (way.current, way.high, way.low):
            if holds(value, level):
                moment.wick |= value != way.current
                gap = way.previous is not None and _between(way.previous, level, value)
                moment.find(way.previous, way.previous_ms, value, level, gap=gap)
                return True
        return False

    def _happens(self, way: Way, moment: Moment) -> bool:
        previous, current = way.previous, way.current
        if previous is None:
            return False
        for start, end, place in _legs(previous, way):
            if self._crosses(start, end):
                moment.wick |= start != previous or end != current
                gap = _between(start, self.level, end)
                moment.find(previous, way.previous_ms, place, self.level, gap=gap)
                return True
        return False

    def _crosses(self, start: Number, end: Number) -> bool:
        up, down = start < self.level <= end, start > self.level >= end
        return (up and self.kind != Kind.BELOW) or (down and self.kind != Kind.ABOVE)

    def compared(self, moment: Moment) -> tuple[Number, Number] | None:
        """The value and the level now."""
        value = moment.value_of(self.figure)
        return None if value is None else (value, self.level)

    @property
    def measures_price(self) -> bool:
        """As the figure does."""
        return self.figure.measures_price

    def keep(self) -> list[object]:
        """Whether it began is kept with its rule."""
        return []

    def restore(self, kept: list[object]) -> None:
        """Nothing to remember."""

    def parts(self) -> tuple[Node, ...]:
        """None."""
        return ()

    def figures(self) -> tuple[Figure, ...]:
        """The one."""
        return (self.figure,)


def is_back(kind: Kind, value: Number, level: Number, band: Number) -> bool:
    """Whether the value is as far back on the other side of the level as the band is wide."""
    if kind in {Kind.MORE, Kind.AT_LEAST, Kind.ABOVE}:
        return value <= level - band
    if kind in {Kind.LESS, Kind.AT_MOST, Kind.BELOW}:
        return value >= level + band
    return abs(value - level) >= band


class Relation(IntEnum):
    """How a figure lies to a range, or gets into it or out of it."""

    INSIDE = 0
    OUTSIDE = 1
    ENTERS = 2
    EXITS = 3


class Range(msgspec.Struct, gc=False, eq=False):
    """A figure and a closed range."""

    figure: Figure
    relation: Relation
    bottom: Number
    top: Number
    flags: int = 0

    def evaluate(self, moment: Moment) -> bool | None:
        """Level or edge, by its relation."""
        figure = self.figure
        if moment.view is not figure.view:
            value = moment.value_of(figure)
            moment.unstarted |= not self.flags & STARTED
            if value is None:
                return None
            if self.relation >= Relation.ENTERS or not self._holds_at(value):
                return False
            moment.find(None, None, value, None, gap=False)
            return True
        if not figure.known:
            moment.unstarted |= not self.flags & STARTED
            return None
        way = way_of(figure, moment, self.flags)
        self.flags |= STARTED
        if self.relation < Relation.ENTERS:
            return self._holds(way, moment)
        return way.previous is not None and self._happens(way.previous, way, moment)

    def _inside(self, value: Number) -> bool:
        return self.bottom <= value <= self.top

    def _holds_at(self, value: Number) -> bool:
        return self._inside(value) == (self.relation == Relation.INSIDE)

    def _holds(self, way: Way, moment: Moment) -> bool:
        for value in (way.current, way.high, way.low):
            if self._holds_at(value):
                moment.wick |= value != way.current
                moment.find(way.previous, way.previous_ms, value, None, gap=False)
                return True
        return False

    def _happens(self, previous: Number, way: Way, moment: Moment) -> bool:
        if self._inside(previous) == (self.relation == Relation.ENTERS):
            return False
        for value in (way.current, way.high, way.low):
            if self._reaches(previous, value):
                moment.wick |= value != way.current
                level = self._bound(previous, value)
                gap = not self._inside(value) if self.relation == Relation.ENTERS else _between(previous, level, value)
                moment.find(previous, way.previous_ms, value, level, gap=gap)
                return True
        return False

    def _reaches(self, previous: Number, value: Number) -> bool:
        """Whether the way to the value goes into the range, or out of it."""
        if self.relation == Relation.EXITS:
            return not self._inside(value)
        return value >= self.bottom if previous < self.bottom else value <= self.top

    def _bound(self, previous: Number, value: Number) -> Number:
        outside = previous if self.relation == Relation.ENTERS else value
        return self.bottom if outside < self.bottom else self.top

    @property
    def measures_price(self) -> bool:
        """As the figure does."""
        return self.figure.measures_price

    def keep(self) -> list[object]:
        """Whether it began is kept with its rule."""
        return []

    def restore(self, kept: list[object]) -> None:
        """Nothing to remember."""

    def parts(self) -> tuple[Node, ...]:
        """None."""
        return ()

    def figures(self) -> tuple[Figure, ...]:
        """The one."""
        return (self.figure,)


class NewExtreme(msgspec.Struct, gc=False, eq=False):
    """A new high or low of the day, or of the year. `figure` is the plain price."""

    figure: Figure
    is_high: bool
    of_year: bool
    flags: int = 0

    def evaluate(self, moment: Moment) -> bool | None:
        """Edge. False at the first sample, and of a day at its first."""
        view = self.figure.view
        if moment.view is not view:
            moment.unstarted |= not self.flags & STARTED
            return False
        started, self.flags = self.flags & STARTED, self.flags | STARTED
        mark = self._mark_of_day(moment, started=bool(started))
        if self.of_year:
            year = (view.year_before_high if self.is_high else view.year_before_low) if started else None
            if year is None:
                return False
            mark = year if mark is None else self._further(year, mark)
        if mark is None:
            return False
        return self._beyond(mark, moment, started=bool(started))

    def _beyond(self, mark: int, moment: Moment, *, started: bool) -> bool:
        view = self.figure.view
        price, told = view.price or 0, view.high if self.is_high else view.low
        extreme = price if told is None else self._further(price, told)
        if extreme == mark or self._further(extreme, mark) != extreme:
            return False
        moment.wick |= extreme != price
        previous_ms = self.figure.previous_ms if started or moment.baseline is None else moment.baseline.time_ms
        moment.find(mark, previous_ms, extreme, mark, gap=False)
        return True

    def _further(self, one: int, other: int) -> int:
        return max(one, other) if self.is_high else min(one, other)

    def _mark_of_day(self, moment: Moment, *, started: bool) -> int | None:
        view = self.figure.view
        if started:
            return view.before_high if self.is_high else view.before_low
        baseline = moment.baseline
        if baseline is None or ist_day(baseline.time_ms) != view.day or view.track.source is not moment.home:
            return None
        told = baseline.high if self.is_high else baseline.low
        return None if told is None else self._further(baseline.price, told)

    @property
    def measures_price(self) -> bool:
        """As the figure does."""
        return self.figure.measures_price

    def keep(self) -> list[object]:
        """Whether it began is kept with its rule."""
        return []

    def restore(self, kept: list[object]) -> None:
        """Nothing to remember."""

    def parts(self) -> tuple[Node, ...]:
        """None."""
        return ()

    def figures(self) -> tuple[Figure, ...]:
        """The plain price."""
        return (self.figure,)


Indexed = Threshold | Range | NewExtreme


def way_of(figure: Figure, moment: Moment, flags: int) -> Way:
    """The way of a known figure to the sample of its own view."""
    view, current = figure.view, figure.current or 0
    if not flags & STARTED:
        return _way_from_baseline(figure, moment, current, flags)
    if figure.previous is None or moment.begins_day_after(figure.previous_ms):
        return Way(None, None, current, current, current)
    if not figure.plain_price or flags & BY_LAST:
        return Way(figure.previous, figure.previous_ms, current, current, current)
    low = current if view.way_low is None else view.way_low
    high = current if view.way_high is None else view.way_high
    return Way(figure.previous, figure.previous_ms, current, low, high)


def _way_from_baseline(figure: Figure, moment: Moment, current: Number, flags: int) -> Way:
    view, baseline = figure.view, moment.baseline
    previous = moment.of_baseline(figure)
    if baseline is None or previous is None:
        return Way(None, None, current, current, current)
    same_day = ist_day(baseline.time_ms) == view.day
    if moment.begins_day_after(baseline.time_ms):
        return Way(None, None, current, current, current)
    if not figure.plain_price or flags & BY_LAST:
        return Way(previous, baseline.time_ms, current, current, current)
    low = high = current
    if view.high is not None and view.high > current and _is_news(view.high, baseline, same_day=same_day, sign=1):
        high = view.high
    if view.low is not None and view.low < current and _is_news(view.low, baseline, same_day=same_day, sign=-1):
        low = view.low
    return Way(previous, baseline.time_ms, current, low, high)


def _is_news(told: int, baseline: Baseline, *, same_day: bool, sign: int) -> bool:
    """Whether a day's extreme is beyond all that the baseline tells; if that tells none, nobody knows."""
    if not same_day:
        return True
    mark = baseline.high if sign > 0 else baseline.low
    return mark is not None and told * sign > max(mark * sign, baseline.price * sign)


def _legs(previous: Number, way: Way) -> tuple[tuple[Number, Number, Number], ...]:
    """The stretches on which a level may be crossed: from, to, and the value to tell. The direct one comes first."""
    current, low, high = way.current, way.low, way.high
    if low == high:
        return ((previous, current, current),)
    return (
        (previous, current, current),
        (previous, high, high),
        (previous, low, low),
        (low, current, current),
        (high, current, current),
    )


def _between(start: Number, level: Number, end: Number) -> bool:
    """Whether the level was jumped over, neither end being at it."""
    return start < level < end or start > level > end
