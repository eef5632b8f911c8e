"""Bars: what a candle holds, while it forms and once it is closed, and for when nobody watched.

A bar is the open, high, low and close of the trades in `start_ms <= time < end_ms`, with their volume. Prices are in
1/PRICE_SCALE, times in Unix milliseconds.
"""

from collections import defaultdict
from types import MappingProxyType

import msgspec

from schemas.market import PRICE_SCALE, CandlePayload, ist_text

MINUTE_MS = 60_000
DAY = "1d"
LENGTHS_MS = MappingProxyType(
    {"1m": MINUTE_MS, "3m": 3 * MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": 15 * MINUTE_MS, "30m": 30 * MINUTE_MS}
    | {"1h": 60 * MINUTE_MS}
)
"""Every timeframe within a day. The last bar before the close may be shorter."""


class Bar(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One candle of one instrument. `volume` is None where the instrument has none, like an index."""

    exchange: str
    symbol: str
    timeframe: str
    start_ms: int
    end_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int | None = None
    open_interest: int | None = None
    day_volume: int | None = None
    """The day's volume at the bar's last trade, from which a later process counts on."""
    gap: bool = False
    """The source was away during a part of it, so extremes and volume may be missing."""
    closed: bool = True


class Forming:
    """A bar that still grows."""

    __slots__ = (
        "close", "day_volume", "end_ms", "gap", "high", "last_ms", "low", "open", "open_interest", "start_ms",
        "volume",
    )  # fmt: skip

    def __init__(self, start_ms: int, end_ms: int, price: int = 0) -> None:
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.open = self.high = self.low = self.close = price
        self.volume = 0
        self.open_interest: int | None = None
        self.day_volume: int | None = None
        self.gap = False
        self.last_ms = 0
        """When its last price was told; kept only once a later bar has begun."""

    @classmethod
    def of(cls, bar: Bar) -> "Forming":
        """The bar, ready to grow on."""
        forming = cls(bar.start_ms, bar.end_ms, bar.open)
        forming.high, forming.low, forming.close = bar.high, bar.low, bar.close
        forming.volume = bar.volume or 0
        forming.open_interest, forming.day_volume, forming.gap = bar.open_interest, bar.day_volume, bar.gap
        return forming

    def copy(self, start_ms: int, end_ms: int) -> "Forming":
        """The same figures over another span."""
        other = Forming(start_ms, end_ms, self.open)
        other.high, other.low, other.close, other.volume = self.high, self.low, self.close, self.volume
        other.open_interest, other.day_volume, other.gap = self.open_interest, self.day_volume, self.gap
        return other

    def stretch(self, price: int) -> None:
        """The price was traded, at whatever time within the bar."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price

    def fold(self, later: "Forming") -> None:
        """Takes in a bar that follows on what is here."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        if later.open_interest is not None:
            self.open_interest = later.open_interest
        if later.day_volume is not None:
            self.day_volume = later.day_volume
        self.gap |= later.gap


class Away:
    """When an exchange's source, or that of one instrument, was away. Symbol "": all of the exchange."""

    KEPT = 64
    """Outages that are remembered for each; older ones lie before any bar that still forms."""

    def __init__(self) -> None:
        self._spans: defaultdict[tuple[str, str], list[tuple[int, int | None]]] = defaultdict(list)

    def begin(self, exchange: str, symbol: str, at_ms: int) -> None:
        """From now on nothing is heard. Said again, it changes nothing."""
        spans = self._spans[exchange, symbol]
        if not spans or spans[-1][1] is not None:
            spans.append((at_ms, None))
            del spans[: -self.KEPT]

    def end(self, exchange: str, symbol: str, at_ms: int) -> None:
        """It is heard again."""
        spans = self._spans.get((exchange, symbol))
        if spans and spans[-1][1] is None:
            spans[-1] = (spans[-1][0], at_ms)

    def during(self, exchange: str, symbol: str, start_ms: int, end_ms: int, *, at_least_ms: int = 1) -> bool:
        """Whether it was away at any moment of a span, in an outage that lasted so long."""
        if not self._spans:
            return False
        return any(
            since_ms < end_ms and (until_ms is None or (until_ms > start_ms and until_ms - since_ms >= at_least_ms))
            for key in ((exchange, ""), (exchange, symbol))
            for since_ms, until_ms in self._spans.get(key, ())
        )


_encode = msgspec.json.Encoder().encode


def candle_payload(bar: Bar, indicators: dict[str, float | dict[str, float] | None] | None = None) -> bytes:
    """The bar as a publication on `candles:`: compact JSON, decimals; `gap` only where there is one."""
    return _encode(
        CandlePayload(
            open=bar.open / PRICE_SCALE,
            high=bar.high / PRICE_SCALE,
            low=bar.low / PRICE_SCALE,
            close=bar.close / PRICE_SCALE,
            start=ist_text(bar.start_ms),
            volume=bar.volume,
            open_interest=bar.open_interest,
            closed=bar.closed,
            gap=bar.gap or None,
            indicators=indicators,
        )
    )
