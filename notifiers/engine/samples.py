"""What goes into the engine and what comes out of it. Ticks are `schemas.market.Tick`.

A source is one stream of samples: an instrument's ticks, or its candles of one timeframe. `number` only ever grows
within a source: a sample whose number is not above the last one's is no news.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from notifiers.conditions.options import Baseline, Options
from notifiers.conditions.tree import Condition


class Source(NamedTuple):
    """Where samples come from. `timeframe` is empty for ticks."""

    exchange: str
    symbol: str
    timeframe: str = ""

    @property
    def text(self) -> str:
        """`NSE:TCS`, or `5m:NSE:TCS` for candles."""
        place = f"{self.exchange}:{self.symbol}"
        return f"{self.timeframe}:{place}" if self.timeframe else place


class Bar(msgspec.Struct, frozen=True, gc=False):
    """A candle as it forms, or `closed`. Prices in 1/PRICE_SCALE; indicators' values are decimals as published.

    `indicators` are by canonical text, `{"rsi(7)": 31.2, "macd": {"macd": 1.0, "signal": 0.8, "histogram": 0.2}}`.
    """

    exchange: str
    symbol: str
    timeframe: str
    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int | None = None
    open_interest: int | None = None
    closed: bool = False
    time_ms: int = 0
    """When it became so: of the newest tick in it, or its end where it is closed."""
    indicators: Mapping[str, float | Mapping[str, float | None] | None] | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An alert as the engine takes it. `state` is what the engine said to keep of it, None for a new one."""

    id: int
    version: int
    exchange: str
    symbol: str
    tree: Condition
    options: Options
    baseline: Baseline | None = None
    fired: int = 0
    last_fired_ms: int | None = None
    expires_at_ms: int | None = None
    created_at_ms: int = 0
    state: bytes | None = None


Via = Literal["tick", "session_extreme", "bar", "clock"]
"""What made it fire: a sample itself, the day's high or low that it brought, a candle, or that time went by."""

Value = int | float | None


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """That a rule fired, or would have but for `suppressed`.

    `number` counts the rule's firings from 1, and its suppressed ones apart. `previous`, `current` and `level` are
    decimals in the unit of what the rule looks at; None where a tree looks at several things. `inputs` are all values
    that it looked at, by canonical text.
    """

    rule: int
    version: int
    number: int
    suppressed: str | None
    """cooldown, frequency, max_per_day; None for one that fired."""
    at_ms: int
    """Exchange time of the sample, or when the time went by."""
    received_ms: int
    source: str
    sample: int
    """The sample's number."""
    previous: float | None
    previous_ms: int | None
    current: float | None
    level: float | None
    price: float | None
    """The instrument's last price, as a decimal."""
    via: Via
    gap: bool
    """It jumped over the level between two samples, by `current` less `level`."""
    inputs: Mapping[str, float | None]
    ended: bool
    """The rule has fired for the last time."""
    storm: bool = False
    """It fired, but so often that it is told in a digest."""


class Kept(msgspec.Struct, frozen=True):
    """What has to be stored so that another engine can go on from here: states by source's text and by rule's id."""

    tracks: Mapping[str, bytes]
    rules: Mapping[int, bytes]
    misfits: tuple[int, ...] = ()
    """Rules whose states could not be written. They are no longer in the engine."""
