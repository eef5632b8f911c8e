"""A rule at work: its compiled tree and what is remembered of it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from notifiers.conditions.options import Baseline, Rearm
from notifiers.engine.comparisons import Comparison, Crossing
from notifiers.engine.compounds import below
from notifiers.engine.figures import Figure, Number
from notifiers.engine.memory import Unreadable, read, remembered, written
from notifiers.engine.moment import Leaf, Moment, Node
from notifiers.engine.policy import Policy, Refusal
from notifiers.engine.samples import Firing, Source, Via
from notifiers.engine.thresholds import STARTED, Indexed, NewExtreme, Range, Threshold, is_back
from notifiers.engine.tracks import Track
from notifiers.engine.views import View, ist_day
from schemas.market import PRICE_SCALE, scaled

ARMED = 1
WAITED = 2
"""A level that is to be false before it fires has been so."""
BEGUN = 4
"""It has seen a sample."""
INDEXED = 8
"""It is evaluated only when one of its figures comes to one of its thresholds."""
GONE = 16
STARTING = 32
"""Some part of it has not seen a sample yet."""
_KEPT = ARMED | WAITED | BEGUN

STORM_FIRINGS = 15
STORM_MS = 180_000

_REASONS = ("cooldown", "frequency", "max_per_day")
_NOTHING_SPECIAL = msgspec.msgpack.encode([])
"""What is kept of most rules: that they have begun."""


class _State(NamedTuple):
    """What is kept of a rule. Which parts have begun: of those that can be indexed, in the order of the text."""

    flags: int
    extra: list[Any] | None
    started: list[bool]
    memories: list[list[Any]]


class Extra:
    """What few rules have to remember."""

    __slots__ = ("alarm_ms", "deadline_ms", "fired_today", "firing_day", "reasons", "recent", "suppressed")

    def __init__(self) -> None:
        self.firing_day = -1
        self.fired_today = 0
        self.suppressed = 0
        """How many suppressed firings were reported, ever."""
        self.reasons = 0
        """Those reported since it fired last, as bits."""
        self.recent: list[int] = []
        """When it fired within the last three minutes."""
        self.deadline_ms: int | None = None
        """When its soonest hold is over."""
        self.alarm_ms = 0
        """From when on it is to be evaluated with every sample again."""

    def kept(self) -> list[object]:
        """What can't be worked out again."""
        return [
            self.firing_day, self.fired_today, self.suppressed, self.reasons, self.recent, self.deadline_ms,
        ]  # fmt: skip

    def restore(self, kept: list[object]) -> None:
        """Go on from there. Raises Unreadable."""
        (
            self.firing_day, self.fired_today, self.suppressed, self.reasons, self.recent, self.deadline_ms,
        ) = remembered(kept, tuple[int, int, int, int, list[int], int | None])  # fmt: skip


class Watch(msgspec.Struct, gc=False, eq=False):
    """A rule at work. There may be a million of them, hence no more fields than needed."""

    id: int
    version: int
    home: Source
    """The ticks of its own instrument."""
    tree: Node
    policy: Policy
    views: tuple[View, ...]
    flags: int
    fired: int
    last_fired_ms: int | None
    expires_at_ms: int | None
    baseline: Baseline | None
    """Until all of it has seen a sample."""
    extra: Extra | None

    @property
    def gone(self) -> bool:
        """It is no rule any more."""
        return bool(self.flags & GONE)

    # -- one moment -------------------------------------------------------------------------------------------------

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether its tree is true, or happens."""
        moment.begin_finding()
        moment.home = self.home
        moment.baseline = self.baseline
        moment.rebases = self.policy.rebases
        return self.tree.evaluate(moment)

    def sees(self, view: View, number: int) -> bool:
        """Whether the sample is news for it: it may be older than the baseline."""
        baseline = self.baseline
        if baseline is None or self.flags & BEGUN:
            return True
        return view.track.source is not self.home or number > baseline.number

    def rearm(self, at_ms: int) -> None:
        """Arm it where time alone does that."""
        if self.flags & ARMED or self.last_fired_ms is None:
            return
        rearm, after_ms = self.policy.rearm, self.policy.rearm_after_ms
        if rearm is Rearm.SESSION:
            over = ist_day(at_ms) > ist_day(self.last_fired_ms)
        else:
            over = rearm is Rearm.RECOVER and after_ms > 0 and at_ms - self.last_fired_ms >= after_ms
        if over:
            self.flags |= ARMED

    def recover(self, moment: Moment) -> None:
        """Its tree was false at a sample."""
        if self.policy.waits:
            self.flags |= WAITED
        if not self.flags & ARMED and self.policy.rearm is Rearm.RECOVER and self._is_back(moment):
            self.flags |= ARMED

    def _is_back(self, moment: Moment) -> bool:
        tree = self.tree
        if self.policy.band is None or not isinstance(tree, Threshold | Comparison | Crossing):
            return True
        compared = tree.compared(moment)
        return compared is not None and is_back(tree.kind, *compared, self._width(tree, compared[1]))

    def _width(self, tree: Threshold | Comparison | Crossing, level: Number) -> Number:
        """Of the band around a level, in the level's own unit."""
        band = self.policy.band or 0
        if self.policy.band_percent:
            return abs(level) * band / 100
        return scaled(band) if tree.measures_price else band

    def levels(self, node: Indexed) -> tuple[Number, ...]:
        """Where a condition of its tree has to be evaluated again."""
        if isinstance(node, Range):
            return (node.bottom, node.top)
        if isinstance(node, NewExtreme):
            return ()
        if self.policy.band is None or node is not self.tree:
            return (node.level,)
        width = self._width(node, node.level)
        return (node.level, node.level - width, node.level + width)

    # -- firing -----------------------------------------------------------------------------------------------------

    def may_fire(self) -> bool:
        """Whether what is true now counts at all."""
        return bool(self.flags & ARMED) and (not self.policy.waits or bool(self.flags & WAITED))

    def has_expired(self, at_ms: int) -> bool:
        """Whether its time was over then."""
        return self.expires_at_ms is not None and self.expires_at_ms <= at_ms

    def answer(self, moment: Moment) -> tuple[Refusal | None, Firing | None]:
        """What follows from its tree being true."""
        if not self.may_fire():
            return None, None
        extra, at_ms = self.extra, moment.time_ms
        fired_today = extra.fired_today if extra is not None and extra.firing_day == ist_day(at_ms) else 0
        refusal = self.policy.refusal(at_ms, self.last_fired_ms, fired_today)
        if refusal is None:
            return None, self._fire(moment)
        return refusal, self._suppress(refusal[0], moment)

    def _suppress(self, reason: str, moment: Moment) -> Firing | None:
        """Report that, unless it was reported since it fired last."""
        extra, bit = self.own_extra(), 1 << _REASONS.index(reason)
        if extra.reasons & bit:
            return None
        extra.reasons |= bit
        extra.suppressed += 1
        return self._firing(moment, extra.suppressed, suppressed=reason)

    def _fire(self, moment: Moment) -> Firing:
        """It fires: everything that follows from it but its leaving."""
        at_ms, policy = moment.time_ms, self.policy
        self.fired += 1
        self.last_fired_ms = at_ms
        ended = policy.once or (policy.ends_at is not None and self.fired >= policy.ends_at)
        if ended:
            return self._firing(moment, self.fired, ended=True, storm=self._storms(at_ms))
        if policy.rearm is not Rearm.IMMEDIATELY:
            self.flags &= ~ARMED
        storm = self._storms(at_ms)
        extra, day = self.own_extra(), ist_day(at_ms)
        extra.reasons = 0
        extra.fired_today = extra.fired_today + 1 if extra.firing_day == day else 1
        extra.firing_day = day
        return self._firing(moment, self.fired, storm=storm)

    def _storms(self, at_ms: int) -> bool:
        """Whether it has fired too often within three minutes; counts this firing."""
        if self.policy.once:
            return False
        extra = self.own_extra()
        extra.recent = [*(one for one in extra.recent if at_ms - one < STORM_MS), at_ms][-STORM_FIRINGS - 1 :]
        return len(extra.recent) > STORM_FIRINGS

    def own_extra(self) -> Extra:
        """What few rules have; made where it isn't there."""
        if self.extra is None:
            self.extra = Extra()
        return self.extra

    def _firing(
        self, moment: Moment, number: int, *, suppressed: str | None = None, ended: bool = False, storm: bool = False
    ) -> Firing:
        view = moment.view or self.views[0]
        figures = list(self.figures())
        leaf = only_leaf(self.tree)
        scale = PRICE_SCALE if leaf is not None and leaf.measures_price else 1
        if leaf is None:
            moment.begin_finding_nothing()
        return Firing(
            rule=self.id,
            version=self.version,
            number=number,
            suppressed=suppressed,
            at_ms=moment.time_ms,
            received_ms=moment.received_ms,
            source=view.track.source.text,
            sample=view.number,
            previous=_decimal(moment.previous, scale),
            previous_ms=moment.previous_ms,
            current=_decimal(moment.current, scale),
            level=_decimal(moment.level, scale),
            price=self._price(view),
            via=_via(moment),
            gap=moment.gap,
            inputs={self._text(one): one.decimal(one.current if one.known else None) for one in figures},
            ended=ended,
            storm=storm,
        )

    def _price(self, view: View) -> float | None:
        """Of its own instrument: by this sample, else the newest that the rule knows."""
        for one in (view, *self.views):
            source = one.track.source
            if one.price is not None and source[:2] == self.home[:2]:
                return one.price / PRICE_SCALE
        return None

    def _text(self, figure: Figure) -> str:
        source = figure.view.track.source
        if source[:2] == self.home[:2]:
            return figure.name
        return f"{source.exchange}:{source.symbol}.{figure.name}"

    def tracks(self) -> list[Track]:
        """The sources that it looks at, each once."""
        return list(dict.fromkeys(view.track for view in self.views))

    def figures(self) -> Iterator[Figure]:
        """All that it looks at, in the order of its text; some maybe twice."""
        return (figure for node in below(self.tree) for figure in node.figures())

    # -- at rest ----------------------------------------------------------------------------------------------------

    def kept(self) -> bytes:
        """What can't be worked out again. Raises Unwritable."""
        if self.is_nothing_special():
            return _NOTHING_SPECIAL
        nodes = below(self.tree)
        starts = [bool(node.flags & STARTED) for node in nodes if isinstance(node, Indexed)]
        extra = None if self.extra is None else self.extra.kept()
        return written([self.flags & _KEPT, extra, starts, [node.keep() for node in nodes]])

    def is_nothing_special(self) -> bool:
        """Whether there is nothing to keep but that it has begun."""
        return self.flags & _KEPT == ARMED | BEGUN and self.extra is None and self.started()

    def started(self) -> bool:
        """Whether all of its parts have seen a sample."""
        return all(node.flags & STARTED for node in below(self.tree) if isinstance(node, Indexed))

    def restore_plain(self, state: bytes) -> bool:
        """Go on from there if there is nothing special about it and about its tree: most are like that."""
        tree = self.tree
        if state != _NOTHING_SPECIAL or not isinstance(tree, Indexed) or self.policy.waits:
            return False
        tree.flags |= STARTED
        self.flags = self.flags & ~STARTING | BEGUN
        self.baseline = None
        return True

    def restore(self, state: bytes) -> None:
        """Go on from there. Raises Unreadable; then it is no longer of use."""
        nodes = below(self.tree)
        places = [node for node in nodes if isinstance(node, Indexed)]
        if state == _NOTHING_SPECIAL:
            kept = _State(ARMED | BEGUN, None, [True] * len(places), [[] for _ in nodes])
        else:
            kept = read(state, _State)
        flags, extra, starts, memories = kept
        if len(starts) != len(places) or len(memories) != len(nodes):
            raise Unreadable("of another tree")
        self.flags = self.flags & ~_KEPT | flags & _KEPT
        if extra is not None:
            self.own_extra().restore(extra)
        for place, started in zip(places, starts, strict=True):
            place.flags |= STARTED if started else 0
        for node, memory in zip(nodes, memories, strict=True):
            node.restore(memory)


def only_leaf(tree: Node) -> Leaf | None:
    """The only condition of a tree; None where there are several."""
    leaves = [node for node in below(tree) if not node.parts()]
    return leaves[0] if len(leaves) == 1 else None  # type: ignore[return-value]


def _decimal(value: Number | None, scale: int) -> float | None:
    return None if value is None else value / scale


def _via(moment: Moment) -> Via:
    if moment.view is None:
        return "clock"
    if moment.view.track.source.timeframe:
        return "bar"
    return "session_extreme" if moment.wick else "tick"
