"""Price files that a replay plays: ticks or candles as CSV, and the exchanges' bhavcopy (UDiFF).

    ticks        time,symbol,price[,exchange,volume,open,high,low,close,bid,ask,last_quantity,open_interest]
    candles      time,symbol,open,high,low,close[,exchange,volume,open_interest]
    bhavcopy     TradDt,BizDt,Sgmt,Src,FinInstrmTp,… as NSE and BSE publish it since 8 July 2024, zipped or not

Times are ISO 8601 (Indian time where they name no zone) or Unix seconds, milliseconds or microseconds. Without a
column `symbol`, the file's name is the symbol: `RELIANCE.csv`, `BSE_RELIANCE.csv`. Columns may stand in any order and
case; `ltp`, `last_price`, `date`, `datetime`, `timestamp` and `qty` are understood. A candle is played as four ticks:
open, the nearer extreme, the other one, and the close. A row of a bhavcopy is one tick at the day's close.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from feeds.bhavcopy import COLUMNS, closings
from feeds.errors import BadFile
from feeds.feed import Update
from feeds.instruments import Instrument
from feeds.listings.masters.files import MAX_BYTES, unpacked
from feeds.price_fields import BadRow, Row, price_of, quantity_of, time_ms_of
from schemas.market import EXCHANGES, IST, PRICE_SCALE, Tick

_OTHER_NAMES = {
    "ltp": "price",
    "last_price": "price",
    "lastprice": "price",
    "date": "time",
    "datetime": "time",
    "timestamp": "time",
    "qty": "last_quantity",
    "tradingsymbol": "symbol",
    "oi": "open_interest",
}
_PRICES = ("open", "high", "low", "close", "bid", "ask")
_QUANTITIES = ("volume", "last_quantity", "open_interest")
_CANDLE_MS = 60_000
"""The length of a candle whose file has only one."""


class Moment(NamedTuple):
    """Ticks of one time."""

    time_ms: int
    updates: Sequence[Update]


def survey(path: Path) -> tuple[int, tuple[Instrument, ...]]:
    """When a file begins (Unix milliseconds), and which instruments it has. Blocks.

    Raises BadFile for a file that holds no price, OSError.
    """
    first_ms: int | None = None
    found: dict[tuple[str, str], Instrument] = {}
    for tick, instrument in _ticks(path, Counter()):
        first_ms = tick.time_ms if first_ms is None else min(first_ms, tick.time_ms)
        found.setdefault((tick.exchange, tick.symbol), instrument)
    if first_ms is None:
        raise BadFile(f"{path.name} has no row with a time, a symbol and a price")
    return first_ms, tuple(found.values())


def moments(path: Path, bad: Counter[str]) -> Iterator[Moment]:
    """A file's ticks in the order of their times; `bad` counts the rows that make no sense, by reason. Blocks."""
    ticks = sorted((tick for tick, _ in _ticks(path, bad)), key=lambda tick: tick.time_ms)
    held: list[Tick] = []
    for tick in ticks:
        if held and tick.time_ms != held[0].time_ms:
            yield Moment(held[0].time_ms, held)
            held = []
        held.append(tick)
    if held:
        yield Moment(held[0].time_ms, held)


_Found = tuple[Tick, Instrument]


def _ticks(path: Path, bad: Counter[str]) -> Iterator[_Found]:
    lines = csv.DictReader(io.StringIO(_text(path), newline=""))
    columns = {name: _OTHER_NAMES.get(name.strip().lower(), name.strip().lower()) for name in lines.fieldnames or ()}
    named = set(columns.values())
    rows = ({columns[name]: value.strip() for name, value in row.items() if name and value} for row in lines)
    try:
        if named >= COLUMNS:
            yield from closings(list(rows), bad)
        elif {"time", "price"} <= named:
            yield from _tick_rows(rows, path, bad)
        elif {"time", "open", "high", "low", "close"} <= named:
            yield from _candle_rows(list(rows), path, bad)
        else:
            raise BadFile(f"{path.name} has no columns time and price, none of candles, and is no bhavcopy")
    except csv.Error as exc:
        raise BadFile(f"{path.name} is no CSV: {exc}") from exc


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise BadFile(f"{path.name} is larger than {MAX_BYTES >> 20} MiB")
    return unpacked(path.name, path.read_bytes()).decode("utf-8-sig", "replace")


# -- ticks and candles ---------------------------------------------------------------------------------------------


def _tick_rows(rows: Iterator[Row], path: Path, bad: Counter[str]) -> Iterator[_Found]:
    for row in rows:
        try:
            instrument = _instrument(row, path)
            figures: dict[str, Any] = {name: price_of(row[name]) for name in _PRICES if row.get(name)}
            figures |= {name: quantity_of(row[name]) for name in _QUANTITIES if row.get(name)}
            tick = Tick(
                exchange=instrument.exchange,
                symbol=instrument.symbol,
                price=price_of(row.get("price", "")),
                time_ms=time_ms_of(row.get("time", "")),
                **figures,
            )
        except BadRow as exc:
            bad[exc.reason] += 1
        else:
            yield tick, instrument


def _candle_rows(rows: Sequence[Row], path: Path, bad: Counter[str]) -> Iterator[_Found]:
    traded: dict[tuple[str, str, date], int] = {}
    length_ms = _length_ms(rows)
    for row in rows:
        try:
            instrument = _instrument(row, path)
            start_ms = time_ms_of(row["time"])
            prices = _played([price_of(row.get(name, "")) for name in ("open", "high", "low", "close")])
            volume = quantity_of(row["volume"]) if row.get("volume") else None
            interest = quantity_of(row["open_interest"]) if row.get("open_interest") else None
        except (BadRow, KeyError) as exc:
            bad[exc.reason if isinstance(exc, BadRow) else "no_time"] += 1
            continue
        day = (instrument.exchange, instrument.symbol, datetime.fromtimestamp(start_ms / 1000, IST).date())
        before = traded.get(day, 0)
        for place, price in enumerate(prices):
            if volume is not None:
                traded[day] = before + volume * (place + 1) // 4
            tick = Tick(
                exchange=instrument.exchange,
                symbol=instrument.symbol,
                price=price,
                time_ms=start_ms + place * (length_ms - 1) // 3,
                volume=traded.get(day) if volume is not None else None,
                open_interest=interest,
            )
            yield tick, instrument


def _played(ohlc: Sequence[int]) -> tuple[int, int, int, int]:
    """A candle's prices in the order in which they are played."""
    first, high, low, last = ohlc
    if not low <= min(first, last) <= max(first, last) <= high:
        raise BadRow("impossible_candle")
    return (first, low, high, last) if first - low <= high - first else (first, high, low, last)


def _length_ms(rows: Sequence[Row]) -> int:
    """How long a candle is: the shortest distance between two times of the file."""
    times: set[int] = set()
    for row in rows:
        try:
            times.add(time_ms_of(row.get("time", "")))
        except BadRow:
            continue
    ordered = sorted(times)
    return min((later - sooner for sooner, later in pairwise(ordered)), default=_CANDLE_MS)


def _instrument(row: Row, path: Path) -> Instrument:
    symbol, exchange = row.get("symbol", ""), row.get("exchange", "").upper()
    if not symbol:
        before, _, after = path.stem.partition("_")
        exchange, symbol = (before.upper(), after) if before.upper() in EXCHANGES and after else ("NSE", path.stem)
    if ":" in symbol:
        exchange, _, symbol = symbol.upper().partition(":")
    if (exchange or "NSE") not in EXCHANGES:
        raise BadRow("unknown_exchange")
    name = symbol.upper()
    return Instrument(exchange=exchange or "NSE", symbol=name, name=name, tick_size=PRICE_SCALE // 100)
