"""One line of a master in the hub's units, before the whole list is known; and how its fields are read."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Protocol

import msgspec

from feeds.instruments import Kind
from feeds.listings.masters.files import Line
from feeds.listings.symbols import underlying_name
from schemas.market import PRICE_SCALE

_LARGEST = 2**62
"""What a table's column takes."""


class BadRow(ValueError):
    """A line that makes no sense; its text is one of few, for counting."""


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one line says. Prices in 1/PRICE_SCALE. A derivative has no symbol yet: that depends on its neighbours."""

    token: str
    exchange: str
    kind: Kind
    tick_size: int = 0
    exchange_token: str = ""
    symbol: str = ""
    name: str = ""
    lot_size: int = 1
    isin: str = ""
    series: str = ""
    underlying: str = ""
    expiry: date | None = None
    strike: int | None = None
    option_type: str = ""


class Format(Protocol):
    """How one vendor writes its master."""

    def lines(self, files: Mapping[str, bytes]) -> Iterable[Line]:
        """All lines of all files. Raises BadFile."""

    def row(self, line: Line) -> Row | None:
        """What a line says; None for what the hub doesn't carry. Raises BadRow for a line that makes no sense."""

    def made_on(self, files: Mapping[str, bytes]) -> date | None:
        """The day on which the files say that they were made."""


def text(line: Line, field: str) -> str:
    """A field as text, trimmed; empty where there is none."""
    value = line.get(field)
    return "" if value is None else str(value).strip()


def needed(line: Line, field: str) -> str:
    """A field that must be there."""
    found = text(line, field)
    if not found:
        raise BadRow(f"no {field}")
    return found


def price(value: str, *, divisor: int = 1) -> int:
    """A decimal in 1/PRICE_SCALE, divided by what the vendor multiplied it with. Raises BadRow for no number."""
    try:
        found = round(float(value) * PRICE_SCALE) // divisor
    except (ValueError, OverflowError):
        raise BadRow("a price is no number") from None
    if abs(found) > _LARGEST:
        raise BadRow("a number is too large")
    return found


def tick(value: str, *, divisor: int = 1) -> int:
    """As `price`, but never zero or less, since prices are rounded to it."""
    found = price(value, divisor=divisor)
    if found <= 0:
        raise BadRow("the tick size is 0")
    return found


def quantity(value: str) -> int:
    """A lot size; some vendors write `75.0`, and 0 for what has none."""
    try:
        found = int(float(value or 1))
    except (ValueError, OverflowError):
        raise BadRow("a lot size is no number") from None
    if found > _LARGEST:
        raise BadRow("a number is too large")
    return max(1, found)


def derivative_kind(option_type: str) -> Kind:
    """Option for CE and PE, future for the rest."""
    return Kind.OPTION if option_type in ("CE", "PE") else Kind.FUTURE


def derivative(
    *,
    token: str,
    exchange: str,
    exchange_token: str,
    underlying: str,
    expiry: date,
    option_type: str,
    strike: int,
    tick_size: int,
    lot_size: int,
) -> Row:
    """A future (`option_type` neither CE nor PE) or an option. Raises BadRow for one without underlying or strike."""
    kind = derivative_kind(option_type)
    if not underlying:
        raise BadRow("no underlying")
    if kind is Kind.OPTION and strike <= 0:
        raise BadRow("an option without a strike")
    name = underlying_name(underlying)
    return Row(
        token=token,
        exchange=exchange,
        exchange_token=exchange_token,
        kind=kind,
        name=name,
        underlying=name,
        expiry=expiry,
        strike=strike if kind is Kind.OPTION else None,
        option_type=option_type if kind is Kind.OPTION else "",
        tick_size=tick_size,
        lot_size=lot_size,
    )


def parsed(lines: Iterable[Line], form: Format) -> Iterator[Row | str]:
    """Each line's row, or why it is a bad one. What the hub doesn't carry is left out."""
    for line in lines:
        try:
            row = form.row(line)
        except BadRow as exc:
            yield str(exc)
        else:
            if row is not None:
                yield row if _fits(row) else "a text is too long or not printable"


_LONGEST = (("token", 64), ("exchange_token", 32), ("symbol", 40), ("isin", 16), ("series", 8), ("underlying", 40))
"""As the tables have them; a derivative's symbol is its underlying's and two dozen signs more."""
LONGEST_NAME = 128


def _fits(row: Row) -> bool:
    values = [(getattr(row, field), longest) for field, longest in _LONGEST]
    return all(len(value) <= longest and value.isprintable() for value, longest in values) and row.name.isprintable()
