"""Candles for tests: plain ones, and series that hypothesis draws."""

from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

from schemas.market import PRICE_SCALE

MINUTE_MS = 60_000
NINE_FIFTEEN_MS = 1_795_405_500_000
"""Monday 23 November 2026, 09:15 in India."""


@dataclass(frozen=True)
class Candle:
    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int | None = None


def candle(start_ms: int, close: float, *, volume: int | None = 1000, reach: float = 1.0) -> Candle:
    """A candle around one price, in rupees, `reach` above and below."""
    price, far = round(close * PRICE_SCALE), round(reach * PRICE_SCALE)
    return Candle(start_ms, price, price + far, price - far, price, volume)


def walk(seed: int, count: int, *, start_ms: int = NINE_FIFTEEN_MS, step_ms: int = 15 * MINUTE_MS) -> list[Candle]:
    """A random walk of candles on a grid of 5 paise around 1,000 rupees."""
    random, tick = Random(seed), PRICE_SCALE // 20
    price, candles = 1_000 * PRICE_SCALE, []
    for number in range(count):
        opening = max(100, price // tick + random.randint(-40, 40))
        close = max(100, opening + random.randint(-120, 120))
        high = max(opening, close) + random.randint(0, 60)
        low = max(1, min(opening, close) - random.randint(0, 60))
        price = close * tick
        candles.append(
            Candle(
                start_ms + number * step_ms, opening * tick, high * tick, low * tick, price, random.randint(0, 50_000)
            )
        )
    return candles


def without_volume(candles: list[Candle]) -> list[Candle]:
    return [replace(one, volume=None) for one in candles]


@st.composite
def series_of_candles(draw: st.DrawFn, *, most: int = 200) -> list[Candle]:
    """A walk with flat stretches, jumps and missing volumes in it."""
    candles = walk(draw(st.integers(0, 2**32)), draw(st.integers(1, most)))
    for place in draw(st.lists(st.integers(0, len(candles) - 1), max_size=8)):
        one = candles[place]
        kind = draw(st.sampled_from(["flat", "no volume", "none traded", "jump"]))
        if kind == "flat":
            candles[place] = Candle(one.start_ms, one.close, one.close, one.close, one.close, one.volume)
        elif kind == "jump":
            far = one.high * 2
            candles[place] = Candle(one.start_ms, far, far, one.low, far, one.volume)
        else:
            candles[place] = replace(one, volume=None if kind == "no volume" else 0)
    return candles
