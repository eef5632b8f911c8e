"""From the rows of a master to listings: names that depend on the whole list, clashes, and what has derivatives."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

from feeds.instruments import INDEX_TICKS, Instrument, Kind, Listing
from feeds.listings.masters.row import LONGEST_NAME, Row
from feeds.listings.symbols import INDEX_OF_UNDERLYING, future_name, month_ends, option_name

CLASH = "two instruments with one token or name"

_Chain = tuple[str, str, Kind]
"""Exchange, underlying and kind: what shares one rhythm of expiries."""

_CASH_OF = {"NFO": "NSE", "BFO": "BSE"}


def listings_of(rows: Sequence[Row], refused: Counter[str]) -> list[Listing]:
    """The rows with their names. Counts in `refused` those of which it can't be told which is which: all of a clash."""
    ends = _month_ends(rows)
    lots = _lots(rows)
    listings = [Listing(instrument=_instrument(row, ends, lots), token=row.token) for row in _once(rows)]
    clashing = _clashing(listings)
    refused[CLASH] += len(clashing)
    return [listing for place, listing in enumerate(listings) if place not in clashing]


def key_of(instrument: Instrument) -> str:
    """What tells instruments of one day apart at every vendor: exchange and token, or an index's name.

    A text and no tuple, since the garbage collector goes through tuples, a hundred thousand of them at a time.
    """
    return f"{instrument.exchange}:{instrument.exchange_token or f'={instrument.symbol}'}"


def _once(rows: Iterable[Row]) -> Iterable[Row]:
    """Vendors repeat lines now and then; the very same line again says nothing."""
    seen: dict[str, Row] = {}
    for row in rows:
        if seen.setdefault(row.token, row) is row or seen[row.token] != row:
            yield row


def _month_ends(rows: Iterable[Row]) -> dict[_Chain, frozenset[date]]:
    expiries: defaultdict[_Chain, set[date]] = defaultdict(set)
    for row in rows:
        if row.expiry is not None:
            expiries[_chain(row)].add(row.expiry)
    return {chain: month_ends(dates) for chain, dates in expiries.items()}


def _chain(row: Row) -> _Chain:
    return row.exchange, row.underlying, row.kind


def _lots(rows: Iterable[Row]) -> dict[tuple[str, str], int]:
    """The lot of the nearest derivative, by the exchange and the symbol of what is under it."""
    nearest: dict[tuple[str, str], tuple[date, int]] = {}
    for row in rows:
        if row.expiry is not None and (exchange := _CASH_OF.get(row.exchange)):
            symbol = INDEX_OF_UNDERLYING.get(row.underlying, row.underlying)
            nearest[exchange, symbol] = min((row.expiry, row.lot_size), nearest.get((exchange, symbol), (date.max, 0)))
    return {key: lot for key, (_, lot) in nearest.items()}


def _instrument(row: Row, ends: dict[_Chain, frozenset[date]], lots: dict[tuple[str, str], int]) -> Instrument:
    symbol = row.symbol if row.expiry is None else _name(row, monthly=row.expiry in ends[_chain(row)])
    lot = lots.get((row.exchange, symbol)) if row.expiry is None else None
    return Instrument(
        exchange=row.exchange,
        symbol=symbol,
        name=row.name[:LONGEST_NAME],
        kind=row.kind,
        tick_size=INDEX_TICKS[row.exchange] if row.kind is Kind.INDEX else row.tick_size,
        lot_size=lot or row.lot_size,
        has_derivatives=lot is not None,
        exchange_token=row.exchange_token,
        isin=row.isin,
        series=row.series,
        underlying=row.underlying,
        expiry=row.expiry,
        strike=row.strike,
        option_type=row.option_type,
    )


def _name(row: Row, *, monthly: bool) -> str:
    assert row.expiry is not None  # noqa: S101 - for the type checker
    if row.strike is None:
        return future_name(row.underlying, row.expiry, monthly=monthly)
    return option_name(row.underlying, row.expiry, row.strike, row.option_type, monthly=monthly)


def _clashing(listings: Sequence[Listing]) -> set[int]:
    """The places of those that share a token, a key or a name with another one."""
    tokens = (listing.token for listing in listings)
    keys = (key_of(listing.instrument) for listing in listings)
    names = (f"{listing.instrument.exchange}:{listing.instrument.symbol}" for listing in listings)
    return _repeated(tokens) | _repeated(keys) | _repeated(names)


def _repeated(keys: Iterable[str]) -> set[int]:
    """The places of keys that come more than once. A loop, since other threads want their turns."""
    first: dict[str, int] = {}
    repeated: set[int] = set()
    for place, key in enumerate(keys):
        if (earlier := first.setdefault(key, place)) != place:
            repeated |= {earlier, place}
    return repeated
