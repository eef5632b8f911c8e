"""The moment at which a rule is evaluated: a sample, a time that has come, or the baseline before its first sample.

And what the evaluation finds: there is one object of it per engine, set anew for each rule.
"""

from typing import Protocol

from notifiers.conditions.options import Baseline
from notifiers.engine.figures import Figure, Number, bounded
from notifiers.engine.samples import Source
from notifiers.engine.views import View, ist_day

_BASELINE_FIELDS = frozenset({"price", "high", "low"})


class Moment:
    """When it is and whose sample it is, and what has been found so far."""

    __slots__ = (
        "baseline", "current", "deadline_ms", "found", "gap", "home", "is_baseline", "level", "previous",
        "previous_ms", "rebases", "received_ms", "time_ms", "unstarted", "view", "wick",
    )  # fmt: skip

    def __init__(self) -> None:
        self.view: View | None = None
        """Whose sample it is; None at the baseline, and where a time has come."""
        self.time_ms = 0
        self.received_ms = 0
        self.home = Source("", "")
        """The ticks of the rule's own instrument."""
        self.baseline: Baseline | None = None
        self.is_baseline = False
        self.rebases = False
        """The rule compares the first sample of a trading day with nothing."""
        self.begin_finding()

    def begin_finding(self) -> None:
        """Forget what the last rule has found."""
        self.wick = False
        """Something was true only where the price has been between two samples."""
        self.unstarted = False
        """Some part has not seen its first sample yet."""
        self.deadline_ms: int | None = None
        """When the soonest hold is over."""
        self.begin_finding_nothing()

    def begin_finding_nothing(self) -> None:
        """Forget which values made it true: they tell nothing where a tree looks at several things."""
        self.found = False
        self.gap = False
        self.previous: Number | None = None
        self.previous_ms: int | None = None
        self.current: Number | None = None
        self.level: Number | None = None

    def begins_day_after(self, last_ms: int | None) -> bool:
        """Whether what was at that time, on a day before, is not to be compared with what is now."""
        return self.rebases and last_ms is not None and ist_day(last_ms) != ist_day(self.time_ms)

    @property
    def is_clock(self) -> bool:
        """It is no sample: a time has come."""
        return self.view is None and not self.is_baseline

    def find(
        self, previous: Number | None, previous_ms: int | None, current: Number, level: Number | None, *, gap: bool
    ) -> None:
        """Why a part of the tree is true; of several parts the first one is told."""
        if not self.found:
            self.found = True
            self.previous, self.previous_ms, self.current, self.level = previous, previous_ms, current, level
            self.gap = gap

    def of_baseline(self, figure: Figure) -> int | None:
        """The baseline's value of a figure; None where it has none."""
        baseline = self.baseline
        if baseline is None or figure.name not in _BASELINE_FIELDS or figure.view.track.source is not self.home:
            return None
        return bounded(getattr(baseline, figure.name))

    def value_of(self, figure: Figure) -> Number | None:
        """What the figure is now; None where the last sample didn't tell it."""
        if self.is_baseline:
            return self.of_baseline(figure)
        return figure.current if figure.known else None


class Node(Protocol):
    """A condition, ready to be evaluated.

    `evaluate` gives None where something that it needs is missing. It is called once for each moment of its rule, and
    not at all at samples that can't change it where all of a tree is `indexed`.
    """

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether it is true, or happens, at that moment."""

    def keep(self) -> list[object]:
        """What it remembers; empty where nothing."""

    def restore(self, kept: list[object]) -> None:
        """Remember that."""

    def parts(self) -> "tuple[Node, ...]":
        """The conditions below it."""

    def figures(self) -> tuple[Figure, ...]:
        """What it looks at itself."""


class Leaf(Node, Protocol):
    """A condition that has none below it."""

    @property
    def measures_price(self) -> bool:
        """Whether what it compares are prices."""
