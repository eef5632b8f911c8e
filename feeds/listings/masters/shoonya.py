"""Shoonya's master: a zipped CSV file for each exchange, as all Noren brokers have it.

Prices are rupees, and a header ends in an empty column. On BFO the symbol is a mnemonic (`BSXOPT`), so the underlying
is what stands before expiry and strike in the trading symbol: `SENSEX26O0173900PE`, `SENSEX26OCT86000PE`.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from feeds.instruments import Kind
from feeds.listings.masters.dates import worded_date
from feeds.listings.masters.files import Line, csv_lines, unpacked
from feeds.listings.masters.row import Row, derivative, needed, price, quantity, text, tick
from feeds.listings.symbols import expiry_text, index_name, share_name, split_series, strike_text

_EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX")
FILES = tuple(f"{exchange}_symbols.txt.zip" for exchange in _EXCHANGES)

_COLUMNS = ("Exchange", "Token", "LotSize", "Symbol", "TradingSymbol", "Instrument", "TickSize")
_INDEX_KINDS = ("INDEX", "UNDIND")
_MNEMONICS = {"BSX": "SENSEX", "BKX": "BANKEX", "SX50": "SENSEX50"}


def lines(files: Mapping[str, bytes]) -> Iterable[Line]:
    """All lines of all files."""
    for file in FILES:
        yield from csv_lines(file, unpacked(file, files[file]), _COLUMNS)


def made_on(files: Mapping[str, bytes]) -> date | None:
    """The files don't say."""
    return None


def row(line: Line) -> Row | None:
    """What a line says."""
    exchange = text(line, "Exchange")
    kind = text(line, "Instrument")
    if exchange in ("NSE", "BSE"):
        return _index(line, exchange) if kind in _INDEX_KINDS else _share(line, exchange)
    if exchange in ("NFO", "BFO", "CDS", "BCD", "MCX") and kind.startswith(("FUT", "OPT")):
        return _derivative(line, exchange)
    return None


def _index(line: Line, exchange: str) -> Row:
    name = needed(line, "TradingSymbol")
    return Row(
        token=_token(line, exchange),
        exchange=exchange,
        kind=Kind.INDEX,
        symbol=index_name(name),
        name=text(line, "Symbol") or name,
    )


def _share(line: Line, exchange: str) -> Row:
    written = needed(line, "TradingSymbol")
    symbol, series = split_series(written) if exchange == "NSE" else (written, text(line, "Instrument"))
    return Row(
        token=_token(line, exchange),
        exchange=exchange,
        exchange_token=needed(line, "Token"),
        kind=Kind.STOCK,
        symbol=share_name(symbol, series) if exchange == "NSE" else symbol,
        name=text(line, "Symbol") or symbol,
        series=series,
        tick_size=tick(text(line, "TickSize")),
        lot_size=quantity(text(line, "LotSize")),
    )


def _derivative(line: Line, exchange: str) -> Row:
    expiry = worded_date(text(line, "Expiry"))
    option_type = text(line, "OptionType")
    strike = price(text(line, "StrikePrice") or "0")
    return derivative(
        token=_token(line, exchange),
        exchange=exchange,
        exchange_token=needed(line, "Token"),
        underlying=_of_bse(line, expiry, strike) if exchange == "BFO" else text(line, "Symbol"),
        expiry=expiry,
        option_type=option_type,
        strike=strike,
        tick_size=tick(text(line, "TickSize")),
        lot_size=quantity(text(line, "LotSize")),
    )


def _of_bse(line: Line, expiry: date, strike: int) -> str:
    """The underlying of a BSE derivative; empty where it can't be told."""
    trading_symbol = text(line, "TradingSymbol")
    option_type = text(line, "OptionType")
    tail = f"{strike_text(strike)}{option_type}" if option_type in ("CE", "PE") else "FUT"
    for monthly in (True, False):
        end = expiry_text(expiry, monthly=monthly) + tail
        if trading_symbol.endswith(end):
            return trading_symbol.removesuffix(end)
    return _MNEMONICS.get(text(line, "Symbol").removesuffix("OPT").removesuffix("FUT"), "")


def _token(line: Line, exchange: str) -> str:
    return f"{exchange}|{needed(line, 'Token')}"
