"""What the simulated market would have done before it was started, so that a first chart is not empty.

A path of prices is drawn backwards from where the market begins: the last hours by the minute, a day by five
minutes, ten days by the hour and some months by the day, and the candles of every timeframe are made of what is
fine enough for them. The same factor moves all of them, as it does in `feeds.simulated_books`.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import exp, sqrt
from random import Random
from typing import NamedTuple

import msgspec

from feeds.candles.bars import LENGTHS_MS, MINUTE_MS, Bar
from feeds.candles.history import CandleHistory
from feeds.instruments import SIMULATED, Instrument, Kind, SimulatedInstrument
from feeds.interest import Place
from feeds.market_hours.sessions import day_start_ms, ist_day
from feeds.simulated_books import Stand
from feeds.simulator import Simulator
from schemas.errors import Unavailable
from schemas.market import PRICE_SCALE

log = logging.getLogger("tickhub.feeds.simulated_past")

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_IST_MS = 19_800_000
_MARKET_SIGMA = 6e-5
_OWN_SIGMA = 7e-5
"""Standard deviations of the logarithm in a root second, as in `feeds.simulated_books`."""
_SHARES_A_MINUTE = 40_000_000
_LOOKED_AT = ("5m", "1m", "15m", "1d", "1h", "30m", "3m")
"""Timeframes in the order in which charts are likely to be looked at first, and are stored."""
_WHOLE = 60
"""More of the last of them than the last hour has, which is stored at once, and fewer than a past has."""
_TURNOVER_A_MINUTE = 4_500_000 * PRICE_SCALE
"""About what the simulator's usual rate makes of one stock."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """From when to when, and how the market's factor moved meanwhile (a standard deviate)."""

    start_ms: int
    end_ms: int
    factor: float


async def begin(simulator: Simulator, history: CandleHistory, now_ms: int, *, random: Random | None = None) -> None:
    """Let the simulated market go on where it stopped within the last day, else give it a past. Before its first tick.

    What today's candles go on from is stored when this returns, the rest by the history's own writer; where that was
    ended before it was through, the next start draws the past anew. Without the database the market begins at its own
    prices, without a past.
    """
    known: list[Bar] = []
    try:
        await history.recent(now_ms, known.extend)
        if known:
            simulator.begin_at(stands(known))
            if await _is_whole(history, now_ms):
                return
        rows = simulator.rows[: len(SIMULATED)]
        bars = await _whole_past(rows, now_ms, random or Random())  # noqa: S311 - prices, not secrets
        history.offer(bar for bar in bars if _is_recent(bar, now_ms))
        await history.flush()
        older = [bar for bar in bars if not _is_recent(bar, now_ms)]
        history.offer(sorted(older, key=lambda bar: _LOOKED_AT.index(bar.timeframe)))
        simulator.begin_at(stands([*known, *(bar for bar in bars if bar.end_ms > now_ms - 2 * _DAY_MS)]))
        log.info("simulator.past", extra={"bars": len(bars)})
    except Unavailable as exc:
        log.warning("simulator.no_past", extra={"why": exc.why})


async def _is_whole(history: CandleHistory, now_ms: int) -> bool:
    """Whether the past was written to its end, which is the last instrument's candles that are looked at least."""
    last = SIMULATED[-1].instrument
    stored = await history.between(last.exchange, last.symbol, _LOOKED_AT[-1], 0, now_ms // 1000, limit=_WHOLE)
    return len(stored) == _WHOLE


async def _whole_past(rows: Sequence[SimulatedInstrument], now_ms: int, random: Random) -> list[Bar]:
    """Everybody's candles; others have their turn after each instrument."""
    grid = spans(now_ms, random)
    bars: list[Bar] = []
    for row in rows:
        bars += past(row, grid, random)
        await asyncio.sleep(0)
    return bars


def stands(bars: Iterable[Bar]) -> dict[Place, Stand]:
    """How each instrument stands after its bars, whichever timeframes there are of its last day and the one before."""
    found: defaultdict[Place, list[Bar]] = defaultdict(list)
    for bar in bars:
        found[bar.exchange, bar.symbol].append(bar)
    return {place: _stand(own) for place, own in found.items()}


def _stand(bars: Sequence[Bar]) -> Stand:
    last = max(bars, key=lambda bar: bar.end_ms)
    begins_ms = day_start_ms(ist_day(last.start_ms))
    before = max((bar for bar in bars if bar.end_ms <= begins_ms), key=lambda bar: bar.end_ms, default=None)
    today = [*_one_after_another(bar for bar in bars if bar.start_ms >= begins_ms)]
    weight = sum(bar.volume or 0 for bar in today)
    turnover = sum((bar.high + bar.low + bar.close) // 3 * (bar.volume or 0) for bar in today)
    return Stand(
        day=ist_day(last.start_ms),
        price=last.close,
        previous_close=today[0].open if before is None else before.close,
        open=today[0].open,
        high=max(bar.high for bar in today),
        low=min(bar.low for bar in today),
        average_price=turnover // weight if weight else last.close,
        volume=max(bar.day_volume or 0 for bar in today),
    )


def _one_after_another(bars: Iterable[Bar]) -> Iterator[Bar]:
    """As few of the bars as hold all the time that they cover, in order."""
    covered_ms = 0
    for bar in sorted(bars, key=lambda bar: (bar.start_ms, -bar.end_ms)):
        if bar.start_ms >= covered_ms:
            covered_ms = bar.end_ms
            yield bar


def _is_recent(bar: Bar, now_ms: int) -> bool:
    """Whether today's forming candles may need it."""
    return bar.end_ms > now_ms - (_DAY_MS if bar.timeframe in ("1h", "1d") else _HOUR_MS)


def spans(until_ms: int, random: Random) -> list[Span]:
    """Times backwards from the minute of `until_ms`, finer the nearer they are."""
    end_ms = until_ms // MINUTE_MS * MINUTE_MS
    minutes_ms = _aligned(end_ms - 6 * _HOUR_MS, _HOUR_MS)
    fives_ms = day_start_ms(ist_day(minutes_ms - _DAY_MS))
    hours_ms = fives_ms - 10 * _DAY_MS
    found: list[Span] = []
    for since_ms, length_ms in (
        (minutes_ms, MINUTE_MS),
        (fives_ms, 5 * MINUTE_MS),
        (hours_ms, _HOUR_MS),
        (hours_ms - 120 * _DAY_MS, _DAY_MS),
    ):
        while end_ms > since_ms:
            found.append(Span(end_ms - length_ms, end_ms, random.gauss()))
            end_ms -= length_ms
    return found


def past(row: SimulatedInstrument, grid: Sequence[Span], random: Random) -> Iterator[Bar]:
    """The closed candles of one instrument, ending at its `close`."""
    path = [*_forwards([*_path(row, grid, random)])]
    for timeframe, length_ms in (*LENGTHS_MS.items(), ("1d", _DAY_MS)):
        fine = [step for step in path if step.end_ms - step.start_ms <= length_ms]
        for start_ms, steps in groupby(fine, lambda step, length_ms=length_ms: _aligned(step.start_ms, length_ms)):  # type: ignore[misc]
            if start_ms + length_ms <= grid[0].end_ms:
                yield _bar(row.instrument, timeframe, start_ms, start_ms + length_ms, list(steps))


class _Step(NamedTuple):
    """What happened in one span."""

    start_ms: int
    end_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    day_volume: int = 0
    """What was traded of its day by its end."""


def _path(row: SimulatedInstrument, grid: Sequence[Span], random: Random) -> Iterator[_Step]:
    """A step for each span, from the last one back; each opens where the one before it closes."""
    is_stock = row.instrument.kind is Kind.STOCK
    beta, own = (row.beta, _OWN_SIGMA) if is_stock else (1.0, _OWN_SIGMA / 5)
    gauss, tick = random.gauss, row.instrument.tick_size
    close = row.close
    for span in grid:
        seconds = (span.end_ms - span.start_ms) / 1000
        root = sqrt(seconds)
        move = root * (beta * _MARKET_SIGMA * span.factor + own * gauss())
        opened = _rounded(close * exp(-move), tick)
        if not row.year_low < opened < row.year_high:
            opened = _rounded(close * exp(move), tick)
        wick = 0.4 * root * (_MARKET_SIGMA + own)
        high = min(_rounded(max(opened, close) * exp(wick * abs(gauss())), tick), row.year_high)
        low = max(_rounded(min(opened, close) * exp(-wick * abs(gauss())), tick), row.year_low)
        busy = exp(0.6 * gauss()) * (1 + abs(move) / wick)
        volume = 1 + int(_TURNOVER_A_MINUTE / close * seconds / 60 * busy)
        yield _Step(
            span.start_ms, span.end_ms, opened, max(high, opened, close), min(low, opened, close), close, volume
        )
        close = opened


def _forwards(path: Sequence[_Step]) -> Iterator[_Step]:
    """The steps in order of time, with their days' volumes."""
    for _, steps in groupby(reversed(path), lambda step: ist_day(step.start_ms)):
        day_volume = 0
        for step in steps:
            day_volume += step.volume
            yield step._replace(day_volume=day_volume)


def _bar(one: Instrument, timeframe: str, start_ms: int, end_ms: int, steps: Sequence[_Step]) -> Bar:
    """Steps as one candle."""
    is_stock = one.kind is Kind.STOCK
    return Bar(
        exchange=one.exchange,
        symbol=one.symbol,
        timeframe=timeframe,
        start_ms=start_ms,
        end_ms=end_ms,
        open=steps[0].open,
        high=max(step.high for step in steps),
        low=min(step.low for step in steps),
        close=steps[-1].close,
        volume=sum(step.volume for step in steps) if is_stock else None,
        day_volume=steps[-1].day_volume if is_stock else None,
    )


def _aligned(moment_ms: int, length_ms: int) -> int:
    """When the bar of a moment begins: bars are counted from midnight in India."""
    return (moment_ms + _IST_MS) // length_ms * length_ms - _IST_MS


def _rounded(price: float, step: int) -> int:
    return max(step, round(price / step) * step)
