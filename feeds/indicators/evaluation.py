"""Indicators over candles: over a whole series, or carried along with live candles.

Live ones cost O(1) per candle, by TA-Lib's streaming handles: a closed candle is committed, a forming one only peeked
at. Both ways give the same numbers to the bit. Candles hold prices in 1/PRICE_SCALE, indicators are floats in rupees.
A volume that is not known counts as none, but before the first known one an indicator of volumes has no value: an
index never has any.

TA-Lib gives 0 for a ratio whose range is nothing (the rsi of a price that never moved); that is kept.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import talib
from talib import stream

from feeds.indicators.catalogue import Entry
from feeds.indicators.indicator import Indicator
from feeds.market_hours.sessions import ist_day
from schemas.market import PRICE_SCALE

Value = float | dict[str, float] | None
"""What an indicator gives for one candle: a number, several by their names, or nothing while history is too short."""

Line = list[float | None]
"""One value a candle; None while history is too short."""

_COLUMNS = ("open", "high", "low", "close", "volume")


class Bar(Protocol):
    """What an indicator reads of a candle. Prices in 1/PRICE_SCALE."""

    @property
    def start_ms(self) -> int:
        """The first moment of the candle, Unix milliseconds."""

    @property
    def open(self) -> int: ...  # noqa: D102
    @property
    def high(self) -> int: ...  # noqa: D102
    @property
    def low(self) -> int: ...  # noqa: D102
    @property
    def close(self) -> int: ...  # noqa: D102
    @property
    def volume(self) -> int | None: ...  # noqa: D102


def series(indicator: Indicator, bars: Sequence[Bar]) -> list[Value]:
    """The indicator's value at each candle, oldest first."""
    return [_named(indicator.entry, values) for values in _batch(indicator, _Table(bars))]


def evaluate(indicators: Mapping[str, Indicator], bars: Sequence[Bar]) -> dict[str, Value]:
    """Each indicator's value at the last candle, by the name that it was asked by."""
    table = _Table(bars)
    return {name: _last(indicator, table) for name, indicator in indicators.items()}


def lines(indicators: Mapping[str, Indicator], bars: Sequence[Bar], count: int) -> dict[str, Line | dict[str, Line]]:
    """Each indicator's values at the last `count` candles, oldest first: a line, or several by their names.

    Where `series` has no value at a candle, all of an indicator's lines have none.
    """
    table = _Table(bars)
    return {name: _lines(indicator, table, count) for name, indicator in indicators.items()}


class LiveIndicator:
    """One indicator, carried along with the candles of one instrument and timeframe. `history` is oldest first."""

    def __init__(self, indicator: Indicator, history: Sequence[Bar] = ()) -> None:
        self._line = _line(indicator)
        self._entry = indicator.entry
        self.value: Value = None
        """At the last closed candle."""
        self.begin(_rows(history), [bar.start_ms for bar in history])

    def closed(self, bar: Bar) -> Value:
        """Commits a candle that will not change any more; each one once, in order of time."""
        return self.closed_row(_floats(bar), bar.start_ms)

    def forming(self, bar: Bar) -> Value:
        """What `closed` would give if the candle closed now. Changes nothing; may be asked as often as wanted."""
        return self.forming_row(_floats(bar), bar.start_ms)

    def begin(self, rows: "Sequence[_Row]", starts: Sequence[int]) -> None:
        """Takes the history as floats; once, before any other candle."""
        for row, start_ms in zip(rows[:-1], starts[:-1], strict=True):
            self._line.gather(row, start_ms)
        if rows:
            self.closed_row(rows[-1], starts[-1])

    def closed_row(self, row: "_Row", start_ms: int) -> Value:
        """`closed` for a candle that is floats already."""
        self.value = _named(self._entry, self._line.commit(row, start_ms))
        return self.value

    def forming_row(self, row: "_Row", start_ms: int) -> Value:
        """`forming` for a candle that is floats already."""
        return _named(self._entry, self._line.peek(row, start_ms))


class IndicatorSet:
    """Several indicators over the same candles, each under the name that it was asked by."""

    def __init__(self, indicators: Mapping[str, Indicator], history: Sequence[Bar] = ()) -> None:
        rows, starts = _rows(history), [bar.start_ms for bar in history]
        self._lines = {name: LiveIndicator(one) for name, one in indicators.items()}
        for line in self._lines.values():
            line.begin(rows, starts)
        self.last_start_ms: int | None = history[-1].start_ms if history else None
        """The last candle that was committed."""

    @property
    def values(self) -> dict[str, Value]:
        """At the last closed candle."""
        return {name: line.value for name, line in self._lines.items()}

    def closed(self, bar: Bar) -> dict[str, Value]:
        """Commits a candle. One that is not newer than the last is ignored: it has been counted."""
        if self.last_start_ms is not None and bar.start_ms <= self.last_start_ms:
            return self.values
        self.last_start_ms = bar.start_ms
        row = _floats(bar)
        return {name: line.closed_row(row, bar.start_ms) for name, line in self._lines.items()}

    def forming(self, bar: Bar) -> dict[str, Value]:
        """The values if the candle closed now; one that is not newer than the last closed has that one's values."""
        if self.last_start_ms is not None and bar.start_ms <= self.last_start_ms:
            return self.values
        row = _floats(bar)
        return {name: line.forming_row(row, bar.start_ms) for name, line in self._lines.items()}


_Row = tuple[float, float, float, float, float]
"""A candle in rupees: open, high, low, close, volume; the volume is NaN where it is not known."""

_Numbers = tuple[float, ...]
_NOTHING: _Numbers = (math.nan,)


class _Line(Protocol):
    """An indicator's state. Values are NaN while there are none."""

    def gather(self, row: _Row, start_ms: int) -> None:
        """Takes a candle of history whose value nobody needs."""

    def commit(self, row: _Row, start_ms: int) -> _Numbers: ...

    def peek(self, row: _Row, start_ms: int) -> _Numbers: ...


class _Handle:
    """TA-Lib's streaming handle, and until it can be opened the candles for it."""

    def __init__(self, indicator: Indicator) -> None:
        self._entry = indicator.entry
        self._keywords = indicator.keywords
        self._columns = tuple(_COLUMNS.index(one) for one in indicator.inputs)
        self._counts_volume = "volume" in indicator.inputs
        self._needs = indicator.lookback + 1
        self._rows: list[_Numbers] = []
        self._handle: Any = None

    def gather(self, row: _Row, start_ms: int) -> None:
        if self._handle is not None:
            self.commit(row, start_ms)
        elif (inputs := self._inputs(row)) is not None:
            self._rows.append(inputs)

    def commit(self, row: _Row, start_ms: int) -> _Numbers:
        inputs = self._inputs(row)
        if inputs is None:
            return _NOTHING
        if self._handle is not None:
            return _numbers(self._handle.update(*inputs))
        self._rows.append(inputs)
        self._handle = self._open(self._rows)
        if self._handle is None:
            return _NOTHING
        self._rows.clear()
        return _numbers(self._handle.value)

    def peek(self, row: _Row, start_ms: int) -> _Numbers:
        inputs = self._inputs(row)
        if inputs is None:
            return _NOTHING
        if self._handle is not None:
            return _numbers(self._handle.peek(*inputs))
        opened = self._open([*self._rows, inputs])
        return _NOTHING if opened is None else _numbers(opened.value)

    def _inputs(self, row: _Row) -> _Numbers | None:
        """What the function takes of a candle; None before the first volume of one that takes volumes."""
        inputs = tuple([row[column] for column in self._columns])
        if self._counts_volume and math.isnan(row[4]):
            if self._handle is None and not self._rows:
                return None
            return tuple(0.0 if math.isnan(one) else one for one in inputs)
        return inputs

    def _open(self, rows: list[_Numbers]) -> Any:
        if len(rows) < self._needs:
            return None
        columns = np.ascontiguousarray(np.array(rows, dtype=np.float64).T)
        try:
            return getattr(stream, self._entry.function)(*columns, **self._keywords)
        except talib.InsufficientHistory:  # type: ignore[attr-defined]
            return None  # a few functions need some candles more than they say


class _SessionVwap:
    """The volume-weighted mean of the typical price since the day in India began."""

    def __init__(self) -> None:
        self._day: object = None
        self._paid = 0.0
        self._volume = 0.0

    def gather(self, row: _Row, start_ms: int) -> None:
        self.commit(row, start_ms)

    def commit(self, row: _Row, start_ms: int) -> _Numbers:
        self._day, self._paid, self._volume = self._after(row, start_ms)
        return self._mean(self._paid, self._volume)

    def peek(self, row: _Row, start_ms: int) -> _Numbers:
        _, paid, volume = self._after(row, start_ms)
        return self._mean(paid, volume)

    def _after(self, row: _Row, start_ms: int) -> tuple[object, float, float]:
        day = ist_day(start_ms)
        paid, traded = (self._paid, self._volume) if day == self._day else (0.0, 0.0)
        _, high, low, close, volume = row
        if math.isnan(volume):
            return day, paid, traded
        return day, paid + (high + low + close) / 3 * volume, traded + volume

    @staticmethod
    def _mean(paid: float, volume: float) -> _Numbers:
        return (paid / volume,) if volume else _NOTHING


def _line(indicator: Indicator) -> _Line:
    return _SessionVwap() if indicator.name == "vwap" else _Handle(indicator)


class _Table:
    """A series as rows of floats, and as the columns that TA-Lib takes, made once for all indicators."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.rows = _rows(bars)
        self.starts = [bar.start_ms for bar in bars]
        columns = np.ascontiguousarray(np.array(self.rows, dtype=np.float64).reshape(-1, len(_COLUMNS)).T)
        self.columns = dict(zip(_COLUMNS, columns, strict=True))
        self.has_volume = _fill(self.columns["volume"])


def _batch(indicator: Indicator, table: _Table) -> Iterable[_Numbers]:
    return list(zip(*(one.tolist() for one in _arrays(indicator, table)), strict=True))


def _last(indicator: Indicator, table: _Table) -> Value:
    if not table.rows:
        return None
    return _named(indicator.entry, tuple(float(one[-1]) for one in _arrays(indicator, table)))


def _lines(indicator: Indicator, table: _Table, count: int) -> Line | dict[str, Line]:
    outputs = indicator.entry.outputs
    if not count:
        return {name: [] for name in outputs} if outputs else []
    numbers = np.array(_arrays(indicator, table))[:, -count:]
    numbers[:, ~np.isfinite(numbers).all(axis=0)] = math.nan
    found: list[Line] = [[None if math.isnan(one) else one for one in row] for row in numbers.tolist()]
    return dict(zip(outputs, found, strict=True)) if outputs else found[0]


def _arrays(indicator: Indicator, table: _Table) -> "tuple[np.ndarray[Any, Any], ...]":
    """What TA-Lib's function gives over the whole series, one array per output."""
    if indicator.name == "vwap":
        return (np.array(_vwap(table)),)
    entry = indicator.entry
    if "volume" in indicator.inputs and not table.has_volume:
        return (np.full(len(table.rows), math.nan),) * max(1, len(entry.outputs))
    found = getattr(talib, entry.function)(*(table.columns[one] for one in indicator.inputs), **indicator.keywords)
    return tuple(_blank(one, indicator) for one in (found if isinstance(found, tuple) else (found,)))


def _vwap(table: _Table) -> list[float]:
    vwap = _SessionVwap()
    return [vwap.commit(row, start)[0] for row, start in zip(table.rows, table.starts, strict=True)]


def _blank(values: "np.ndarray[Any, Any]", indicator: Indicator) -> "np.ndarray[Any, Any]":
    """Whole numbers know no NaN: TA-Lib has zeros there before the first value."""
    if values.dtype.kind != "i":
        return values
    numbers = values.astype(np.float64)
    numbers[: indicator.lookback] = math.nan
    return numbers


def _fill(volumes: "np.ndarray[Any, Any]") -> bool:
    """Sets unknown volumes after the first known one to none; those before it TA-Lib skips. False: none is known."""
    known = ~np.isnan(volumes)
    if not known.any():
        return False
    first = int(np.argmax(known))
    volumes[first:][~known[first:]] = 0.0
    return True


def _rows(bars: Sequence[Bar]) -> list[_Row]:
    return [_floats(bar) for bar in bars]


def _floats(bar: Bar) -> _Row:
    volume = bar.volume
    return (
        bar.open / PRICE_SCALE,
        bar.high / PRICE_SCALE,
        bar.low / PRICE_SCALE,
        bar.close / PRICE_SCALE,
        math.nan if volume is None else float(volume),
    )


def _numbers(value: Any) -> _Numbers:
    return value if isinstance(value, tuple) else (float(value),)


def _named(entry: Entry, values: _Numbers) -> Value:
    for value in values:
        if not math.isfinite(value):
            return None
    if not entry.outputs:
        return float(values[0])
    return {name: float(value) for name, value in zip(entry.outputs, values, strict=True)}
