"""When rules are to be looked at again, apart from when a figure comes to one of their thresholds."""

from heapq import heappop, heappush

from notifiers.conditions.options import Rearm
from notifiers.engine.moment import Moment
from notifiers.engine.policy import MINUTE_MS, Refusal
from notifiers.engine.watch import ARMED, Watch

Due = tuple[int, int, int, Watch]
"""When, the rule's id, a number that tells equal ones apart, the rule."""


class Agenda:
    """Deadlines, alarms and expiries. What no longer holds stays in it until its time and is skipped then."""

    def __init__(self) -> None:
        self.deadlines: list[Due] = []
        """Of all views, soonest first."""
        self._set = 0
        self._expiring: dict[int, list[tuple[int, int]]] = {}
        """Rules by the minute in which they expire, with the time."""
        self._minutes: list[int] = []

    def set_deadline(self, watch: Watch, deadline_ms: int | None) -> None:
        """A hold of the rule is over then; None: none is."""
        if watch.extra is None or watch.extra.deadline_ms == deadline_ms:
            return
        watch.extra.deadline_ms = deadline_ms
        self.go_on(watch)

    def go_on(self, watch: Watch) -> None:
        """Put down the deadline that a rule has."""
        if watch.extra is None or watch.extra.deadline_ms is None:
            return
        self._set += 1
        entry = (watch.extra.deadline_ms, watch.id, self._set, watch)
        heappush(self.deadlines, entry)
        for view in watch.views:
            heappush(view.deadlines, entry)

    def set_alarm(self, watch: Watch, refusal: Refusal | None) -> None:
        """A rule whose level is true may fire again once time has gone by: at the first sample after that."""
        policy = watch.policy
        if refusal is not None and policy.is_level:
            at_ms = refusal[1]
        elif not watch.flags & ARMED and policy.rearm_after_ms and watch.last_fired_ms is not None:
            at_ms = watch.last_fired_ms + policy.rearm_after_ms
        else:
            return
        extra = watch.own_extra()
        if extra.alarm_ms == at_ms:
            return
        extra.alarm_ms = at_ms
        self._set += 1
        for view in watch.views:
            heappush(view.alarms, (at_ms, watch.id, self._set, watch))

    def expire(self, rule_id: int, expires_at_ms: int) -> None:
        """The rule expires then."""
        minute = expires_at_ms // MINUTE_MS
        if minute not in self._expiring:
            self._expiring[minute] = []
            heappush(self._minutes, minute)
        self._expiring[minute].append((rule_id, expires_at_ms))

    def expiring_by(self, now_ms: int) -> list[int]:
        """The rules that were to expire by then, each time it was put down; they are not told again."""
        found, later = [], []
        while self._minutes and self._minutes[0] <= now_ms // MINUTE_MS:
            for rule_id, expires_at_ms in self._expiring.pop(heappop(self._minutes)):
                if expires_at_ms <= now_ms:
                    found.append(rule_id)
                else:
                    later.append((rule_id, expires_at_ms))
        for rule_id, expires_at_ms in later:
            self.expire(rule_id, expires_at_ms)
        return found


def follow_mornings(watch: Watch) -> None:
    """A rule that is armed again by the first sample of a day has to see it."""
    if watch.policy.rearm is not Rearm.SESSION:
        return
    for view in watch.views:
        if watch.flags & ARMED:
            view.mornings.pop(watch.id, None)
        else:
            view.mornings[watch.id] = watch


def at_next_sample(watch: Watch, moment: Moment, *, true: bool | None, refused: bool) -> bool:
    """Whether an indexed rule is to be evaluated at its next sample, wherever its figures are then."""
    if moment.unstarted or moment.wick or true is None:
        return True
    if not true:
        return False
    policy = watch.policy
    if watch.flags & ARMED:
        return policy.is_level and watch.may_fire() and not refused
    return not policy.is_level and policy.rearm is Rearm.RECOVER
