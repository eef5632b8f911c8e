"""Trading days, against the lists that the exchanges gave out."""

import asyncio
from datetime import date, time, timedelta

import pytest

from feeds.market_hours.holidays import CALENDAR, Calendar, calendar_of, load_calendar
from feeds.market_hours.hours import Segment, SessionClass, usual_hours

EQUITY_CLASSES = [one for one in SessionClass if one.segment is Segment.EQUITY]
HOLIDAYS = [
    "01-15", "01-26", "03-03", "03-26", "03-31", "04-03", "04-14", "05-01",
    "05-28", "06-26", "09-14", "10-02", "10-20", "11-10", "11-24", "12-25",
]  # fmt: skip
BANK_HOLIDAYS = ["02-19", "03-19", "04-01", "08-26"]
RESTS = ["01-26", "04-03", "10-02", "12-25"]


@pytest.fixture(scope="module")
def loaded() -> Calendar:
    return load_calendar()


def days_off(calendar: Calendar, one: SessionClass) -> list[str]:
    days = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(365)]
    return [f"{day:%m-%d}" for day in days if day.weekday() < 5 and not calendar.hours(one, day).sessions]


def weekend_days(calendar: Calendar, one: SessionClass) -> list[str]:
    days = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(365)]
    return [f"{day:%m-%d}" for day in days if day.weekday() >= 5 and calendar.hours(one, day).sessions]


@pytest.mark.parametrize("one", EQUITY_CLASSES)
def test_equities_rest_on_sixteen_days_of_2026(loaded: Calendar, one: SessionClass) -> None:
    for calendar in (CALENDAR, loaded):
        assert days_off(calendar, one) == HOLIDAYS
        assert weekend_days(calendar, one) == ["02-01", "11-08"]


def test_currencies_rest_on_bank_holidays_too(loaded: Calendar) -> None:
    for calendar in (CALENDAR, loaded):
        assert days_off(calendar, SessionClass.CURRENCY) == sorted([*HOLIDAYS, *BANK_HOLIDAYS])


def test_commodities_rest_on_four_days_and_trade_the_evening_of_other_holidays(loaded: Calendar) -> None:
    for calendar in (CALENDAR, loaded):
        assert days_off(calendar, SessionClass.COMMODITY) == RESTS
        for text in sorted(set(HOLIDAYS) - set(RESTS)):
            (session,) = calendar.hours(SessionClass.COMMODITY, date.fromisoformat(f"2026-{text}")).sessions
            late = text < "03-08" or text > "11-01"
            assert (session.start, session.end) == (time(17, 0), time(23, 55) if late else time(23, 30))
        (morning,) = calendar.hours(SessionClass.COMMODITY, date(2026, 1, 1)).sessions
        assert (morning.start, morning.end) == (time(9, 0), time(17, 0))


def test_the_budget_day_keeps_the_usual_hours(loaded: Calendar) -> None:
    budget = date(2026, 2, 1)
    for one in EQUITY_CLASSES:
        assert loaded.hours(one, budget) == usual_hours(one, budget)
    assert not loaded.hours(SessionClass.CURRENCY, budget).sessions


def test_the_muhurat_hour_is_provisional() -> None:
    hours = CALENDAR.hours(SessionClass.CASH, date(2026, 11, 8))
    assert hours.provisional
    assert [(one.state.value, one.start, one.end) for one in hours.sessions][-2:] == [
        ("continuous", time(18, 15), time(19, 15)),
        ("post_close", time(19, 25), time(19, 35)),
    ]


def test_earlier_years_come_from_the_package(loaded: Calendar) -> None:
    assert 2019 in loaded.years
    assert 2019 not in CALENDAR.years
    assert not loaded.hours(SessionClass.CASH, date(2019, 4, 29)).sessions  # an election in Mumbai
    assert CALENDAR.hours(SessionClass.CASH, date(2019, 4, 29)).sessions
    assert loaded.hours(SessionClass.CASH, date(2025, 2, 1)).sessions  # a Saturday with a Budget
    (evening,) = loaded.hours(SessionClass.COMMODITY, date(2025, 8, 27)).sessions
    assert evening.start == time(17, 0)
    assert loaded.hours(SessionClass.COMMODITY, date(2025, 8, 27)).provisional


@pytest.mark.parametrize("one", SessionClass)
def test_of_an_unknown_year_only_what_never_moves_is_known(one: SessionClass) -> None:
    days = [date(2027, 1, 1) + timedelta(days=offset) for offset in range(365)]
    off = [f"{day:%m-%d}" for day in days if day.weekday() < 5 and not CALENDAR.hours(one, day).sessions]
    assert off == ["01-26"]  # in 2027 the others are at weekends
    assert not any(CALENDAR.hours(one, day).sessions for day in days if day.weekday() >= 5)


def test_a_newer_list_counts_beside_our_own() -> None:
    calendar = calendar_of([date(2027, 3, 22)])
    assert 2027 in calendar.years
    assert not calendar.hours(SessionClass.CASH, date(2027, 3, 22)).sessions
    assert not calendar.hours(SessionClass.CASH, date(2026, 11, 24)).sessions
    (evening,) = calendar.hours(SessionClass.COMMODITY, date(2027, 3, 22)).sessions
    assert (evening.start, evening.end) == (time(17, 0), time(23, 30))


async def test_it_can_be_loaded_beside_a_running_loop() -> None:
    assert date(2026, 11, 24) in (await asyncio.to_thread(load_calendar)).holidays[Segment.EQUITY]
