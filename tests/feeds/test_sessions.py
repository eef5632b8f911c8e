"""The session table, second by second around every change."""

from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.sessions import CALENDAR, Session, ist_day, market_session, market_state, next_day_ms, session_at
from schemas.market import IST, MarketState

CLOSED, PRE_OPEN, CONTINUOUS = MarketState.CLOSED, MarketState.PRE_OPEN, MarketState.CONTINUOUS
AUCTION, POST_CLOSE = MarketState.CLOSING_AUCTION, MarketState.POST_CLOSE

OPENING = [("00:00", CLOSED), ("09:00", PRE_OPEN), ("09:15", CONTINUOUS)]
OLD = [*OPENING, ("15:30", CLOSED), ("15:40", POST_CLOSE), ("16:00", CLOSED)]
AUCTION_AT_1515 = [*OPENING, ("15:15", AUCTION), ("15:35", CLOSED), ("15:50", POST_CLOSE), ("16:00", CLOSED)]
AUCTION_AT_1530 = [*OPENING, ("15:30", AUCTION), ("15:40", CLOSED), ("15:50", POST_CLOSE), ("16:00", CLOSED)]
OTHERS = [*OPENING, ("15:30", CLOSED), ("15:50", POST_CLOSE), ("16:00", CLOSED)]
SHUT = [("00:00", CLOSED)]

DAYS = [
    ("2026-01-14", OLD, OLD),
    ("2026-07-31", OLD, OLD),  # the last trading day before the closing auction; 2 August is a Sunday
    ("2026-08-02", SHUT, SHUT),
    ("2026-08-03", AUCTION_AT_1515, OTHERS),
    ("2026-09-04", AUCTION_AT_1515, OTHERS),
    ("2026-09-07", AUCTION_AT_1515, OTHERS),
    ("2026-11-23", AUCTION_AT_1515, OTHERS),
    ("2026-12-04", AUCTION_AT_1515, OTHERS),
    ("2026-12-06", SHUT, SHUT),
    ("2026-12-07", AUCTION_AT_1530, OTHERS),
    ("2026-12-31", AUCTION_AT_1530, OTHERS),
    ("2026-02-01", OLD, OLD),  # a Sunday with a Budget
    ("2026-11-21", SHUT, SHUT),
    ("2026-11-22", SHUT, SHUT),
    *[
        (f"2026-{day}", SHUT, SHUT)
        for day in [
            "01-15",
            "01-26",
            "03-03",
            "03-26",
            "03-31",
            "04-03",
            "04-14",
            "05-01",
            "05-28",
            "06-26",
            "09-14",
            "10-02",
            "10-20",
            "11-10",
            "11-24",
            "12-25",
        ]
    ],
]
CASES = [
    (day, has_derivatives, at, before, after)
    for day, with_derivatives, others in DAYS
    for has_derivatives, row in ((True, with_derivatives), (False, others))
    for (_, before), (at, after) in zip([("", CLOSED), *row], row, strict=False)
]


def at_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


@pytest.mark.parametrize(("day", "has_derivatives", "at", "before", "after"), CASES)
def test_each_state_begins_at_its_second(
    day: str, has_derivatives: bool, at: str, before: MarketState, after: MarketState
) -> None:
    moment_ms = at_ms(f"{day}T{at}:00")
    assert market_state(moment_ms, has_derivatives=has_derivatives) is after
    assert market_state(moment_ms + 999, has_derivatives=has_derivatives) is after
    assert market_state(moment_ms + 59_999, has_derivatives=has_derivatives) is after
    assert market_state(moment_ms - 1, has_derivatives=has_derivatives) is before
    assert market_state(moment_ms - 1000, has_derivatives=has_derivatives) is before


@pytest.mark.parametrize(
    ("day", "changes"),
    [
        ("2026-09-04", [("09:00", "entry"), ("09:08", "matching"), ("09:12", "buffer"), ("09:15", "")]),
        (
            "2026-09-07",
            [("09:00", "entry"), ("09:05", "limit_entry"), ("09:10", "matching"), ("09:12", "buffer"), ("09:15", "")],
        ),
    ],
)
@pytest.mark.parametrize("has_derivatives", [True, False])
def test_the_pre_open_has_other_phases_since_september(
    day: str, changes: list[tuple[str, str]], has_derivatives: bool
) -> None:
    for (_, before), (at, after) in zip([("", None), *changes], changes, strict=False):
        moment_ms = at_ms(f"{day}T{at}:00")
        session = session_at(moment_ms, has_derivatives=has_derivatives)
        earlier = session_at(moment_ms - 1, has_derivatives=has_derivatives)
        assert session is not None
        assert session.phase == after
        assert (earlier.phase if earlier else None) == before


@pytest.mark.parametrize(
    ("now", "state", "until"),
    [
        ("2026-11-23T09:15:00", CONTINUOUS, "2026-11-23T15:15:00"),
        ("2026-11-23T09:04:00", PRE_OPEN, "2026-11-23T09:15:00"),
        ("2026-11-23T16:00:00", CLOSED, "2026-11-25T09:00:00"),  # over the holiday of the 24th
        ("2026-11-20T16:00:00", CLOSED, "2026-11-23T09:00:00"),  # over a weekend
        ("2026-12-07T15:39:59", AUCTION, "2026-12-07T15:40:00"),
        ("2026-01-31T12:00:00", CLOSED, "2026-02-01T09:00:00"),
    ],
)
def test_a_state_lasts_until_the_next_change(now: str, state: MarketState, until: str) -> None:
    session = market_session(at_ms(now), has_derivatives=True)
    assert session.state is state
    assert session.until_ms == at_ms(until)


@given(
    moment_ms=st.integers(at_ms("2026-01-01T00:00:00"), at_ms("2026-12-31T23:59:59")),
    has_derivatives=st.booleans(),
    part=st.floats(0, 1, exclude_max=True),
)
def test_nothing_changes_before_the_moment_that_is_told(moment_ms: int, has_derivatives: bool, part: float) -> None:
    session = market_session(moment_ms, has_derivatives=has_derivatives)
    assert session.until_ms is not None
    between_ms = moment_ms + int((session.until_ms - moment_ms) * part)
    assert market_state(between_ms, has_derivatives=has_derivatives) is session.state
    assert market_state(session.until_ms - 1, has_derivatives=has_derivatives) is session.state
    assert market_state(session.until_ms, has_derivatives=has_derivatives) is not session.state


def test_a_calendar_takes_what_is_announced_at_short_notice() -> None:
    evening = (Session(CONTINUOUS, time(18, 15), time(19, 15)),)
    calendar = msgspec.structs.replace(
        CALENDAR,
        holidays=CALENDAR.holidays | {date(2026, 11, 23)},
        special={**CALENDAR.special, date(2026, 11, 8): evening},
    )
    noon = at_ms("2026-11-23T12:00:00")
    assert market_state(noon, has_derivatives=True) is CONTINUOUS
    assert market_state(noon, has_derivatives=True, calendar=calendar) is CLOSED
    muhurat = at_ms("2026-11-08T18:15:00")
    assert market_state(muhurat, has_derivatives=True, calendar=calendar) is CONTINUOUS
    assert market_state(muhurat - 1, has_derivatives=True, calendar=calendar) is CLOSED


def test_a_market_without_another_session_has_no_end_of_its_pause() -> None:
    calendar = msgspec.structs.replace(
        CALENDAR, holidays=frozenset(date(2027, 1, 1) + timedelta(days=day) for day in range(60)), special={}
    )
    session = market_session(at_ms("2027-01-01T12:00:00"), has_derivatives=False, calendar=calendar)
    assert (session.state, session.until_ms) == (CLOSED, None)


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_days_begin_at_midnight_in_india(moment: datetime) -> None:
    moment_ms = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
    assert ist_day(moment_ms) == moment.replace(tzinfo=UTC).astimezone(IST).date()
    coming_ms = next_day_ms(moment_ms)
    assert ist_day(coming_ms - 1) == ist_day(moment_ms)
    assert ist_day(coming_ms) == ist_day(moment_ms) + timedelta(days=1)
