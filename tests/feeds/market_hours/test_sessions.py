"""The sessions of every class, second by second around every change, and what overrides make of them."""

import logging
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.market_hours.holidays import CALENDAR
from feeds.market_hours.hours import MAIN_CLASS, SessionClass
from feeds.market_hours.overrides import Halt, Overrides, read_json
from feeds.market_hours.sessions import MarketSession, Sessions, day_start_ms, ist_day, next_day_ms
from schemas.market import IST, MarketState

CLOSED, PRE_OPEN, CONTINUOUS = MarketState.CLOSED, MarketState.PRE_OPEN, MarketState.CONTINUOUS
AUCTION, POST_CLOSE, HALTED = MarketState.CLOSING_AUCTION, MarketState.POST_CLOSE, MarketState.HALTED

WITH, CASH, INDEX = SessionClass.CASH_WITH_DERIVATIVES, SessionClass.CASH, SessionClass.INDEX
FUTURES, OPTIONS = SessionClass.EQUITY_FUTURES, SessionClass.EQUITY_OPTIONS
LAST_FUTURES, LAST_OPTIONS = SessionClass.EXPIRING_INDEX_FUTURES, SessionClass.EXPIRING_INDEX_OPTIONS
CURRENCY, COMMODITY = SessionClass.CURRENCY, SessionClass.COMMODITY

Changes = list[tuple[str, MarketState, str]]

PRE_OPEN_OLD: Changes = [("09:00", PRE_OPEN, "entry"), ("09:08", PRE_OPEN, "matching"), ("09:12", PRE_OPEN, "buffer")]
PRE_OPEN_NEW: Changes = [
    ("09:00", PRE_OPEN, "entry"),
    ("09:05", PRE_OPEN, "limit_entry"),
    ("09:10", PRE_OPEN, "matching"),
    ("09:12", PRE_OPEN, "buffer"),
]
OPEN: Changes = [("09:15", CONTINUOUS, "")]
AT_1515: Changes = [
    ("15:15", AUCTION, "reference"),
    ("15:20", AUCTION, "entry"),
    ("15:25", AUCTION, "limit_entry"),
    ("15:30", AUCTION, "matching"),
    ("15:35", CLOSED, ""),
]
AT_1530: Changes = [
    ("15:30", AUCTION, "reference"),
    ("15:31", AUCTION, "entry"),
    ("15:36", AUCTION, "limit_entry"),
    ("15:40", CLOSED, ""),
]
POST_OLD: Changes = [("15:40", POST_CLOSE, ""), ("16:00", CLOSED, "")]
POST_NEW: Changes = [("15:50", POST_CLOSE, ""), ("16:00", CLOSED, "")]
CLOSE_1530: Changes = [("15:30", CLOSED, "")]

CASH_OLD = [*PRE_OPEN_OLD, *OPEN, *CLOSE_1530, *POST_OLD]
FUTURES_1540: Changes = [*PRE_OPEN_OLD, *OPEN, ("15:40", CLOSED, "")]
OPTIONS_1540: Changes = [*OPEN, ("15:40", CLOSED, "")]
SUMMER: Changes = [("09:00", CONTINUOUS, ""), ("23:30", CLOSED, "")]
WINTER: Changes = [("09:00", CONTINUOUS, ""), ("23:55", CLOSED, "")]
EVENING: Changes = [("17:00", CONTINUOUS, ""), ("23:55", CLOSED, "")]
DAYTIME: Changes = [("09:00", CONTINUOUS, ""), ("17:00", CLOSED, "")]
SHUT: Changes = []

TABLE: list[tuple[str, tuple[SessionClass, ...], Changes]] = [
    ("2025-12-05", (WITH, CASH, INDEX), CASH_OLD),
    ("2025-12-05", (FUTURES, OPTIONS, LAST_FUTURES, LAST_OPTIONS), [*OPEN, *CLOSE_1530]),
    ("2025-12-08", (FUTURES, LAST_FUTURES), [*PRE_OPEN_OLD, *OPEN, *CLOSE_1530]),
    ("2025-12-08", (OPTIONS, LAST_OPTIONS), [*OPEN, *CLOSE_1530]),
    ("2026-02-01", (WITH, CASH, INDEX), CASH_OLD),
    ("2026-07-31", (WITH, CASH, INDEX), CASH_OLD),
    ("2026-07-31", (OPTIONS,), [*OPEN, *CLOSE_1530]),
    ("2026-08-02", tuple(SessionClass), SHUT),
    ("2026-08-03", (WITH, INDEX), [*PRE_OPEN_OLD, *OPEN, *AT_1515, *POST_NEW]),
    ("2026-08-03", (CASH,), [*PRE_OPEN_OLD, *OPEN, *CLOSE_1530, *POST_NEW]),
    ("2026-08-03", (FUTURES, LAST_FUTURES), FUTURES_1540),
    ("2026-08-03", (OPTIONS, LAST_OPTIONS), OPTIONS_1540),
    ("2026-08-03", (CURRENCY,), DAYTIME),
    ("2026-08-03", (COMMODITY,), SUMMER),
    ("2026-09-04", (WITH, INDEX), [*PRE_OPEN_OLD, *OPEN, *AT_1515, *POST_NEW]),
    ("2026-09-07", (WITH, INDEX), [*PRE_OPEN_NEW, *OPEN, *AT_1515, *POST_NEW]),
    ("2026-09-07", (CASH,), [*PRE_OPEN_NEW, *OPEN, *CLOSE_1530, *POST_NEW]),
    ("2026-09-07", (FUTURES, LAST_FUTURES), FUTURES_1540),
    ("2026-11-23", (WITH, INDEX), [*PRE_OPEN_NEW, *OPEN, *AT_1515, *POST_NEW]),
    ("2026-11-23", (COMMODITY,), WINTER),
    ("2026-11-24", (WITH, CASH, INDEX, FUTURES, OPTIONS, LAST_OPTIONS, CURRENCY), SHUT),
    ("2026-11-24", (COMMODITY,), EVENING),
    ("2026-12-04", (WITH, INDEX), [*PRE_OPEN_NEW, *OPEN, *AT_1515, *POST_NEW]),
    ("2026-12-04", (OPTIONS, LAST_OPTIONS), OPTIONS_1540),
    ("2026-12-07", (WITH, INDEX), [*PRE_OPEN_NEW, *OPEN, *AT_1530, *POST_NEW]),
    ("2026-12-07", (CASH,), [*PRE_OPEN_NEW, *OPEN, *CLOSE_1530, *POST_NEW]),
    ("2026-12-07", (FUTURES,), [*PRE_OPEN_OLD, *OPEN, ("15:45", CLOSED, "")]),
    ("2026-12-07", (OPTIONS,), [*OPEN, ("15:45", CLOSED, "")]),
    ("2026-12-07", (LAST_FUTURES,), [*PRE_OPEN_OLD, *OPEN, *CLOSE_1530]),
    ("2026-12-07", (LAST_OPTIONS,), [*OPEN, *CLOSE_1530]),
    ("2026-12-07", (CURRENCY,), DAYTIME),
    ("2026-12-25", tuple(SessionClass), SHUT),
]
ROWS = [(day, one, changes) for day, classes, changes in TABLE for one in classes]


def at_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


def halt(**fields: object) -> Halt:
    return read_json(msgspec.json.encode({"halts": [fields]})).halts[0]


@pytest.mark.parametrize(("day", "one", "changes"), ROWS)
def test_each_state_begins_at_its_second_and_lasts_until_the_next(
    day: str, one: SessionClass, changes: Changes
) -> None:
    sessions = Sessions()
    whole = [("00:00", CLOSED, ""), *changes]
    ends_ms = [*(at_ms(f"{day}T{clock}") for clock, _, _ in whole[1:]), at_ms(f"{day}T00:00") + 86_400_000]
    for (clock, state, phase), end_ms in zip(whole, ends_ms, strict=True):
        for moment_ms in (at_ms(f"{day}T{clock}"), at_ms(f"{day}T{clock}") + 1000, end_ms - 1000, end_ms - 1):
            assert sessions.state(one, moment_ms) is state
            assert sessions.session(one, moment_ms).phase == phase


DAY = st.dates(date(2026, 1, 1), date(2026, 12, 31))
MOMENT = st.integers(at_ms("2026-01-01T00:00:00"), at_ms("2026-12-31T23:59:59"))
CLASS = st.sampled_from(SessionClass)


@given(st.lists(st.tuples(MOMENT, CLASS), min_size=1, max_size=20))
def test_the_state_is_that_of_the_days_hours_whatever_was_asked_before(asked: list[tuple[int, SessionClass]]) -> None:
    sessions = Sessions()
    for moment_ms, one in asked:
        clock = datetime.fromtimestamp(moment_ms // 1000, IST).time()
        hours = CALENDAR.hours(one, ist_day(moment_ms))
        expected = [session.state for session in hours.sessions if session.start <= clock < session.end]
        assert [sessions.state(one, moment_ms)] == (expected or [CLOSED])


@given(moment_ms=MOMENT, one=CLASS, part=st.floats(0, 1, exclude_max=True))
def test_nothing_changes_before_the_moments_that_are_told(moment_ms: int, one: SessionClass, part: float) -> None:
    sessions = Sessions()
    session = sessions.session(one, moment_ms)
    assert session.until_ms is not None
    assert session.phase_until_ms is not None
    assert moment_ms < session.phase_until_ms <= session.until_ms
    between = sessions.session(one, moment_ms + int((session.phase_until_ms - moment_ms) * part))
    assert (between.state, between.phase) == (session.state, session.phase)
    after = sessions.session(one, session.phase_until_ms)
    assert (after.state, after.phase) != (session.state, session.phase)
    assert sessions.state(one, session.until_ms - 1) is session.state
    assert sessions.state(one, session.until_ms) is not session.state


HALTS = st.lists(
    st.tuples(st.integers(0, 86_400), st.integers(1, 40_000), st.integers(0, 4000)), min_size=1, max_size=4
)


@given(day=DAY, one=CLASS, spans=HALTS)
def test_spans_have_neither_gaps_nor_overlaps(day: date, one: SessionClass, spans: list[tuple[int, int, int]]) -> None:
    midnight = datetime.combine(day, time(), IST)
    halts = tuple(
        Halt(
            markets=(one.value,),
            since=midnight + timedelta(seconds=start),
            until=midnight + timedelta(seconds=start + length),
            reopens=midnight + timedelta(seconds=start + length + reopening),
        )
        for start, length, reopening in spans
    )
    sessions = Sessions(overrides=[Overrides(halts=halts)])
    worked_out = sessions._spans(one, day, "NSE")
    assert worked_out[0].start_ms == day_start_ms(day)
    assert worked_out[-1].end_ms == day_start_ms(day) + 86_400_000
    assert all(span.start_ms < span.end_ms for span in worked_out)
    assert all(left.end_ms == right.start_ms for left, right in pairwise(worked_out))
    for span in worked_out:
        plain = Sessions().state(one, span.start_ms)
        stopped = any(one.since_ms <= span.start_ms < (one.until_ms or 0) for one in halts)
        assert (span.state is HALTED) is (stopped and plain is not CLOSED)


@pytest.mark.parametrize(
    ("now", "market", "state", "until"),
    [
        ("2026-11-23T09:15:00", "NSE", CONTINUOUS, "2026-11-23T15:15:00"),
        ("2026-11-23T09:04:00", "BSE", PRE_OPEN, "2026-11-23T09:15:00"),
        ("2026-11-23T15:16:00", "NFO", CONTINUOUS, "2026-11-23T15:40:00"),
        ("2026-11-23T16:30:00", "CDS", CONTINUOUS, "2026-11-23T17:00:00"),
        ("2026-11-23T16:30:00", "MCX", CONTINUOUS, "2026-11-23T23:55:00"),
        ("2026-11-23T23:56:00", "NCO", CLOSED, "2026-11-24T17:00:00"),  # a holiday's evening
        ("2026-11-23T16:00:00", "NSE", CLOSED, "2026-11-25T09:00:00"),  # over the holiday of the 24th
        ("2026-11-20T16:00:00", "NSE", CLOSED, "2026-11-23T09:00:00"),  # over a weekend
        ("2026-12-07T15:39:59", "NSE", AUCTION, "2026-12-07T15:40:00"),
        ("2026-01-31T12:00:00", "NSE", CLOSED, "2026-02-01T09:00:00"),
        ("2026-11-23T15:29:00", "cash", CONTINUOUS, "2026-11-23T15:30:00"),
    ],
)
def test_a_state_lasts_until_the_next_change(now: str, market: str, state: MarketState, until: str) -> None:
    session = Sessions().session(market, at_ms(now))
    assert (session.state, session.until_ms) == (state, at_ms(until))


def test_a_market_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="LSE"):
        Sessions().session("LSE", at_ms("2026-11-23T10:00:00"))


def test_hours_to_be_confirmed_are_told_as_such() -> None:
    sessions = Sessions()
    for market in ("NSE", "NFO"):
        assert not sessions.session(market, at_ms("2026-12-06T23:59:59")).provisional
        assert sessions.session(market, at_ms("2026-12-07T15:20:00")).provisional
    assert not sessions.session("MCX", at_ms("2026-12-07T15:20:00")).provisional
    assert sessions.session("NSE", at_ms("2026-11-08T18:20:00")) == MarketSession(
        CONTINUOUS, at_ms("2026-11-08T19:15:00"), "", at_ms("2026-11-08T19:15:00"), provisional=True
    )


@pytest.mark.parametrize(
    ("day", "one", "opens", "closes"),
    [
        ("2026-11-23", WITH, "09:15", "15:35"),
        ("2026-11-23", CASH, "09:15", "15:30"),
        ("2026-12-07", WITH, "09:15", "15:40"),
        ("2026-12-07", OPTIONS, "09:15", "15:45"),
        ("2026-11-23", COMMODITY, "09:00", "23:55"),
        ("2026-11-24", COMMODITY, "17:00", "23:55"),
        ("2026-11-08", CASH, "18:15", "19:15"),
    ],
)
@pytest.mark.parametrize("clock", ["00:00:00", "12:00:00", "23:59:59"])
def test_a_day_opens_and_closes_once(day: str, one: SessionClass, opens: str, closes: str, clock: str) -> None:
    sessions = Sessions(overrides=[Overrides(halts=(halt(markets=[one], **{"from": f"{day}T00:00:00+05:30"}),))])
    moment_ms = at_ms(f"{day}T{clock}")
    assert sessions.opens_ms(one, moment_ms) == at_ms(f"{day}T{opens}")
    assert sessions.closes_ms(one, moment_ms) == at_ms(f"{day}T{closes}")


def test_a_day_without_trading_neither_opens_nor_closes() -> None:
    sessions = Sessions()
    assert sessions.opens_ms(CASH, at_ms("2026-11-24T12:00:00")) is None
    assert sessions.closes_ms(CASH, at_ms("2026-11-24T12:00:00")) is None


def test_trading_days_are_found_over_weekends_and_holidays() -> None:
    sessions = Sessions()
    assert sessions.next_trading_day(CASH, date(2026, 11, 23)) == date(2026, 11, 25)
    assert sessions.previous_trading_day(CASH, date(2026, 11, 25)) == date(2026, 11, 23)
    assert sessions.previous_trading_day(CASH, date(2026, 11, 23)) == date(2026, 11, 20)
    assert sessions.next_trading_day(COMMODITY, date(2026, 11, 23)) == date(2026, 11, 24)
    assert sessions.next_trading_day(CASH, date(2026, 11, 6)) == date(2026, 11, 8)
    assert sessions.next_trading_day(CURRENCY, date(2026, 8, 25)) == date(2026, 8, 27)


def test_a_market_without_another_session_has_no_end_of_its_pause() -> None:
    days = [{"date": date(2027, 1, 1) + timedelta(days=day), "markets": ["equity"]} for day in range(60)]
    sessions = Sessions(overrides=[read_json(msgspec.json.encode({"holidays": days}))])
    assert sessions.session("NSE", at_ms("2027-01-01T12:00:00")) == MarketSession(CLOSED)
    assert sessions.next_trading_day(CASH, date(2027, 1, 1)) is None


def test_a_holiday_of_this_morning_counts_at_once() -> None:
    sessions = Sessions()
    noon_ms = at_ms("2026-11-23T12:00:00")
    assert sessions.state(CASH, noon_ms) is CONTINUOUS
    sessions.use(overrides=[read_json(b'{"holidays":[{"date":"2026-11-23","markets":["equity"]}]}')])
    assert sessions.state(CASH, noon_ms) is CLOSED
    assert sessions.session("NSE", noon_ms).until_ms == at_ms("2026-11-25T09:00:00")
    assert sessions.state(CURRENCY, noon_ms) is CONTINUOUS
    sessions.use(overrides=[])
    assert sessions.state(CASH, noon_ms) is CONTINUOUS


def test_another_calendar_keeps_the_overrides() -> None:
    sessions = Sessions(overrides=[read_json(b'{"holidays":[{"date":"2026-11-23","markets":["cash"]}]}')])
    sessions.use(calendar=msgspec.structs.replace(CALENDAR, years=frozenset({2026, 2027})))
    assert not sessions.trades_on(CASH, date(2026, 11, 23))
    assert sessions.trades_on(WITH, date(2026, 11, 23))


def test_a_halt_of_an_exchange_stops_its_markets_alone() -> None:
    stop = halt(
        markets=["NSE", "NFO"],
        **{"from": "2026-11-23T10:05:00+05:30"},
        until="2026-11-23T11:00:00+05:30",
        reopens="2026-11-23T11:15:00+05:30",
    )
    sessions = Sessions(overrides=[Overrides(halts=(stop,))])
    expected = [("10:04:59", CONTINUOUS, ""), ("10:05:00", HALTED, ""), ("10:59:59", HALTED, "")]
    expected += [("11:00:00", PRE_OPEN, "reopening"), ("11:14:59", PRE_OPEN, "reopening"), ("11:15:00", CONTINUOUS, "")]
    for clock, state, phase in expected:
        moment_ms = at_ms(f"2026-11-23T{clock}")
        for one, exchange in ((WITH, "NSE"), (CASH, "NSE"), (OPTIONS, "NFO")):
            assert sessions.state(one, moment_ms, exchange) is state
            assert sessions.session(one, moment_ms, exchange).phase == phase
        assert sessions.session("NSE", moment_ms).state is state
        assert sessions.state(WITH, moment_ms, "BSE") is CONTINUOUS
        assert sessions.session("MCX", moment_ms).state is CONTINUOUS
    assert sessions.session("NSE", at_ms("2026-11-23T10:30:00")).until_ms == at_ms("2026-11-23T11:00:00")


def test_a_halt_until_further_notice_lasts_until_it_is_taken_back() -> None:
    sessions = Sessions(
        overrides=[Overrides(halts=(halt(markets=["equity"], **{"from": "2026-11-23T10:00:00+05:30"}),))]
    )
    for moment in ("2026-11-23T10:00:00", "2026-11-23T15:00:00", "2026-11-25T09:00:00"):
        assert sessions.state(CASH, at_ms(moment)) is HALTED
    assert sessions.state(CASH, at_ms("2026-11-23T20:00:00")) is CLOSED
    sessions.use(overrides=[])
    assert sessions.state(CASH, at_ms("2026-11-23T15:00:00")) is CONTINUOUS


def test_an_observed_halt_outlives_a_change_of_the_overrides() -> None:
    sessions = Sessions()
    now_ms = at_ms("2026-11-23T10:30:00")
    assert sessions.state(CASH, now_ms) is CONTINUOUS
    sessions.halt(halt(markets=["equity"], **{"from": "2026-11-23T10:00:00+05:30"}, until="2026-11-23T10:45:00+05:30"))
    sessions.use(overrides=[])
    assert sessions.state(CASH, now_ms) is HALTED
    assert sessions.state(CURRENCY, now_ms) is CONTINUOUS


def test_a_year_without_a_list_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tickhub.feeds.market_hours.sessions")
    sessions = Sessions()
    for _ in range(3):
        sessions.session("NSE", at_ms("2026-11-23T12:00:00"))
    assert not caplog.records
    for day in (4, 5, 6):
        assert sessions.session("NSE", at_ms(f"2027-01-0{day}T12:00:00")).state is CONTINUOUS
    assert [(one.message, one.__dict__["year"]) for one in caplog.records] == [("sessions.no_holiday_list", 2027)]


def test_what_is_kept_worked_out_is_bounded() -> None:
    sessions = Sessions()
    for day in range(5000):
        sessions.state(CASH, at_ms("2026-01-01T12:00:00") + day * 86_400_000)
    assert len(sessions._days) <= 4096


@pytest.mark.parametrize("exchange", MAIN_CLASS)
def test_every_exchange_has_sessions(exchange: str) -> None:
    assert Sessions().session(exchange, at_ms("2026-11-23T12:00:00")).state is CONTINUOUS


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_days_begin_at_midnight_in_india(moment: datetime) -> None:
    moment_ms = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
    assert ist_day(moment_ms) == moment.replace(tzinfo=UTC).astimezone(IST).date()
    coming_ms = next_day_ms(moment_ms)
    assert ist_day(coming_ms - 1) == ist_day(moment_ms)
    assert ist_day(coming_ms) == ist_day(moment_ms) + timedelta(days=1)
    assert day_start_ms(ist_day(coming_ms)) == coming_ms
