"""Angel One's master: one JSON array, `OpenAPIScripMaster.json`, all values texts.

Strikes and tick sizes are paise; in CDS the strike is in 1e-7 rupee, and the tick size in paise or in 1e-7 (25000 is
0.0025). Indices have tokens that begin with 999, and a tick size of 0. NCDEX and NCO are left out: the wire has no
exchange type for NSE's commodities.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from feeds.instruments import Kind
from feeds.listings.masters.dates import worded_date
from feeds.listings.masters.files import Line, json_lines, unpacked
from feeds.listings.masters.row import Row, derivative, needed, price, quantity, text, tick
from feeds.listings.symbols import index_name, share_name, split_series

FILE = "OpenAPIScripMaster.json"

_FIELDS = ("token", "symbol", "name", "expiry", "strike", "lotsize", "instrumenttype", "exch_seg", "tick_size")
_EXCHANGE_TYPES = {"NSE": 1, "NFO": 2, "BSE": 3, "BFO": 4, "MCX": 5, "CDS": 13}
_PAISE = 100
_CURRENCY = 10_000_000
_SMALLEST_CURRENCY_TICK = 1000
"""No currency's tick is 10 rupees, and none is below a ten-thousandth: so the two units can be told apart."""


def lines(files: Mapping[str, bytes]) -> Iterable[Line]:
    """All objects of the file."""
    return json_lines(FILE, unpacked(FILE, files[FILE]), _FIELDS)


def made_on(files: Mapping[str, bytes]) -> date | None:
    """The file doesn't say."""
    return None


def row(line: Line) -> Row | None:
    """What an object says."""
    exchange = text(line, "exch_seg")
    if exchange not in _EXCHANGE_TYPES:
        return None
    kind = text(line, "instrumenttype")
    if kind == "AMXIDX" or (exchange in ("NSE", "BSE") and text(line, "token").startswith("999")):
        return _index(line, exchange)
    if kind.startswith(("FUT", "OPT")):
        return _derivative(line, exchange, kind)
    return _share(line, exchange) if exchange in ("NSE", "BSE") else None


def _index(line: Line, exchange: str) -> Row | None:
    if exchange not in ("NSE", "BSE"):
        return None
    name = needed(line, "symbol")
    return Row(token=_token(line, exchange), exchange=exchange, kind=Kind.INDEX, symbol=index_name(name), name=name)


def _share(line: Line, exchange: str) -> Row:
    written = needed(line, "symbol")
    symbol, series = split_series(written) if exchange == "NSE" else (written, "")
    return Row(
        token=_token(line, exchange),
        exchange=exchange,
        exchange_token=needed(line, "token"),
        kind=Kind.STOCK,
        symbol=share_name(symbol, series),
        name=text(line, "name") or symbol,
        series=series,
        tick_size=_tick(line, exchange),
        lot_size=quantity(text(line, "lotsize")),
    )


def _derivative(line: Line, exchange: str, kind: str) -> Row:
    return derivative(
        token=_token(line, exchange),
        exchange=exchange,
        exchange_token=needed(line, "token"),
        underlying=text(line, "name"),
        expiry=worded_date(text(line, "expiry")),
        option_type=text(line, "symbol")[-2:].upper() if kind.startswith("OPT") else "",
        strike=price(text(line, "strike") or "0", divisor=_CURRENCY if exchange == "CDS" else _PAISE),
        tick_size=_tick(line, exchange),
        lot_size=quantity(text(line, "lotsize")),
    )


def _tick(line: Line, exchange: str) -> int:
    value = text(line, "tick_size")
    in_currency_units = exchange == "CDS" and price(value) >= price(str(_SMALLEST_CURRENCY_TICK))
    return tick(value, divisor=_CURRENCY if in_currency_units else _PAISE)


def _token(line: Line, exchange: str) -> str:
    return f"{_EXCHANGE_TYPES[exchange]}|{needed(line, 'token')}"
