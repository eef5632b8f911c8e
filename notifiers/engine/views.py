"""Views: a source of samples as some rules see it.

A view is a track as seen by the rules that listen in the same states of the market (or to closed candles only):
samples that they don't see don't exist for them, so each view has its own last sample, its own figures and its own
marks of the day.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from notifiers.engine.figures import Figure, Number, bounded, rescaled
from schemas.market import MarketState, Tick

if TYPE_CHECKING:
    from notifiers.engine.samples import Bar
    from notifiers.engine.tracks import Track
    from notifiers.engine.watch import Watch

DAY_MS = 86_400_000
IST_MS = 19_800_000

Seen = frozenset[MarketState | None] | str
"""What a view lets through: states of the market for ticks; for candles EVERY or CLOSED."""
EVERY = "every"
CLOSED = "closed"

_PRICES = ("price", "high", "low", "mark_high", "mark_low", "year_high", "year_low")

KeptFigure = tuple[str, Number | None, int | None, bool]
KeptView = tuple[
    str | list[MarketState], int, int, int,
    int | None, int | None, int | None, int | None, int | None, list[KeptFigure],
]  # fmt: skip
"""What `View.kept` tells, and how it is read."""


def ist_day(time_ms: int) -> int:
    """The date in India, as days since the epoch. A trading day is one."""
    return (time_ms + IST_MS) // DAY_MS


class View:
    """A track as some rules see it."""

    __slots__ = (
        "alarms", "bar_closed", "bar_start_ms", "before_high", "before_low", "busy", "day", "deadlines", "extremes",
        "figures", "fresh", "high", "low", "mark_high", "mark_low", "mornings", "new_day", "number", "only", "price",
        "seen", "time_ms", "track", "way_high", "way_low", "year_before_high", "year_before_low", "year_high",
        "year_low",
    )  # fmt: skip

    def __init__(self, track: "Track", seen: Seen) -> None:
        self.track = track
        self.seen = seen
        self.only = (self,)
        """For the rules that have just this one: they share the tuple."""
        self.figures: dict[str, Figure] = {}
        self.number = -1
        self.time_ms = 0
        self.day = -1
        self.new_day = False
        """Whether the last sample was the first of its day."""
        self.price: int | None = None
        self.high: int | None = None
        self.low: int | None = None
        """The day's extremes as the last sample told them."""
        self.mark_high: int | None = None
        self.mark_low: int | None = None
        """The highest and lowest price, and told extreme, of all its samples of the day."""
        self.before_high: int | None = None
        self.before_low: int | None = None
        """The marks before the last sample; None if that was the day's first."""
        self.way_high: int | None = None
        self.way_low: int | None = None
        """Where the price has been before the last sample and after the one before it, beyond the last price."""
        self.year_high: int | None = None
        self.year_low: int | None = None
        self.year_before_high: int | None = None
        self.year_before_low: int | None = None
        self.bar_start_ms = 0
        self.bar_closed = False
        self.fresh: list[Watch] = []
        """Put since the last sample."""
        self.busy: dict[int, Watch] = {}
        """To be evaluated with every sample, by rule's id."""
        self.mornings: dict[int, Watch] = {}
        """To be evaluated with the first sample of a day."""
        self.extremes: dict[int, Watch] = {}
        """To be evaluated when the day's marks move."""
        self.deadlines: list[tuple[int, int, int, Watch]] = []
        """When a hold is over, soonest first; what no longer holds is skipped."""
        self.alarms: list[tuple[int, int, int, Watch]] = []
        """From when on a rule is busy again."""

    def add(
        self, name: str, read: Callable[[Any], Number | None], *, measures_price: bool, indicator: str = ""
    ) -> Figure:
        """A new figure, with what is remembered of it."""
        figure = self.figures[name] = Figure(self, name, read, measures_price=measures_price, indicator=indicator)
        self.track.remembered(figure)
        return figure

    @property
    def unused(self) -> bool:
        """Whether no rule looks at it."""
        return not any(figure.users for figure in self.figures.values())

    # -- samples ----------------------------------------------------------------------------------------------------

    def lets_through(self, state: MarketState | None) -> bool:
        """Whether a tick in that state of the market exists for its rules."""
        return state is None or state in self.seen

    def take_tick(self, tick: Tick, number: int) -> "list[Watch]":
        """Gives the rules to evaluate, in no order and maybe more than once each."""
        moved = self._move_marks(tick)
        self._begin(number, tick.time_ms, tick.price)
        woken: list[Watch] = []
        for figure in self.figures.values():
            if figure.plain_price:
                some = figure.take_price(tick.price, tick.time_ms, self.way_low, self.way_high)
            else:
                some = figure.take(figure.read(tick), tick.time_ms)
            if some:
                woken += some
        if moved and self.extremes:
            woken += self.extremes.values()
        return self._with_others(woken)

    def take_bar(self, bar: "Bar", number: int, time_ms: int) -> "list[Watch]":
        """The same for a candle."""
        self._begin_day(time_ms)
        self._begin(number, time_ms, bar.close)
        self.bar_start_ms, self.bar_closed = bar.start_ms, bar.closed
        woken: list[Watch] = []
        for figure in self.figures.values():
            if some := figure.take(figure.read(bar), time_ms):
                woken += some
        return self._with_others(woken)

    def _begin(self, number: int, time_ms: int, price: int) -> None:
        self.number = number
        self.time_ms = time_ms
        self.price = price

    def _begin_day(self, time_ms: int) -> None:
        day = ist_day(time_ms)
        self.new_day = day != self.day
        self.day = day

    def _move_marks(self, tick: Tick) -> bool:
        """Whether the sample is beyond the day's marks, or the day's first."""
        self._begin_day(tick.time_ms)
        if self.new_day:
            self.mark_high = self.mark_low = None
        told_high, told_low = self.high, self.low = bounded(tick.high), bounded(tick.low)
        self.year_before_high, self.year_before_low = self.year_high, self.year_low
        self.year_high, self.year_low = bounded(tick.year_high), bounded(tick.year_low)
        price, before_high, before_low = tick.price, self.mark_high, self.mark_low
        self.before_high, self.before_low = before_high, before_low
        high = price if told_high is None or told_high < price else told_high
        low = price if told_low is None or told_low > price else told_low
        new_high, new_low = before_high is None or high > before_high, before_low is None or low < before_low
        self.way_high = high if new_high and high > price else None
        self.way_low = low if new_low and low < price else None
        if new_high:
            self.mark_high = high
        if new_low:
            self.mark_low = low
        return new_high or new_low

    def _with_others(self, woken: "list[Watch]") -> "list[Watch]":
        if self.fresh:
            woken += self.fresh
            self.fresh = []
        if self.busy:
            woken += self.busy.values()
        if self.new_day and self.mornings:
            woken += self.mornings.values()
        return woken

    # -- at rest ----------------------------------------------------------------------------------------------------

    def kept(self) -> list[Any]:
        """What can't be worked out again."""
        seen = self.seen if isinstance(self.seen, str) else sorted(state for state in self.seen if state)
        figures = [
            [figure.name, figure.current, figure.current_ms, figure.known]
            for figure in self.figures.values()
            if figure.current is not None
        ]
        return [
            seen, self.number, self.time_ms, self.day, self.price, self.mark_high, self.mark_low,
            self.year_high, self.year_low, figures,
        ]  # fmt: skip

    def restore(self, kept: "KeptView") -> None:
        """Go on from there."""
        (
            _, self.number, self.time_ms, self.day, self.price, self.mark_high, self.mark_low,
            self.year_high, self.year_low, _,
        ) = kept  # fmt: skip

    def forget(self) -> None:
        """As if no sample had told anything yet."""
        for name in (
            *_PRICES,
            "before_high",
            "before_low",
            "way_high",
            "way_low",
            "year_before_high",
            "year_before_low",
        ):
            setattr(self, name, None)
        self.day = -1
        for figure in self.figures.values():
            figure.forget()

    def rescale(self, numerator: int, denominator: int) -> None:
        """What is remembered of prices, as if they had always been quoted as they are from now on."""
        for name in _PRICES:
            setattr(self, name, rescaled(getattr(self, name), numerator, denominator))
        for figure in self.figures.values():
            figure.rescale(numerator, denominator)
