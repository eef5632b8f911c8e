"""Trading signals: the rules that find them, how sure they are, and the prices to act at. Pure.

Four rules look at one timeframe, at the last closed candle and the one before it. Each votes BUY or SELL or not at all:

    trend_cross       30  EMA 9 crosses EMA 21 while ADX 14 is at least 20
    rsi_reversal      25  RSI 14 comes back over 30 (under 70) after a close outside the Bollinger band (20, 2)
    breakout          30  the close leaves the Donchian channel (20) of before, on at least 1.5 times the usual volume
    supertrend_flip   25  Supertrend (10, 3) changes sides

The votes' weights are summed, SELL against BUY; a sum of at least 25 either way makes a candidate with a confidence of
35 plus the sum. The larger trend, the close of 1h candles against their EMA 50, adds 10 where it agrees and takes 15
where it does not. A prediction (direction, confidence p from 0 to 1) then changes the confidence c:

    agrees     c + (100 - c) * p / 2
    says HOLD  c * (1 - p / 2)
    opposes    c * (1 - p)

and a prediction alone makes no signal. What ends below 50 is HOLD. Entry is the last close, the stop lies 1.5 and the
target 3 average true ranges (ATR 14) away, all three on the instrument's tick grid. None of this is advice.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from feeds.indicators.evaluation import Bar, IndicatorSet, Value
from feeds.indicators.indicator import Indicator, history_for, parse
from schemas.market import PRICE_SCALE, scaled

CANDIDATE_WEIGHT = 25
BASE_CONFIDENCE = 35.0
TREND_AGREES = 10.0
TREND_OPPOSES = -15.0
MIN_CONFIDENCE = 50.0
MIN_ADX = 20.0
OVERSOLD, OVERBOUGHT = 30.0, 70.0
MIN_VOLUME_RATIO = 1.5
STOP_RANGES, TARGET_RANGES = 1.5, 3.0


class SignalType(StrEnum):
    """What a signal says to do."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules read of one candle, in rupees. None while history is too short."""

    close: float
    fast: float | None = None
    slow: float | None = None
    adx: float | None = None
    rsi: float | None = None
    lower: float | None = None
    upper: float | None = None
    lowest: float | None = None
    highest: float | None = None
    volume_ratio: float | None = None
    line: float | None = None
    """Supertrend's."""
    side: float | None = None
    """Supertrend's: 1 up, -1 down."""
    atr: float | None = None


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """The last closed candle, the one before, and which way the larger trend points where that is known."""

    now: Gauge
    before: Gauge
    larger: SignalType | None = None


class Vote(msgspec.Struct, frozen=True):
    """What one rule says, and the figures that its reason names."""

    rule: str
    direction: SignalType
    weight: int
    figures: dict[str, float]


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a prediction service answers. `confidence` from 0 to 1; `score` is its own."""

    direction: SignalType
    confidence: float
    score: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What all rules together say. Prices in 1/PRICE_SCALE, none for HOLD."""

    signal_type: SignalType
    confidence: float = 0.0
    entry: int | None = None
    target: int | None = None
    stop: int | None = None
    votes: tuple[Vote, ...] = ()
    larger: SignalType | None = None
    prediction: Prediction | None = None


HOLD = Verdict(signal_type=SignalType.HOLD)

INDICATORS: dict[str, Indicator] = {
    name: parse(name) for name in ("ema(9)", "ema(21)", "adx", "rsi", "bbands", "donchian", "rvol", "supertrend", "atr")
}
"""What the rules read of the candles."""
TREND_INDICATORS: dict[str, Indicator] = {"ema(50)": parse("ema(50)")}
"""What the rules read of the larger candles."""
HISTORY = history_for(INDICATORS.values())
TREND_HISTORY = history_for(TREND_INDICATORS.values())
"""How many candles to begin with."""


class Gauges:
    """The indicators of one instrument, carried along from candle to candle. Histories are oldest first."""

    def __init__(self, history: Sequence[Bar] = (), larger: Sequence[Bar] = ()) -> None:
        self._set = IndicatorSet(INDICATORS, history[:-1])
        self._larger = IndicatorSet(TREND_INDICATORS, larger)
        self._now: Gauge | None = None
        self.larger: SignalType | None = _side(larger[-1], self._larger.values) if larger else None
        """Which way the larger trend points."""
        if history:
            self.closed(history[-1])

    @property
    def values(self) -> dict[str, Value]:
        """The indicators at the last closed candle."""
        return self._set.values

    def closed(self, bar: Bar) -> Readings | None:
        """Takes a closed candle; None for the first one, and for one that is not newer than the last."""
        last = self._set.last_start_ms
        if last is not None and bar.start_ms <= last:
            return None
        before, self._now = self._now, _gauge(bar, self._set.closed(bar))
        return None if before is None else Readings(now=self._now, before=before, larger=self.larger)

    def larger_closed(self, bar: Bar) -> None:
        """Takes a closed candle of the larger timeframe."""
        last = self._larger.last_start_ms
        if last is None or bar.start_ms > last:
            self.larger = _side(bar, self._larger.closed(bar))


def propose(readings: Readings, *, close: int, tick_size: int) -> Verdict:
    """What the rules say by themselves: a candidate of any confidence, for `settle` to decide on, or HOLD."""
    votes = tuple(vote for rule in RULES if (vote := rule(readings)) is not None)
    net = sum(vote.weight if vote.direction is SignalType.BUY else -vote.weight for vote in votes)
    if abs(net) < CANDIDATE_WEIGHT:
        return HOLD
    direction = SignalType.BUY if net > 0 else SignalType.SELL
    prices = levels(direction, close=close, atr=readings.now.atr, tick_size=tick_size)
    if prices is None:
        return HOLD
    confidence = BASE_CONFIDENCE + abs(net) + _of_trend(direction, readings.larger)
    entry, target, stop = prices
    return Verdict(
        signal_type=direction,
        confidence=min(100.0, max(0.0, confidence)),
        entry=entry,
        target=target,
        stop=stop,
        votes=tuple(vote for vote in votes if vote.direction is direction),
        larger=readings.larger,
    )


def settle(candidate: Verdict, prediction: Prediction | None = None) -> Verdict:
    """The candidate with the prediction weighed in, or HOLD where too little confidence is left."""
    if candidate.signal_type is SignalType.HOLD:
        return HOLD
    confidence = round(_weighed(candidate, prediction), 1)
    if confidence < MIN_CONFIDENCE:
        return HOLD
    return msgspec.structs.replace(candidate, confidence=confidence, prediction=prediction)


def levels(direction: SignalType, *, close: int, atr: float | None, tick_size: int) -> tuple[int, int, int] | None:
    """Entry, target and stop on the tick grid, in this order of use; None where no sane ones can be given.

    For BUY stop < entry < target, for SELL the other way round; all are above zero. `atr` is in rupees.
    """
    if atr is None or atr <= 0:
        return None
    entry = snapped(close, tick_size)
    far = max(2 * tick_size, snapped(scaled(atr * TARGET_RANGES), tick_size))
    near = min(far - tick_size, max(tick_size, snapped(scaled(atr * STOP_RANGES), tick_size)))
    target, stop = (entry + far, entry - near) if direction is SignalType.BUY else (entry - far, entry + near)
    return (entry, target, stop) if min(entry, target, stop) > 0 else None


def snapped(price: int, tick_size: int) -> int:
    """The price on the tick grid that lies nearest."""
    return (price + tick_size // 2) // tick_size * tick_size


def trend_cross(readings: Readings) -> Vote | None:
    """EMA 9 crosses EMA 21 in a firm trend."""
    now, before = readings.now, readings.before
    if now.fast is None or now.slow is None or before.fast is None or before.slow is None or now.adx is None:
        return None
    if now.adx < MIN_ADX:
        return None
    direction = _crossing(before.fast - before.slow, now.fast - now.slow)
    if direction is None:
        return None
    return Vote("trend_cross", direction, 30, {"fast": now.fast, "slow": now.slow, "adx": now.adx})


def rsi_reversal(readings: Readings) -> Vote | None:
    """RSI comes back from an extreme that the price reached outside the Bollinger band."""
    now, before = readings.now, readings.before
    if now.rsi is None or before.rsi is None or before.lower is None or before.upper is None:
        return None
    if before.rsi < OVERSOLD <= now.rsi and before.close <= before.lower:
        return Vote("rsi_reversal", SignalType.BUY, 25, {"rsi": now.rsi, "band": before.lower})
    if before.rsi > OVERBOUGHT >= now.rsi and before.close >= before.upper:
        return Vote("rsi_reversal", SignalType.SELL, 25, {"rsi": now.rsi, "band": before.upper})
    return None


def breakout(readings: Readings) -> Vote | None:
    """The close leaves the channel of the candles before, with volume. Without volumes there is no vote."""
    now, before = readings.now, readings.before
    if now.volume_ratio is None or now.volume_ratio < MIN_VOLUME_RATIO:
        return None
    figures = {"close": now.close, "volume": now.volume_ratio}
    if before.highest is not None and now.close > before.highest:
        return Vote("breakout", SignalType.BUY, 30, figures | {"level": before.highest})
    if before.lowest is not None and now.close < before.lowest:
        return Vote("breakout", SignalType.SELL, 30, figures | {"level": before.lowest})
    return None


def supertrend_flip(readings: Readings) -> Vote | None:
    """Supertrend changes sides."""
    now, before = readings.now, readings.before
    if now.side is None or before.side is None or now.line is None:
        return None
    direction = _crossing(before.side, now.side)
    return None if direction is None else Vote("supertrend_flip", direction, 25, {"line": now.line})


RULES: tuple[Callable[[Readings], Vote | None], ...] = (trend_cross, rsi_reversal, breakout, supertrend_flip)


def _crossing(before: float, now: float) -> SignalType | None:
    if before <= 0 < now:
        return SignalType.BUY
    return SignalType.SELL if before >= 0 > now else None


def _of_trend(direction: SignalType, larger: SignalType | None) -> float:
    if larger is None:
        return 0.0
    return TREND_AGREES if larger is direction else TREND_OPPOSES


def _weighed(candidate: Verdict, prediction: Prediction | None) -> float:
    confidence = candidate.confidence
    if prediction is None:
        return confidence
    if prediction.direction is candidate.signal_type:
        return confidence + (100.0 - confidence) * prediction.confidence / 2
    doubt = prediction.confidence / 2 if prediction.direction is SignalType.HOLD else prediction.confidence
    return confidence * (1.0 - doubt)


def _gauge(bar: Bar, values: dict[str, Value]) -> Gauge:
    return Gauge(
        close=bar.close / PRICE_SCALE,
        fast=_one(values["ema(9)"]),
        slow=_one(values["ema(21)"]),
        adx=_one(values["adx"]),
        rsi=_one(values["rsi"]),
        lower=_one(values["bbands"], "lower"),
        upper=_one(values["bbands"], "upper"),
        lowest=_one(values["donchian"], "lower"),
        highest=_one(values["donchian"], "upper"),
        volume_ratio=_one(values["rvol"]),
        line=_one(values["supertrend"], "value"),
        side=_one(values["supertrend"], "trend"),
        atr=_one(values["atr"]),
    )


def _one(value: Value, output: str = "") -> float | None:
    return value.get(output) if isinstance(value, dict) else value


def _side(bar: Bar, values: dict[str, Value]) -> SignalType | None:
    average = _one(values["ema(50)"])
    close = bar.close / PRICE_SCALE
    if average is None or close == average:
        return None
    return SignalType.BUY if close > average else SignalType.SELL
