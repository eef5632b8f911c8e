"""Minutes as the database has them, for tests."""

from datetime import datetime
from random import Random
from typing import Any

from feeds.candles.bars import LENGTHS_MS, Bar
from feeds.instruments import Instrument
from feeds.market_hours.sessions import Sessions
from hub.feeding.hours import FeedHours
from schemas.market import IST, scaled

THURSDAY, FRIDAY = "2026-11-19", "2026-11-20"
MINUTE_MS = 60_000


def at(day: str, clock: str) -> int:
    """Unix milliseconds of a moment in India."""
    return round(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=IST).timestamp() * 1000)


def clock(time_ms: int) -> str:
    """The moment's time of day in India."""
    return datetime.fromtimestamp(time_ms / 1000, IST).strftime("%H:%M:%S.%f")[:12]


def bar(start_ms: int, *prices: float, timeframe: str = "1m", symbol: str = "TCS", **fields: Any) -> Bar:
    """A bar of TCS: open, high, low and close, or one price for all of them."""
    opened, high, low, close = prices if len(prices) == 4 else prices * 4
    return Bar(
        exchange="NSE", symbol=symbol, timeframe=timeframe, start_ms=start_ms,
        end_ms=start_ms + LENGTHS_MS.get(timeframe, 86_400_000), open=scaled(opened), high=scaled(high),
        low=scaled(low), close=scaled(close), **{"volume": 100} | fields,
    )  # fmt: skip


def minutes(day: str, *closes: float, begin: str = "09:15", **fields: Any) -> list[Bar]:
    """Flat minutes, one after the other."""
    start_ms = at(day, begin)
    return [bar(start_ms + number * MINUTE_MS, close, **fields) for number, close in enumerate(closes)]


def walk(day: str, seed: int, count: int = 375, price: float = 1000.0) -> list[Bar]:
    """A day of minutes that wander about, with the day's volume as it grows."""
    random, start_ms, total, bars = Random(seed), at(day, "09:15"), 0, []
    for number in range(count):
        opened = price + random.randint(-20, 20) / 20
        close = opened + random.randint(-60, 60) / 20
        high, low = max(opened, close) + random.randint(0, 20) / 20, min(opened, close) - random.randint(0, 20) / 20
        volume = random.randint(4, 5000)
        total, price = total + volume, close
        bars.append(bar(start_ms + number * MINUTE_MS, opened, high, low, close, volume=volume, day_volume=total))
    return bars


def hours() -> FeedHours:
    """Those of stocks, whatever the instrument."""
    stock = Instrument(exchange="NSE", symbol="TCS", name="Tata Consultancy Services", tick_size=1)
    return FeedHours(Sessions(), lambda exchange, symbol: stock, lambda: 0.0, around_the_clock=False)
