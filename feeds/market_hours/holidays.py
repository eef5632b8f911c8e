"""Which days are trading days, and the days that keep hours of their own.

Holidays come from exchange_calendars' `XBOM`, for as many years as its release knows, and from a list of our own, which
serves where the package can't be loaded, and holds what the package lacks: the Sundays on which the Budget was given,
the Muhurat session, and the holidays of currencies and commodities. Of a year without any list only the holidays that
never move are known; overrides (`feeds.market_hours.overrides`) bring the others.

Commodities trade in the evening (from 17:00) on most holidays of equities, and only on the morning of 1 January. Of
2026 their days are known; in other years those rules stand in, and what they give is provisional.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import date, time
from types import MappingProxyType

import msgspec

from feeds.market_hours.hours import MUHURAT_AT_1815, NO_HOURS, Hours, Segment, SessionClass, usual_hours


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """Holidays by segment, and the days with hours of their own by class. Pure; looking a day up is quick."""

    years: frozenset[int]
    """Those of which a list of holidays is known."""
    holidays: Mapping[Segment, frozenset[date]]
    special: Mapping[tuple[SessionClass, date], Hours | None]
    """Other hours than usual, or a session on a day that would have none; None for the usual hours."""

    def hours(self, session_class: SessionClass, day: date) -> Hours:
        """What a class trades on a day; no sessions on holidays and weekends."""
        key = (session_class, day)
        if key in self.special:
            return self.special[key] or usual_hours(session_class, day)
        if day.weekday() >= 5 or self._is_holiday(session_class.segment, day):
            return NO_HOURS
        return usual_hours(session_class, day)

    def _is_holiday(self, segment: Segment, day: date) -> bool:
        return day in self.holidays[segment] or (day.month, day.day) in FIXED_HOLIDAYS


FIXED_HOLIDAYS = frozenset({(1, 26), (5, 1), (8, 15), (10, 2), (12, 25)})
"""Month and day of the holidays that have been on every year's list since 2010."""

_NATIONAL_HOLIDAYS = frozenset({(1, 26), (8, 15), (10, 2), (12, 25)})
"""On which commodities rest in the evening too."""
_GOOD_FRIDAY = date(2026, 4, 3)

_EQUITY_2026 = frozenset(
    date(2026, month, day)
    for month, day in (
        (1, 15), (1, 26), (3, 3), (3, 26), (3, 31), (4, 3), (4, 14), (5, 1),
        (5, 28), (6, 26), (9, 14), (10, 2), (10, 20), (11, 10), (11, 24), (12, 25),
    )
)  # fmt: skip
_CURRENCY_2026 = frozenset(date(2026, month, day) for month, day in ((2, 19), (3, 19), (4, 1), (8, 26)))
"""Bank holidays, beside those of equities."""
_BUDGETS = (date(2025, 2, 1), date(2026, 2, 1))
"""Trading days at a weekend."""
_SATURDAY_DRILL = date(2024, 1, 20)
_MUHURAT = date(2026, 11, 8)

_MORNING_END = time(17, 0)


def calendar_of(equity_holidays: Collection[date]) -> Calendar:
    """The calendar of all segments, from equities' holidays and what is known beside them."""
    equity = _EQUITY_2026.union(equity_holidays)
    rest = frozenset(day for day in equity if (day.month, day.day) in _NATIONAL_HOLIDAYS or day == _GOOD_FRIDAY)
    years = frozenset(day.year for day in equity)
    return Calendar(
        years=years,
        holidays=MappingProxyType(
            {Segment.EQUITY: equity, Segment.CURRENCY: equity | _CURRENCY_2026, Segment.COMMODITY: rest}
        ),
        special=MappingProxyType(
            {
                **{(one, day): None for one in SessionClass if one.segment is Segment.EQUITY for day in _OPEN_WEEKENDS},
                **{(one, _MUHURAT): MUHURAT_AT_1815 for one in SessionClass},
                **dict(_commodity_days(equity - rest, years)),
            }
        ),
    )


_OPEN_WEEKENDS = (*_BUDGETS, _SATURDAY_DRILL)


def _commodity_days(
    evenings: Collection[date], years: Collection[int]
) -> Iterator[tuple[tuple[SessionClass, date], Hours]]:
    for day in evenings:
        if day.weekday() < 5:
            yield _commodity_part(day, evening=True)
    for year in {*years, max(years) + 1}:
        if date(year, 1, 1).weekday() < 5:
            yield _commodity_part(date(year, 1, 1), evening=False)


def _commodity_part(day: date, *, evening: bool) -> tuple[tuple[SessionClass, date], Hours]:
    (whole,) = usual_hours(SessionClass.COMMODITY, day).sessions
    part = whole._replace(start=_MORNING_END) if evening else whole._replace(end=_MORNING_END)
    return (SessionClass.COMMODITY, day), Hours((part,), provisional=day.year != _MUHURAT.year)


CALENDAR = calendar_of(())
"""What is known without exchange_calendars: 2026."""


def load_calendar() -> Calendar:
    """CALENDAR with every year of exchange_calendars.

    Blocks for about half a second, in which pandas is loaded: once at the start, in a thread. Only the package's list
    of holidays is read; a calendar object of its would work out every minute of all years.
    """
    from exchange_calendars.exchange_calendar_xbom import (  # type: ignore[import-untyped]  # noqa: PLC0415 - pandas
        XBOMExchangeCalendar,
    )

    return calendar_of({moment.date() for moment in XBOMExchangeCalendar.precomputed_holidays()})
