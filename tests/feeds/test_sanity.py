"""The gate: what passes, what is kept out and why, and that no liar mutes an instrument."""

import logging
from datetime import date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.instruments import Instrument, Instruments, Kind
from feeds.market_hours.overrides import read_json
from feeds.market_hours.sessions import Sessions
from feeds.sanity import PATIENCE, Gate, Oddity, Reason
from schemas.market import IST, Depth, MarketState, Tick, scaled

INSTRUMENTS = Instruments(
    [
        Instrument(exchange="NSE", symbol="SHARE", name="", tick_size=scaled(0.05)),
        Instrument(
            exchange="NSE",
            symbol="LISTED",
            name="",
            tick_size=scaled(0.05),
            lower_circuit=scaled(95),
            upper_circuit=scaled(105),
        ),
        Instrument(exchange="NSE", symbol="RELIANCE", name="", tick_size=scaled(0.1), has_derivatives=True),
        Instrument(exchange="NSE", symbol="NIFTY 50", name="", tick_size=scaled(0.05), kind=Kind.INDEX),
        Instrument(
            exchange="NFO",
            symbol="NIFTY26D0824000CE",
            name="",
            tick_size=scaled(0.05),
            kind=Kind.OPTION,
            underlying="NIFTY",
            expiry=date(2026, 12, 8),
        ),
        Instrument(exchange="MCX", symbol="CRUDEOIL26DECFUT", name="", tick_size=scaled(1), kind=Kind.FUTURE),
        Instrument(exchange="MCX", symbol="CRUDEOIL26DEC5000CE", name="", tick_size=scaled(0.1), kind=Kind.OPTION),
    ]
)


def at_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


NOON_MS = at_ms("2026-11-23T12:00:00")


def tick(
    price: float = 100.0, time_ms: int = NOON_MS, symbol: str = "SHARE", exchange: str = "NSE", **fields: object
) -> Tick:
    return Tick(exchange=exchange, symbol=symbol, price=scaled(price), time_ms=time_ms, **fields)  # type: ignore[arg-type]


@pytest.fixture
def gate() -> Gate:
    return Gate(Sessions(), INSTRUMENTS.get)


def test_a_good_tick_passes_with_its_state(gate: Gate) -> None:
    one = tick(volume=10)
    assert gate.sift([one], NOON_MS) == [one]
    assert one.state is MarketState.CONTINUOUS
    assert (gate.passed, gate.refused, gate.odd) == (1, {}, {})


def test_depths_pass_in_their_order(gate: Gate) -> None:
    depth = Depth.of(exchange="NSE", symbol="SHARE", time_ms=NOON_MS, bids=(), asks=())
    one, bad, two = tick(), tick(0, NOON_MS + 1), tick(101, NOON_MS + 2)
    assert gate.sift([depth, one, bad, depth, two], NOON_MS) == [depth, one, depth, two]


def test_the_wires_own_state_stays(gate: Gate) -> None:
    one = tick(state=MarketState.HALTED)
    assert gate.judge(one, NOON_MS) is None
    assert one.state is MarketState.HALTED


@pytest.mark.parametrize(
    ("moment", "symbol", "exchange", "state"),
    [
        ("2026-11-23T09:14:59", "RELIANCE", "NSE", MarketState.PRE_OPEN),
        ("2026-11-23T15:14:59", "RELIANCE", "NSE", MarketState.CONTINUOUS),
        ("2026-11-23T15:15:00", "RELIANCE", "NSE", MarketState.CLOSING_AUCTION),
        ("2026-11-23T15:15:00", "SHARE", "NSE", MarketState.CONTINUOUS),
        ("2026-11-23T15:15:00", "NIFTY 50", "NSE", MarketState.CLOSING_AUCTION),
        ("2026-12-07T15:40:00", "NIFTY26D0824000CE", "NFO", MarketState.CONTINUOUS),
        ("2026-12-08T15:29:59", "NIFTY26D0824000CE", "NFO", MarketState.CONTINUOUS),
        ("2026-12-08T15:30:00", "NIFTY26D0824000CE", "NFO", MarketState.CLOSED),  # its last day
        ("2026-11-23T20:00:00", "CRUDEOIL26DECFUT", "MCX", MarketState.CONTINUOUS),
    ],
)
@pytest.mark.parametrize("late_ms", [0, 59_999, -59_999])
def test_the_state_is_that_of_the_ticks_own_time(
    moment: str, symbol: str, exchange: str, state: MarketState, late_ms: int
) -> None:
    gate = Gate(Sessions(), INSTRUMENTS.get)
    one = tick(time_ms=at_ms(moment), symbol=symbol, exchange=exchange)
    assert gate.judge(one, one.time_ms + late_ms) is None
    assert one.state is state


def test_an_expiring_contract_changes_its_hours_over_night(gate: Gate) -> None:
    for day, state in (("2026-12-07", MarketState.CONTINUOUS), ("2026-12-08", MarketState.CLOSED)):
        one = tick(time_ms=at_ms(f"{day}T15:30:00"), symbol="NIFTY26D0824000CE", exchange="NFO")
        assert gate.judge(one, one.time_ms) is None
        assert one.state is state


def test_a_late_tick_has_the_state_of_now(gate: Gate) -> None:
    evening_ms = at_ms("2026-11-23T18:00:00")
    snapshot = tick(time_ms=at_ms("2026-11-23T15:29:58"))
    assert gate.judge(snapshot, evening_ms) is None
    assert snapshot.state is MarketState.CLOSED
    resting = tick(time_ms=at_ms("2026-11-23T10:00:00"), symbol="RELIANCE")
    assert gate.judge(resting, NOON_MS) is None
    assert resting.state is MarketState.CONTINUOUS


@pytest.mark.parametrize("now", ["2026-11-25T08:00:00", "2026-11-25T11:00:00", "2026-11-22T12:00:00"])
def test_a_snapshot_of_an_earlier_day_passes_once_as_closed(gate: Gate, now: str) -> None:
    friday_ms = at_ms("2026-11-20T15:29:59")
    for wire_state in (None, MarketState.CONTINUOUS):
        one = tick(time_ms=friday_ms, state=wire_state)
        assert gate.judge(one, at_ms(now)) is (None if wire_state is None else Reason.DUPLICATE)
        assert one.state is MarketState.CLOSED
    moved = tick(time_ms=friday_ms, bid=scaled(99))
    assert gate.judge(moved, at_ms(now)) is None
    assert gate.odd == {Oddity.STALE_SNAPSHOT: 3}


def test_after_a_fresh_tick_no_old_snapshot_passes(gate: Gate) -> None:
    assert gate.judge(tick(), NOON_MS) is None
    assert gate.judge(tick(99, at_ms("2026-11-20T15:29:59")), NOON_MS + 1) is Reason.OUT_OF_ORDER


@pytest.mark.parametrize(
    ("price", "symbol", "exchange", "reason"),
    [
        (0, "SHARE", "NSE", Reason.NO_PRICE),
        (-1, "SHARE", "NSE", Reason.NO_PRICE),
        (-1, "NIFTY26D0824000CE", "NFO", Reason.NO_PRICE),
        (-37, "CRUDEOIL26DECFUT", "MCX", None),
        (0, "CRUDEOIL26DECFUT", "MCX", Reason.NO_PRICE),
        (-1, "CRUDEOIL26DEC5000CE", "MCX", Reason.NO_PRICE),
        (1, "NOBODY", "NSE", Reason.UNKNOWN_INSTRUMENT),
        (1, "SHARE", "BSE", Reason.UNKNOWN_INSTRUMENT),
    ],
)
def test_a_price_that_is_none_and_an_instrument_that_is_none(
    gate: Gate, price: float, symbol: str, exchange: str, reason: Reason | None
) -> None:
    assert gate.judge(tick(price, symbol=symbol, exchange=exchange), NOON_MS) is reason
    assert gate.refused == ({} if reason is None else {reason: 1})


@pytest.mark.parametrize(
    ("ahead_ms", "reason"), [(60_000, None), (60_001, Reason.FUTURE), (10**9, Reason.FUTURE), (2**62, Reason.FUTURE)]
)
def test_a_tick_from_the_future_is_kept_out(gate: Gate, ahead_ms: int, reason: Reason | None) -> None:
    assert gate.judge(tick(time_ms=NOON_MS + ahead_ms), NOON_MS) is reason


@pytest.mark.parametrize("time_ms", [0, 1, NOON_MS - 401 * 86_400_000])
def test_a_tick_of_more_than_a_year_ago_is_kept_out(gate: Gate, time_ms: int) -> None:
    assert gate.judge(tick(time_ms=time_ms), NOON_MS) is Reason.TOO_OLD


def test_the_same_tick_twice_is_one_tick(gate: Gate) -> None:
    assert gate.judge(tick(volume=5), NOON_MS) is None
    assert gate.judge(tick(volume=5), NOON_MS + 100) is Reason.DUPLICATE
    assert gate.judge(tick(volume=5, bid=scaled(99)), NOON_MS + 100) is None
    assert gate.judge(tick(volume=5, symbol="RELIANCE"), NOON_MS) is None
    assert gate.judge(tick(time_ms=NOON_MS + 1, volume=5), NOON_MS) is None


def test_time_never_goes_back(gate: Gate) -> None:
    assert gate.judge(tick(), NOON_MS) is None
    assert gate.judge(tick(101, NOON_MS - 1), NOON_MS) is Reason.OUT_OF_ORDER
    assert gate.judge(tick(102, NOON_MS - 1, symbol="RELIANCE"), NOON_MS) is None


def test_volume_never_goes_back_within_a_day(gate: Gate) -> None:
    assert gate.judge(tick(volume=1000), NOON_MS) is None
    assert gate.judge(tick(time_ms=NOON_MS + 1, volume=999), NOON_MS) is Reason.VOLUME_BACKWARDS
    assert gate.judge(tick(time_ms=NOON_MS + 2), NOON_MS) is None  # a mode without volume
    assert gate.judge(tick(time_ms=NOON_MS + 3, volume=999), NOON_MS) is Reason.VOLUME_BACKWARDS
    assert gate.judge(tick(time_ms=NOON_MS + 4, volume=1000), NOON_MS) is None
    next_ms = at_ms("2026-11-25T09:15:01")
    assert gate.judge(tick(time_ms=next_ms, volume=3), next_ms) is None


def test_yesterdays_volume_before_the_open_does_not_count(gate: Gate) -> None:
    for clock, volume in (("08:59:00", 9000), ("09:00:01", 9000), ("09:08:10", 12), ("09:15:01", 15)):
        moment_ms = at_ms(f"2026-11-25T{clock}")
        assert gate.judge(tick(time_ms=moment_ms, volume=volume), moment_ms) is None


@pytest.mark.parametrize("lie", ["time", "volume"])
def test_a_liar_does_not_mute_its_instrument(gate: Gate, lie: str) -> None:
    liar = tick(time_ms=NOON_MS + 59_000) if lie == "time" else tick(time_ms=NOON_MS, volume=10**15)
    assert gate.judge(liar, NOON_MS) is None
    verdicts = [gate.judge(tick(time_ms=NOON_MS + n, volume=100 + n), NOON_MS + n) for n in range(1, PATIENCE + 20)]
    kept_out = Reason.OUT_OF_ORDER if lie == "time" else Reason.VOLUME_BACKWARDS
    assert verdicts == [kept_out] * PATIENCE + [None] * 19


def test_a_volume_that_was_a_lie_is_forgotten_before_the_first_trade_too(gate: Gate) -> None:
    assert gate.judge(tick(volume=10**15), NOON_MS) is None
    verdicts = [gate.judge(tick(time_ms=NOON_MS + n, volume=0), NOON_MS + n) for n in range(1, PATIENCE + 5)]
    assert verdicts == [Reason.VOLUME_BACKWARDS] * PATIENCE + [None] * 4


def test_stragglers_among_good_ticks_are_never_believed(gate: Gate) -> None:
    for n in range(1, 4 * PATIENCE):
        assert gate.judge(tick(time_ms=NOON_MS + n), NOON_MS + n) is None
        assert gate.judge(tick(99, NOON_MS - n), NOON_MS + n) is Reason.OUT_OF_ORDER


LIMITS = {"lower_circuit": scaled(95), "upper_circuit": scaled(105), "volume": 10}


@pytest.mark.parametrize(
    ("price", "fields", "reason"),
    [
        (95, LIMITS, None),
        (105, LIMITS, None),
        (105.05, LIMITS, Reason.OUTSIDE_CIRCUIT),
        (94.95, LIMITS, Reason.OUTSIDE_CIRCUIT),
        (200, LIMITS | {"volume": 0}, None),  # before its first trade the price is an earlier day's
        (200, LIMITS | {"volume": None}, None),
        (200, LIMITS | {"lower_circuit": 0, "upper_circuit": 0}, None),
        (200, LIMITS | {"state": MarketState.PRE_OPEN}, None),
        (200, LIMITS | {"symbol": "RELIANCE"}, Reason.OUTSIDE_CIRCUIT),
        (115, LIMITS | {"symbol": "RELIANCE"}, None),  # limits that the exchange widens within the day
        (115.05, LIMITS | {"symbol": "RELIANCE"}, Reason.OUTSIDE_CIRCUIT),
        (84.95, LIMITS | {"symbol": "RELIANCE"}, Reason.OUTSIDE_CIRCUIT),
        (106, {"symbol": "LISTED", "volume": 10, "close": scaled(100)}, Reason.OUTSIDE_CIRCUIT),
        (105, {"symbol": "LISTED", "volume": 10, "close": scaled(100)}, None),
        (106, {"symbol": "LISTED", "volume": 10, "close": scaled(104)}, None),  # a master of another day
        (106, {"symbol": "LISTED", "volume": 10}, None),
    ],
)
def test_a_price_outside_the_circuit_limits_is_kept_out(
    gate: Gate, price: float, fields: dict[str, object], reason: Reason | None
) -> None:
    assert gate.judge(tick(price, **fields), NOON_MS) is reason  # type: ignore[arg-type]


def test_a_price_off_the_grid_passes_and_is_counted(gate: Gate) -> None:
    for n, (price, symbol) in enumerate([(100.03, "SHARE"), (100.05, "SHARE"), (24000.03, "NIFTY 50")]):
        assert gate.judge(tick(price, NOON_MS + n, symbol), NOON_MS) is None
    assert gate.odd == {Oddity.OFF_TICK: 1}


def test_each_reason_is_logged_once_a_minute(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tickhub.feeds.sanity")
    for second in range(0, 121, 10):
        gate.judge(tick(0), NOON_MS + second * 1000)
        gate.judge(tick(symbol="NOBODY"), NOON_MS + second * 1000)
    told = [(one.message, one.__dict__["reason"], one.__dict__["total"]) for one in caplog.records]
    assert told == [
        ("feed.tick_refused", reason, total) for total in (1, 7, 13) for reason in ("no_price", "unknown_instrument")
    ]


def feed(gate: Gate, lag_ms: int, batches: int = 600, symbol: str = "SHARE") -> int:
    """Fresh ticks from a wire whose clock is `lag_ms` behind ours; how many passed."""
    before = gate.passed
    for n in range(batches):
        now_ms = NOON_MS + n * 10
        gate.sift([tick(100 + n % 7, now_ms - lag_ms, symbol, volume=n)], now_ms)
    return gate.passed - before


def clocks(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    return [(one.message, one.__dict__.get("clock")) for one in caplog.records if one.message.startswith("feed.clock")]


@pytest.mark.parametrize(
    ("lag_ms", "told"), [(0, []), (900, []), (-1500, []), (-5000, ["behind"]), (-90_000, ["behind"]), (8000, ["ahead"])]
)
def test_a_clock_that_differs_is_told_once(
    gate: Gate, caplog: pytest.LogCaptureFixture, lag_ms: int, told: list[str]
) -> None:
    caplog.set_level(logging.WARNING, "tickhub.feeds.sanity")
    feed(gate, lag_ms)
    assert clocks(caplog) == [("feed.clock", one) for one in told]


def test_while_our_clock_is_behind_the_market_goes_on(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tickhub.feeds.sanity")
    assert feed(gate, -90_000) == 600 - 127  # refused until it is plain whose clock it is
    assert feed(gate, 0, symbol="RELIANCE") == 600
    assert clocks(caplog) == [("feed.clock", "behind"), ("feed.clock_right", None)]
    assert gate.judge(tick(time_ms=NOON_MS + 70_000, symbol="NIFTY 50"), NOON_MS) is Reason.FUTURE


def test_an_epoch_that_is_shifted_is_never_believed(gate: Gate) -> None:
    assert feed(gate, -19_800_000) == 0


def test_snapshots_of_what_rests_are_no_clock(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(3000):
        fresh = n % 100 == 0
        resting_ms = NOON_MS - 3_600_000 + n
        gate.sift([tick(symbol="RELIANCE", time_ms=NOON_MS + n) if fresh else tick(time_ms=resting_ms)], NOON_MS + n)
    assert clocks(caplog) == []


def test_a_late_wire_at_night_is_no_clock(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    night_ms = at_ms("2026-11-23T20:00:00")
    for n in range(2000):
        gate.sift([tick(100 + n, night_ms - 10_000 + n)], night_ms + n)
    assert clocks(caplog) == []


def test_halts_of_the_sessions_reach_the_ticks() -> None:
    sessions = Sessions()
    gate = Gate(sessions, INSTRUMENTS.get)
    first = tick()
    gate.judge(first, NOON_MS)
    sessions.use(overrides=[read_json('{"halts":[{"markets":["NSE"],"from":"2026-11-23T11:00:00"}]}')])
    second = tick(101, NOON_MS + 1)
    gate.judge(second, NOON_MS)
    assert (first.state, second.state) == (MarketState.CONTINUOUS, MarketState.HALTED)


def test_a_new_master_counts_from_the_next_day() -> None:
    known = {("NSE", "SHARE"): INSTRUMENTS.get("NSE", "SHARE")}
    gate = Gate(Sessions(), lambda exchange, symbol: known.get((exchange, symbol)))
    auction = "T15:20:00"
    for day, state in (("2026-11-23", MarketState.CONTINUOUS), ("2026-11-25", MarketState.CLOSING_AUCTION)):
        one = tick(time_ms=at_ms(day + auction))
        assert gate.judge(one, one.time_ms) is None
        assert one.state is state
        share = known["NSE", "SHARE"]
        assert share is not None
        known["NSE", "SHARE"] = msgspec.structs.replace(share, has_derivatives=True)
    known.clear()
    gone = tick(time_ms=at_ms("2026-11-26T10:00:00"))
    assert gate.judge(gone, gone.time_ms) is Reason.UNKNOWN_INSTRUMENT


FIGURE = st.none() | st.integers(-(2**40), 2**62)


@given(
    st.lists(
        st.builds(
            Tick,
            exchange=st.sampled_from(["NSE", "NFO", "MCX", "LSE"]),
            symbol=st.sampled_from([one.symbol for one in INSTRUMENTS]),
            price=st.integers(-(10**9), 10**14),
            time_ms=st.integers(0, 2**62) | st.integers(NOON_MS - 10**6, NOON_MS + 10**5),
            state=st.none() | st.sampled_from(MarketState),
            close=FIGURE,
            volume=FIGURE,
            lower_circuit=FIGURE,
            upper_circuit=FIGURE,
        ),
        max_size=40,
    )
)
def test_nothing_that_a_wire_can_bring_raises_and_what_passes_is_possible(ticks: list[Tick]) -> None:
    gate = Gate(Sessions(), INSTRUMENTS.get)
    passed = [one for one in gate.sift(ticks, NOON_MS) if isinstance(one, Tick)]
    assert gate.passed == len(passed)
    assert gate.passed + gate.refused.total() == len(ticks)
    for one in passed:
        assert one.state is not None
        assert one.price > 0 or (one.exchange, one.symbol) == ("MCX", "CRUDEOIL26DECFUT")
        assert one.time_ms <= NOON_MS + 60_000
        assert INSTRUMENTS.get(one.exchange, one.symbol) is not None
