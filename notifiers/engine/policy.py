"""How often a rule may fire, and when again: its options, worked out. Rules with equal options share one policy."""

from functools import lru_cache
from types import MappingProxyType

from notifiers.conditions.options import Frequency, Options, Overnight, Rearm
from notifiers.engine.views import DAY_MS, IST_MS, ist_day
from schemas.market import MarketState

MINUTE_MS = 60_000
_BARS_BEGIN_MS = 15 * MINUTE_MS
"""Bars are counted from 00:15 in India, so that one begins at 09:15, when the market opens."""
_LENGTHS_MS = MappingProxyType(
    {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60},
)
_KNOWN = 10_000

Refusal = tuple[str, int]
"""Why a rule may not fire now, and from when on that may change."""


class Policy:
    """What the options say, ready for use."""

    __slots__ = (
        "band", "band_percent", "bar_ms", "closed_bars", "cooldown_ms", "ends_at", "fires_per_day", "frequency",
        "is_level", "once", "rearm", "rearm_after_ms", "rebases", "seen", "timeframe", "waits",
    )  # fmt: skip

    def __init__(self, options: Options, *, is_level: bool) -> None:
        self.is_level = is_level
        self.frequency = options.frequency
        self.timeframe = options.timeframe
        self.closed_bars = options.frequency is Frequency.ONCE_PER_BAR_CLOSE
        self.once = options.frequency is Frequency.ONCE
        self.bar_ms = MINUTE_MS * _LENGTHS_MS.get(options.timeframe, 24 * 60)
        self.cooldown_ms = options.cooldown_ms
        self.rearm = options.rearm or _usual_rearm(options.frequency, is_level=is_level)
        self.rearm_after_ms = options.rearm_after_ms
        self.band = options.band
        self.band_percent = options.band_percent
        self.waits = is_level and options.initially == "wait"
        self.rebases = options.overnight is Overnight.REBASE
        self.seen: frozenset[MarketState | None] = frozenset(options.sessions)
        self.fires_per_day = options.max_per_day
        self.ends_at = options.max_total

    def refusal(self, at_ms: int, last_fired_ms: int | None, fired_today: int) -> Refusal | None:
        """Why it may not fire now, and from when on that may change; None where it may."""
        if last_fired_ms is not None:
            if at_ms - last_fired_ms < self.cooldown_ms:
                return "cooldown", last_fired_ms + self.cooldown_ms
            period = self._period(at_ms)
            if period is not None and period == self._period(last_fired_ms):
                return "frequency", period[1]
        if self.fires_per_day is not None and fired_today >= self.fires_per_day:
            return "max_per_day", (ist_day(at_ms) + 1) * DAY_MS - IST_MS
        return None

    def _period(self, time_ms: int) -> tuple[int, int] | None:
        """The minute or bar in which it may fire once: its beginning and its end."""
        if self.frequency is Frequency.ONCE_PER_MINUTE:
            start_ms = time_ms // MINUTE_MS * MINUTE_MS
            return start_ms, start_ms + MINUTE_MS
        if self.frequency is not Frequency.ONCE_PER_BAR:
            return None
        midnight_ms = ist_day(time_ms) * DAY_MS - IST_MS
        if self.bar_ms == DAY_MS:
            return midnight_ms, midnight_ms + DAY_MS
        bar = (time_ms - midnight_ms - _BARS_BEGIN_MS) // self.bar_ms
        start_ms = midnight_ms + _BARS_BEGIN_MS + bar * self.bar_ms
        return max(start_ms, midnight_ms), min(start_ms + self.bar_ms, midnight_ms + DAY_MS)


def _usual_rearm(frequency: Frequency, *, is_level: bool) -> Rearm:
    often = frequency in {Frequency.ONCE_PER_MINUTE, Frequency.ONCE_PER_BAR}
    return Rearm.RECOVER if is_level and not often else Rearm.IMMEDIATELY


@lru_cache(_KNOWN)
def policy_of(options: Options, *, is_level: bool) -> Policy:
    """The policy of such options, one object for all that are equal."""
    return Policy(options, is_level=is_level)
