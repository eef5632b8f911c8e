"""What a new master changes in the table of instruments. Pure.

The key of an instrument is (exchange, exchange token, day of the first master that had it so): exchanges use a token
again after expiry, and the new instrument must never be taken for the old one.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from feeds.instruments import Instrument, Listing
from feeds.listings.masters.naming import key_of

Key = str
"""As `feeds.listings.masters.naming.key_of` has it."""


class Known(msgspec.Struct, frozen=True, gc=False):
    """A live row of the table."""

    id: int
    instrument: Instrument


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, in this order."""

    closed: Sequence[int]
    """The rows that have ended."""
    changed: Sequence[Known]
    """Rows that go on with other figures."""
    opened: Sequence[Instrument]
    """New rows."""
    listings: list[Listing]
    """What the vendor lists, each instrument as the table will have it."""


def changes(known: Mapping[Key, Known], listings: Sequence[Listing], day: date) -> Changes:
    """What a vendor's master of a day changes. `known` holds the live rows by key."""
    changed: list[Known] = []
    opened: list[Instrument] = []
    closed = [row.id for row in known.values() if _is_over(row.instrument, day)]
    merged: list[Listing] = []
    for listing in listings:
        row = known.get(key_of(listing.instrument))
        if row is None or _is_over(row.instrument, day) or not same(row.instrument, listing.instrument):
            if row is not None and not _is_over(row.instrument, day):
                closed.append(row.id)
            instrument = msgspec.structs.replace(listing.instrument, listed_on=day)
            opened.append(instrument)
        elif (instrument := _merged(row.instrument, listing.instrument)) != row.instrument:
            changed.append(Known(row.id, instrument))
        merged.append(Listing(instrument=instrument, token=listing.token))
    return Changes(closed=closed, changed=changed, opened=opened, listings=merged)


def token_changes(
    before: Mapping[str, int], listings: Sequence[Listing], ids: Mapping[Key, int]
) -> tuple[list[str], dict[str, int]]:
    """The vendor's tokens that mean nothing or something else now, and those that are new, with their rows' ids."""
    now = {listing.token: ids[key_of(listing.instrument)] for listing in listings}
    gone = [token for token, row_id in before.items() if now.get(token) != row_id]
    return gone, {token: row_id for token, row_id in now.items() if before.get(token) != row_id}


def same(one: Instrument, other: Instrument) -> bool:
    """Whether two with one token are one instrument."""
    return (one.symbol, one.kind, one.expiry, one.strike, one.option_type) == (
        other.symbol,
        other.kind,
        other.expiry,
        other.strike,
        other.option_type,
    )


def _is_over(instrument: Instrument, day: date) -> bool:
    return instrument.expiry is not None and instrument.expiry < day


def _merged(old: Instrument, new: Instrument) -> Instrument:
    """The new figures; but what one vendor knows isn't forgotten because another doesn't say it."""
    return msgspec.structs.replace(
        new,
        listed_on=old.listed_on,
        name=old.name if new.name in ("", new.symbol) else new.name,
        isin=new.isin or old.isin,
        series=new.series or old.series,
        lot_size=old.lot_size if new.lot_size == 1 else new.lot_size,
        lower_circuit=old.lower_circuit if new.lower_circuit is None else new.lower_circuit,
        upper_circuit=old.upper_circuit if new.upper_circuit is None else new.upper_circuit,
    )
