"""The simulated market: what must hold for every seed, and the sessions of a day."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import correlation, fmean

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.feed import Update
from feeds.instruments import SIMULATED, Kind, synthetic
from feeds.simulated_market import MarketHours, SimulatedMarket
from schemas.market import IST, PRICE_SCALE, Depth, MarketState, Tick, scaled

MORNING_MS = int(datetime(2026, 11, 23, 9, 20, tzinfo=IST).timestamp() * 1000)
ROWS = {row.instrument.symbol: row for row in SIMULATED + synthetic(20)}
STOCKS = [row for row in SIMULATED if row.instrument.kind is Kind.STOCK]
SEEDS = st.integers(0, 2**32)


def at_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


def ticks_of(updates: Iterable[Update]) -> list[Tick]:
    return [update for update in updates if isinstance(update, Tick)]


def run(market: SimulatedMarket, *, steps: int, n: int, step_ms: int = 100, start_ms: int = MORNING_MS) -> list[Update]:
    return [update for step in range(steps) for update in market.step(start_ms + step * step_ms, n)]


def known(*figures: int | None) -> list[int]:
    """The figures themselves, none of which may be absent."""
    assert None not in figures
    return [figure for figure in figures if figure is not None]


def check_stock(tick: Tick) -> None:
    row = ROWS[tick.symbol]
    low, price, high = known(tick.low, tick.price, tick.high)
    lower, bid, ask, upper = known(tick.lower_circuit, tick.bid, tick.ask, tick.upper_circuit)
    opened, average, close = known(tick.open, tick.average_price, tick.close)
    volume, last = known(tick.volume, tick.last_quantity)
    buy, best_buy, sell, best_sell = known(
        tick.total_buy_quantity, tick.bid_quantity, tick.total_sell_quantity, tick.ask_quantity
    )
    assert all(figure % row.instrument.tick_size == 0 for figure in (low, price, high, opened, bid, ask, lower, upper))
    assert average % (PRICE_SCALE // 100) == 0
    assert lower <= low <= price <= high <= upper
    assert low <= opened <= high
    assert low <= average <= high
    assert lower <= bid < ask <= upper
    assert lower < close < upper
    assert known(tick.year_low)[0] <= low
    assert known(tick.year_high)[0] >= high
    assert volume >= last > 0
    assert buy >= best_buy > 0
    assert sell >= best_sell > 0


def check_index(tick: Tick) -> None:
    low, price, high, opened = known(tick.low, tick.price, tick.high, tick.open)
    assert price % ROWS[tick.symbol].instrument.tick_size == 0
    assert low <= price <= high
    assert low <= opened <= high
    assert (tick.volume, tick.bid, tick.ask, tick.average_price) == (None, None, None, None)


def check_depth(depth: Depth, tick: Tick) -> None:
    row = ROWS[depth.symbol]
    for side, best, quantity, total in (
        (depth.bids, tick.bid, tick.bid_quantity, tick.total_buy_quantity),
        (depth.asks, tick.ask, tick.ask_quantity, tick.total_sell_quantity),
    ):
        assert 1 <= len(side) <= 5
        assert (side[0].price, side[0].quantity) == (best, quantity)
        assert all(level.quantity >= level.orders >= 1 for level in side)
        assert sum(level.quantity for level in side) <= known(total)[0]
        lower, upper = known(tick.lower_circuit, tick.upper_circuit)
        assert all(lower <= level.price <= upper for level in side)
    size = row.instrument.tick_size
    assert {above.price - below.price for above, below in pairwise(depth.bids)} <= {size}
    assert {above.price - below.price for below, above in pairwise(depth.asks)} <= {size}


def check_day(updates: Sequence[Update]) -> None:
    """Everything that must hold within one day of trading, for each update and from one to the next."""
    before: dict[str, Tick] = {}
    turnover: dict[str, int] = {}
    for update in updates:
        if isinstance(update, Depth):
            check_depth(update, before[update.symbol])  # a depth comes with its tick
            continue
        earlier = before.get(update.symbol)
        before[update.symbol] = update
        if ROWS[update.symbol].instrument.kind is Kind.INDEX:
            check_index(update)
            continue
        check_stock(update)
        volume, last = known(update.volume, update.last_quantity)
        traded = volume - (known(earlier.volume)[0] if earlier else 0)
        assert traded in {0, last}
        turnover[update.symbol] = turnover.get(update.symbol, 0) + traded * update.price
        assert abs(known(update.average_price)[0] - turnover[update.symbol] / volume) <= PRICE_SCALE / 200
        if earlier is not None:
            check_next(earlier, update, traded=traded)


def check_next(earlier: Tick, later: Tick, *, traded: int) -> None:
    fixed = ("open", "close", "lower_circuit", "upper_circuit")
    assert [getattr(later, name) for name in fixed] == [getattr(earlier, name) for name in fixed]
    assert later.time_ms >= earlier.time_ms
    assert known(later.high)[0] == max(known(earlier.high)[0], later.price)
    assert known(later.low)[0] == min(known(earlier.low)[0], later.price)
    if traded:
        assert later.price in {earlier.bid, earlier.ask}
    else:
        assert (later.price, later.last_quantity) == (earlier.price, earlier.last_quantity)


@settings(max_examples=25)
@given(seed=SEEDS, n=st.integers(1, 200), step_ms=st.integers(1, 30_000))
def test_every_figure_holds_for_every_seed_and_pace(seed: int, n: int, step_ms: int) -> None:
    market = SimulatedMarket(SIMULATED + synthetic(20), seed=seed)
    updates = run(market, steps=1500 // n, n=n, step_ms=step_ms)
    assert len(ticks_of(updates)) == 1500 // n * n
    check_day(updates)


@settings(max_examples=10)
@given(seed=SEEDS)
def test_a_market_gone_wild_stays_inside_its_circuits(seed: int) -> None:
    rows = [msgspec.structs.replace(row, beta=row.beta * 1000) for row in SIMULATED]
    updates = run(SimulatedMarket(rows, seed=seed), steps=30, n=100, step_ms=20_000)
    check_day(updates)
    highs = {tick.symbol: tick.high for tick in ticks_of(updates)}
    lows = {tick.symbol: tick.low for tick in ticks_of(updates)}
    close = scaled(1546)
    moved = max(known(highs["RELIANCE"])[0] - close, close - known(lows["RELIANCE"])[0])
    assert moved > close * 5 // 100  # or the circuits were never near


@given(seed=SEEDS)
@settings(max_examples=10)
def test_indices_are_the_weighted_sum_of_their_stocks(seed: int) -> None:
    prices = {row.instrument.symbol: row.close for row in SIMULATED}
    checked = 0
    for tick in ticks_of(run(SimulatedMarket(seed=seed), steps=20, n=100, step_ms=5000)):
        prices[tick.symbol] = tick.price
        row = ROWS[tick.symbol]
        if row.instrument.kind is Kind.INDEX:
            members = [stock for stock in STOCKS if tick.symbol in stock.indices]
            weights = [stock.weight for stock in members]
            growth = [prices[stock.instrument.symbol] / stock.close for stock in members]
            value = row.close * sum(map(lambda w, g: w * g, weights, growth)) / sum(weights)
            assert abs(tick.price - value) <= row.instrument.tick_size * 0.501
            checked += 1
    assert checked > 50


def test_stocks_move_together_and_with_their_sector_most() -> None:
    market = SimulatedMarket(seed=5)
    prices = {row.instrument.symbol: row.close for row in SIMULATED}
    history: dict[str, list[float]] = {symbol: [] for symbol in prices}
    for step in range(150):
        for tick in ticks_of(market.step(MORNING_MS + step * 60_000, 1200)):
            prices[tick.symbol] = tick.price
        for symbol, price in prices.items():
            history[symbol].append(float(price))
    returns = {symbol: [b / a - 1 for a, b in pairwise(row[10:])] for symbol, row in history.items()}
    symbols = [row.instrument.symbol for row in STOCKS]
    pairs = [(a, b) for place, a in enumerate(symbols) for b in symbols[place + 1 :]]
    banks = ("HDFCBANK", "ICICIBANK", "SBIN", "AXISBANK", "KOTAKBANK")
    average = fmean(correlation(returns[a], returns[b]) for a, b in pairs)
    assert 0.25 < average < 0.6
    assert fmean(correlation(returns[a], returns[b]) for a in banks for b in banks if a < b) > average + 0.05
    assert fmean(correlation(returns["NIFTY 50"], returns[symbol]) for symbol in symbols) > 0.4


def test_updates_are_mixed_as_in_a_market() -> None:
    updates = run(SimulatedMarket(seed=3), steps=2000, n=5, step_ms=20)
    before: dict[str, Tick] = {}
    moves = trades = 0
    for tick in ticks_of(updates):
        earlier = before.get(tick.symbol)
        before[tick.symbol] = tick
        if earlier is not None and tick.volume is not None:
            moves += 1
            trades += tick.volume != earlier.volume
    assert 0.3 < trades / moves < 0.4
    depths = [update for update in updates if isinstance(update, Depth)]
    assert 0 < len(depths) <= 50 * 40  # each stock's at most once a second, in 40 seconds
    assert not {depth.symbol for depth in depths} & {"NIFTY 50", "BANK NIFTY", "SENSEX"}
    for symbol in ("RELIANCE", "TCS"):
        times = [depth.time_ms for depth in depths if depth.symbol == symbol]
        assert min(later - earlier for earlier, later in pairwise(times)) >= 1000


@given(seed=SEEDS, n=st.integers(1, 60))
@settings(max_examples=10)
def test_the_same_seed_gives_the_same_ticks(seed: int, n: int) -> None:
    first = run(SimulatedMarket(seed=seed), steps=20, n=n)
    assert run(SimulatedMarket(seed=seed), steps=20, n=n) == first
    assert run(SimulatedMarket(seed=seed + 1), steps=20, n=n) != first


def test_a_clock_that_jumps_back_does_not_take_the_ticks_along() -> None:
    market = SimulatedMarket(seed=1)
    market.step(MORNING_MS, 100)
    assert {tick.time_ms for tick in ticks_of(market.step(MORNING_MS - 5000, 100))} == {MORNING_MS}


def test_a_market_that_never_closes_has_a_new_day_at_midnight() -> None:
    market = SimulatedMarket(seed=1)
    midnight_ms = at_ms("2026-11-24T00:00:00")
    last = {tick.symbol: tick for tick in ticks_of(run(market, steps=50, n=100, start_ms=midnight_ms - 5000))}
    first = {tick.symbol: tick for tick in ticks_of(market.step(midnight_ms, 53))}
    assert len(first) == len(last) == 53
    for symbol, tick in first.items():
        assert tick.close == last[symbol].price or tick.volume is None
        assert tick.open == tick.high == tick.low == tick.price
        assert tick.volume == tick.last_quantity
    assert first["NIFTY 50"].close == last["NIFTY 50"].price
    check_day([*first.values(), *run(market, steps=20, n=100, start_ms=midnight_ms + 100)])


def test_a_new_day_starts_near_the_last_prices_however_far_the_market_went() -> None:
    rows = [msgspec.structs.replace(row, beta=row.beta * 50) for row in SIMULATED]
    market = SimulatedMarket(rows, seed=1)
    midnight_ms = at_ms("2026-11-24T00:00:00")
    last = {
        tick.symbol: tick
        for tick in ticks_of(run(market, steps=100, n=100, start_ms=midnight_ms - 1_000_000, step_ms=9999))
    }
    first = [tick for tick in ticks_of(market.step(midnight_ms, 53)) if tick.volume is not None]
    assert any(abs(tick.price / known(tick.close)[0] - 1) > 0.05 for tick in last.values())
    gaps = [abs(tick.price / known(tick.close)[0] - 1) for tick in first]
    assert max(gaps) < 0.03
    assert sum(gap > 0 for gap in gaps) > 40


def test_what_happens_over_night_owes_nothing_to_the_day_before() -> None:
    rows = [msgspec.structs.replace(row, beta=0.0) for row in SIMULATED]
    market = SimulatedMarket(rows, seed=4)
    midnight_ms = at_ms("2026-11-24T00:00:00")
    day = {
        tick.symbol: tick.price / known(tick.close)[0]
        for tick in ticks_of(run(market, steps=240, n=400, start_ms=midnight_ms - 14_400_000, step_ms=59_999))
    }
    first = [tick for tick in ticks_of(market.step(midnight_ms, 53)) if tick.volume is not None]
    gaps = [tick.price / known(tick.close)[0] for tick in first]
    assert abs(correlation([day[tick.symbol] for tick in first], gaps)) < 0.4


def test_orders_behind_the_best_price_are_part_of_the_totals() -> None:
    beyond: dict[tuple[str, str], set[int]] = {}
    before: dict[str, Tick] = {}
    for update in run(SimulatedMarket(seed=8), steps=300, n=50, step_ms=100):
        if isinstance(update, Tick):
            before[update.symbol] = update
            continue
        tick = before[update.symbol]
        buy, sell = known(tick.total_buy_quantity, tick.total_sell_quantity)
        for side, total, levels in (("buy", buy, update.bids), ("sell", sell, update.asks)):
            deeper = total - sum(level.quantity for level in levels)
            beyond.setdefault((update.symbol, side), set()).add(deeper)
    assert len(beyond) == 100
    assert {len(deeper) for deeper in beyond.values()} == {1}  # only the five levels that are told ever change


class TradingDay:
    """One day in clock mode, in steps of twenty seconds, grouped by the state that the ticks tell."""

    def __init__(self, day: str) -> None:
        market = SimulatedMarket(SIMULATED + synthetic(20), seed=11, market_hours=MarketHours.CLOCK)
        self.updates: list[Update] = []
        self.spans: dict[tuple[str, MarketState], list[Tick]] = {}
        for now_ms in range(at_ms(f"{day}T08:59:00"), at_ms(f"{day}T16:05:00"), 20_000):
            self.updates += (updates := market.step(now_ms, 80))
            for tick in ticks_of(updates):
                assert tick.state is not None
                self.spans.setdefault((tick.symbol, tick.state), []).append(tick)

    def at(self, symbol: str, state: MarketState) -> list[Tick]:
        return self.spans.get((symbol, state), [])


@pytest.fixture(scope="module")
def monday() -> TradingDay:
    return TradingDay("2026-11-23")


def test_nothing_trades_before_the_open_but_quotes_move(monday: TradingDay) -> None:
    ticks = monday.at("RELIANCE", MarketState.PRE_OPEN)
    assert ticks[0].time_ms == at_ms("2026-11-23T09:00:00")
    assert {(tick.price, tick.volume, tick.open, tick.average_price) for tick in ticks} == {
        (scaled(1546), 0, None, None)
    }
    assert len({tick.bid_quantity for tick in ticks}) > 5
    assert {tick.price for tick in monday.at("NIFTY 50", MarketState.PRE_OPEN)} == {scaled(26050)}


def test_the_day_opens_with_one_trade_and_trades_until_the_auction(monday: TradingDay) -> None:
    ticks = monday.at("RELIANCE", MarketState.CONTINUOUS)
    assert ticks[0].time_ms == at_ms("2026-11-23T09:15:00")
    assert ticks[0].volume == ticks[0].last_quantity
    assert ticks[-1].time_ms < at_ms("2026-11-23T15:15:00")
    assert len({tick.volume for tick in ticks}) > 100


def test_the_closing_auction_has_no_trade_but_one_at_its_end(monday: TradingDay) -> None:
    last = monday.at("RELIANCE", MarketState.CONTINUOUS)[-1]
    auction = monday.at("RELIANCE", MarketState.CLOSING_AUCTION)
    closed = next(tick for tick in monday.at("RELIANCE", MarketState.CLOSED) if tick.time_ms > auction[-1].time_ms)
    assert auction[0].time_ms == at_ms("2026-11-23T15:15:00")
    assert {(tick.price, tick.volume) for tick in auction} == {(last.price, last.volume)}
    assert closed.time_ms == at_ms("2026-11-23T15:35:00")
    assert known(closed.volume)[0] == known(last.volume)[0] + known(closed.last_quantity)[0]


def test_a_stock_without_derivatives_trades_while_others_have_their_auction(monday: TradingDay) -> None:
    assert monday.at("SIM0001", MarketState.CLOSING_AUCTION) == []
    assert monday.at("SIM0001", MarketState.CONTINUOUS)[-1].time_ms > at_ms("2026-11-23T15:25:00")


def test_a_closed_market_tells_its_state_once_and_is_quiet(monday: TradingDay) -> None:
    assert len(monday.at("RELIANCE", MarketState.POST_CLOSE)) == 1
    closed = [tick.time_ms for tick in monday.at("RELIANCE", MarketState.CLOSED)]
    assert closed == [at_ms(f"2026-11-23T{clock}:00") for clock in ("08:59", "15:35", "16:00")]
    quiet = (at_ms("2026-11-23T15:36:00"), at_ms("2026-11-23T15:49:00"))
    assert not [update for update in monday.updates if quiet[0] <= update.time_ms <= quiet[1]]


def test_figures_hold_over_a_whole_day_by_the_clock(monday: TradingDay) -> None:
    opened: set[str] = set()
    trading: list[Update] = []
    for update in monday.updates:
        if isinstance(update, Tick) and update.open is not None:
            opened.add(update.symbol)
        if update.symbol in opened:
            trading.append(update)
    # The opening and closing trades are made in the call that tells them, at quotes nobody saw: not from one to next.
    check_day([update for update in trading if isinstance(update, Tick) and update.state is MarketState.CONTINUOUS])
    for tick in ticks_of(trading):
        (check_index if ROWS[tick.symbol].instrument.kind is Kind.INDEX else check_stock)(tick)


def test_a_weekend_has_one_tick_for_each_instrument() -> None:
    saturday = TradingDay("2026-11-21")
    assert len(saturday.updates) >= 73
    assert len(ticks_of(saturday.updates)) == 73
    assert {tick.state for tick in ticks_of(saturday.updates)} == {MarketState.CLOSED}


def test_the_price_of_a_day_that_ended_is_the_next_days_close() -> None:
    market = SimulatedMarket(seed=2, market_hours=MarketHours.CLOCK)
    friday = ticks_of(run(market, steps=10, n=100, start_ms=at_ms("2026-11-20T15:14:50"), step_ms=1000))
    price = [tick.price for tick in friday if tick.symbol == "TCS"][-1]
    market.step(at_ms("2026-11-20T16:00:00"), 53)
    monday = {tick.symbol: tick for tick in ticks_of(market.step(at_ms("2026-11-23T09:00:00"), 53))}
    assert monday["TCS"].close == monday["TCS"].price
    assert abs(monday["TCS"].price - price) <= 3 * ROWS["TCS"].instrument.tick_size + price // 100
    assert monday["TCS"].volume == 0
