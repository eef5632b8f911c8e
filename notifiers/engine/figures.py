"""Figures: one field of one view, its newest values, and the rules that look at it, sorted by their thresholds.

Most rules compare one figure with a constant, and nothing about them can change while the figure stays between two
neighbouring thresholds. So a figure knows the gap in which it is, and a sample within that gap costs two comparisons,
however many rules there are. A sample that leaves it wakes the rules whose thresholds lie on its way, both ends
included.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from schemas.market import PRICE_SCALE, Tick, scaled

if TYPE_CHECKING:
    from notifiers.engine.samples import Bar
    from notifiers.engine.views import View
    from notifiers.engine.watch import Watch

Number = int | float
MOST = 2**62
"""Values of that magnitude are none: twice as much no longer fits into 64 bits, in which states are kept."""
_NOWHERE = (float("inf"), float("-inf"))
"""A gap that no value is in."""
_FEW = 16
_level = itemgetter(0)


class Figure:
    """One field of one view. Values of a price's dimension are in 1/PRICE_SCALE."""

    __slots__ = (
        "_above", "_below", "_dead", "_levels", "_pending", "_watches", "current", "current_ms", "indicator",
        "is_price", "known", "measures_price", "name", "plain_price", "previous", "previous_ms", "read", "users",
        "view",
    )  # fmt: skip

    def __init__(
        self, view: "View", name: str, read: Callable[[Any], Number | None], *, measures_price: bool, indicator: str
    ) -> None:
        self.view = view
        self.name = name
        """Canonical, with its timeframe, without a place."""
        self.read = read
        self.measures_price = measures_price
        self.indicator = indicator
        """Whose value it is; empty for a sample's own fields."""
        self.plain_price = name == "price" and not view.track.source.timeframe
        """The price of ticks, which may have been elsewhere between two of them."""
        self.is_price = name.partition(" ")[0] == "price"
        self.current: Number | None = None
        """The newest value that was told, even if the last sample left it out."""
        self.current_ms: int | None = None
        self.previous: Number | None = None
        """The one told before."""
        self.previous_ms: int | None = None
        self.known = False
        """Whether the last sample told it."""
        self.users = 0
        self._levels: list[Number] = []
        self._watches: list[Watch] = []
        self._pending: list[tuple[Number, Watch]] = []
        self._dead = 0
        self._below, self._above = _NOWHERE

    def decimal(self, value: Number | None) -> float | None:
        """The value as people write it."""
        if value is None:
            return None
        return value / PRICE_SCALE if self.measures_price else float(value)

    # -- samples ----------------------------------------------------------------------------------------------------

    def take(self, value: Number | None, time_ms: int) -> "list[Watch] | None":
        """The sample's value; gives the rules that it wakes."""
        if value is None or not -MOST < value < MOST:
            self.known = False
            return None
        self.known = True
        previous = self._move(value, time_ms)
        if self._below < value < self._above:
            return None
        return self._on_the_way(previous, value, value, value)

    def take_price(self, value: int, time_ms: int, low: int | None, high: int | None) -> "list[Watch] | None":
        """The sample's price; `low` and `high` are where it has been since the last one beyond that, if it has."""
        self.known = True
        previous = self._move(value, time_ms)
        if low is None and high is None and self._below < value < self._above:
            return None
        return self._on_the_way(previous, value, value if low is None else low, value if high is None else high)

    def _move(self, value: Number, time_ms: int) -> Number | None:
        previous = self.previous = self.current
        self.previous_ms = self.current_ms
        self.current = value
        self.current_ms = time_ms
        return previous

    def _on_the_way(self, previous: Number | None, value: Number, low: Number, high: Number) -> "list[Watch] | None":
        self._settle()
        self._find_gap(value)
        if previous is None:
            return list(self._watches)
        if previous == low == high:
            return None
        first = bisect_left(self._levels, min(previous, low))
        return self._watches[first : bisect_right(self._levels, max(previous, high))]

    def _find_gap(self, value: Number) -> None:
        levels = self._levels
        first, after = bisect_left(levels, value), bisect_right(levels, value)
        if first != after:
            self._below, self._above = _NOWHERE
            return
        self._below = levels[first - 1] if first else _NOWHERE[1]
        self._above = levels[after] if after < len(levels) else _NOWHERE[0]

    # -- rules ------------------------------------------------------------------------------------------------------

    def add(self, level: Number, watch: "Watch") -> None:
        """A rule to wake when the figure comes to or past the level. Sorted in when the next sample comes."""
        self._pending.append((level, watch))
        self._below, self._above = _NOWHERE

    def remove(self, thresholds: int) -> None:
        """A rule with so many thresholds here has gone; they are skipped, and cleared away once they are many."""
        self._dead += thresholds
        if self._dead > _FEW and self._dead * 2 > len(self._levels):
            self._settle()
            kept = [(level, one) for level, one in zip(self._levels, self._watches, strict=True) if not one.gone]
            self._levels = [level for level, _ in kept]
            self._watches = [one for _, one in kept]
            self._dead = 0
            self._below, self._above = _NOWHERE

    def _settle(self) -> None:
        pending = self._pending
        if not pending:
            return
        self._pending = []
        if len(pending) <= _FEW:
            for level, watch in pending:
                place = bisect_right(self._levels, level)
                self._levels.insert(place, level)
                self._watches.insert(place, watch)
            return
        rows = sorted([*zip(self._levels, self._watches, strict=True), *pending], key=_level)
        self._levels = [level for level, _ in rows]
        self._watches = [watch for _, watch in rows]

    # -- what is remembered -----------------------------------------------------------------------------------------

    def rescale(self, numerator: int, denominator: int) -> None:
        """What is remembered of a price, as if it had always been quoted as it is from now on."""
        if self.measures_price:
            self.current = rescaled(self.current, numerator, denominator)
            self.previous = rescaled(self.previous, numerator, denominator)
            self._below, self._above = _NOWHERE

    def forget(self) -> None:
        """As if no sample had told it yet."""
        self.current = self.current_ms = self.previous = self.previous_ms = None
        self.known = False
        self._below, self._above = _NOWHERE


def bounded(value: int | None) -> int | None:
    """The value, if it is less than MOST."""
    return value if value is not None and -MOST < value < MOST else None


def rescaled(value: Number | None, numerator: int, denominator: int) -> int | None:
    """The value times numerator / denominator, as a whole number; None where it is none, or would be too much."""
    return None if value is None else bounded(round(value * numerator / denominator))


# -- what samples tell ----------------------------------------------------------------------------------------------


def _difference(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left - right


def _percent(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part * 100 / whole


_DERIVED: dict[str, Callable[[Tick], Number | None]] = {
    "change": lambda tick: tick.price - tick.close if tick.close else None,
    "change_percent": lambda tick: _percent(_difference(tick.price, tick.close), tick.close),
    "change_from_open_percent": lambda tick: _percent(_difference(tick.price, tick.open), tick.open),
    "spread": lambda tick: _difference(tick.ask, tick.bid),
    "upper_circuit_distance_percent": lambda tick: _percent(_difference(tick.upper_circuit, tick.price), tick.price),
    "lower_circuit_distance_percent": lambda tick: _percent(_difference(tick.price, tick.lower_circuit), tick.price),
}


def reader_of_tick(name: str) -> Callable[[Tick], Number | None]:
    """How to get a field out of a tick, by its canonical name."""
    return _DERIVED.get(name) or _attribute(name)


def reader_of_bar(name: str) -> "Callable[[Bar], Number | None]":
    """How to get a field out of a candle; its price is its close."""
    return _attribute("close" if name == "price" else name)


def _attribute(name: str) -> Callable[[Any], Number | None]:
    def read(sample: Any) -> Number | None:
        value: Number | None = getattr(sample, name)
        return value

    return read


def reader_of_indicator(text: str, line: str | None, *, measures_price: bool) -> "Callable[[Bar], Number | None]":
    """How to get an indicator's value, or one of its lines, out of a candle."""

    def read(bar: "Bar") -> Number | None:
        value = None if bar.indicators is None else bar.indicators.get(text)
        if value is not None and not isinstance(value, int | float):
            value = value.get(line or "")
        if value is None or not measures_price:
            return value
        return scaled(value) if math.isfinite(value) else None

    return read
