"""Price files that a replay plays: ticks or candles as CSV, and the exchanges' bhavcopy (UDiFF).

    ticks        time,symbol,price[,exchange,volume,open,high,low,close,bid,ask,last_quantity,open_interest]
    candles      time,symbol,open,high,low,close[,exchange,volume,open_interest]
    bhavcopy     TradDt,BizDt,Sgmt,Src,FinInstrmTp,… as NSE and BSE publish it since 8 July 2024

Each may be packed by zip or gzip. Times are ISO 8601 (Indian time where they name no zone) or Unix seconds,
milliseconds or microseconds; a date and a time may stand in two columns. Without a column `symbol`, the file's name is
the symbol: `RELIANCE.csv`, `BSE_RELIANCE.csv`. Columns may stand in any order and case, rows in any order; `ltp`,
`last_price`, `date`, `datetime`, `timestamp`, `qty`, `tradingsymbol` and `oi` are understood. A tick's `close` is that
of the day before, its `volume` the day's.

A candle's time is its beginning. It is played as four ticks: open, the nearer extreme, the other one, and the close; a
day's candle from 09:15 to 15:30. A row of a bhavcopy is one tick at the day's close.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from feeds.errors import BadFile
from feeds.feed import Update
from feeds.instruments import SIMULATED, Instrument, Kind
from feeds.listings.masters.files import MAX_BYTES, unpacked
from feeds.replay.bhavcopy import COLUMNS, closings
from feeds.replay.price_fields import BadRow, Row, optional_price, optional_quantity, price_of, time_ms_of
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
_SUFFIXES = (".zip", ".gz", ".csv", ".txt")
_DERIVATIVES = EXCHANGES - {"NSE", "BSE"}
_KNOWN = {(one.instrument.exchange, one.instrument.symbol): one.instrument for one in SIMULATED}
_CANDLE_MS = 60_000
"""The length of a candle whose file has only one."""
_DAY_MS = 86_400_000
_OPENS_MS = 33_300_000
"""09:15."""
_SESSION_MS = 22_500_000
_MOST_AT_ONCE = 1_000


class Moment(NamedTuple):
    """Updates of one time."""

    time_ms: int
    updates: Sequence[Update]


def survey(path: Path) -> tuple[int, tuple[Instrument, ...]]:
    """When a file begins (Unix milliseconds), and which instruments it has. Blocks.

    Raises BadFile for a file that holds no price, OSError.
    """
    first_ms: int | None = None
    found: dict[tuple[str, str], Instrument] = {}
    bad: Counter[str] = Counter()
    for tick, instrument in _ticks(path, bad):
        first_ms = tick.time_ms if first_ms is None else min(first_ms, tick.time_ms)
        found.setdefault((tick.exchange, tick.symbol), instrument)
    if first_ms is None:
        told = f" ({', '.join(f'{reason}: {count}' for reason, count in sorted(bad.items()))})" if bad else ""
        raise BadFile(f"{path.name} has no row that makes a price{told}")
    return first_ms, tuple(found.values())


def moments(path: Path, bad: Counter[str]) -> Iterator[Moment]:
    """A file's ticks in the order of their times; `bad` counts the rows that make no sense, by reason. Blocks."""
    held: list[Tick] = []
    for tick in sorted((tick for tick, _ in _ticks(path, bad)), key=lambda tick: tick.time_ms):
        if held and (tick.time_ms != held[0].time_ms or len(held) == _MOST_AT_ONCE):
            yield Moment(held[0].time_ms, held)
            held = []
        held.append(tick)
    if held:
        yield Moment(held[0].time_ms, held)


_Found = tuple[Tick, Instrument]


def _ticks(path: Path, bad: Counter[str]) -> Iterator[_Found]:
    lines = csv.reader(io.StringIO(_text(path), newline=""))
    try:
        columns = _columns(next(lines, []))
        rows = (_row(columns, line) for line in lines if any(line))
        if COLUMNS.issubset(columns):
            yield from closings(list(rows), bad)
        elif {"time", "price"}.issubset(columns):
            yield from _tick_rows(rows, _Names(path), bad)
        elif {"time", "open", "high", "low", "close"}.issubset(columns):
            yield from _candle_rows(rows, _Names(path), bad)
        else:
            raise BadFile(f"{path.name} has no columns time and price, none of candles, and is no bhavcopy")
    except csv.Error as exc:
        raise BadFile(f"{path.name} is no CSV: {exc}") from exc


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise BadFile(f"{path.name} is larger than {MAX_BYTES >> 20} MiB")
    return unpacked(path.name, path.read_bytes(), wanted="a list of prices").decode("utf-8-sig", "replace")


def _columns(header: Sequence[str]) -> list[str]:
    names = [name.strip().lower() for name in header]
    if {"date", "time"}.issubset(names):
        return ["day" if name == "date" else _OTHER_NAMES.get(name, name) for name in names]
    return [_OTHER_NAMES.get(name, name) for name in names]


def _row(columns: Sequence[str], line: Sequence[str]) -> Row:
    # A line that is cut off lacks its last columns; what wants them finds that the row is bad.
    return {name: text for name, value in zip(columns, line, strict=False) if (text := value.strip())}


class _Names:
    """Which instruments a file's rows are of."""

    def __init__(self, path: Path) -> None:
        self._instruments: dict[tuple[str, str], Instrument] = {}
        stem = path.name
        while stem.lower().endswith(_SUFFIXES):
            stem = stem[: stem.rindex(".")]
        before, _, after = stem.partition("_")
        self._place = (before, after) if before.upper() in EXCHANGES and after else ("NSE", stem)

    def of(self, row: Row) -> Instrument:
        """The instrument of a row. Raises BadRow."""
        exchange, symbol = row.get("exchange", "NSE"), row.get("symbol", "")
        if not symbol:
            exchange, symbol = row.get("exchange", self._place[0]), self._place[1]
        if ":" in symbol:
            exchange, _, symbol = symbol.partition(":")
        place = (exchange.upper(), symbol.upper())
        if place not in self._instruments:
            self._instruments[place] = _instrument(*place)
        return self._instruments[place]


def _instrument(exchange: str, symbol: str) -> Instrument:
    """As the bundled list has it, else by its name alone. Raises BadRow."""
    if exchange not in EXCHANGES:
        raise BadRow("unknown_exchange")
    if not symbol:
        raise BadRow("no_symbol")
    kind = Kind.INDEX if " " in symbol else Kind.STOCK
    if exchange in _DERIVATIVES:
        kind = Kind.OPTION if symbol.endswith(("CE", "PE")) else Kind.FUTURE
    made = Instrument(exchange=exchange, symbol=symbol, name=symbol, kind=kind, tick_size=PRICE_SCALE // 100)
    return _KNOWN.get((exchange, symbol), made)


def _time_ms(row: Row) -> int:
    return time_ms_of(f"{row['day']} {row.get('time', '')}" if "day" in row else row.get("time", ""))


# -- ticks ---------------------------------------------------------------------------------------------------------


def _tick_rows(rows: Iterator[Row], names: _Names, bad: Counter[str]) -> Iterator[_Found]:
    for row in rows:
        try:
            instrument = names.of(row)
            tick = _tick(row, instrument)
        except BadRow as exc:
            bad[exc.reason] += 1
        else:
            yield tick, instrument


def _tick(row: Row, instrument: Instrument) -> Tick:
    return Tick(
        exchange=instrument.exchange,
        symbol=instrument.symbol,
        price=price_of(row.get("price", "")),
        time_ms=_time_ms(row),
        open=optional_price(row.get("open", "")),
        high=optional_price(row.get("high", "")),
        low=optional_price(row.get("low", "")),
        close=optional_price(row.get("close", "")),
        volume=optional_quantity(row.get("volume", "")),
        bid=optional_price(row.get("bid", "")),
        ask=optional_price(row.get("ask", "")),
        last_quantity=optional_quantity(row.get("last_quantity", "")),
        open_interest=optional_quantity(row.get("open_interest", "")),
    )


# -- candles -------------------------------------------------------------------------------------------------------


class _Candle(NamedTuple):
    """One row; `prices` in the order in which they are played."""

    start_ms: int
    instrument: Instrument
    prices: tuple[int, int, int, int]
    volume: int | None
    open_interest: int | None


def _candle_rows(rows: Iterator[Row], names: _Names, bad: Counter[str]) -> Iterator[_Found]:
    candles: list[_Candle] = []
    for row in rows:
        try:
            candles.append(_candle(row, names))
        except BadRow as exc:
            bad[exc.reason] += 1
    candles.sort(key=lambda one: one.start_ms)
    length_ms = _length_ms(candles)
    at = _daily_place if length_ms >= _DAY_MS else _place
    traded: Counter[tuple[str, str, date]] = Counter()
    for candle in candles:
        for tick in _played(candle, at(candle.start_ms, length_ms), traded):
            yield tick, candle.instrument


def _candle(row: Row, names: _Names) -> _Candle:
    instrument = names.of(row)
    opened, high, low, close = (price_of(row.get(name, "")) for name in ("open", "high", "low", "close"))
    if not low <= min(opened, close) <= max(opened, close) <= high:
        raise BadRow("impossible_candle")
    prices = (opened, low, high, close) if opened - low <= high - opened else (opened, high, low, close)
    volume, interest = optional_quantity(row.get("volume", "")), optional_quantity(row.get("open_interest", ""))
    return _Candle(_time_ms(row), instrument, prices, volume, interest)


def _length_ms(candles: Sequence[_Candle]) -> int:
    """How long a candle is: the shortest distance between two times of the file."""
    times = sorted({one.start_ms for one in candles})
    return min((later - sooner for sooner, later in pairwise(times)), default=_CANDLE_MS)


_Place = Callable[[int, int], tuple[int, int]]
"""Of a candle's time and length, when it begins to be played and for how long, in milliseconds."""


def _place(start_ms: int, length_ms: int) -> tuple[int, int]:
    return start_ms, length_ms


def _daily_place(start_ms: int, length_ms: int) -> tuple[int, int]:
    """Daily candles and longer ones are told at midnight, when nothing trades."""
    midnight = datetime.fromtimestamp(start_ms / 1000, IST).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(midnight.timestamp()) * 1000 + _OPENS_MS, _SESSION_MS


def _played(candle: _Candle, place: tuple[int, int], traded: Counter[tuple[str, str, date]]) -> Iterator[Tick]:
    """A candle as ticks. `traded` is what each instrument has traded on each day, as ticks tell it."""
    start_ms, length_ms = place
    instrument, volume = candle.instrument, candle.volume
    day = (instrument.exchange, instrument.symbol, datetime.fromtimestamp(start_ms / 1000, IST).date())
    before = traded[day]
    traded[day] += volume or 0
    for number, price in enumerate(candle.prices):
        yield Tick(
            exchange=instrument.exchange,
            symbol=instrument.symbol,
            price=price,
            time_ms=start_ms + number * (length_ms - 1) // 3,
            volume=None if volume is None else before + volume * (number + 1) // 4,
            open_interest=candle.open_interest,
        )
