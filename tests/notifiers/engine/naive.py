"""A second opinion: what rules fire, worked out without an index, without memory and without care for time.

For each moment of a rule, its whole tree is worked out anew from the list of all moments that it has seen. Nothing is
shared with the engine but the structs that go in and out. Only what the property tests make is covered: see there.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from notifiers.conditions import tree as t
from notifiers.conditions.options import Baseline, Frequency, Rearm
from notifiers.engine.samples import Bar, Firing, Rule, Source
from schemas.market import IST, PRICE_SCALE, Tick

PRICES = {"price", "open", "high", "low", "close", "bid", "ask", "change", "spread", "average_price"}
EDGES = (t.Cross, t.Move, t.Extreme, t.Step, t.Then)
Truth = bool | None


# -- what happens to an engine --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Put:
    rule: Rule


@dataclass(frozen=True)
class Drop:
    rule: int


@dataclass(frozen=True)
class Sample:
    sample: Tick | Bar
    number: int


@dataclass(frozen=True)
class Advance:
    now_ms: int


Event = Put | Drop | Sample | Advance


def day_of(time_ms: int) -> object:
    return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(IST).date()


def received_at(sample: Tick | Bar) -> int:
    """When the tests say that a sample came."""
    return sample.time_ms + 7


def source_of(sample: Tick | Bar) -> Source:
    return Source(sample.exchange, sample.symbol, getattr(sample, "timeframe", ""))


# -- samples as they count ------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """An accepted sample as rules with certain sessions see it, with all that they saw before it."""

    sample: Tick | Bar
    number: int
    before: list["Seen"]

    @property
    def time_ms(self) -> int:
        return self.sample.time_ms

    @cached_property
    def same_day(self) -> list["Seen"]:
        return [one for one in self.before if day_of(one.time_ms) == day_of(self.time_ms)]

    def extreme(self, name: str) -> int:
        """The sample's price or the day's extreme that it tells, whichever is further."""
        told = getattr(self.sample, name)
        price = price_of(self.sample)
        if told is None:
            return price
        return max(price, told) if name == "high" else min(price, told)

    def mark(self, name: str) -> int | None:
        """The furthest one of the day before this sample."""
        marks = [one.extreme(name) for one in self.same_day]
        return None if not marks else max(marks) if name == "high" else min(marks)


def price_of(sample: Tick | Bar) -> int:
    return sample.close if isinstance(sample, Bar) else sample.price


def value_in(sample: Tick | Bar, name: str) -> float | None:
    if isinstance(sample, Bar):
        if name in {"open", "high", "low", "close", "volume", "open_interest"}:
            return getattr(sample, name)
        if name == "price":
            return sample.close
        value = (sample.indicators or {}).get(name)
        return value if value is None or isinstance(value, float) else None
    if name == "change_percent":
        return (sample.price - sample.close) * 100 / sample.close if sample.close else None
    if name == "spread":
        return None if sample.bid is None or sample.ask is None else sample.ask - sample.bid
    return getattr(sample, name)


def accepted(events: list[Event]) -> list[tuple[int, Tick | Bar, int]]:
    """The samples that count at all, by the place of their events."""
    last: dict[Source, tuple[int, int]] = {}
    found = []
    for place, event in enumerate(events):
        if not isinstance(event, Sample):
            continue
        sample, source = event.sample, source_of(event.sample)
        number, time_ms = last.get(source, (-1, 0))
        odd = price_of(sample) == 0
        if isinstance(sample, Tick):
            odd |= bool(sample.lower_circuit and sample.price < sample.lower_circuit)
            odd |= bool(sample.upper_circuit and sample.price > sample.upper_circuit)
        if event.number > number and sample.time_ms >= time_ms and not odd:
            last[source] = (event.number, sample.time_ms)
            found.append((place, sample, event.number))
    return found


# -- a rule's moments -----------------------------------------------------------------------------------------------


@dataclass
class Moment:
    """A moment of a rule: the baseline, a sample, or a time that has come."""

    kind: str
    time_ms: int
    received_ms: int
    seen: Seen | None
    newest: dict[Source, Seen]
    """Of each source, the last sample by now."""


@dataclass
class Finding:
    previous: float | None = None
    previous_ms: int | None = None
    current: float | None = None
    level: float | None = None
    gap: bool = False


@dataclass
class State:
    armed: bool = True
    waited: bool = False
    fired: int = 0
    last_ms: int | None = None
    times: list[int] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    suppressed: int = 0
    over: bool = False


class NaiveRule:
    """One rule from when it is put until it is dropped or ends."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule = msgspec.structs.replace(rule, tree=turned(rule.tree))
        self.options = rule.options
        self.home = Source(rule.exchange, rule.symbol)
        self.is_level = is_level(rule.tree)
        self.history: list[Moment] = []
        self.state = State(fired=rule.fired, last_ms=rule.last_fired_ms)
        self.begun = False
        self.wick = False
        self.finding: Finding | None = None
        self.focus = self.place = 0
        if self.baseline is not None:
            self.history.append(Moment("baseline", self.baseline.time_ms, 0, None, {}))
            if self.truth(rule.tree) is False:
                self.state.waited = True

    @cached_property
    def baseline(self) -> Baseline | None:
        one = self.rule.baseline
        if one is None or self.closed_only or day_of(one.time_ms) != day_of(self.rule.created_at_ms):
            return None
        return one

    @property
    def closed_only(self) -> bool:
        return self.options.frequency is Frequency.ONCE_PER_BAR_CLOSE

    @cached_property
    def sources(self) -> set[Source]:
        found = set()
        for node in t.walk(self.rule.tree):
            if isinstance(node, t.Field | t.Indicator | t.Extreme):
                found.add(self.source_of(node))
        for node in t.walk(self.rule.tree):
            if isinstance(node, t.Move) and node.within_bars:
                return {Source(self.home.exchange, self.home.symbol, node.timeframe or self.options.timeframe)}
        return found

    def source_of(self, node: t.Field | t.Indicator | t.Extreme) -> Source:
        timeframe = getattr(node, "timeframe", None) or (self.options.timeframe if self.closed_only else "")
        return Source(node.exchange or self.home.exchange, node.symbol or self.home.symbol, timeframe)

    def sees(self, sample: Tick | Bar) -> bool:
        if isinstance(sample, Bar):
            return sample.closed or not self.closed_only
        return sample.state is None or sample.state in self.options.sessions

    # -- events -----------------------------------------------------------------------------------------------------

    def take(self, seen: Seen, newest: dict[Source, Seen]) -> list[Firing]:
        sample = seen.sample
        firings = self.advance(sample.time_ms, received_at(sample), newest)
        if self.state.over:
            return firings
        if self.rule.expires_at_ms is not None and self.rule.expires_at_ms <= sample.time_ms:
            self.state.over = True
            return firings
        own = source_of(sample) == self.home
        if own and not self.begun and self.baseline is not None and seen.number <= self.baseline.number:
            return firings
        self.begun = True
        after = {**newest, source_of(sample): seen}
        return firings + self.judge(Moment("sample", sample.time_ms, received_at(sample), seen, after))

    def advance(self, until_ms: int, received_ms: int, newest: dict[Source, Seen]) -> list[Firing]:
        """All times that come by then."""
        firings: list[Firing] = []
        while not self.state.over and self.history:
            due = [one for one in self.deadlines(self.rule.tree) if self.history[-1].time_ms < one <= until_ms]
            if not due:
                break
            if self.rule.expires_at_ms is not None and self.rule.expires_at_ms <= min(due):
                self.state.over = True
                break
            firings += self.judge(Moment("clock", min(due), received_ms, None, newest))
        return firings

    def deadlines(self, node: t.Node) -> list[int]:
        """When the holds of the tree will have held, as it stands after the last moment."""
        found = []
        for one in t.walk(node):
            if isinstance(one, t.Hold) and one.seconds is not None:
                since_ms, has_held = self.holds_since(one, len(self.history) - 1)
                if since_ms is not None and not has_held:
                    found.append(since_ms + one.seconds * 1000)
        return found

    def judge(self, moment: Moment) -> list[Firing]:
        state, options, at_ms = self.state, self.options, moment.time_ms
        self.history.append(moment)
        self.rearm(at_ms)
        true = self.truth(self.rule.tree)
        if true is False and moment.kind == "sample":
            state.waited = True
            if not state.armed and self.rearms is Rearm.RECOVER and self.is_back(moment):
                state.armed = True
        if not true or not state.armed or (self.is_level and options.initially == "wait" and not state.waited):
            return []
        reason = self.reason_against(at_ms)
        if reason is None:
            return [self.fire(moment)]
        if reason in state.reported:
            return []
        state.reported.add(reason)
        state.suppressed += 1
        return [self.firing(moment, number=state.suppressed, suppressed=reason)]

    # -- arming -----------------------------------------------------------------------------------------------------

    @cached_property
    def rearms(self) -> Rearm:
        often = self.options.frequency in {Frequency.ONCE_PER_MINUTE, Frequency.ONCE_PER_BAR}
        usual = Rearm.RECOVER if self.is_level and not often else Rearm.IMMEDIATELY
        return self.options.rearm or usual

    def rearm(self, at_ms: int) -> None:
        state, after_ms = self.state, self.options.rearm_after_ms
        if state.armed or state.last_ms is None:
            return
        if self.rearms is Rearm.SESSION and day_of(at_ms) != day_of(state.last_ms):
            state.armed = True
        if self.rearms is Rearm.RECOVER and after_ms and at_ms >= state.last_ms + after_ms:
            state.armed = True

    def is_back(self, moment: Moment) -> bool:
        tree, band = self.rule.tree, self.options.band
        if band is None:
            return True
        assert isinstance(tree, t.Compare | t.Cross)
        assert isinstance(tree.right, t.Number)
        value, level = self.value(tree.left, moment), self.value(tree.right, moment, scale=self.scale(tree.left))
        if value is None or level is None:
            return False
        width = abs(level) * band / 100 if self.options.band_percent else band * self.scale(tree.left)
        way = tree.op if isinstance(tree, t.Compare) else tree.direction
        if way in {">", ">=", "above"}:
            return value <= level - width
        if way in {"<", "<=", "below"}:
            return value >= level + width
        return abs(value - level) >= width

    def reason_against(self, at_ms: int) -> str | None:
        options, state = self.options, self.state
        if state.last_ms is not None:
            if at_ms < state.last_ms + options.cooldown_ms:
                return "cooldown"
            if options.frequency is Frequency.ONCE_PER_MINUTE and minute_of(at_ms) == minute_of(state.last_ms):
                return "frequency"
            if options.frequency is Frequency.ONCE_PER_BAR and self.bar_of(at_ms) == self.bar_of(state.last_ms):
                return "frequency"
        today = [one for one in state.times if day_of(one) == day_of(at_ms)]
        return "max_per_day" if options.max_per_day is not None and len(today) >= options.max_per_day else None

    def bar_of(self, time_ms: int) -> object:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(IST)
        length = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60}.get(self.options.timeframe)
        if length is None:
            return moment.date()
        return moment.date(), (moment.hour * 60 + moment.minute - 15) // length

    def fire(self, moment: Moment) -> Firing:
        state, options = self.state, self.options
        state.fired += 1
        state.last_ms = moment.time_ms
        state.times.append(moment.time_ms)
        state.reported.clear()
        if self.rearms is not Rearm.IMMEDIATELY:
            state.armed = False
        once = options.frequency is Frequency.ONCE
        ended = once or (options.max_total is not None and state.fired >= options.max_total)
        state.over = ended or self.rearms is Rearm.MANUAL
        storm = not once and len([one for one in state.times if moment.time_ms - one < 180_000]) > 15
        return self.firing(moment, number=state.fired, ended=ended, storm=storm)

    def firing(
        self, moment: Moment, *, number: int, suppressed: str | None = None, ended: bool = False, storm: bool = False
    ) -> Firing:
        leaves = [
            one
            for one in t.walk(self.rule.tree)
            if isinstance(one, t.Compare | t.Cross | t.Channel | t.Move | t.Step | t.Extreme)
        ]
        finding = self.finding or Finding()
        if len(leaves) != 1:
            finding, scale = Finding(), 1
        else:
            first = leaves[0].left if isinstance(leaves[0], t.Compare | t.Cross) else None
            if isinstance(leaves[0], t.Channel | t.Move | t.Step):
                first = leaves[0].value
            scale = PRICE_SCALE if first is None else self.scale(first)
        seen = moment.seen or moment.newest.get(self.first_source)
        return Firing(
            rule=self.rule.id,
            version=self.rule.version,
            number=number,
            suppressed=suppressed,
            at_ms=moment.time_ms,
            received_ms=moment.received_ms,
            source=(source_of(seen.sample) if seen else self.first_source).text,
            sample=seen.number if seen else -1,
            previous=None if finding.previous is None else finding.previous / scale,
            previous_ms=finding.previous_ms,
            current=None if finding.current is None else finding.current / scale,
            level=None if finding.level is None else finding.level / scale,
            price=self.price(moment),
            via=self.via(moment),
            gap=finding.gap,
            inputs=self.inputs(moment),
            ended=ended,
            storm=storm,
        )

    @cached_property
    def first_source(self) -> Source:
        for node in t.walk(self.rule.tree):
            if isinstance(node, t.Move) and node.within_bars:
                return next(iter(self.sources))
            if isinstance(node, t.Field | t.Indicator | t.Extreme):
                return self.source_of(node)
        raise AssertionError("a tree without operands")

    def price(self, moment: Moment) -> float | None:
        own = [moment.seen] if moment.seen else []
        for node in t.walk(self.rule.tree):
            if isinstance(node, t.Field | t.Indicator | t.Extreme):
                source = self.source_of(node)
                own.append(moment.newest.get(source))
        for one in own:
            if one and (one.sample.exchange, one.sample.symbol) == (self.home.exchange, self.home.symbol):
                return price_of(one.sample) / PRICE_SCALE
        return None

    def via(self, moment: Moment) -> Any:
        if moment.seen is None:
            return "clock"
        if isinstance(moment.seen.sample, Bar):
            return "bar"
        return "session_extreme" if self.wick else "tick"

    def inputs(self, moment: Moment) -> dict[str, float | None]:
        found = {}
        bars = next((n.timeframe for n in t.walk(self.rule.tree) if isinstance(n, t.Move) and n.within_bars), None)
        for one in t.walk(self.rule.tree):
            node = (
                t.Field(name="price", exchange=one.exchange, symbol=one.symbol) if isinstance(one, t.Extreme) else one
            )
            if isinstance(node, t.Field) and bars:
                node = replace_timeframe(node, bars)
            if not isinstance(node, t.Field | t.Indicator):
                continue
            source = self.source_of(node)
            name = node.name if isinstance(node, t.Field) else node.text
            text = f"{name} on {source.timeframe}" if source.timeframe else name
            if (source.exchange, source.symbol) != (self.home.exchange, self.home.symbol):
                text = f"{source.exchange}:{source.symbol}.{text}"
            value = self.value(node, moment)
            found[text] = None if value is None else value / self.scale(node)
        return found

    # -- values -----------------------------------------------------------------------------------------------------

    def scale(self, node: t.Expression) -> int:
        """In what a value of that expression is counted."""
        if isinstance(node, t.Field):
            return PRICE_SCALE if node.name in PRICES else 1
        if isinstance(node, t.Arithmetic):
            left, right = self.scale(node.left), self.scale(node.right)
            return 1 if node.op == "/" and left == right else max(left, right)
        return 1

    def value(self, node: t.Expression, moment: Moment, scale: int = 1) -> float | None:
        if isinstance(node, t.Number):
            return round(node.value * PRICE_SCALE) if scale == PRICE_SCALE else node.value
        if isinstance(node, t.Arithmetic):
            whole = self.scale(node)
            plain = node.op in "*/"
            left = self.value(node.left, moment, 1 if plain else whole)
            right = self.value(node.right, moment, 1 if plain else whole)
            if left is None or right is None or (node.op == "/" and right == 0):
                return None
            return {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right,
                    "/": lambda: left / right}[node.op]()  # fmt: skip
        assert isinstance(node, t.Field | t.Indicator)
        name = node.name if isinstance(node, t.Field) else node.text
        if moment.kind == "baseline":
            if self.source_of(node) != self.home or name not in {"price", "high", "low"}:
                return None
            return getattr(self.baseline, name)
        seen = moment.newest.get(self.source_of(node))
        return None if seen is None else value_in(seen.sample, name)

    def constant_leaf(self, node: t.Condition) -> tuple[t.Field | t.Indicator, list[float]] | None:
        """A figure and the constants it is compared with, if that is what a condition is."""
        operands = [node.left, node.right] if isinstance(node, t.Compare | t.Cross) else []
        if isinstance(node, t.Channel):
            operands = [node.value, node.low, node.high]
        if not operands or not isinstance(operands[0], t.Field | t.Indicator):
            return None
        if not all(isinstance(one, t.Number) for one in operands[1:]):
            return None
        scale = self.scale(operands[0])
        levels = [self.value(one, self.history[0], scale) for one in operands[1:]]
        return operands[0], [one for one in levels if one is not None]

    # -- truth ------------------------------------------------------------------------------------------------------

    def truth(self, node: t.Condition) -> Truth:
        """At the last moment; `wick` and `finding` say how."""
        self.wick = False
        self.finding = None
        self.focus = len(self.history) - 1
        return self.at(node, len(self.history) - 1, by_last=False)

    def at(self, node: t.Condition, place: int, *, by_last: bool) -> Truth:
        self.place = place
        if isinstance(node, t.Compare | t.Cross | t.Channel):
            return self.leaf(node, place, by_last=by_last)
        if isinstance(node, t.And | t.Or | t.Not):
            return self.logic(node, place, by_last=by_last)
        special = {
            t.Extreme: self.extreme,
            t.Move: self.moves,
            t.Step: self.steps,
            t.Hold: self.holds,
            t.Then: self.then,
        }
        found: Truth = special[type(node)](node, place)  # type: ignore[operator]
        return found

    def logic(self, node: t.And | t.Or | t.Not, place: int, *, by_last: bool) -> Truth:
        if isinstance(node, t.Not):
            one = self.at(node.term, place, by_last=by_last)
            return None if one is None else not one
        mixed = isinstance(node, t.Or) and not is_level(node)
        found = [self.edge(one, place) if mixed else self.at(one, place, by_last=by_last) for one in node.terms]
        settles = isinstance(node, t.Or)
        return settles if settles in found else None if None in found else not settles

    def edge(self, node: t.Condition, place: int) -> Truth:
        """Where an edge is needed, a level counts when it becomes true."""
        if not is_level(node):
            return self.at(node, place, by_last=False)
        now = self.at(node, place, by_last=True)
        if now is None:
            return None
        for before in range(place - 1, -1, -1):
            was = self.at(node, before, by_last=True)
            if was is not None:
                return now and not was and not self.anew(before, place)
        return False

    def anew(self, before: int, place: int) -> bool:
        """Whether a new day forgets what was at a moment before."""
        days = day_of(self.history[before].time_ms), day_of(self.history[place].time_ms)
        return self.options.overnight == "rebase" and days[0] != days[1]

    # leaves

    def leaf(self, node: t.Compare | t.Cross | t.Channel, place: int, *, by_last: bool) -> Truth:
        constant = self.constant_leaf(node)
        if constant is None:
            return self.free_leaf(node, place)
        figure, levels = constant
        moment = self.history[place]
        current = self.value(figure, moment)
        if current is None:
            return None
        source = self.source_of(figure)
        own = moment.kind == "sample" and moment.seen is not None and source_of(moment.seen.sample) == source
        edge = not is_level(node)
        if not own:
            if edge or not level_holds(node, current, levels):
                return False
            self.find(None, None, current, None if isinstance(node, t.Channel) else levels[0])
            return True
        way = self.way(figure, place, by_last=by_last)
        if not edge:
            return self.level_on_way(node, way, levels)
        return self.edge_on_way(node, way, levels)

    def way(self, figure: t.Field | t.Indicator, place: int, *, by_last: bool) -> "Way":
        """From the value before, with the wicks between."""
        moment, source = self.history[place], self.source_of(figure)
        seen, current = moment.seen, self.value(figure, moment)
        assert seen is not None
        assert current is not None
        before = self.value_before(figure, source, place)
        if before is None or self.anew(before, place):
            return Way(None, None, current, current, current)
        earlier = self.history[before]
        previous = self.value(figure, earlier)
        low = high = current
        if isinstance(figure, t.Field) and figure.name == "price" and not source.timeframe and not by_last:
            tick = seen.sample
            assert isinstance(tick, Tick)
            if tick.high is not None and tick.high > current and self.is_news(tick.high, "high", seen, earlier):
                high = tick.high
            if tick.low is not None and tick.low < current and self.is_news(tick.low, "low", seen, earlier):
                low = tick.low
        return Way(previous, earlier.time_ms, current, low, high)

    def value_before(self, figure: t.Field | t.Indicator, source: Source, place: int) -> int | None:
        """The last moment before at which a sample of that source, or the baseline, told the figure."""
        for before in range(place - 1, -1, -1):
            one = self.history[before]
            own = one.kind == "baseline" or (one.seen is not None and source_of(one.seen.sample) == source)
            if own and self.value(figure, one) is not None:
                return before
        return None

    def is_news(self, told: int, name: str, seen: Seen, earlier: Moment) -> bool:
        """Whether the day's extreme is beyond what was known of that day before."""
        if earlier.kind == "baseline":
            assert self.baseline is not None
            if day_of(self.baseline.time_ms) != day_of(seen.time_ms):
                return True
            known = getattr(self.baseline, name)
            if known is None:
                return False
            mark = max(known, self.baseline.price) if name == "high" else min(known, self.baseline.price)
        else:
            found = seen.mark(name)
            if found is None:
                return True
            mark = found
        return told > mark if name == "high" else told < mark

    def level_on_way(self, node: t.Compare | t.Channel | t.Cross, way: "Way", levels: list[float]) -> bool:
        for value in (way.current, way.high, way.low):
            if level_holds(node, value, levels):
                self.by_wick(value != way.current)
                level = None if isinstance(node, t.Channel) else levels[0]
                gap = level is not None and way.previous is not None and apart(way.previous, level, value)
                self.find(way.previous, way.previous_ms, value, level, gap=gap)
                return True
        return False

    def edge_on_way(self, node: t.Condition, way: "Way", levels: list[float]) -> bool:
        if way.previous is None:
            return False
        if isinstance(node, t.Cross):
            return self.crosses(node, way.previous, way, levels[0])
        assert isinstance(node, t.Channel)
        bottom, top = levels
        inside = bottom <= way.previous <= top
        if inside == (node.relation == "enters"):
            return False
        for value in (way.current, way.high, way.low):
            if node.relation == "exits":
                reached, level = not bottom <= value <= top, bottom if value < bottom else top
                gap = apart(way.previous, level, value)
            elif way.previous < bottom:
                reached, level, gap = value >= bottom, bottom, value > top
            else:
                reached, level, gap = value <= top, top, value < bottom
            if reached:
                self.by_wick(value != way.current)
                self.find(way.previous, way.previous_ms, value, level, gap=gap)
                return True
        return False

    def crosses(self, node: t.Cross, previous: float, way: "Way", level: float) -> bool:
        """Straight, or up to the high, down to the low, and back from there."""
        up, down = node.direction != "below", node.direction != "above"
        for start, end, told in (
            (previous, way.current, way.current),
            (previous, way.high, way.high),
            (previous, way.low, way.low),
            (way.low, way.current, way.current),
            (way.high, way.current, way.current),
        ):
            if (up and start < level <= end) or (down and start > level >= end):
                self.by_wick((start, end) != (previous, way.current))
                self.find(previous, way.previous_ms, told, level, gap=apart(start, level, end))
                return True
        return False

    def free_leaf(self, node: t.Compare | t.Cross | t.Channel, place: int) -> Truth:
        """A comparison of expressions: at each moment of the rule, against the one before."""
        moment = self.history[place]
        now = self.operands(node, moment)
        if now is None:
            return None
        samples = [i for i in range(place) if self.history[i].kind != "clock"]
        known = [i for i in samples if self.operands(node, self.history[i]) is not None]
        before = self.operands(node, self.history[known[-1]]) if known else None
        before_ms = self.history[known[-1]].time_ms if known else None
        if moment.kind == "clock":
            before = before_ms = None
        if is_level(node):
            if not level_holds(node, now[0], now[1:]):
                return False
            level = None if isinstance(node, t.Channel) else now[1]
            self.find(before[0] if before else None, before_ms, now[0], level)
            return True
        if before is None or self.anew(known[-1], place):
            return False
        if isinstance(node, t.Cross):
            was, is_ = before[0] - before[1], now[0] - now[1]
            up, down = was < 0 <= is_ and node.direction != "below", was > 0 >= is_ and node.direction != "above"
            if up or down:
                self.find(before[0], before_ms, now[0], now[1], gap=is_ != 0)
            return up or down
        raise AssertionError("the property tests make no other ones")

    def operands(self, node: t.Compare | t.Cross | t.Channel, moment: Moment) -> list[float] | None:
        parts = [node.value, node.low, node.high] if isinstance(node, t.Channel) else [node.left, node.right]
        scale = max(self.scale(one) for one in parts)
        values = [self.value(one, moment, scale) for one in parts]
        return None if None in values else [one for one in values if one is not None]

    def find(
        self, previous: float | None, ms: int | None, current: float, level: float | None, *, gap: bool = False
    ) -> None:
        if self.place == self.focus:
            self.finding = Finding(previous, ms, current, level, gap)

    def by_wick(self, is_so: bool) -> None:
        if self.place == self.focus:
            self.wick |= is_so

    # what remembers

    def extreme(self, node: t.Extreme, place: int) -> Truth:
        moment, source = self.history[place], self.source_of(node)
        if moment.kind != "sample" or moment.seen is None or source_of(moment.seen.sample) != source:
            return False
        seen, started = (
            moment.seen,
            any(one.seen is not None and source_of(one.seen.sample) == source for one in self.history[:place]),
        )
        if started:
            mark, before_ms = seen.mark(node.which), seen.before[-1].time_ms
        else:
            mark, before_ms = self.baseline_mark(node.which, seen), self.baseline.time_ms if self.baseline else None
        if node.of == "year":
            year = getattr(seen.before[-1].sample, f"year_{node.which}") if started else None
            if year is None:
                return False
            marks = [year] if mark is None else [year, mark]
            mark = max(marks) if node.which == "high" else min(marks)
        if mark is None:
            return False
        extreme = seen.extreme(node.which)
        happens = extreme > mark if node.which == "high" else extreme < mark
        if happens:
            self.by_wick(extreme != price_of(seen.sample))
            self.find(mark, before_ms, extreme, mark)
        return happens

    def baseline_mark(self, which: str, seen: Seen) -> int | None:
        one = self.baseline
        if one is None or day_of(one.time_ms) != day_of(seen.time_ms) or getattr(one, which) is None:
            return None
        return max(one.price, getattr(one, which)) if which == "high" else min(one.price, getattr(one, which))

    def moves(self, node: t.Move, place: int) -> Truth:
        """False to true."""
        if node.within_bars is not None:
            node = t.Move(
                value=replace_timeframe(node.value, node.timeframe), amount=node.amount, percent=node.percent,
                direction=node.direction, within_bars=node.within_bars, timeframe=node.timeframe,
            )  # fmt: skip
        if self.value(node.value, self.history[place]) is None:
            return None
        if self.history[place].kind == "clock":
            return False
        now = self.has_moved(node, place)
        before = self.known_before(node.value, place)
        was = before is not None and not self.anew(before, place) and self.has_moved(node, before) is not None
        if now is None or was:
            return False
        value = self.value(node.value, self.history[place])
        assert value is not None
        self.find(now, None if before is None else self.history[before].time_ms, value, None)
        return True

    def known_before(self, value: t.Expression, place: int) -> int | None:
        places = [i for i in range(place) if self.history[i].kind != "clock"]
        known = [i for i in places if self.value(value, self.history[i]) is not None]
        return known[-1] if known else None

    def has_moved(self, node: t.Move, place: int) -> float | None:
        """From what value it has moved so far."""
        value = self.value(node.value, self.history[place])
        values = self.window(node, place)
        assert value is not None
        amount = node.amount if node.percent else node.amount * self.scale(node.value)
        low, high = min(values), max(values)
        if node.direction != "down" and far_enough(value - low, low, amount, percent=node.percent):
            return low
        if node.direction != "up" and far_enough(high - value, high, amount, percent=node.percent):
            return high
        return None

    def window(self, node: t.Move, place: int) -> list[float]:
        now = self.history[place]
        places = [i for i in range(place + 1) if self.history[i].kind != "clock" and not self.anew(i, place)]
        rows = [(self.history[i], self.value(node.value, self.history[i])) for i in places]
        known = [(one, value) for one, value in rows if value is not None]
        if node.within_bars is not None:
            assert now.seen is not None
            closed: dict[int, float] = {}
            for one, value in known[:-1]:
                assert one.seen is not None
                if one.seen.sample.closed:
                    closed[one.seen.sample.start_ms] = value
            recent = [value for start, value in list(closed.items())[-node.within_bars :]]
            return [*recent, known[-1][1]]
        assert node.within_s is not None
        edge = now.time_ms - node.within_s * 1000
        held = [value for one, value in known if one.time_ms <= edge][-1:]
        return held + [value for one, value in known if one.time_ms > edge]

    def steps(self, node: t.Step, place: int) -> Truth:
        moment = self.history[place]
        if self.value(node.value, moment) is None:
            return None
        if moment.kind == "clock":
            return False
        reference: float | None = None
        last: int | None = None
        happens = False
        for i in range(place + 1):
            value = self.value(node.value, self.history[i])
            if value is None or self.history[i].kind == "clock":
                continue
            happens = False
            if reference is None or (last is not None and self.anew(last, i)):
                reference = value
            else:
                step = abs(reference) * node.amount / 100 if node.percent else node.amount * self.scale(node.value)
                count = int(abs(value - reference) // step)
                happens = count > 0
                before, reference = reference, reference + count * step * (1 if value > reference else -1)
                if happens and i == place:
                    assert last is not None
                    self.find(before, self.history[last].time_ms, value, reference)
            last = i
        return happens

    def holds_since(self, node: t.Hold, place: int) -> tuple[int | None, bool]:
        """Since when the term has been true without a false moment, and whether that was ever long enough."""
        since_ms, has_held = None, False
        for i in range(place + 1):
            found, now_ms = self.at(node.term, i, by_last=True), self.history[i].time_ms
            if found is False:
                since_ms, has_held = None, False
            elif found:
                since_ms = now_ms if since_ms is None else since_ms
                has_held |= node.seconds is not None and now_ms - since_ms >= node.seconds * 1000
        return since_ms, has_held

    def holds(self, node: t.Hold, place: int) -> Truth:
        found = self.at(node.term, place, by_last=True)
        if not found:
            return found
        if node.seconds is not None:
            return self.holds_since(node, place)[1]
        row = 0
        for i in range(place + 1):
            one = self.at(node.term, i, by_last=True)
            if self.history[i].kind == "clock" or one is None:
                continue
            row = row + 1 if one else 0
        return row >= (node.samples or 1)

    def then(self, node: t.Then, place: int) -> Truth:
        first: int | None = None
        happens = False
        for i in range(place + 1):
            now_ms = self.history[i].time_ms
            one, other = self.edge(node.first, i), self.at(node.second, i, by_last=False)
            if first is not None and self.anew(first, i):
                first = None
            happens = bool(other) and first is not None
            happens = happens and first is not None and now_ms - self.history[first].time_ms <= node.within_s * 1000
            if happens:
                first = None
            if one:
                first = i
        return happens


@dataclass
class Way:
    previous: float | None
    previous_ms: int | None
    current: float
    low: float
    high: float


def is_level(node: t.Condition) -> bool:
    if isinstance(node, t.Channel):
        return node.relation in {"inside", "outside"}
    if isinstance(node, t.And | t.Or):
        return all(is_level(one) for one in node.terms)
    return not isinstance(node, EDGES)


def turned(node: Any) -> Any:
    """The same with the constant of each comparison at its right."""
    if isinstance(node, t.Compare) and isinstance(node.left, t.Number):
        other = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "=="}[node.op]
        return t.Compare(left=node.right, op=other, right=node.left)
    if isinstance(node, t.And | t.Or):
        return type(node)(terms=tuple(turned(one) for one in node.terms))
    if isinstance(node, t.Not | t.Hold):
        return msgspec.structs.replace(node, term=turned(node.term))
    if isinstance(node, t.Then):
        return msgspec.structs.replace(node, first=turned(node.first), second=turned(node.second))
    return node


def level_holds(node: t.Condition, value: float, levels: list[float]) -> bool:
    if isinstance(node, t.Channel):
        return (levels[0] <= value <= levels[1]) == (node.relation == "inside")
    assert isinstance(node, t.Compare)
    level = levels[0]
    return {">": value > level, ">=": value >= level, "<": value < level, "<=": value <= level,
            "==": value == level}[node.op]  # fmt: skip


def apart(start: float, level: float, end: float) -> bool:
    return min(start, end) < level < max(start, end)


def far_enough(way: float, start: float, amount: float, *, percent: bool) -> bool:
    return way > 0 and (way * 100 >= amount * abs(start) if percent else way >= amount)


def minute_of(time_ms: int) -> int:
    return time_ms // 60_000


def replace_timeframe(node: Any, timeframe: str | None) -> Any:
    return node if getattr(node, "timeframe", None) else t.Field(name=node.name, timeframe=timeframe)


# -- all rules together ---------------------------------------------------------------------------------------------


def expected(events: list[Event]) -> list[list[Firing]]:
    """What each event fires, by rule's id."""
    at = {place: (sample, number) for place, sample, number in accepted(events)}
    everything = Everything()
    return [everything.happen(event, at.get(place)) for place, event in enumerate(events)]


class Everything:
    """All rules that there are, and all that they have seen."""

    def __init__(self) -> None:
        self.rules: dict[int, NaiveRule] = {}
        self.seen: dict[tuple[Source, object], list[Seen]] = {}

    def happen(self, event: Event, accepted: tuple[Tick | Bar, int] | None) -> list[Firing]:
        fired: list[Firing] = []
        if isinstance(event, Put):
            before = self.rules.get(event.rule.id)
            if before is None or before.rule.version < event.rule.version:
                self.rules[event.rule.id] = NaiveRule(event.rule)
        elif isinstance(event, Drop):
            self.rules.pop(event.rule, None)
        elif isinstance(event, Advance):
            fired = self.advance(event.now_ms)
        elif accepted is not None:
            fired = self.take(*accepted)
        self.rules = {number: rule for number, rule in self.rules.items() if not rule.state.over}
        return fired

    def advance(self, now_ms: int) -> list[Firing]:
        fired = []
        for rule in self.rules.values():
            fired += rule.advance(now_ms, now_ms, newest_of(rule, self.seen))
            rule.state.over |= rule.rule.expires_at_ms is not None and rule.rule.expires_at_ms <= now_ms
        return sorted(fired, key=lambda one: (one.at_ms, one.rule))

    def take(self, sample: Tick | Bar, number: int) -> list[Firing]:
        fired, source = [], source_of(sample)
        grown: dict[tuple[Source, object], Seen] = {}
        for rule in self.rules.values():
            if source not in rule.sources or not rule.sees(sample):
                continue
            key = (source, kind_of(rule, source))
            grown.setdefault(key, Seen(sample, number, list(self.seen.get(key, []))))
            fired += rule.take(grown[key], newest_of(rule, self.seen))
        for key, one in grown.items():
            self.seen.setdefault(key, []).append(one)
        return sorted(fired, key=lambda one: one.rule)


def kind_of(rule: NaiveRule, source: Source) -> object:
    """Rules of one kind see the same samples of a source."""
    return rule.closed_only if source.timeframe else frozenset(rule.options.sessions)


def newest_of(rule: NaiveRule, seen: dict[tuple[Source, object], list[Seen]]) -> dict[Source, Seen]:
    found = {source: seen.get((source, kind_of(rule, source)), []) for source in rule.sources}
    return {source: rows[-1] for source, rows in found.items() if rows}
