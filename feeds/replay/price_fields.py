"""Fields of price files: decimals, quantities and times as people write them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from schemas.market import IST, PRICE_SCALE

Row = Mapping[str, str]
"""One line by column, in lower case; without those that are blank."""

_MAX_PRICE = Decimal(10**9)
_MAX_QUANTITY = Decimal(10**13)
"""A thousand times what any share trades in a day, and little enough to be added up all day."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_MS = 631_152_000_000
"""1990: no exchange of ours is older."""
_LAST_MS = 4_102_444_800_000
"""2100."""


class BadRow(Exception):
    """A row makes no sense; `reason` is one of few words, for a count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def price_of(text: str) -> int:
    """A decimal above zero in 1/PRICE_SCALE, exact to the seventh decimal. Raises BadRow."""
    price = _price(text)
    if price <= 0:
        raise BadRow("no_price")
    return price


def optional_price(text: str) -> int | None:
    """The same of a figure that need not be there: zero means that there is none. Raises BadRow."""
    return (_price(text) or None) if text else None


def quantity_of(text: str) -> int:
    """A whole number, zero or more. Raises BadRow."""
    try:
        value = Decimal(text)
        if not 0 <= value <= _MAX_QUANTITY or value != value.to_integral_value():
            raise BadRow("no_quantity")
        return int(value)
    except InvalidOperation:
        raise BadRow("no_quantity") from None


def optional_quantity(text: str) -> int | None:
    """The same of a figure that need not be there. Raises BadRow."""
    return quantity_of(text) if text else None


def time_ms_of(text: str) -> int:
    """Unix milliseconds of ISO 8601 (Indian time where it names no zone), or of Unix time. Raises BadRow.

    Unix time is in seconds, milliseconds or microseconds, by its size: the first are ten digits until 2286. Eight
    digits are a date.
    """
    try:
        time_ms = _unix_ms(Decimal(text)) if _is_unix(text) else _iso_ms(text)
    except (ValueError, OverflowError, InvalidOperation):
        raise BadRow("no_time") from None
    if not _FIRST_MS <= time_ms <= _LAST_MS:
        raise BadRow("no_time")
    return time_ms


def _price(text: str) -> int:
    try:
        value = Decimal(text)
        if not 0 <= value <= _MAX_PRICE:  # compared before it is multiplied: `1e999999` is a decimal, too
            raise BadRow("no_price")
        return int((value * PRICE_SCALE).to_integral_value())
    except InvalidOperation:
        raise BadRow("no_price") from None


def _is_unix(text: str) -> bool:
    return len(text) > 8 and text.replace(".", "", 1).isdigit()


def _unix_ms(value: Decimal) -> int:
    if value < 10**11:
        return round(value * 1000)
    return round(value) if value < 10**14 else round(min(value, Decimal(10**17)) / 1000)


def _iso_ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=IST)
    return (zoned - _EPOCH) // _MILLISECOND
