"""Instruments: what can be traded or watched, by exchange and symbol, and where to look them up.

The bundled list holds the stocks of the NIFTY 50 as its composition stood late in 2025 and three indices. It serves
the simulator: its prices, lots and weights are plausible, not official, and no substitute for a broker's master.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from enum import StrEnum
from importlib import resources
from itertools import chain
from types import MappingProxyType

import msgspec

from schemas.market import scaled


class Kind(StrEnum):
    """What an instrument is."""

    STOCK = "stock"
    """Whatever trades in a cash segment: shares, ETFs, bonds."""
    INDEX = "index"
    FUTURE = "future"
    OPTION = "option"


class Instrument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One instrument of one exchange. Prices in 1/PRICE_SCALE.

    `symbol` is the hub's name for it, in capitals, unique within its exchange while it lives: `RELIANCE`, `NIFTY 50`,
    `NIFTY26DECFUT`, `NIFTY26DEC24000CE`, `NIFTY26D0124000CE` (weekly: year, month 1-9 O N D, day). `lot_size` of a
    stock or an index is that of its derivatives. What makes an instrument the same at every vendor is the key
    (exchange, exchange_token, listed_on): exchanges use a token again after expiry. An index has no token.
    """

    exchange: str
    symbol: str
    name: str
    kind: Kind = Kind.STOCK
    tick_size: int
    lot_size: int = 1
    has_derivatives: bool = False
    exchange_token: str = ""
    listed_on: date | None = None
    """The date of the master in which this token first meant this instrument."""
    isin: str = ""
    series: str = ""
    """Of a share: EQ, BE, SM, …; of BSE's its group."""
    underlying: str = ""
    """Of a future or an option: `NIFTY`, `RELIANCE`, `USDINR`, `CRUDEOIL`."""
    expiry: date | None = None
    strike: int | None = None
    option_type: str = ""
    """CE or PE."""
    lower_circuit: int | None = None
    upper_circuit: int | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An instrument as one vendor lists it: `token` is what the vendor's wire calls it."""

    instrument: Instrument
    token: str


class SimulatedInstrument(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument and what the simulator needs to move it. Prices in 1/PRICE_SCALE.

    `weight` is the share in the NIFTY 50 in percent; an index is made of the stocks that name it in `indices`, in
    proportion to their weights. An index itself has no weight.
    """

    instrument: Instrument
    sector: str = ""
    close: int
    year_low: int
    year_high: int
    beta: float = 1.0
    weight: float = 0.0
    indices: tuple[str, ...] = ()


_TICK_BANDS: tuple[tuple[float, float], ...] = (
    (0, 0.01),
    (250, 0.05),
    (1_000, 0.10),
    (5_000, 0.50),
    (10_000, 1.00),
    (20_000, 5.00),
)
"""From this close on, this tick; NSE cash since 15 April 2025."""

INDEX_TICKS = MappingProxyType({"NSE": scaled(0.05), "BSE": scaled(0.01)})
"""The grid on which the exchanges publish their indices, in 1/PRICE_SCALE."""


def tick_size(close: int) -> int:
    """The tick of an NSE stock for a month, by its last close in the month before. Both in 1/PRICE_SCALE."""
    place = bisect_right(_TICK_BANDS, close, key=lambda band: scaled(band[0]))
    return scaled(_TICK_BANDS[place - 1][1])


class Instruments:
    """Instruments by exchange and symbol. Reading the whole list is linear, looking one up is not."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._by_exchange: dict[str, dict[str, Instrument]] = {}
        for one in instruments:
            self._by_exchange.setdefault(one.exchange, {})[one.symbol] = one

    def __len__(self) -> int:
        return sum(map(len, self._by_exchange.values()))

    def __iter__(self) -> Iterator[Instrument]:
        return chain.from_iterable(by_symbol.values() for by_symbol in self._by_exchange.values())

    def get(self, exchange: str, symbol: str) -> Instrument | None:
        """The instrument of that name, if the list holds it."""
        return self._by_exchange.get(exchange, {}).get(symbol)

    def listed(self, exchange: str) -> list[Instrument]:
        """All instruments of one exchange, by symbol."""
        return sorted(self._by_exchange.get(exchange, {}).values(), key=lambda one: one.symbol)

    def search(
        self, text: str, *, limit: int = 20, exchange: str | None = None, kind: Kind | None = None
    ) -> list[Instrument]:
        """Those whose symbol or name holds `text` in any case: whole symbols first, then beginnings, then the rest.

        Linear: for the bundled list. A broker's has `feeds.listings.directory.Directory`, which answers quickly.
        """
        wanted = text.strip().casefold()

        def rank(one: Instrument) -> tuple[int, str, str]:
            symbol = one.symbol.casefold()
            return (0 if symbol == wanted else 1 if symbol.startswith(wanted) else 2), one.symbol, one.exchange

        found = [
            one
            for one in self
            if (wanted in one.symbol.casefold() or wanted in one.name.casefold())
            and exchange in (None, one.exchange)
            and kind in (None, one.kind)
        ]
        return sorted(found, key=rank)[:limit] if wanted else []


def synthetic(count: int) -> tuple[SimulatedInstrument, ...]:
    """Made-up stocks `SIM0001`, `SIM0002`, … for load: spread over prices of 100 to 5,000 rupees, in no index."""
    return tuple(_synthetic(number) for number in range(1, count + 1))


def instruments_of(rows: Sequence[SimulatedInstrument]) -> Instruments:
    """The directory of a simulated list."""
    return Instruments(row.instrument for row in rows)


def _read(row: dict[str, str]) -> SimulatedInstrument:
    close = scaled(float(row["close"]))
    indices = tuple(row["indices"].split("|")) if row["indices"] else ()
    return SimulatedInstrument(
        instrument=Instrument(
            exchange=row["exchange"],
            symbol=row["symbol"],
            name=row["name"],
            kind=Kind.STOCK if indices else Kind.INDEX,
            tick_size=tick_size(close) if indices else INDEX_TICKS[row["exchange"]],
            lot_size=int(row["lot_size"]),
            has_derivatives=True,
        ),
        sector=row["sector"],
        close=close,
        year_low=scaled(float(row["year_low"])),
        year_high=scaled(float(row["year_high"])),
        beta=float(row["beta"]),
        weight=float(row["weight"] or 0),
        indices=indices,
    )


def _synthetic(number: int) -> SimulatedInstrument:
    close = scaled(100 + number * 37 % 4_900)
    return SimulatedInstrument(
        instrument=Instrument(
            exchange="NSE", symbol=f"SIM{number:04d}", name=f"Simulated {number}", tick_size=tick_size(close)
        ),
        sector=f"simulated {number % 10}",
        close=close,
        year_low=close * 8 // 10 // scaled(1) * scaled(1),
        year_high=close * 12 // 10 // scaled(1) * scaled(1),
    )


def _bundled() -> tuple[SimulatedInstrument, ...]:
    text = resources.files("feeds").joinpath("data", "simulated.csv").read_text(encoding="utf-8")
    return tuple(_read(row) for row in csv.DictReader(text.splitlines()))


SIMULATED = _bundled()
"""The bundled list: the indices, then the stocks that make them. Read with the module, not in a running loop."""
