"""Dhan's master: one CSV file with a header, `api-scrip-master.csv`.

Tick sizes are paise, strikes rupees; `SM_SYMBOL_NAME` of a derivative is no underlying (`BSXOPT`), but its trading
symbol is (`SENSEX-Oct2026-84600-CE`). NSE's commodities are left out: the wire has no segment for them.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from feeds.instruments import Kind
from feeds.listings.masters.dates import iso_date
from feeds.listings.masters.files import Line, csv_lines, unpacked
from feeds.listings.masters.row import Row, derivative, needed, price, quantity, text, tick
from feeds.listings.symbols import index_name, share_name

FILE = "api-scrip-master.csv"

_COLUMNS = (
    "SEM_EXM_EXCH_ID", "SEM_SEGMENT", "SEM_SMST_SECURITY_ID", "SEM_INSTRUMENT_NAME", "SEM_TRADING_SYMBOL",
    "SEM_LOT_UNITS", "SEM_CUSTOM_SYMBOL", "SEM_EXPIRY_DATE", "SEM_STRIKE_PRICE", "SEM_OPTION_TYPE", "SEM_TICK_SIZE",
    "SEM_SERIES",
)  # fmt: skip

_SEGMENTS = {
    ("NSE", "I"): ("NSE", 0),
    ("BSE", "I"): ("BSE", 0),
    ("NSE", "E"): ("NSE", 1),
    ("BSE", "E"): ("BSE", 4),
    ("NSE", "D"): ("NFO", 2),
    ("BSE", "D"): ("BFO", 8),
    ("NSE", "C"): ("CDS", 3),
    ("BSE", "C"): ("BCD", 7),
    ("MCX", "M"): ("MCX", 5),
}
"""By exchange and segment: the hub's exchange, and the code of the segment on the wire."""

_PAISE = 100
_PARTS_OF_A_FUTURE = 2
_PARTS_OF_AN_OPTION = 3


def lines(files: Mapping[str, bytes]) -> Iterable[Line]:
    """All lines of the file."""
    return csv_lines(FILE, unpacked(FILE, files[FILE]), _COLUMNS)


def made_on(files: Mapping[str, bytes]) -> date | None:
    """The file doesn't say."""
    return None


def row(line: Line) -> Row | None:
    """What a line says."""
    segment = text(line, "SEM_SEGMENT")
    place = _SEGMENTS.get((text(line, "SEM_EXM_EXCH_ID"), segment))
    if place is None:
        return None
    exchange, code = place
    security = needed(line, "SEM_SMST_SECURITY_ID")
    token = f"{code}|{security}"
    if segment == "I":
        return _index(line, exchange, token)
    if segment == "E":
        return _share(line, exchange, token, security)
    kind = text(line, "SEM_INSTRUMENT_NAME")
    return _derivative(line, exchange, token, security) if kind.startswith(("FUT", "OPT")) else None


def _index(line: Line, exchange: str, token: str) -> Row:
    symbol = index_name(needed(line, "SEM_TRADING_SYMBOL"))
    return Row(
        token=token,
        exchange=exchange,
        kind=Kind.INDEX,
        symbol=symbol,
        name=text(line, "SEM_CUSTOM_SYMBOL") or symbol,
    )


def _share(line: Line, exchange: str, token: str, security: str) -> Row:
    symbol = needed(line, "SEM_TRADING_SYMBOL")
    series = text(line, "SEM_SERIES")
    return Row(
        token=token,
        exchange=exchange,
        exchange_token=security,
        kind=Kind.STOCK,
        symbol=share_name(symbol, series) if exchange == "NSE" else symbol,
        name=text(line, "SEM_CUSTOM_SYMBOL") or text(line, "SM_SYMBOL_NAME") or symbol,
        series=series,
        tick_size=tick(text(line, "SEM_TICK_SIZE"), divisor=_PAISE),
        lot_size=quantity(text(line, "SEM_LOT_UNITS")),
    )


def _derivative(line: Line, exchange: str, token: str, security: str) -> Row:
    option_type = text(line, "SEM_OPTION_TYPE")
    parts = _PARTS_OF_AN_OPTION if option_type in ("CE", "PE") else _PARTS_OF_A_FUTURE
    underlying, *rest = text(line, "SEM_TRADING_SYMBOL").rsplit("-", parts)
    return derivative(
        token=token,
        exchange=exchange,
        exchange_token=security,
        underlying=underlying if len(rest) == parts else "",
        expiry=iso_date(text(line, "SEM_EXPIRY_DATE")),
        option_type=option_type,
        strike=price(text(line, "SEM_STRIKE_PRICE") or "0"),
        tick_size=tick(text(line, "SEM_TICK_SIZE"), divisor=_PAISE),
        lot_size=quantity(text(line, "SEM_LOT_UNITS")),
    )
