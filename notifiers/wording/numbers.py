"""Prices, percentages and times as people in India write them, the same in all languages: in figures that all read.

Babel groups in lakhs and crores only for some of the languages, so that one pattern is forced upon all of them.
"""

import zoneinfo
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cache
from math import isfinite

from babel.numbers import format_decimal

from notifiers.conditions.words import is_index
from schemas.market import IST

UNKNOWN = "-"
"""What stands for a value that nobody knows."""

RUPEE = "\u20b9"

_LOCALE = "en_IN"
_PRICE = "#,##,##0.00##"
"""Currencies have four decimals, everything else two."""
_PLAIN = "#,##,##0.####"
_PERCENT = "#,##,##0.00"


def load() -> None:
    """Reads all time zones and the locale from the disk, so that nothing does later: blocks for a tenth of a second."""
    _zones()
    price(0.0)


def price(value: float | None) -> str:
    """A price without its currency: `12,34,567.50`."""
    return _formatted(value, _PRICE)


def money(value: float | None, exchange: str, symbol: str) -> str:
    """A price with its currency, an index without: `\u20b912,34,567.50`."""
    said = price(value)
    if said == UNKNOWN or is_index(exchange, symbol):
        return said
    return f"-{RUPEE}{said[1:]}" if said.startswith("-") else RUPEE + said


def number(value: float | None) -> str:
    """A quantity or any other figure: `12,34,567` or `31.2`."""
    return _formatted(value, _PLAIN)


def percent(value: float | None) -> str:
    """A percentage without its sign: `-1.25`."""
    return _formatted(value, _PERCENT)


def change(value: float | None) -> str:
    """A change in percent: `+2.35%`."""
    said = percent(value)
    if said == UNKNOWN:
        return said
    return f"{'' if said.startswith('-') else '+'}{said}%"


def moment(at_ms: int, zone: str, now_ms: int) -> str:
    """A time by somebody's clock: `10:15:02 IST`, or `21-11-2026 10:15:02 IST` where that is not today.

    India's clock for a zone that there is not.
    """
    clock = _zones().get(zone, IST)
    at, now = (datetime.fromtimestamp(ms / 1000, UTC).astimezone(clock) for ms in (at_ms, now_ms))
    day = "" if at.date() == now.date() else f"{at:%d-%m-%Y} "
    return f"{day}{at:%H:%M:%S} {_zone_name(at)}"


def _formatted(value: float | None, pattern: str) -> str:
    if value is None or not isfinite(value):
        return UNKNOWN
    said = str(format_decimal(Decimal(repr(value)), format=pattern, locale=_LOCALE))
    return said.removeprefix("-") if not said.strip("-0.,") else said


@cache
def _zones() -> Mapping[str, tzinfo]:
    return {name: zoneinfo.ZoneInfo(name) for name in zoneinfo.available_timezones()}


def _zone_name(at: datetime) -> str:
    name = at.tzname() or ""
    return f"UTC{name}" if name[:1] in "+-" else name
