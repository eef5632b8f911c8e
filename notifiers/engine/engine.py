"""The engine: samples in, firings out.

It is pure: no clock, no I/O. The same rules, accepted samples and advances give the same firings, also where another
engine goes on from what this one said to keep.
"""

from collections.abc import Collection, Mapping
from heapq import heappop

import msgspec

from notifiers.conditions.options import Baseline, Rearm
from notifiers.engine.agenda import Agenda, Due, at_next_sample, follow_mornings
from notifiers.engine.compiling import Unsuitable, compiled, is_indexed, is_level, seen_by
from notifiers.engine.compounds import below
from notifiers.engine.figures import MOST
from notifiers.engine.memory import Unreadable, Unwritable
from notifiers.engine.moment import Moment
from notifiers.engine.policy import Policy, Refusal, policy_of
from notifiers.engine.samples import Bar, Firing, Kept, Rule, Source
from notifiers.engine.thresholds import Indexed, NewExtreme
from notifiers.engine.tracks import Track, Tracks
from notifiers.engine.views import CLOSED, View, ist_day
from notifiers.engine.watch import ARMED, BEGUN, GONE, INDEXED, STARTING, WAITED, Watch
from schemas.market import Tick


class Counters(msgspec.Struct):
    """What the engine has done so far, for metrics."""

    accepted: int = 0
    old: int = 0
    """Samples dropped: their number was not above the last one's."""
    late: int = 0
    """Their time was before the last one's."""
    odd: int = 0
    """Their price was 0, beyond all bounds or outside the circuit limits that they tell."""
    evaluated: int = 0
    """Rules evaluated."""
    firings: int = 0
    suppressed: int = 0
    unreadable: int = 0
    """States of rules and sources that were restored and could not be read: they began anew."""
    unwritable: int = 0
    """States that could not be kept: the rules left, the sources began anew."""


class Engine:
    """Runs rules. Not safe for threads; no method takes longer than its rules need.

    `restore_track` goes first, then `put` for all rules with their states, then samples.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self._watches: dict[int, Watch] = {}
        self._tracks = Tracks()
        self._moment = Moment()
        self._agenda = Agenda()
        self._changed: dict[int, Watch] = {}

    @property
    def rules(self) -> int:
        """How many there are."""
        return len(self._watches)

    def __contains__(self, rule_id: int) -> bool:
        return rule_id in self._watches

    @property
    def sources(self) -> Mapping[Source, frozenset[str]]:
        """The sources whose samples it needs, each with the canonical texts of the indicators that they must hold."""
        return self._tracks.wanted()

    @property
    def sources_version(self) -> int:
        """Changes whenever `sources` may have."""
        return self._tracks.version

    # -- rules ------------------------------------------------------------------------------------------------------

    def put(self, rule: Rule) -> None:
        """Add a rule, or replace the one of its id if that has a lower version; else nothing happens.

        One that is replaced starts anew, unless the new one brings a state; one whose state can't be read does too,
        without its baseline. Raises Unsuitable for a tree that can't be run; the old rule is gone then all the same.
        """
        before = self._watches.get(rule.id)
        if before is not None:
            if before.version >= rule.version:
                return
            self._leave(before)
        watch = self._compiled(rule)
        self._register(watch)
        if rule.state is not None:
            self._go_on_or_begin(watch, rule, rule.state)
        elif watch.baseline is not None and (watch.policy.waits or not watch.flags & INDEXED):
            self._take_baseline(watch, watch.baseline)

    def drop(self, rule_id: int) -> None:
        """Forget a rule, if there is such a one."""
        watch = self._watches.get(rule_id)
        if watch is not None:
            self._leave(watch)

    def extend(self, rule_id: int, expires_at_ms: int | None) -> None:
        """Let a rule expire at another time, or never; all else of it stays."""
        watch = self._watches.get(rule_id)
        if watch is None:
            return
        watch.expires_at_ms = expires_at_ms
        if expires_at_ms is not None:
            self._agenda.expire(rule_id, expires_at_ms)

    def _compiled(self, rule: Rule) -> Watch:
        policy = policy_of(rule.options, is_level=is_level(rule.tree))
        home = self._tracks.source(rule.exchange, rule.symbol, "")

        def view_of(exchange: str, symbol: str, timeframe: str) -> View:
            return self._tracks.of(exchange, symbol, timeframe).view(seen_by(policy, timeframe))

        try:
            tree = compiled(rule.tree, home, policy, view_of)
        except Unsuitable:
            self._tracks.clear_unused()
            raise
        views: tuple[View, ...]
        if isinstance(tree, Indexed):
            views, flags = tree.figure.view.only, ARMED | STARTING | INDEXED
        else:
            figures = [figure for node in below(tree) for figure in node.figures()]
            views = tuple(dict.fromkeys(figure.view for figure in figures))
            flags = ARMED | STARTING | (INDEXED if is_indexed(tree) else 0)
        return Watch(
            rule.id, rule.version, home, tree, policy, views, flags, rule.fired, rule.last_fired_ms,
            rule.expires_at_ms, _usable_baseline(rule, policy), None,
        )  # fmt: skip

    def _register(self, watch: Watch) -> None:
        self._watches[watch.id] = watch
        if len(watch.views) > 1:
            self._tracks.connect(watch.tracks())
        for figure in watch.figures():
            self._tracks.use(figure)
        if watch.expires_at_ms is not None:
            self._agenda.expire(watch.id, watch.expires_at_ms)
        if watch.flags & INDEXED:
            self._index(watch)
            return
        watch.own_extra()
        for view in watch.views:
            view.busy[watch.id] = watch

    def _index(self, watch: Watch) -> None:
        for node in below(watch.tree):
            if isinstance(node, NewExtreme):
                node.figure.view.extremes[watch.id] = watch
            elif isinstance(node, Indexed):
                for level in watch.levels(node):
                    node.figure.add(level, watch)
        for view in watch.views:
            view.fresh.append(watch)

    def _go_on_or_begin(self, watch: Watch, rule: Rule, state: bytes) -> None:
        try:
            self._go_on(watch, state)
        except Unreadable:
            self.counters.unreadable += 1
            self._leave(watch)
            self._register(self._compiled(msgspec.structs.replace(rule, state=None, baseline=None)))

    def _go_on(self, watch: Watch, state: bytes) -> None:
        """A rule that has been at work before, here or elsewhere. Raises Unreadable."""
        if watch.restore_plain(state):
            watch.views[0].fresh.pop()
            return
        watch.restore(state)
        if watch.started():
            watch.flags &= ~STARTING
            watch.baseline = None
        follow_mornings(watch)
        self._agenda.go_on(watch)

    def _take_baseline(self, watch: Watch, baseline: Baseline) -> None:
        """The sample before a new rule's first one; it fires nothing."""
        moment = self._moment
        moment.view, moment.is_baseline, moment.time_ms = None, True, baseline.time_ms
        if watch.evaluate(moment) is False and watch.policy.waits:
            watch.flags |= WAITED
        moment.is_baseline = False
        self._agenda.set_deadline(watch, moment.deadline_ms)

    def _leave(self, watch: Watch) -> None:
        watch.flags |= GONE
        del self._watches[watch.id]
        self._changed.pop(watch.id, None)
        if len(watch.views) > 1:
            self._tracks.disconnect(watch.tracks())
        for view in watch.views:
            for place in (view.busy, view.mornings, view.extremes):
                place.pop(watch.id, None)
        for node in below(watch.tree):
            if watch.flags & INDEXED and isinstance(node, Indexed):
                node.figure.remove(len(watch.levels(node)))
            for figure in node.figures():
                self._tracks.release(figure)

    # -- samples ----------------------------------------------------------------------------------------------------

    def take(self, tick: Tick, number: int, received_ms: int) -> list[Firing]:
        """A tick. What it fires, by rule's id, after what fell due before it."""
        track = self._tracks.get(tick.exchange, tick.symbol, "")
        if track is None or not self._accepts(track, tick, number):
            return []
        firings: list[Firing] = []
        for view in list(track.views.values()):
            if view.lets_through(tick.state):
                self._work_off(view, tick.time_ms, received_ms, firings)
                self._judge_all(view, view.take_tick(tick, number), received_ms, firings)
        return sorted(firings, key=_rule_of)

    def take_bar(self, bar: Bar, number: int, received_ms: int) -> list[Firing]:
        """The same for a candle."""
        track = self._tracks.get(bar.exchange, bar.symbol, bar.timeframe)
        time_ms = bar.time_ms or bar.start_ms
        if track is None or not self._is_news(track, number, time_ms) or not self._is_sound(sound=_is_price(bar.close)):
            return []
        self._accept(track, number, time_ms)
        firings: list[Firing] = []
        for view in list(track.views.values()):
            if bar.closed or view.seen != CLOSED:
                self._work_off(view, time_ms, received_ms, firings)
                self._judge_all(view, view.take_bar(bar, number, time_ms), received_ms, firings)
        return sorted(firings, key=_rule_of)

    def _accepts(self, track: Track, tick: Tick, number: int) -> bool:
        price, lower, upper = tick.price, tick.lower_circuit, tick.upper_circuit
        if not self._is_news(track, number, tick.time_ms):
            return False
        if not self._is_sound(
            sound=_is_price(price) and not (lower and price < lower) and not (upper and price > upper)
        ):
            return False
        self._accept(track, number, tick.time_ms)
        return True

    def _is_news(self, track: Track, number: int, time_ms: int) -> bool:
        if number <= track.number:
            self.counters.old += 1
            return False
        if time_ms < track.time_ms:
            self.counters.late += 1
            return False
        return True

    def _is_sound(self, *, sound: bool) -> bool:
        self.counters.odd += not sound
        return sound

    def _accept(self, track: Track, number: int, time_ms: int) -> None:
        self.counters.accepted += 1
        self._tracks.changed.add(track)
        track.accepted(number, time_ms)

    def _judge_all(self, view: View, woken: list[Watch], received_ms: int, firings: list[Firing]) -> None:
        if not woken:
            return
        moment = self._moment
        moment.time_ms, moment.received_ms = view.time_ms, received_ms
        once = {watch.id: watch for watch in woken if not watch.flags & GONE}
        for rule_id in sorted(once):
            moment.view = view
            firing = self._judge(once[rule_id], moment, view)
            if firing is not None:
                firings.append(self._counted(firing))

    def _judge(self, watch: Watch, moment: Moment, view: View) -> Firing | None:
        """Evaluate a rule at a sample."""
        if watch.has_expired(moment.time_ms):
            self._leave(watch)
            return None
        if not watch.sees(view, view.number):
            view.busy[watch.id] = watch
            return None
        self.counters.evaluated += 1
        flags = watch.flags
        watch.rearm(moment.time_ms)
        true = watch.evaluate(moment)
        watch.flags |= BEGUN
        if true is False:
            watch.recover(moment)
        refusal, firing = watch.answer(moment) if true else (None, None)
        if firing is not None and self._leaves_with(watch, firing):
            return firing
        self._follow(watch, moment, true=true, refusal=refusal)
        if firing is not None or flags != watch.flags or flags & STARTING or not flags & INDEXED:
            self._changed[watch.id] = watch
        return firing

    def _leaves_with(self, watch: Watch, firing: Firing) -> bool:
        """Whether that was the last firing for now."""
        if firing.suppressed is not None or not (firing.ended or watch.policy.rearm is Rearm.MANUAL):
            return False
        self._leave(watch)
        return True

    def _counted(self, firing: Firing) -> Firing:
        if firing.suppressed is None:
            self.counters.firings += 1
        else:
            self.counters.suppressed += 1
        return firing

    def _follow(self, watch: Watch, moment: Moment, *, true: bool | None, refusal: Refusal | None) -> None:
        """Arrange for when the rule is to be evaluated again."""
        again = not watch.flags & INDEXED or at_next_sample(watch, moment, true=true, refused=refusal is not None)
        if watch.flags & STARTING and not moment.unstarted:
            watch.flags &= ~STARTING
            watch.baseline = None
        for view in watch.views:
            if again:
                view.busy[watch.id] = watch
            else:
                view.busy.pop(watch.id, None)
        if true and not again:
            self._agenda.set_alarm(watch, refusal)
        self._agenda.set_deadline(watch, moment.deadline_ms)
        follow_mornings(watch)

    # -- time -------------------------------------------------------------------------------------------------------

    def advance(self, now_ms: int) -> list[Firing]:
        """It is that time on the exchanges: what holds have lasted long enough; expired rules leave."""
        firings: list[Firing] = []
        self._work_off_deadlines(self._agenda.deadlines, now_ms, now_ms, firings)
        for rule_id in self._agenda.expiring_by(now_ms):
            watch = self._watches.get(rule_id)
            if watch is not None and watch.has_expired(now_ms):
                self._leave(watch)
        return firings

    def _work_off(self, view: View, time_ms: int, received_ms: int, firings: list[Firing]) -> None:
        """What fell due for the view's rules by then."""
        if view.deadlines:
            self._work_off_deadlines(view.deadlines, time_ms, received_ms, firings)
        while view.alarms and view.alarms[0][0] <= time_ms:
            watch = heappop(view.alarms)[-1]
            if not watch.flags & GONE:
                view.busy[watch.id] = watch

    def _work_off_deadlines(self, deadlines: list[Due], until_ms: int, received_ms: int, firings: list[Firing]) -> None:
        moment = self._moment
        while deadlines and deadlines[0][0] <= until_ms:
            due_ms, _, _, watch = heappop(deadlines)
            if watch.flags & GONE or watch.extra is None or watch.extra.deadline_ms != due_ms:
                continue
            moment.view, moment.time_ms, moment.received_ms = None, due_ms, received_ms
            firing = self._judge_by_clock(watch, moment)
            if firing is not None:
                firings.append(self._counted(firing))

    def _judge_by_clock(self, watch: Watch, moment: Moment) -> Firing | None:
        """Evaluate a rule at a time at which a hold of it is over."""
        if watch.has_expired(moment.time_ms):
            self._leave(watch)
            return None
        watch.rearm(moment.time_ms)
        _, firing = watch.answer(moment) if watch.evaluate(moment) else (None, None)
        if firing is not None and self._leaves_with(watch, firing):
            return firing
        self._agenda.set_deadline(watch, moment.deadline_ms)
        follow_mornings(watch)
        self._changed[watch.id] = watch
        return firing

    # -- at rest ----------------------------------------------------------------------------------------------------

    def kept(self, sources: Collection[str] | None = None) -> Kept:
        """What has changed since it was asked last, as one consistent cut: to be stored in one transaction.

        With texts of sources, what hangs together with those alone, so that a firing needs to store no more; the rest
        waits for the next time. A rule whose last firing was returned is not in it: its row says that it has ended.

        Never fails because of one state: a rule whose state can't be written leaves, and a source begins anew.
        """
        tracks = None if sources is None else self._tracks.connected(sources)
        watches = [
            watch
            for watch in self._changed.values()
            if tracks is None or any(view.track in tracks for view in watch.views)
        ]
        states: dict[int, bytes] = {}
        misfits: list[Watch] = []
        for watch in sorted(watches, key=_rule_id):
            del self._changed[watch.id]
            try:
                states[watch.id] = watch.kept()
            except Unwritable:
                misfits.append(watch)
        for watch in misfits:
            self._leave(watch)
        kept = Kept(tracks=self._tracks.kept(tracks), rules=states, misfits=tuple(one.id for one in misfits))
        self.counters.unwritable += len(misfits) + self._tracks.take_forgotten()
        return kept

    def restore_track(self, source_text: str, state: bytes) -> None:
        """Go on from what `kept` said of a source; what can't be read is forgotten. Before rules are put."""
        self.counters.unreadable += not self._tracks.restore(source_text, state)

    def rescale(self, exchange: str, symbol: str, numerator: int, denominator: int) -> None:
        """From now on the instrument's prices are numerator / denominator of what they were: so is what is remembered.

        Rules are to be put with new levels under a new version.
        """
        self._tracks.rescale(exchange, symbol, numerator, denominator)


def _is_price(price: int) -> bool:
    return price != 0 and -MOST < price < MOST


def _rule_id(watch: Watch) -> int:
    return watch.id


def _rule_of(firing: Firing) -> int:
    return firing.rule


def _usable_baseline(rule: Rule, policy: Policy) -> Baseline | None:
    """The baseline, if it is of the day on which the rule was made; closed candles are never compared with it."""
    baseline = rule.baseline
    if baseline is None or policy.closed_bars or ist_day(baseline.time_ms) != ist_day(rule.created_at_ms):
        return None
    return baseline
