"""What the property tests make up: ticks and candles with all that goes wrong with them, rules, and when they come."""

from dataclasses import dataclass, field
from datetime import datetime

from hypothesis import strategies as st

from notifiers.conditions import tree as t
from notifiers.conditions.options import Baseline, Frequency, Options, Overnight, Rearm
from notifiers.engine.samples import Bar, Rule
from schemas.market import IST, PRICE_SCALE, MarketState, Tick
from tests.notifiers.engine.naive import Advance, Drop, Event, Put, Sample, day_of

OPENS_MS = int(datetime(2026, 11, 23, 9, 15, tzinfo=IST).timestamp() * 1000)
DAY_MS = 86_400_000
SYMBOLS = ("A", "B")
SESSIONS = (
    Options().sessions,
    (MarketState.PRE_OPEN, MarketState.CONTINUOUS),
)
_STATES = (*[None] * 6, *[MarketState.CONTINUOUS] * 6, MarketState.PRE_OPEN, MarketState.PRE_OPEN, MarketState.CLOSED)
_PAUSES_MS = (0, 1, *[400] * 3, *[1000] * 6, *[2000] * 3, 3000, 10_000, 59_000, 60_000, 200_000, DAY_MS)
_FREQUENCIES = (*[Frequency.EVERY] * 8, *Frequency)

levels = st.integers(97, 103)


def prices(exchange: str | None = None, symbol: str | None = None) -> t.Field:
    return t.Field(name="price", exchange=exchange, symbol=symbol)


# -- conditions -----------------------------------------------------------------------------------------------------

PRICE = prices()
OF_B = prices("NSE", "B")
ON_BARS = t.Field(name="price", timeframe="1m")

_figures = st.sampled_from(
    [PRICE] * 6 + [t.Field(name="high"), t.Field(name="bid"), t.Field(name="open"), ON_BARS]
)  # fmt: skip
_numbers = st.builds(lambda level: t.Number(value=level), levels)
_ops = st.sampled_from([">", ">=", "<", "<=", "=="])
_directions = st.sampled_from(["above", "below", "any"])
_volumes = st.builds(
    lambda op, level: t.Compare(left=t.Field(name="volume"), op=op, right=t.Number(value=level)),
    _ops,
    st.integers(0, 5),
)
_changes = st.builds(
    lambda op, level: t.Compare(left=t.Field(name="change_percent"), op=op, right=t.Number(value=level)),
    _ops,
    st.integers(-2, 2),
)
compares = st.builds(lambda left, op, right: t.Compare(left=left, op=op, right=right), _figures, _ops, _numbers)
turned = st.builds(lambda op, left: t.Compare(left=left, op=op, right=PRICE), _ops, _numbers)
crosses = st.builds(
    lambda left, right, way: t.Cross(left=left, right=right, direction=way), _figures, _numbers, _directions
)


def _channel(relations: list[str]) -> st.SearchStrategy[t.Channel]:
    return st.builds(
        lambda value, relation, low, width: t.Channel(
            value=value, relation=relation, low=t.Number(value=low), high=t.Number(value=low + width)
        ),
        _figures,
        st.sampled_from(relations),
        levels,
        st.integers(0, 3),
    )


_spread = t.Arithmetic(op="-", left=PRICE, right=OF_B)
_twice = t.Arithmetic(op="*", left=t.Field(name="open"), right=t.Number(value=1))
_ratio = t.Arithmetic(op="/", left=PRICE, right=t.Field(name="open"))
expression_levels = st.one_of(
    st.builds(lambda op, n: t.Compare(left=_spread, op=op, right=t.Number(value=n)), _ops, st.integers(-2, 2)),
    st.builds(lambda op: t.Compare(left=PRICE, op=op, right=_twice), _ops),
    st.builds(lambda op: t.Compare(left=_ratio, op=op, right=t.Number(value=1)), _ops),
)
expression_edges = st.one_of(
    st.builds(
        lambda way, n: t.Cross(left=_spread, right=t.Number(value=n), direction=way), _directions, st.integers(-2, 2)
    ),
    st.builds(lambda way: t.Cross(left=PRICE, right=_twice, direction=way), _directions),
    st.builds(lambda way: t.Cross(left=PRICE, right=OF_B, direction=way), _directions),
)
moves = st.builds(
    lambda amount, percent, way, within: t.Move(
        value=PRICE, amount=amount, percent=percent, direction=way, within_s=within
    ),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(["up", "down", "any"]),
    st.sampled_from([1, 3, 60]),
)
moves_in_bars = st.builds(
    lambda amount, way, bars: t.Move(value=PRICE, amount=amount, direction=way, within_bars=bars, timeframe="1m"),
    st.integers(1, 4),
    st.sampled_from(["up", "down", "any"]),
    st.integers(1, 3),
)
steps = st.builds(
    lambda amount, percent: t.Step(value=PRICE, amount=amount, percent=percent), st.integers(1, 3), st.booleans()
)
extremes = st.builds(
    lambda which, of: t.Extreme(which=which, of=of), st.sampled_from(["high", "low"]), st.sampled_from(["day", "year"])
)
flat_levels = st.one_of(compares, compares, turned, _volumes, _changes, _channel(["inside", "outside"]))
flat_edges = st.one_of(crosses, crosses, _channel(["enters", "exits"]), extremes)
holds = st.one_of(
    st.builds(lambda term, s: t.Hold(term=term, seconds=s), flat_levels, st.sampled_from([1, 2, 10, 60])),
    st.builds(lambda term, n: t.Hold(term=term, samples=n), flat_levels, st.integers(2, 3)),
)
some_levels = st.one_of(
    flat_levels,
    expression_levels,
    holds,
    st.builds(lambda term: t.Not(term=term), flat_levels),
    st.builds(lambda *terms: t.And(terms=terms), flat_levels, flat_levels),
    st.builds(lambda *terms: t.Or(terms=terms), flat_levels, flat_levels, flat_levels),
    st.builds(lambda *terms: t.And(terms=terms), flat_levels, holds),
)
some_edges = st.one_of(
    flat_edges,
    expression_edges,
    moves,
    moves_in_bars,
    steps,
    st.builds(lambda *terms: t.And(terms=terms), flat_edges, some_levels),
    st.builds(lambda *terms: t.Or(terms=terms), flat_edges, flat_edges),
    st.builds(lambda *terms: t.Or(terms=terms), flat_edges, some_levels),
    st.builds(
        lambda first, second, within: t.Then(first=first, second=second, within_s=within),
        st.one_of(flat_edges, flat_levels),
        st.one_of(flat_edges, flat_levels, moves),
        st.sampled_from([1, 3, 60]),
    ),
)
plain = st.one_of(compares, crosses)
conditions: st.SearchStrategy[t.Condition] = st.one_of(plain, flat_levels, flat_edges, some_levels, some_edges)
closed_bar_conditions = st.one_of(
    st.builds(lambda op, n: t.Compare(left=PRICE, op=op, right=n), _ops, _numbers),
    st.builds(lambda way, n: t.Cross(left=PRICE, right=n, direction=way), _directions, _numbers),
)


# -- rules ----------------------------------------------------------------------------------------------------------


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    frequency = draw(st.sampled_from(_FREQUENCIES))
    closed = frequency is Frequency.ONCE_PER_BAR_CLOSE
    tree = draw(closed_bar_conditions if closed else conditions)
    single = isinstance(tree, t.Compare | t.Cross) and isinstance(tree.right, t.Number)
    options = Options(
        frequency=frequency,
        cooldown_ms=draw(st.sampled_from([0, 0, 0, 2000, 61_000])),
        rearm=draw(st.sampled_from([None, None, None, None, Rearm.IMMEDIATELY, *Rearm])),
        rearm_after_ms=draw(st.sampled_from([0, 0, 2000])),
        band=draw(st.sampled_from([None, 1, 2])) if single else None,
        band_percent=draw(st.booleans()),
        initially=draw(st.sampled_from(["fire", "fire", "wait"])),
        overnight=draw(st.sampled_from(Overnight)),
        sessions=draw(st.sampled_from(SESSIONS)),
        max_per_day=draw(st.sampled_from([None, None, 1, 2])),
        max_total=draw(st.sampled_from([None, None, 2])),
    )
    return Rule(
        id=draw(st.integers(1, 6)),
        version=draw(st.integers(1, 2)),
        exchange="NSE",
        symbol="A",
        tree=tree,
        options=options,
    )


def sentinels() -> list[Rule]:
    """Rules that never fire, so that the engine hears each figure from the start, whichever rules there are."""
    trees: list[tuple[t.Condition, Options]] = []
    names = ("price", "high", "bid", "open", "volume", "change_percent")
    for sessions in SESSIONS:
        for symbol in SYMBOLS:
            figures = [t.Field(name=name, exchange="NSE", symbol=symbol) for name in names]
            never = t.And(terms=tuple(t.Compare(left=one, op=">", right=t.Number(value=1e9)) for one in figures))
            trees.append((never, Options(sessions=sessions)))
    on_bars = t.Compare(left=ON_BARS, op=">", right=t.Number(value=1e9))
    trees += [(on_bars, Options()), (on_bars, Options(frequency=Frequency.ONCE_PER_BAR_CLOSE))]
    return [
        Rule(id=1000 + place, version=1, exchange="NSE", symbol="A", tree=tree, options=options)
        for place, (tree, options) in enumerate(trees)
    ]


# -- what happens ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RawTick:
    symbol: str
    price: int
    pause_ms: int
    wick_up: int
    wick_down: int
    tells_extremes: bool
    bid: int | None
    state: MarketState | None
    fault: str


raw_ticks = st.builds(
    RawTick,
    symbol=st.sampled_from("AAAAAAAB"),
    price=st.integers(96, 104),
    pause_ms=st.sampled_from(_PAUSES_MS),
    wick_up=st.sampled_from([0, 0, 0, 1, 3]),
    wick_down=st.sampled_from([0, 0, 0, 1, 3]),
    tells_extremes=st.booleans(),
    bid=st.sampled_from([None, 98, 100, 102]),
    state=st.sampled_from(_STATES),
    fault=st.sampled_from([*[""] * 20, "duplicate", "late", "zero", "circuit"]),
)


@dataclass(frozen=True)
class RawBar:
    price: int
    pause_ms: int
    closed: bool


raw_bars = st.builds(RawBar, price=st.integers(96, 104), pause_ms=st.sampled_from(_PAUSES_MS), closed=st.booleans())


@dataclass(frozen=True)
class RawPut:
    rule: Rule
    baseline: str
    behind: int


raw_puts = st.builds(
    RawPut, rules(), st.sampled_from(["none", "price", "marks", "marks"]), st.sampled_from([0, 0, 0, 1, 2])
)
raw_drops = st.builds(Drop, st.integers(1, 6))
raw_advances = st.sampled_from([0, 1000, 5000])


@dataclass
class World:
    """Makes events of what was drawn, so that they hang together."""

    now_ms: int = OPENS_MS
    events: list[Event] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    highs: dict[str, int] = field(default_factory=dict)
    lows: dict[str, int] = field(default_factory=dict)
    ticks: list[Tick] = field(default_factory=list)
    bar_start_ms: int = OPENS_MS

    def add(self, raw: object) -> None:
        match raw:
            case RawTick():
                self._tick(raw)
            case RawBar():
                self._bar(raw)
            case RawPut():
                self._put(raw)
            case Drop():
                self.events.append(raw)
            case int():
                self.events.append(Advance(self.now_ms + raw))

    def _pass(self, pause_ms: int) -> None:
        if pause_ms == DAY_MS or day_of(self.now_ms) != day_of(self.now_ms + pause_ms):
            self.highs.clear()
            self.lows.clear()
        self.now_ms += pause_ms

    def _number(self, key: str, *, again: bool = False) -> int:
        number = self.numbers.get(key, 0) + (not again)
        self.numbers[key] = number
        return number

    def _tick(self, raw: RawTick) -> None:
        self._pass(raw.pause_ms)
        price, symbol = raw.price, raw.symbol
        self.highs[symbol] = max(self.highs.get(symbol, price), price + raw.wick_up)
        self.lows[symbol] = min(self.lows.get(symbol, price), price - raw.wick_down)
        told = raw.tells_extremes
        tick = Tick(
            "NSE",
            symbol,
            0 if raw.fault == "zero" else price * PRICE_SCALE,
            self.now_ms - (5000 if raw.fault == "late" else 0),
            raw.state,
            open=100 * PRICE_SCALE,
            high=self.highs[symbol] * PRICE_SCALE if told else None,
            low=self.lows[symbol] * PRICE_SCALE if told else None,
            close=100 * PRICE_SCALE,
            volume=None if raw.bid is None else raw.price % 6,
            bid=None if raw.bid is None else raw.bid * PRICE_SCALE,
            upper_circuit=(price - 1) * PRICE_SCALE if raw.fault == "circuit" else None,
            year_high=102 * PRICE_SCALE if told else None,
            year_low=98 * PRICE_SCALE if told else None,
        )
        self.events.append(Sample(tick, self._number(symbol, again=raw.fault == "duplicate")))
        if symbol == "A" and not raw.fault:
            self.ticks.append(tick)

    def _bar(self, raw: RawBar) -> None:
        self._pass(raw.pause_ms)
        price = raw.price * PRICE_SCALE
        bar = Bar("NSE", "A", "1m", self.bar_start_ms, price, price, price, price, 1, None, raw.closed, self.now_ms)
        self.events.append(Sample(bar, self._number("1m")))
        if raw.closed:
            self.bar_start_ms += 60_000

    def _put(self, raw: RawPut) -> None:
        baseline = None
        if raw.baseline != "none" and len(self.ticks) > raw.behind:
            tick = self.ticks[-1 - raw.behind]
            marks = raw.baseline == "marks"
            baseline = Baseline(
                price=tick.price,
                time_ms=tick.time_ms,
                number=max(0, self.numbers.get("A", 0) - raw.behind),
                high=tick.high if marks else None,
                low=tick.low if marks else None,
            )
        created_ms = self.now_ms if baseline is None or raw.behind < 2 else baseline.time_ms
        values = {name: getattr(raw.rule, name) for name in raw.rule.__struct_fields__}
        self.events.append(
            Put(
                Rule(
                    **{
                        **values,
                        "baseline": baseline,
                        "created_at_ms": created_ms,
                        "expires_at_ms": self.now_ms + 30_000 if raw.rule.id == 6 else None,
                    }
                )
            )
        )


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Some rules, then a day or more of ticks, candles, changes and passing time."""
    world = World()
    for rule in sentinels():
        world.events.append(Put(rule))
    for raw in draw(st.lists(raw_puts, min_size=2, max_size=5)):
        world.add(raw)
    some = st.one_of(*[raw_ticks] * 12, raw_bars, raw_bars, raw_puts, raw_drops, raw_advances)
    for raw in draw(st.lists(some, min_size=25, max_size=60)):
        world.add(raw)
    return world.events
