"""Which hours each class of instruments keeps, and which class an instrument is of."""

from datetime import date, time, timedelta

import pytest

from feeds.instruments import Instrument, Kind
from feeds.market_hours.hours import HOURS, MAIN_CLASS, Segment, SessionClass, session_class, usual_hours
from schemas.market import EXCHANGES, MarketState

TUESDAY = date(2026, 12, 1)


def instrument(exchange: str, kind: Kind, **fields: object) -> Instrument:
    return Instrument(exchange=exchange, symbol="X", name="X", kind=kind, tick_size=500_000, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (instrument("NSE", Kind.STOCK, has_derivatives=True), SessionClass.CASH_WITH_DERIVATIVES),
        (instrument("BSE", Kind.STOCK, has_derivatives=True), SessionClass.CASH_WITH_DERIVATIVES),
        (instrument("NSE", Kind.STOCK), SessionClass.CASH),
        (instrument("NSE", Kind.INDEX, has_derivatives=True), SessionClass.INDEX),
        (instrument("NFO", Kind.FUTURE, underlying="RELIANCE", expiry=TUESDAY), SessionClass.EQUITY_FUTURES),
        (instrument("NFO", Kind.OPTION, underlying="RELIANCE", expiry=TUESDAY), SessionClass.EQUITY_OPTIONS),
        (instrument("BFO", Kind.OPTION, underlying="SENSEX", expiry=TUESDAY), SessionClass.EXPIRING_INDEX_OPTIONS),
        (instrument("NFO", Kind.FUTURE, underlying="NIFTY", expiry=TUESDAY), SessionClass.EXPIRING_INDEX_FUTURES),
        (instrument("NFO", Kind.OPTION, underlying="NIFTY", expiry=date(2026, 12, 8)), SessionClass.EQUITY_OPTIONS),
        (instrument("CDS", Kind.FUTURE, underlying="USDINR", expiry=TUESDAY), SessionClass.CURRENCY),
        (instrument("BCD", Kind.OPTION, underlying="USDINR"), SessionClass.CURRENCY),
        (instrument("MCX", Kind.FUTURE, underlying="CRUDEOIL"), SessionClass.COMMODITY),
        (instrument("NCO", Kind.OPTION, underlying="GOLD"), SessionClass.COMMODITY),
    ],
)
def test_an_instrument_is_of_one_class(one: Instrument, expected: SessionClass) -> None:
    assert session_class(one, TUESDAY) is expected


def test_without_a_day_no_contract_expires() -> None:
    one = instrument("NFO", Kind.OPTION, underlying="NIFTY", expiry=TUESDAY)
    assert session_class(one) is SessionClass.EQUITY_OPTIONS


def test_every_exchange_has_a_main_class() -> None:
    assert set(MAIN_CLASS) == EXCHANGES


def test_classes_share_the_holidays_of_their_segment() -> None:
    others = {SessionClass.CURRENCY: Segment.CURRENCY, SessionClass.COMMODITY: Segment.COMMODITY}
    assert all(one.segment is others.get(one, Segment.EQUITY) for one in SessionClass)


@pytest.mark.parametrize("one", SessionClass)
def test_sessions_follow_one_another_in_every_row(one: SessionClass) -> None:
    rows = HOURS[one]
    assert rows[0][0] == date.min
    assert [since for since, _ in rows] == sorted({since for since, _ in rows})
    for _, hours in rows:
        marks = [moment for session in hours.sessions for moment in (session.start, session.end)]
        assert marks == sorted(marks)
        assert all(session.start < session.end for session in hours.sessions)
        assert MarketState.CONTINUOUS in {session.state for session in hours.sessions}


@pytest.mark.parametrize(
    ("day", "end"),
    [
        (date(2026, 3, 6), time(23, 55)),
        (date(2026, 3, 9), time(23, 30)),  # New York's summer begins on 8 March 2026 …
        (date(2026, 10, 30), time(23, 30)),
        (date(2026, 11, 2), time(23, 55)),  # … and ends on 1 November
        (date(2027, 3, 12), time(23, 55)),
        (date(2027, 3, 15), time(23, 30)),
        (date(2025, 10, 31), time(23, 30)),
        (date(2025, 11, 3), time(23, 55)),
    ],
)
def test_commodities_trade_longer_in_new_yorks_winter(day: date, end: time) -> None:
    (session,) = usual_hours(SessionClass.COMMODITY, day).sessions
    assert (session.start, session.end) == (time(9, 0), end)


@pytest.mark.parametrize("one", SessionClass)
def test_only_the_hours_since_7_december_are_provisional(one: SessionClass) -> None:
    unchanged = {SessionClass.CASH, SessionClass.CURRENCY, SessionClass.COMMODITY}
    for offset in range(-400, 400):
        day = date(2026, 12, 7) + timedelta(days=offset)
        assert usual_hours(one, day).provisional is (offset >= 0 and one not in unchanged)
