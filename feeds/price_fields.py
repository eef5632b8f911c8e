"""Fields of price files: decimals, quantities and times as people write them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation

from schemas.market import IST, PRICE_SCALE

Row = Mapping[str, str]
"""One line by column, in lower case."""

_MAX_PRICE = Decimal(10**9)


class BadRow(Exception):
    """A row makes no sense; `reason` is one of few words, for a count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def price_of(text: str) -> int:
    """A decimal in 1/PRICE_SCALE, exact."""
    try:
        value = Decimal(text)
        if not 0 < value <= _MAX_PRICE:
            raise BadRow("no_price")
        return int((value * PRICE_SCALE).to_integral_value())
    except InvalidOperation:
        raise BadRow("no_price") from None


def quantity_of(text: str) -> int:
    """A whole number."""
    try:
        value = int(Decimal(text))
    except (InvalidOperation, ValueError, OverflowError):
        raise BadRow("no_quantity") from None
    if not 0 <= value <= 2**62:
        raise BadRow("no_quantity")
    return value


def time_ms_of(text: str) -> int:
    """Unix milliseconds."""
    try:
        if text.replace(".", "", 1).isdigit():
            return _epoch_ms(Decimal(text))
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=IST)
        return int(zoned.timestamp() * 1000)
    except (ValueError, OverflowError, InvalidOperation):
        raise BadRow("no_time") from None


def _epoch_ms(value: Decimal) -> int:
    """Seconds, milliseconds or microseconds, by their size: the first are ten digits until 2286."""
    scale = 1000 if value < 10**11 else 1 if value < 10**14 else Decimal("0.001")
    return int(value * scale)
