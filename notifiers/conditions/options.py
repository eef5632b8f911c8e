"""How often an alert fires, when not, and what it begins with: what its owner says beside the condition."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from notifiers.conditions.tree import Timeframe
from notifiers.way import Way
from schemas.market import MarketState

Milliseconds = Annotated[int, Meta(ge=0)]

SESSIONS = (MarketState.CONTINUOUS, MarketState.CLOSING_AUCTION, MarketState.POST_CLOSE)
"""In which states of the market an alert listens, unless it says other ones. Samples without a state always count."""


class Frequency(StrEnum):
    """How often an alert may fire."""

    ONCE = "once"
    ONCE_PER_BAR = "once_per_bar"
    ONCE_PER_BAR_CLOSE = "once_per_bar_close"
    ONCE_PER_MINUTE = "once_per_minute"
    EVERY = "every"


class Rearm(StrEnum):
    """When an alert that has fired may fire again."""

    IMMEDIATELY = "immediately"
    RECOVER = "recover"
    """Once the condition is false, and the value beyond `band` where there is one."""
    SESSION = "session"
    """With the first sample of the next trading day."""
    MANUAL = "manual"
    """Once its owner says so."""


class Overnight(StrEnum):
    """What the first sample of a trading day is compared with."""

    FIRE = "fire"
    """The last one of the day before: what opens beyond a level has crossed it."""
    REBASE = "rebase"
    """Nothing: it is the first."""


class Escalation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another channel, unless the alert is acknowledged within so many seconds after it fired."""

    channel: Way
    after_s: Annotated[int, Meta(ge=10, le=3600)]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often an alert fires, and when not. All as stored; None of `rearm` is what `rearm_of` says."""

    frequency: Frequency = Frequency.ONCE
    timeframe: Timeframe = "1m"
    """The bars of once_per_bar and once_per_bar_close."""
    cooldown_ms: Milliseconds = 0
    rearm: Rearm | None = None
    rearm_after_ms: Milliseconds = 0
    """Of `rearm` recover: armed again after so long even if it did not recover; 0: never by itself."""
    band: Annotated[float, Meta(gt=0, le=1e11)] | None = None
    """Of `rearm` recover: how far beyond the level the value must be back, in the level's own unit."""
    band_percent: bool = False
    """`band` is a percentage of the level."""
    initially: Literal["fire", "wait"] = "fire"
    """Whether a level that is true from the start fires at once, or only when it becomes true."""
    overnight: Overnight = Overnight.FIRE
    sessions: tuple[MarketState, ...] = SESSIONS
    max_per_day: Annotated[int, Meta(ge=1, le=1000)] | None = None
    max_total: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    critical: bool = False
    """Reaches its owner in quiet hours too, where they consent to that."""
    escalation: tuple[Escalation, ...] = ()


class Baseline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The instrument's newest price when an alert was made, which its owner had before their eyes.

    Prices in 1/PRICE_SCALE.
    """

    price: int
    time_ms: int
    number: int = 0
    high: int | None = None
    low: int | None = None
