"""What holds of candles for any sequence of ticks."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from feeds.candles.bars import LENGTHS_MS, Bar
from feeds.candles.engine import CandleEngine
from schemas.market import Auction, MarketState, Tick
from tests.feeds.market_day import MINUTE_MS, at, nse, opened, tick, told

SYMBOLS = ("RELIANCE", "TCS")
BUSY = "HDFCBANK"
OPENS_MS, CLOSES_MS = at("09:15"), at("15:30")
END_MS = at("17:00")


@dataclass(frozen=True)
class Step:
    """What happens next: some time passes, then an instrument has a trade of so much, or (0) a quote."""

    wait_ms: int
    symbol: str
    price: int
    quantity: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from([0, 1, 400, 1_500, 20_000, 61_000, 400_000, 4_000_000]),
        st.sampled_from(SYMBOLS),
        st.integers(95, 105),
        st.sampled_from([0, 0, 1, 5, 1_000]),
    ),
    max_size=60,
)


def ticks_of(happening: list[Step]) -> list[Tick]:
    """The ticks that a source would tell, until the market closes."""
    now_ms, volumes, ticks = OPENS_MS, dict.fromkeys(SYMBOLS, 0), []
    for step in happening:
        now_ms += step.wait_ms
        volumes[step.symbol] += step.quantity
        if now_ms < CLOSES_MS:
            ticks.append(tick(now_ms, step.price, volumes[step.symbol], symbol=step.symbol))
    return ticks


def played(ticks: list[Tick], ends: set[int] | None = None, engine: CandleEngine | None = None) -> list[Bar]:
    """All closed bars of the day; the clock moves after the ticks at the places of `ends`, and at the end."""
    engine = engine or opened(nse(), *SYMBOLS)
    bars = []
    for place, one in enumerate(ticks):
        engine.take(one)
        if ends is None or place in ends:
            bars += engine.advance(one.time_ms)
    return bars + engine.advance(END_MS)


def of(bars: list[Bar], symbol: str, timeframe: str) -> list[Bar]:
    return [bar for bar in told(bars, timeframe) if bar.symbol == symbol]


def directly(ticks: list[Tick], symbol: str, length_ms: int) -> list[tuple[int, int, int, int, int, int]]:
    """The bars as the definition says, by another way: trades put into boxes by their time."""
    boxes: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    before = 0
    for one in ticks:
        if one.symbol == symbol and one.volume is not None and one.volume > before:
            boxes[(one.time_ms - OPENS_MS) // length_ms].append((one.price, one.volume - before))
            before = one.volume
    return [
        (
            OPENS_MS + place * length_ms,
            trades[0][0],
            max(price for price, _ in trades),
            min(price for price, _ in trades),
            trades[-1][0],
            sum(volume for _, volume in trades),
        )
        for place, trades in sorted(boxes.items())
    ]


def as_told(bars: list[Bar]) -> list[tuple[int, int, int, int, int, int | None]]:
    return [(bar.start_ms, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]


@given(steps)
def test_every_timeframe_holds_what_its_trades_say(happening: list[Step]) -> None:
    ticks = ticks_of(happening)
    bars = played(ticks)
    for symbol in SYMBOLS:
        for timeframe, length_ms in LENGTHS_MS.items():
            assert as_told(of(bars, symbol, timeframe)) == directly(ticks, symbol, length_ms)
        assert as_told(of(bars, symbol, "1d")) == directly(ticks, symbol, 24 * 60 * MINUTE_MS)
    assert not any(bar.gap for bar in bars)


@given(steps, st.sets(st.integers(0, 60)))
def test_the_same_ticks_give_the_same_bars_whatever_the_batches(happening: list[Step], ends: set[int]) -> None:
    ticks = ticks_of(happening)

    def in_order(bars: list[Bar]) -> list[Bar]:
        return sorted(bars, key=lambda bar: (bar.symbol, bar.timeframe, bar.start_ms))

    assert in_order(played(ticks, ends)) == in_order(played(ticks))


anything = st.builds(
    tick,
    st.integers(OPENS_MS - 3_600_000, CLOSES_MS + 7_200_000),
    st.integers(1, 200),
    st.none() | st.integers(0, 50),
    st.sampled_from([None, *MarketState]),
    symbol=st.sampled_from(SYMBOLS),
    open=st.none() | st.integers(1, 2 * 10**9),
    high=st.none() | st.integers(1, 2 * 10**9),
    low=st.none() | st.integers(1, 2 * 10**9),
    last_quantity=st.none() | st.integers(0, 50),
    last_trade_ms=st.none() | st.integers(OPENS_MS - 100_000_000, CLOSES_MS + 7_200_000),
    open_interest=st.none() | st.integers(0, 50),
)


@given(st.lists(anything | st.tuples(st.sampled_from(["away", "back"]), st.integers(OPENS_MS, CLOSES_MS))))
def test_whatever_comes_bars_are_sound_and_each_is_told_once(happening: list[Tick | tuple[str, int]]) -> None:
    engine = nse()
    wanted = [("NSE", symbol, timeframe) for symbol in SYMBOLS for timeframe in (*LENGTHS_MS, "1d")]
    closed, forming = [], []
    for place, one in enumerate(happening):
        if isinstance(one, Tick):
            engine.take(one)
        elif one[0] == "away":
            engine.interrupted("NSE", one[1])
        else:
            engine.resumed("NSE", one[1])
        forming += engine.forming(CLOSES_MS + place * 1_000, wanted)
        if place % 3 == 0 and isinstance(one, Tick):
            closed += engine.advance(min(one.time_ms, END_MS))
    closed += engine.advance(END_MS + 24 * 3_600_000)
    for bar in closed + forming:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.start_ms < bar.end_ms
        assert bar.volume is None or bar.volume >= 0
    keys = [(bar.symbol, bar.timeframe, bar.start_ms) for bar in closed]
    assert len(keys) == len(set(keys))
    for symbol in SYMBOLS:
        starts = [bar.start_ms for bar in of(closed, symbol, "1m")]
        assert starts == sorted(starts)


@given(steps)
def test_the_minutes_volumes_add_up_to_the_days(happening: list[Step]) -> None:
    ticks = ticks_of(happening)
    bars = played(ticks)
    for symbol in SYMBOLS:
        whole = max((one.volume or 0 for one in ticks if one.symbol == symbol), default=0)
        assert sum(bar.volume or 0 for bar in of(bars, symbol, "1m")) == whole
        assert [bar.volume for bar in of(bars, symbol, "1d")] == ([whole] if whole else [])


def beside_a_busy_one(ticks: list[Tick]) -> list[Tick]:
    """With an instrument that trades whenever something is told, by which a restart sees until when it was heard."""
    both = [(one, tick(one.time_ms, 100, place, symbol=BUSY)) for place, one in enumerate(ticks, 1)]
    return [one for pair in both for one in pair]


@given(steps, st.integers(0, 60).map(lambda pairs: 2 * pairs))
def test_a_restart_changes_nothing_but_the_gap_mark(happening: list[Step], cut: int) -> None:
    ticks = beside_a_busy_one(ticks_of(happening))
    before, after = ticks[:cut], ticks[cut:]
    now_ms = before[-1].time_ms if before else OPENS_MS
    first, second = opened(nse(), *SYMBOLS, BUSY), nse()
    stored = []
    for one in before:
        first.take(one)
        stored += first.advance(one.time_ms)
    stored += first.partial()
    second.restore(stored, now_ms)
    opened(second, *{*SYMBOLS, BUSY} - {bar.symbol for bar in stored}, "OTHER")
    last_written = {(bar.symbol, bar.timeframe, bar.start_ms): bar for bar in stored + played(after, engine=second)}

    def plain(bars: Iterable[Bar]) -> list[tuple[object, ...]]:
        return sorted(
            (bar.symbol, bar.timeframe, bar.start_ms, bar.open, bar.high, bar.low, bar.close, bar.volume)
            for bar in bars
        )

    assert plain(last_written.values()) == plain(played(ticks, engine=opened(nse(), *SYMBOLS, BUSY)))


auctions = st.lists(
    st.builds(
        tick,
        st.integers(at("09:00"), at("09:14")) | st.integers(CLOSES_MS, at("15:50")),
        st.integers(1, 200),
        st.just(0),
        st.sampled_from([MarketState.PRE_OPEN, MarketState.CLOSING_AUCTION]),
        symbol=st.sampled_from(SYMBOLS),
        auction=st.just(Auction(price=12345, quantity=7)),
    )
)


@given(auctions)
def test_an_auctions_ticks_never_make_a_candle(ticks: list[Tick]) -> None:
    engine = opened(nse(), *SYMBOLS)
    for one in ticks:
        engine.take(one)
    wanted = [("NSE", symbol, timeframe) for symbol in SYMBOLS for timeframe in (*LENGTHS_MS, "1d")]
    assert engine.forming(END_MS, wanted) == []
    assert engine.advance(END_MS) == []
