"""Interest: which instruments somebody wants prices of, and which candles with which indicators. Pure.

Wants come from subscribers (`channels.demand`) and from a list that is always wanted. An instrument is given up only
some seconds after the last want, so that a reader who changes pages, or a broker that forgot everything in a restart,
doesn't make the vendor's subscriptions flutter.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from schemas.durations import Seconds

LINGER_S: Seconds = 10.0

Place = tuple[str, str]
"""Exchange and symbol."""

CandlePlace = tuple[str, str, str]
"""Exchange, symbol and timeframe."""


def places_of(names: Iterable[str]) -> list[Place]:
    """The instruments of `EXCHANGE:SYMBOL` texts."""
    split = (name.partition(":") for name in names)
    return [(exchange, symbol) for exchange, _, symbol in split]


class Interest:
    """What is wanted. `always` comes first where not all can be carried, then whoever asked first."""

    def __init__(self, always: Iterable[Place] = ()) -> None:
        self._always = dict.fromkeys(always)
        self._seen: dict[Place, Seconds] = {}
        self._names: frozenset[str] = frozenset()
        self._now: dict[Place, None] = {}
        self._candles: Mapping[CandlePlace, frozenset[str]] = MappingProxyType({})

    def take(self, names: frozenset[str], now_s: Seconds) -> None:
        """What is wanted now, by all. Names that make no sense are passed over."""
        if names is not self._names:
            self._names = names
            self._candles = _candles(names)
            self._now = dict.fromkeys(place for name in sorted(names) if (place := _place(name)) is not None)
        self._seen |= dict.fromkeys(self._now, now_s)

    def instruments(self, now_s: Seconds) -> list[Place]:
        """Those to be carried, the most important first."""
        self._seen = {place: seen for place, seen in self._seen.items() if now_s - seen <= LINGER_S}
        return [*self._always, *(place for place in self._seen if place not in self._always)]

    @property
    def candles(self) -> Mapping[CandlePlace, frozenset[str]]:
        """The candles that are heard now, each with the indicators that are asked for."""
        return self._candles


def _place(name: str) -> Place | None:
    """The instrument of `market:NSE:TCS`, `depth:NSE:TCS`, `candles:5m:NSE:TCS` or `…#rsi(14)`."""
    parts = name.partition("#")[0].split(":")
    skip = 2 if parts[0] == "candles" else 1
    return (parts[skip], parts[skip + 1]) if len(parts) == skip + 2 else None


def _candles(names: Iterable[str]) -> Mapping[CandlePlace, frozenset[str]]:
    asked: dict[CandlePlace, set[str]] = {}
    for name in names:
        channel, _, indicator = name.partition("#")
        parts = channel.split(":")
        if parts[0] == "candles" and len(parts) == 4:
            found = asked.setdefault((parts[2], parts[3], parts[1]), set())
            if indicator:
                found.add(indicator)
    return MappingProxyType({place: frozenset(indicators) for place, indicators in asked.items()})
