"""Zerodha Kite's master: one CSV file with a header, made anew at about 08:30.

Indices are in the segment INDICES, with tick size and lot 0; their exchange tokens may be those of shares as well.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from feeds.instruments import Kind
from feeds.listings.masters.dates import iso_date
from feeds.listings.masters.files import Line, csv_lines, unpacked
from feeds.listings.masters.row import BadRow, Row, derivative, needed, price, quantity, text, tick
from feeds.listings.symbols import index_name, split_series
from schemas.market import EXCHANGES

FILE = "instruments"

_COLUMNS = (
    "instrument_token", "exchange_token", "tradingsymbol", "name", "expiry", "strike", "tick_size", "lot_size",
    "instrument_type", "segment", "exchange",
)  # fmt: skip


def lines(files: Mapping[str, bytes]) -> Iterable[Line]:
    """All lines of the file."""
    return csv_lines(FILE, unpacked(FILE, files[FILE]), _COLUMNS)


def made_on(files: Mapping[str, bytes]) -> date | None:
    """The file doesn't say."""
    return None


def row(line: Line) -> Row | None:
    """What a line says."""
    exchange = text(line, "exchange")
    if exchange not in EXCHANGES:
        return None
    if text(line, "segment") == "INDICES":
        return _index(line, exchange)
    match text(line, "instrument_type"):
        case "EQ":
            return _share(line, exchange)
        case "FUT" | "CE" | "PE" as kind:
            return _derivative(line, exchange, kind)
        case _:
            raise BadRow("no instrument type")


def _index(line: Line, exchange: str) -> Row | None:
    if exchange not in ("NSE", "BSE"):
        return None
    symbol = index_name(needed(line, "tradingsymbol"))
    return Row(token=_token(line), exchange=exchange, kind=Kind.INDEX, symbol=symbol, name=text(line, "name") or symbol)


def _share(line: Line, exchange: str) -> Row:
    symbol = needed(line, "tradingsymbol")
    return Row(
        token=_token(line),
        exchange=exchange,
        exchange_token=needed(line, "exchange_token"),
        kind=Kind.STOCK,
        symbol=symbol,
        name=text(line, "name") or symbol,
        series=split_series(symbol)[1] if exchange == "NSE" else "",
        tick_size=tick(text(line, "tick_size")),
        lot_size=quantity(text(line, "lot_size")),
    )


def _derivative(line: Line, exchange: str, kind: str) -> Row:
    return derivative(
        token=_token(line),
        exchange=exchange,
        exchange_token=needed(line, "exchange_token"),
        underlying=text(line, "name"),
        expiry=iso_date(text(line, "expiry")),
        option_type=kind,
        strike=price(text(line, "strike") or "0"),
        tick_size=tick(text(line, "tick_size")),
        lot_size=quantity(text(line, "lot_size")),
    )


def _token(line: Line) -> str:
    token = needed(line, "instrument_token")
    if not (token.isascii() and token.isdigit()):
        raise BadRow("a token is no number")
    return token
