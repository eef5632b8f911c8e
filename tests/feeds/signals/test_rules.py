"""The rules vote as documented, and what comes out of them is always sane."""

import tomllib
from importlib import resources

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.identity import LANGUAGES
from feeds.indicators.evaluation import evaluate
from feeds.signals.reasons import reasons
from feeds.signals.rules import (
    HISTORY,
    HOLD,
    INDICATORS,
    MIN_CONFIDENCE,
    RULES,
    TREND_HISTORY,
    Gauge,
    Gauges,
    Prediction,
    Readings,
    SignalType,
    Verdict,
    Vote,
    breakout,
    levels,
    propose,
    rsi_reversal,
    settle,
    snapped,
    supertrend_flip,
    trend_cross,
)
from schemas.market import PRICE_SCALE
from tests.feeds.bars import MINUTE_MS, candle, series_of_candles, walk

BUY, SELL = SignalType.BUY, SignalType.SELL
TICK = PRICE_SCALE // 20
CLOSE = 1_000 * PRICE_SCALE


def readings(*, before: dict[str, float] | None = None, larger: SignalType | None = None, **now: float) -> Readings:
    return Readings(
        now=Gauge(**{"close": 1000.0, "atr": 10.0} | now),
        before=Gauge(**{"close": 1000.0} | (before or {})),
        larger=larger,
    )


def mirrored(of: Readings) -> Readings:
    """The same market upside down around 1,000 rupees."""

    def turned(gauge: Gauge) -> Gauge:
        price = {
            name: None if (value := getattr(gauge, other)) is None else 2000 - value
            for name, other in {
                "close": "close", "fast": "fast", "slow": "slow", "line": "line",
                "lower": "upper", "upper": "lower", "lowest": "highest", "highest": "lowest",
            }.items()
        }  # fmt: skip
        rsi = None if gauge.rsi is None else 100 - gauge.rsi
        side = None if gauge.side is None else -gauge.side
        return msgspec.structs.replace(gauge, rsi=rsi, side=side, **price)

    larger = None if of.larger is None else {BUY: SELL, SELL: BUY}[of.larger]
    return Readings(now=turned(of.now), before=turned(of.before), larger=larger)


CROSS = readings(before={"fast": 999.0, "slow": 1000.0}, fast=1001.0, slow=1000.5, adx=20.0)
REVERSAL = readings(before={"close": 990.0, "rsi": 29.0, "lower": 990.0, "upper": 1010.0}, rsi=30.0)
BREAKOUT = readings(before={"highest": 999.5, "lowest": 900.0}, volume_ratio=1.5)
FLIP = readings(before={"side": -1.0}, side=1.0, line=980.0)


@pytest.mark.parametrize(
    ("rule", "fires", "spoilt"),
    [
        (trend_cross, CROSS, {"adx": 19.9}),
        (trend_cross, CROSS, {"fast": 1000.5}),
        (rsi_reversal, REVERSAL, {"rsi": 29.9}),
        (breakout, BREAKOUT, {"volume_ratio": 1.49}),
        (breakout, BREAKOUT, {"close": 999.5}),
        (supertrend_flip, FLIP, {"side": -1.0}),
    ],
)
def test_a_rule_votes_at_its_bound_and_not_before(rule: object, fires: Readings, spoilt: dict[str, float]) -> None:
    assert callable(rule)
    vote, mirror = rule(fires), rule(mirrored(fires))
    assert (vote.direction, mirror.direction) == (BUY, SELL)
    assert vote.rule == mirror.rule == rule.__name__
    assert vote.weight == mirror.weight
    assert rule(Readings(now=msgspec.structs.replace(fires.now, **spoilt), before=fires.before)) is None


def test_no_reversal_without_a_close_outside_the_band() -> None:
    assert (
        rsi_reversal(readings(before={"close": 990.1, "rsi": 29.0, "lower": 990.0, "upper": 1010.0}, rsi=30.0)) is None
    )


def test_without_readings_no_rule_votes() -> None:
    assert [rule(readings()) for rule in RULES] == [None] * 4
    assert propose(readings(), close=CLOSE, tick_size=TICK) == HOLD


def test_one_rule_is_a_candidate_with_the_documented_confidence() -> None:
    candidate = propose(CROSS, close=CLOSE, tick_size=TICK)
    assert candidate.confidence == 35 + 30
    assert (candidate.entry, candidate.target, candidate.stop) == (
        CLOSE, 1_030 * PRICE_SCALE, 985 * PRICE_SCALE,
    )  # fmt: skip
    assert [vote.rule for vote in candidate.votes] == ["trend_cross"]


def test_the_larger_trend_counts_for_and_against() -> None:
    with_it = propose(msgspec.structs.replace(FLIP, larger=BUY), close=CLOSE, tick_size=TICK)
    against_it = propose(msgspec.structs.replace(FLIP, larger=SELL), close=CLOSE, tick_size=TICK)
    assert (with_it.confidence, against_it.confidence) == (70, 45)
    assert settle(against_it) == HOLD


def test_rules_that_disagree_cancel_each_other_out() -> None:
    both = msgspec.structs.replace(
        CROSS,
        now=msgspec.structs.replace(CROSS.now, side=-1.0, line=1020.0),
        before=msgspec.structs.replace(CROSS.before, side=1.0),
    )
    assert propose(both, close=CLOSE, tick_size=TICK) == HOLD


@pytest.mark.parametrize(
    ("prediction", "confidence"),
    [
        (None, 60.0),
        (Prediction(direction=BUY, confidence=0.8, score=0), 76.0),
        (Prediction(direction=SignalType.HOLD, confidence=0.2, score=0), 54.0),
        (Prediction(direction=SELL, confidence=0.1, score=0), 54.0),
        (Prediction(direction=SELL, confidence=0.9, score=0), None),
    ],
)
def test_a_prediction_is_weighed_as_documented(prediction: Prediction | None, confidence: float | None) -> None:
    verdict = settle(propose(FLIP, close=CLOSE, tick_size=TICK), prediction)
    assert (verdict == HOLD) if confidence is None else (verdict.confidence == confidence)


def test_a_prediction_alone_makes_no_signal() -> None:
    assert settle(HOLD, Prediction(direction=BUY, confidence=1.0, score=1.0)) == HOLD


def test_prices_snap_to_the_tick() -> None:
    assert snapped(1_000_24 * PRICE_SCALE // 100, TICK) == 100_025 * PRICE_SCALE // 100
    assert levels(BUY, close=1_000_24 * PRICE_SCALE // 100, atr=1.01, tick_size=TICK) == (
        100_025 * PRICE_SCALE // 100, 100_330 * PRICE_SCALE // 100, 99_875 * PRICE_SCALE // 100,
    )  # fmt: skip


@pytest.mark.parametrize("atr", [None, 0.0])
def test_without_a_range_there_are_no_prices(atr: float | None) -> None:
    assert levels(BUY, close=CLOSE, atr=atr, tick_size=TICK) is None


@given(
    st.sampled_from([BUY, SELL]),
    st.integers(1, 10**13),
    st.floats(0, 1e6, exclude_min=True),
    st.sampled_from([2_500, 100_000, 500_000, 1_000_000, 50_000_000]),
)
def test_prices_are_always_on_the_grid_and_in_order(
    direction: SignalType, close: int, atr: float, tick_size: int
) -> None:
    prices = levels(direction, close=close, atr=atr, tick_size=tick_size)
    if prices is None:
        return
    entry, target, stop = prices
    assert 0 < stop < entry < target if direction is BUY else 0 < target < entry < stop
    assert all(price % tick_size == 0 for price in prices)
    assert abs(entry - close) * 2 <= tick_size
    assert abs(target - entry) > abs(stop - entry)


some = st.none() | st.floats(1, 2000)


def orderly(one: Gauge) -> Gauge:
    """The same with no band or channel upside down."""
    sides = {}
    for low, high in (("lower", "upper"), ("lowest", "highest")):
        bottom, top = getattr(one, low), getattr(one, high)
        if bottom is not None and top is not None:
            sides |= {low: min(bottom, top), high: max(bottom, top)}
    return msgspec.structs.replace(one, **sides)


gauge = st.builds(
    Gauge, close=st.floats(1, 2000), fast=some, slow=some, adx=st.none() | st.floats(0, 100),
    rsi=st.none() | st.floats(0, 100), lower=some, upper=some, lowest=some, highest=some,
    volume_ratio=st.none() | st.floats(0, 5), line=some, side=st.none() | st.sampled_from([-1.0, 1.0]),
    atr=st.none() | st.floats(0, 50),
).map(orderly)  # fmt: skip
prediction = st.none() | st.builds(
    Prediction, direction=st.sampled_from(SignalType), confidence=st.floats(0, 1), score=st.floats(-1, 1)
)


@given(st.builds(Readings, now=gauge, before=gauge, larger=st.sampled_from([None, BUY, SELL])), prediction)
def test_a_verdict_is_whole_or_hold(readings: Readings, prediction: Prediction | None) -> None:
    verdict = settle(propose(readings, close=CLOSE, tick_size=TICK), prediction)
    if verdict.signal_type is SignalType.HOLD:
        assert verdict == HOLD
        return
    assert MIN_CONFIDENCE <= verdict.confidence <= 100
    assert None not in (verdict.entry, verdict.target, verdict.stop)
    assert verdict.votes
    assert {vote.direction for vote in verdict.votes} == {verdict.signal_type}
    assert set(reasons(verdict)) == set(LANGUAGES)


@given(st.builds(Readings, now=gauge, before=gauge, larger=st.sampled_from([None, BUY, SELL])))
def test_no_rule_says_the_same_of_a_market_and_of_its_mirror_image(of: Readings) -> None:
    for rule in RULES:
        straight, turned = rule(of), rule(mirrored(of))
        assert straight is None or turned is None or straight.direction is not turned.direction


@given(series_of_candles(most=160), st.integers(1, 160))
def test_gauges_read_the_same_whether_carried_along_or_begun_later(candles: list[object], split: int) -> None:
    history, rest = candles[:split], candles[split:]
    carried, begun = Gauges(), Gauges(history)  # type: ignore[arg-type]
    for one in history:
        carried.closed(one)  # type: ignore[arg-type]
    for one in rest:
        assert carried.closed(one) == begun.closed(one)  # type: ignore[arg-type]


def test_gauges_are_the_indicators_of_the_candles() -> None:
    candles = walk(11, HISTORY)
    gauges = Gauges(candles[:-1])
    read = gauges.closed(candles[-1])
    values = evaluate(INDICATORS, candles)
    assert read is not None
    assert (read.now.rsi, read.now.atr, read.now.fast) == (values["rsi"], values["atr"], values["ema(9)"])
    assert gauges.closed(candles[-1]) is None
    assert gauges.closed(candles[5]) is None


def test_the_larger_trend_is_the_close_against_its_average() -> None:
    rising = [candle(number * MINUTE_MS, 100.0 + number) for number in range(TREND_HISTORY)]
    gauges = Gauges((), rising)
    assert gauges.larger is BUY
    gauges.larger_closed(candle(TREND_HISTORY * MINUTE_MS, 1.0))
    assert gauges.larger is SELL
    gauges.larger_closed(rising[-1])
    assert gauges.larger is SELL
    assert Gauges().larger is None


def test_a_rally_out_of_a_quiet_market_is_bought() -> None:
    quiet = [candle(number * MINUTE_MS, 1000.0 - number % 3) for number in range(100)]
    gauges = Gauges(quiet)
    read = gauges.closed(candle(100 * MINUTE_MS, 1030.0, volume=9_000))
    assert read is not None
    verdict = settle(propose(read, close=1_030 * PRICE_SCALE, tick_size=TICK))
    assert verdict.signal_type is BUY
    assert "breakout" in [vote.rule for vote in verdict.votes]


def test_reasons_name_the_figures_in_every_language() -> None:
    verdict = Verdict(
        signal_type=BUY, confidence=70.0, larger=SELL,
        votes=(Vote("supertrend_flip", BUY, 25, {"line": 980.0}),),
        prediction=Prediction(direction=BUY, confidence=0.8, score=0.1),
    )  # fmt: skip
    texts = reasons(verdict)
    assert texts["en"] == (
        "Supertrend turned up; its line lies at 980.00. The larger trend points the other way. "
        "The prediction model agrees (80%)."
    )
    assert all("980.00" in text and "80%" in text for text in texts.values())
    assert len(set(texts.values())) == 5
    assert reasons(HOLD) == {}


def test_every_reason_is_there_in_every_language_with_the_same_figures() -> None:
    raw = tomllib.loads(resources.files("feeds").joinpath("data", "reasons.toml").read_text(encoding="utf-8"))
    assert {rule.__name__ for rule in RULES} <= set(raw)
    for texts in (one for rule in raw.values() for one in rule.values()):
        assert list(texts) == list(LANGUAGES)
        braces = [sorted(part.partition("}")[0] for part in text.split("{")[1:]) for text in texts.values()]
        assert all(one == braces[0] for one in braces)
