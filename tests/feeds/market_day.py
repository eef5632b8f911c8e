"""A day of ticks for tests of candles: Monday 23 November 2026 in India, hours handed in as the sessions do."""

from datetime import date, datetime, time
from typing import Any

from feeds.candles.bars import Bar
from feeds.candles.engine import CandleEngine
from schemas.market import IST, MarketState, Tick, scaled

MONDAY = date(2026, 11, 23)
MINUTE_MS = 60_000
DAY_MS = 86_400_000


def at(clock: str, day: date = MONDAY) -> int:
    """The moment of `HH:MM[:SS[.mmm]]` in India, Unix milliseconds."""
    return round(datetime.combine(day, time.fromisoformat(clock), IST).timestamp() * 1000)


def hours(opens: str, closes: str, *, whole_day: bool = False) -> dict[str, Any]:
    """The engine's two callables for the same hours every day; `whole_day`: closing is the next midnight."""

    def moment(clock: str, now_ms: int) -> int:
        return at(clock, datetime.fromtimestamp(now_ms / 1000, IST).date())

    return {
        "opens_ms": lambda exchange, symbol, now_ms: moment(opens, now_ms),
        "closes_ms": lambda exchange, symbol, now_ms: moment(closes, now_ms) + DAY_MS * whole_day,
    }


def nse(**options: Any) -> CandleEngine:
    """An engine for a stock without derivatives: 09:15 to 15:30."""
    return CandleEngine(**hours("09:15", "15:30"), **options)


def tick(
    clock: str | int,
    price: float = 100.0,
    volume: int | None = None,
    state: MarketState | None = MarketState.CONTINUOUS,
    *,
    symbol: str = "RELIANCE",
    **fields: Any,
) -> Tick:
    """One tick, its price in rupees."""
    time_ms = at(clock) if isinstance(clock, str) else clock
    return Tick(
        exchange="NSE", symbol=symbol, price=scaled(price), time_ms=time_ms, state=state, volume=volume, **fields
    )


def opened(engine: CandleEngine, *symbols: str, volume: int = 0) -> CandleEngine:
    """The engine, having heard each instrument before the open."""
    for symbol in symbols or ("RELIANCE",):
        engine.take(tick("09:01", volume=volume, state=MarketState.PRE_OPEN, symbol=symbol))
    return engine


def told(bars: list[Bar], timeframe: str) -> list[Bar]:
    """Those of one timeframe."""
    return [bar for bar in bars if bar.timeframe == timeframe]


def figures(bar: Bar) -> tuple[float, float, float, float, int | None]:
    """Open, high, low, close in rupees, and the volume."""
    return (bar.open / 1e7, bar.high / 1e7, bar.low / 1e7, bar.close / 1e7, bar.volume)


def minutes(bars: list[Bar]) -> dict[str, tuple[float, float, float, float, int | None]]:
    """The figures of the minute bars, by the clock at their start."""
    return {clock_of(bar.start_ms): figures(bar) for bar in told(bars, "1m")}


def clock_of(moment_ms: int) -> str:
    """`HH:MM` in India."""
    return f"{datetime.fromtimestamp(moment_ms / 1000, IST):%H:%M}"
