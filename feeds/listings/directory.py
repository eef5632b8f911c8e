"""The directory: what one vendor lists now, by symbol, by token, and by what people type."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from feeds.instruments import Instrument, Instruments, Kind, Listing
from feeds.listings.instrument_search import InstrumentSearch


class Directory(Instruments):
    """A vendor's listings. Never changes: a newer one replaces it as a whole.

    Making one of a hundred thousand takes about a second: do it in a thread. All look-ups are quick.
    """

    def __init__(self, listings: Iterable[Listing] = ()) -> None:
        self._tokens: dict[str, Instrument] = {}
        self._listings: defaultdict[str, dict[str, Listing]] = defaultdict(dict)
        for one in listings:
            self._tokens[one.token] = one.instrument
            self._listings[one.instrument.exchange][one.instrument.symbol] = one
        super().__init__(self._tokens.values())
        self._search = InstrumentSearch(self)
        self._in_order = _by_symbol(self)

    @property
    def by_token(self) -> Mapping[str, Instrument]:
        """The instruments by the vendor's own token."""
        return MappingProxyType(self._tokens)

    def find(self, exchange: str, symbol: str) -> Listing | None:
        """The instrument of that name and the vendor's token for it, if the vendor lists it."""
        return self._listings[exchange].get(symbol) if exchange in self._listings else None

    def listed(self, exchange: str) -> list[Instrument]:
        """All instruments of one exchange, by symbol."""
        return self._in_order.get(exchange, [])[:]

    def search(
        self, text: str, *, limit: int = 20, exchange: str | None = None, kind: Kind | None = None
    ) -> list[Instrument]:
        """What people may mean by `text`, the best first; see `feeds.listings.instrument_search`."""
        return self._search.find(text, limit=limit, exchange=exchange, kind=kind)


def _by_symbol(instruments: Iterable[Instrument]) -> dict[str, list[Instrument]]:
    """The instruments of each exchange in order; sorted in parts, since other threads wait for a sort to end."""
    groups: defaultdict[tuple[str, str], list[Instrument]] = defaultdict(list)
    for one in instruments:
        groups[one.exchange, one.symbol[:1]].append(one)
    found: defaultdict[str, list[Instrument]] = defaultdict(list)
    for exchange, first in sorted(groups):
        found[exchange] += sorted(groups[exchange, first], key=lambda one: one.symbol)
    return found


def directory_of(instruments: Iterable[Instrument]) -> Directory:
    """A directory of instruments that no vendor's token belongs to, for whoever only looks up and searches."""
    return Directory(Listing(instrument=one, token=f"{one.exchange}|{one.symbol}") for one in instruments)
