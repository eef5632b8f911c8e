"""Which hours an instrument keeps, as dated data: the classes of instruments, and from which day on each trades when.

Hours are in Indian Standard Time. Cash: the closing auction for stocks with derivatives began on 3 August 2026 and the
later pre-open on 7 September (SEBI, 16 January 2026); from 7 December 2026 the auction follows 15:30 and derivatives
trade until 15:45 (SEBI, 15 October 2026). Of that last change no exchange circular was seen, so it is provisional.
Equity futures have a pre-open since 8 December 2025 (NSE/FAOP/71092); options have none. Commodities trade until 23:55
while New York keeps winter time. Times at which an exchange closes order entry at random are given as their latest.

Not in the data: block deals, the call auctions of new listings and of illiquid stocks, cross-currency pairs (which
trade after 17:00), agricultural commodities (which end at 17:00 or 21:00), and hours before 2025, for which today's
stand in.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from feeds.instruments import Instrument, Kind
from schemas.market import MarketState


class Segment(StrEnum):
    """What shares a list of holidays."""

    EQUITY = "equity"
    CURRENCY = "currency"
    COMMODITY = "commodity"


class SessionClass(StrEnum):
    """What shares its hours."""

    CASH_WITH_DERIVATIVES = "cash_with_derivatives"
    """Stocks with derivatives: they have a closing auction."""
    CASH = "cash"
    INDEX = "index"
    """An index keeps the hours of stocks with derivatives, which make it."""
    EQUITY_FUTURES = "equity_futures"
    EQUITY_OPTIONS = "equity_options"
    EXPIRING_INDEX_FUTURES = "expiring_index_futures"
    """Contracts on an index on their last day."""
    EXPIRING_INDEX_OPTIONS = "expiring_index_options"
    CURRENCY = "currency"
    COMMODITY = "commodity"

    @property
    def segment(self) -> Segment:
        """Whose holidays it keeps."""
        match self:
            case SessionClass.CURRENCY:
                return Segment.CURRENCY
            case SessionClass.COMMODITY:
                return Segment.COMMODITY
            case _:
                return Segment.EQUITY


class Session(NamedTuple):
    """A part of the day, `start` inclusive and `end` exclusive. `phase` tells parts of the same state apart."""

    state: MarketState
    start: time
    end: time
    phase: str = ""


class Hours(NamedTuple):
    """The sessions of a day, in order. `provisional`: still to be confirmed by an exchange."""

    sessions: tuple[Session, ...]
    provisional: bool = False


NO_HOURS = Hours(())

MAIN_CLASS: Mapping[str, SessionClass] = MappingProxyType(
    {
        "NSE": SessionClass.CASH_WITH_DERIVATIVES,
        "BSE": SessionClass.CASH_WITH_DERIVATIVES,
        "NFO": SessionClass.EQUITY_FUTURES,
        "BFO": SessionClass.EQUITY_FUTURES,
        "CDS": SessionClass.CURRENCY,
        "BCD": SessionClass.CURRENCY,
        "MCX": SessionClass.COMMODITY,
        "NCO": SessionClass.COMMODITY,
    }
)
"""Whose hours are told as an exchange's."""

_INDEX_UNDERLYINGS = frozenset(
    {"NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "SENSEX", "SENSEX50", "BANKEX"}
)


def session_class(instrument: Instrument, day: date | None = None) -> SessionClass:
    """The class of an instrument. A contract on an index is of another one on `day` if it expires then."""
    main = MAIN_CLASS.get(instrument.exchange)
    if main is SessionClass.CURRENCY or main is SessionClass.COMMODITY:
        return main
    expiring = day is not None and instrument.expiry == day and instrument.underlying in _INDEX_UNDERLYINGS
    match instrument.kind:
        case Kind.STOCK:
            return SessionClass.CASH_WITH_DERIVATIVES if instrument.has_derivatives else SessionClass.CASH
        case Kind.INDEX:
            return SessionClass.INDEX
        case Kind.FUTURE:
            return SessionClass.EXPIRING_INDEX_FUTURES if expiring else SessionClass.EQUITY_FUTURES
        case Kind.OPTION:
            return SessionClass.EXPIRING_INDEX_OPTIONS if expiring else SessionClass.EQUITY_OPTIONS


def usual_hours(session_class: SessionClass, day: date) -> Hours:
    """The hours of a class on a day without a holiday or hours of its own."""
    rows = HOURS[session_class]
    return rows[bisect_right(rows, day, key=lambda row: row[0]) - 1][1]


# -- the table -----------------------------------------------------------------------------------------------------


def _session(state: MarketState, start: str, end: str, phase: str = "") -> Session:
    return Session(state, time.fromisoformat(start), time.fromisoformat(end), phase)


def _continuous(start: str, end: str) -> Session:
    return _session(MarketState.CONTINUOUS, start, end)


def _parts(state: MarketState, *marks: str) -> tuple[Session, ...]:
    """Sessions in a row: `"09:00 entry"`, `"09:08 matching"`, `"09:12"` begin at their marks and end at the next."""
    split = [mark.partition(" ") for mark in marks]
    return tuple(_session(state, start, end, phase) for (start, _, phase), (end, _, _) in pairwise(split))


_PRE_OPEN = _parts(MarketState.PRE_OPEN, "09:00 entry", "09:08 matching", "09:12 buffer", "09:15")
_PRE_OPEN_SINCE_SEPTEMBER = _parts(
    MarketState.PRE_OPEN, "09:00 entry", "09:05 limit_entry", "09:10 matching", "09:12 buffer", "09:15"
)
_AUCTION_AT_1515 = _parts(
    MarketState.CLOSING_AUCTION, "15:15 reference", "15:20 entry", "15:25 limit_entry", "15:30 matching", "15:35"
)
_AUCTION_AT_1530 = _parts(
    MarketState.CLOSING_AUCTION, "15:30 reference", "15:31 entry", "15:36 limit_entry", "15:40"
)  # fmt: skip
_UNTIL_1515 = _continuous("09:15", "15:15")
_UNTIL_1530 = _continuous("09:15", "15:30")
_UNTIL_1540 = _continuous("09:15", "15:40")
_UNTIL_1545 = _continuous("09:15", "15:45")
_POST_CLOSE_AT_1540 = _session(MarketState.POST_CLOSE, "15:40", "16:00")
_POST_CLOSE_AT_1550 = _session(MarketState.POST_CLOSE, "15:50", "16:00")

MUHURAT_AT_1815 = Hours(
    (
        *_parts(MarketState.PRE_OPEN, "18:00 entry", "18:08 matching", "18:12 buffer", "18:15"),
        _continuous("18:15", "19:15"),
        _session(MarketState.POST_CLOSE, "19:25", "19:35"),
    ),
    provisional=True,
)
"""The ceremonial hour of Diwali as it was in 2021 and 2022; each year's hours are told shortly before."""

Rows = tuple[tuple[date, Hours], ...]

_CLOSING_AUCTION = date(2026, 8, 3)
_NEW_PRE_OPEN = date(2026, 9, 7)
_LATER_AUCTION = date(2026, 12, 7)
_FUTURES_PRE_OPEN = date(2025, 12, 8)

_WITH_DERIVATIVES: Rows = (
    (date.min, Hours((*_PRE_OPEN, _UNTIL_1530, _POST_CLOSE_AT_1540))),
    (_CLOSING_AUCTION, Hours((*_PRE_OPEN, _UNTIL_1515, *_AUCTION_AT_1515, _POST_CLOSE_AT_1550))),
    (_NEW_PRE_OPEN, Hours((*_PRE_OPEN_SINCE_SEPTEMBER, _UNTIL_1515, *_AUCTION_AT_1515, _POST_CLOSE_AT_1550))),
    (
        _LATER_AUCTION,
        Hours((*_PRE_OPEN_SINCE_SEPTEMBER, _UNTIL_1530, *_AUCTION_AT_1530, _POST_CLOSE_AT_1550), provisional=True),
    ),
)
_OTHERS: Rows = (
    (date.min, Hours((*_PRE_OPEN, _UNTIL_1530, _POST_CLOSE_AT_1540))),
    (_CLOSING_AUCTION, Hours((*_PRE_OPEN, _UNTIL_1530, _POST_CLOSE_AT_1550))),
    (_NEW_PRE_OPEN, Hours((*_PRE_OPEN_SINCE_SEPTEMBER, _UNTIL_1530, _POST_CLOSE_AT_1550))),
)
_FUTURES: Rows = (
    (date.min, Hours((_UNTIL_1530,))),
    (_FUTURES_PRE_OPEN, Hours((*_PRE_OPEN, _UNTIL_1530))),
    (_CLOSING_AUCTION, Hours((*_PRE_OPEN, _UNTIL_1540))),
)
_OPTIONS: Rows = (
    (date.min, Hours((_UNTIL_1530,))),
    (_CLOSING_AUCTION, Hours((_UNTIL_1540,))),
)


def _commodity_rows() -> Iterator[tuple[date, Hours]]:
    """Until 23:30 while New York keeps summer time, else until 23:55; US law since 2007."""
    summer, winter = Hours((_continuous("09:00", "23:30"),)), Hours((_continuous("09:00", "23:55"),))
    yield date.min, winter
    for year in range(2007, 2100):
        yield _sunday(year, 3, 2), summer
        yield _sunday(year, 11, 1), winter


def _sunday(year: int, month: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=6 - first.weekday() + 7 * (number - 1))


HOURS: Mapping[SessionClass, Rows] = MappingProxyType(
    {
        SessionClass.CASH_WITH_DERIVATIVES: _WITH_DERIVATIVES,
        SessionClass.CASH: _OTHERS,
        SessionClass.INDEX: _WITH_DERIVATIVES,
        SessionClass.EQUITY_FUTURES: (*_FUTURES, (_LATER_AUCTION, Hours((*_PRE_OPEN, _UNTIL_1545), provisional=True))),
        SessionClass.EQUITY_OPTIONS: (*_OPTIONS, (_LATER_AUCTION, Hours((_UNTIL_1545,), provisional=True))),
        SessionClass.EXPIRING_INDEX_FUTURES: (
            *_FUTURES,
            (_LATER_AUCTION, Hours((*_PRE_OPEN, _UNTIL_1530), provisional=True)),
        ),
        SessionClass.EXPIRING_INDEX_OPTIONS: (*_OPTIONS, (_LATER_AUCTION, Hours((_UNTIL_1530,), provisional=True))),
        SessionClass.CURRENCY: ((date.min, Hours((_continuous("09:00", "17:00"),))),),
        SessionClass.COMMODITY: tuple(_commodity_rows()),
    }
)
"""By class, oldest first: from this day on, these hours."""
