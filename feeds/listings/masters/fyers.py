"""Fyers' master: a CSV file without a header for each segment, and a table of the names that its feed has for indices.

Prices are rupees, expiries Unix seconds. The token is the topic of the feed without its first part: `nse_cm|2885`, and
for an index `nse_cm|Nifty 50`. An index that the table of names lacks goes by its ticker, which the feed takes as well.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from feeds.instruments import Kind
from feeds.listings.masters.dates import epoch_date
from feeds.listings.masters.files import Line, headless_lines, json_names, unpacked
from feeds.listings.masters.row import BadRow, Row, derivative, needed, price, quantity, text, tick
from feeds.listings.symbols import index_name, share_name

FILES = ("NSE_CM.csv", "BSE_CM.csv", "NSE_FO.csv", "BSE_FO.csv", "NSE_CD.csv", "NSE_COM.csv", "MCX_COM.csv")
INDEX_NAMES = "index_hsm_mapping.json"

_COLUMNS = (
    "fytoken", "details", "type", "lot_size", "tick_size", "isin", "session", "updated", "expiry", "ticker",
    "exchange", "segment", "scrip_code", "underlying", "underlying_code", "strike", "option_type",
)  # fmt: skip
_INDEX_TYPE = "10"
_SEGMENTS = {
    ("10", "10"): ("NSE", "nse_cm"),
    ("12", "10"): ("BSE", "bse_cm"),
    ("10", "11"): ("NFO", "nse_fo"),
    ("12", "11"): ("BFO", "bse_fo"),
    ("10", "12"): ("CDS", "cde_fo"),
    ("12", "12"): ("BCD", "bcs_fo"),
    ("10", "20"): ("NCO", "nse_com"),
    ("11", "20"): ("MCX", "mcx_fo"),
}
"""By exchange and segment: the hub's exchange, and the feed's name of the segment."""

_FEED_NAMES = {
    "NSE:NIFTY50-INDEX": "Nifty 50",
    "NSE:NIFTYBANK-INDEX": "Nifty Bank",
    "NSE:FINNIFTY-INDEX": "Nifty Fin Service",
    "NSE:MIDCPNIFTY-INDEX": "NIFTY MID SELECT",
    "NSE:NIFTYNXT50-INDEX": "Nifty Next 50",
    "NSE:INDIAVIX-INDEX": "India VIX",
    "BSE:SENSEX-INDEX": "SENSEX",
    "BSE:BANKEX-INDEX": "BANKEX",
}
"""For when the table of names is away."""


def lines(files: Mapping[str, bytes]) -> Iterable[Line]:
    """All lines of all files, each with the feed's name of its index."""
    names = _FEED_NAMES
    if INDEX_NAMES in files:
        names = _FEED_NAMES | json_names(INDEX_NAMES, unpacked(INDEX_NAMES, files[INDEX_NAMES]))
    for file in FILES:
        if file in files:
            yield from _lines(file, files[file], names)


def _lines(file: str, data: bytes, names: Mapping[str, str]) -> Iterator[Line]:
    for values in headless_lines(file, unpacked(file, data)):
        line: dict[str, object] = dict(zip(_COLUMNS, values, strict=False))
        ticker = text(line, "ticker")
        line["feed_name"] = names.get(ticker) or ticker.partition(":")[2].removesuffix("-INDEX")
        yield line


def made_on(files: Mapping[str, bytes]) -> date | None:
    """The latest `updated` of the NSE shares; their file has thousands, of which a few may be older."""
    updated = (text(line, "updated") for line in _lines(FILES[0], files[FILES[0]], {}))
    return max((day for day in map(_day, updated) if day is not None), default=None)


def _day(updated: str) -> date | None:
    try:
        return date.fromisoformat(updated)
    except ValueError:
        return None


def row(line: Line) -> Row | None:
    """What a line says."""
    place = _SEGMENTS.get((text(line, "exchange"), text(line, "segment")))
    if place is None:
        if not text(line, "segment"):
            raise BadRow("a line is too short")
        return None
    exchange, segment = place
    code = needed(line, "scrip_code")
    if text(line, "segment") != "10":
        return _derivative(line, exchange, segment, code)
    if text(line, "type") == _INDEX_TYPE:
        return _index(line, exchange, segment)
    return _share(line, exchange, segment, code)


def _index(line: Line, exchange: str, segment: str) -> Row:
    name = needed(line, "feed_name")
    return Row(token=f"{segment}|{name}", exchange=exchange, kind=Kind.INDEX, symbol=index_name(name), name=name)


def _share(line: Line, exchange: str, segment: str, code: str) -> Row:
    symbol, _, series = needed(line, "ticker").partition(":")[2].rpartition("-")
    if not symbol:
        raise BadRow("a share without a series")
    return Row(
        token=f"{segment}|{code}",
        exchange=exchange,
        exchange_token=code,
        kind=Kind.STOCK,
        symbol=share_name(symbol, series) if exchange == "NSE" else symbol,
        name=text(line, "details") or symbol,
        isin=text(line, "isin"),
        series=series,
        tick_size=tick(text(line, "tick_size")),
        lot_size=quantity(text(line, "lot_size")),
    )


def _derivative(line: Line, exchange: str, segment: str, code: str) -> Row:
    return derivative(
        token=f"{segment}|{code}",
        exchange=exchange,
        exchange_token=code,
        underlying=text(line, "underlying"),
        expiry=epoch_date(text(line, "expiry")),
        option_type=text(line, "option_type"),
        strike=price(text(line, "strike") or "0"),
        tick_size=tick(text(line, "tick_size")),
        lot_size=quantity(text(line, "lot_size")),
    )
