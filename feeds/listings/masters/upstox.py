"""Upstox's master: a gzipped JSON array, `complete.json.gz`.

Expiries are Unix milliseconds, tick sizes paise (also those of currencies: 0.25), strikes rupees. `instrument_type` of
a share is its series. An index's `instrument_key` is `NSE_INDEX|Nifty 50`, by name and case-sensitive.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from feeds.instruments import Kind
from feeds.listings.masters.dates import epoch_date
from feeds.listings.masters.files import Line, json_lines, unpacked
from feeds.listings.masters.row import BadRow, Row, derivative, needed, price, quantity, text, tick
from feeds.listings.symbols import index_name, share_name

FILE = "complete.json.gz"

_FIELDS = ("segment", "instrument_key")
_EXCHANGES = {
    "NSE_EQ": "NSE",
    "BSE_EQ": "BSE",
    "NSE_INDEX": "NSE",
    "BSE_INDEX": "BSE",
    "NSE_FO": "NFO",
    "BSE_FO": "BFO",
    "NCD_FO": "CDS",
    "BCD_FO": "BCD",
    "MCX_FO": "MCX",
    "NSE_COM": "NCO",
}
_PAISE = 100


def lines(files: Mapping[str, bytes]) -> Iterable[Line]:
    """All objects of the file."""
    return json_lines(FILE, unpacked(FILE, files[FILE]), _FIELDS)


def made_on(files: Mapping[str, bytes]) -> date | None:
    """The file doesn't say."""
    return None


def row(line: Line) -> Row | None:
    """What an object says."""
    segment = text(line, "segment")
    exchange = _EXCHANGES.get(segment)
    if exchange is None:
        return None
    if segment.endswith("_INDEX"):
        return _index(line, exchange)
    if segment.endswith("_EQ"):
        return _share(line, exchange)
    kind = text(line, "instrument_type")
    return _derivative(line, exchange, kind) if kind in ("FUT", "CE", "PE") else None


def _index(line: Line, exchange: str) -> Row:
    token = needed(line, "instrument_key")
    name = token.partition("|")[2]
    if not name:
        raise BadRow("an index without a name")
    return Row(token=token, exchange=exchange, kind=Kind.INDEX, symbol=index_name(name), name=name)


def _share(line: Line, exchange: str) -> Row:
    series = text(line, "instrument_type")
    symbol = needed(line, "trading_symbol")
    return Row(
        token=needed(line, "instrument_key"),
        exchange=exchange,
        exchange_token=needed(line, "exchange_token"),
        kind=Kind.STOCK,
        symbol=share_name(symbol, series) if exchange == "NSE" else symbol,
        name=text(line, "name") or symbol,
        isin=text(line, "isin"),
        series=series,
        tick_size=tick(text(line, "tick_size"), divisor=_PAISE),
        lot_size=quantity(text(line, "lot_size")),
    )


def _derivative(line: Line, exchange: str, kind: str) -> Row:
    return derivative(
        token=needed(line, "instrument_key"),
        exchange=exchange,
        exchange_token=needed(line, "exchange_token"),
        underlying=text(line, "underlying_symbol") or text(line, "asset_symbol") or text(line, "name"),
        expiry=epoch_date(text(line, "expiry"), per_second=1000),
        option_type=kind,
        strike=price(text(line, "strike_price") or "0"),
        tick_size=tick(text(line, "tick_size"), divisor=_PAISE),
        lot_size=quantity(text(line, "lot_size")),
    )
